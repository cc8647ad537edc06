"""Makes the TLS contexts that backends of a configuration need, from their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from OpenSSL.SSL import Context

from ..streams.clientcontexts import UnusableFile, clientContext
from ..words.place import Place
from ..words.tlsoptions import TLSOptions
from .model import Configuration, PoolConfiguration


def contextsOf(configuration: Configuration) -> Mapping[TLSOptions, Context]:
    """
    Make the contexts of all backends, and of those that discoveries may find.

    @return: By the L{files<TLSOptions.files>} of their options.
    @raise ConfigurationError: If a file cannot be used.
    """
    made: dict[TLSOptions, Context] = {}
    for pool in configuration.pools:
        for options, place in _tlsOf(pool):
            if options.files not in made:
                made[options.files] = contextAt(options, place)
    return made


def contextAt(options: TLSOptions, place: Place) -> Context:
    """
    Make one context.

    @param place: Where the options were written.
    @raise ConfigurationError: If a file cannot be used.
    """
    try:
        return clientContext(options)
    except UnusableFile as error:
        raise place.key(error.key).refuse(error.path, error.reason) from None


def _tlsOf(pool: PoolConfiguration) -> Iterator[tuple[TLSOptions, Place]]:
    for at, backend in enumerate(pool.backends):
        if backend.tls is not None:
            yield backend.tls, pool.place.key("backends").item(at).key("tls")
    member = pool.discovery.member.get("tls") if pool.discovery is not None else None
    if member is not None:
        yield member, pool.place.key("discovery").key("member").key("tls")
