"""
lbproxy as an application file: ``twistd --python lbproxy.tac``.

It serves what ``lbproxy.toml``, in the directory it is started from, describes;
the variable LBPROXY_CONFIG names another file.  With neither it serves the
demonstration on port 8080.
"""

import os

from twisted.application.service import Application
from twisted.logger import Logger

from lbproxy.tap import Options, makeService

path = os.environ.get("LBPROXY_CONFIG")
arguments = ["--config", path or "lbproxy.toml"]
if not path and not os.path.lexists("lbproxy.toml"):
    arguments = ["--listen", "tcp:8080"]
    Logger("lbproxy.tac").info(
        "There is no {path}, and LBPROXY_CONFIG names no other file",
        path=os.path.abspath("lbproxy.toml"),
    )

options = Options()
options.parseOptions(arguments)

application = Application("lbproxy")
makeService(options).setServiceParent(application)
