"""
lbproxy as an application file: ``twistd --python lbproxy.tac``.

It serves what ``lbproxy.toml``, in the directory it is started from, describes;
the variable LBPROXY_CONFIG names another file.
"""

import os

from twisted.application.service import Application

from lbproxy.tap import Options, makeService

options = Options()
options.parseOptions(["--config", os.environ.get("LBPROXY_CONFIG", "lbproxy.toml")])

application = Application("lbproxy")
makeService(options).setServiceParent(application)
