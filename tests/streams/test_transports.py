"""The contract of streams, over every kind of transport, on the running reactor."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from journeys import Certificates
from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory

from .bench import Bench
from .benches import EVERY, SECURE
from .contract import SecureContract, StreamContract


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    # The first port that Twisted opens brings a spare descriptor along for good.
    pytest_twisted.blockon(reactor.listenTCP(0, ServerFactory()).stopListening())
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest_twisted.async_yield_fixture
async def bench(kind: str, certificates: Certificates) -> AsyncIterator[Bench]:
    """A stream that is ready; once the test is done, nothing of it may be left."""
    bench = EVERY[kind](certificates)
    await bench.open()
    yield bench
    await bench.close()


@pytest.mark.parametrize("kind", EVERY)
class TestStreams(StreamContract):
    """Whatever carries them."""


@pytest.mark.parametrize("kind", SECURE)
class TestSecureStreams(SecureContract):
    """What TLS has besides."""
