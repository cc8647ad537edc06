"""The PROXY protocol: reads and writes what a proxy says about a client's connection.

A proxy begins its connection to a server with a short header, which has the addresses
of the client's own connection.  Version 1 is a line of text, version 2 is binary and
has room for more.  Sections are those of U{HAProxy's
specification<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>}.

A stream is looked at until its header is whole, which is then taken from it::

    header = parse(stream.peek(LONGEST_HEADER))
    if header is not None:
        stream.take(header.length)

L{parse<lbproxy.streams.proxyprotocol.parse.parse>} reads both versions;
L{headerV1<lbproxy.streams.proxyprotocol.build.headerV1>} and
L{headerV2<lbproxy.streams.proxyprotocol.build.headerV2>} write them.
"""
