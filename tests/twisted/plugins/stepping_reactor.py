"""What lets C{twistd --reactor=stepping} find that reactor."""

from twisted.application.reactors import Reactor

stepping = Reactor("stepping", "stepping", "A reactor whose time of day can be set.")
