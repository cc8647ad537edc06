"""Pickers by hash: which client goes where, and which ones move."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from picking import (
    CRITICAL,
    Told,
    aConnection,
    backends,
    chiSquared,
    clientAt,
    moved,
    rebuild,
    viewOf,
)
from zope.interface.verify import verifyObject

from lbproxy.balance.hashing import Rendezvous, keyHash
from lbproxy.balance.maglev import Maglev
from lbproxy.balance.nametree import nameHash
from lbproxy.interfaces import (
    IBackendPicker,
    ICapacityObserver,
    IConfigurationObserver,
    IMembershipObserver,
)
from lbproxy.words.backend import Backend, Member
from lbproxy.words.connection import Address

BOTH = pytest.mark.parametrize("kind", [Rendezvous, Maglev])
CLIENTS = 4000


@BOTH
class TestBoth:
    @pytest.mark.parametrize(
        "interface",
        [
            *(IBackendPicker, IMembershipObserver),
            *(ICapacityObserver, IConfigurationObserver),
        ],
    )
    def test_interfaces(self, kind: Any, interface: type) -> None:
        """It picks, and is told of members, their capacity and the configuration."""
        assert verifyObject(interface, kind())

    def test_aClientStays(self, kind: Any) -> None:
        """The same client goes to the same member, whatever others do."""
        pool = Told(kind(), backends(20))
        first = pool.owners(200)
        assert len(set(first)) > 15
        assert pool.owners(200) == first

    @pytest.mark.parametrize(
        "weights",
        [[1, 1], [5, 1, 2], [1] * 5, [10, 1] * 5, [3, 3, 3, 3, 1, 2, 5, 5, 9, 100]],
    )
    def test_shares(self, kind: Any, weights: list[int]) -> None:
        """Clients are spread as the weights say."""
        members = [
            Member(Backend("tcp:127.0.0.1:1", f"m{at}", weight))
            for at, weight in enumerate(weights)
        ]
        drawn = Counter(Told(kind(), members).owners(CLIENTS))
        assert chiSquared(drawn, members) < CRITICAL[len(weights) - 1]

    @pytest.mark.parametrize("weight", [1, 7])
    def test_manyMembers(self, kind: Any, weight: int) -> None:
        """A hundred members have even shares too."""
        members = backends(100, weight)
        drawn = Counter(Told(kind(), members).owners(CLIENTS))
        assert chiSquared(drawn, members) < CRITICAL[99]

    def test_onlyItsOwnClientsLeave(self, kind: Any) -> None:
        """
        When a member may not be picked only its own clients move; they are spread over
        the others, and return with it.
        """
        members = backends(10)
        pool = Told(kind(), members)
        before = pool.owners(CLIENTS)
        pool.remove(members[3])
        during = pool.owners(CLIENTS)
        assert {before[each] for each in moved(before, during)} == {"m3"}
        assert "m3" not in during
        went = Counter(during[each] for each in moved(before, during))
        others = [each for each in members if each is not members[3]]
        assert chiSquared(went, others) < CRITICAL[8]
        pool.add(members[3])
        assert pool.owners(CLIENTS) == before

    def test_fullOverflows(self, kind: Any) -> None:
        """The clients of a full member go where they go when it is out, and return."""
        members = backends(10)
        pool = Told(kind(), members)
        before = pool.owners(500)
        pool.remove(members[3])
        out = pool.owners(500)
        pool.add(members[3])
        pool.fill(members[3])
        assert pool.owners(500) == out
        pool.free(members[3])
        assert pool.owners(500) == before

    def test_aRetryGoesWhereTheFailedOneDoes(self, kind: Any) -> None:
        """A retry goes where the client would go if its member was out."""
        members = backends(10)
        named = {member.name: member for member in members}
        pool = Told(kind(), members)
        for client in range(100):
            first = pool.pick(client=client)
            second = pool.pick(first, client=client)
            pool.remove(first)
            assert pool.pick(client=client) is second
            pool.add(first)
            assert named[second.name] is not first

    def test_twoNodesAgree(self, kind: Any) -> None:
        """
        Two balancers that see different members as down agree on all other clients,
        whatever has happened to either, and in whatever order members are written.
        """
        here, there = backends(12), backends(12)[::-1]
        one, other = Told(kind(), here), Told(kind(), there)
        before = one.owners(1000)
        for member in (here[2], here[5], here[7]):
            one.remove(member)
        one.add(here[5])
        other.remove(there[0])  # which is m11
        ones, others = one.owners(1000), other.owners(1000)
        differing = {before[each] for each in moved(ones, others)}
        assert differing <= {"m2", "m7", "m11"}
        kept = [each for each in range(1000) if before[each] not in {"m2", "m7", "m11"}]
        assert [ones[each] for each in kept] == [before[each] for each in kept]

    @pytest.mark.parametrize("number", [5, 100])
    def test_removalFromTheConfiguration(self, kind: Any, number: int) -> None:
        """When a member is taken out for good, few other clients move."""
        members = backends(number)
        pool = Told(kind(), members)
        before = pool.owners(CLIENTS)
        pool.reconfigure(members[1:])
        rebuild(pool)
        after = pool.owners(CLIENTS)
        assert "m0" not in after
        assert len(moved(before, after)) < 4 * CLIENTS / number
        pool.reconfigure(members)
        rebuild(pool)
        assert pool.owners(CLIENTS) == before

    def test_anotherWeight(self, kind: Any) -> None:
        """With another weight a member has other shares; most clients stay."""
        members = backends(10)
        pool = Told(kind(), members)
        before = pool.owners(CLIENTS)
        members[0].backend = Backend("tcp:127.0.0.1:1", "m0", 3)
        pool.reconfigure(members)
        rebuild(pool)
        after = pool.owners(CLIENTS)
        assert chiSquared(Counter(after), members) < CRITICAL[9]
        assert len(moved(before, after)) < CLIENTS / 3

    def test_slowStartMovesNobody(self, kind: Any) -> None:
        """A ramp does not change which clients a member has."""
        members = backends(5)
        pool = Told(kind(), members)
        before = pool.owners(200)
        pool.ramp(members[0], 0.1)
        assert pool.owners(200) == before

    def test_tiers(self, kind: Any) -> None:
        """
        Backups have places of their own: they take no client while others are left,
        and the clients return.
        """
        members, spare = backends(4), backends(4, backup=True)
        pool = Told(kind(), [*members, *spare])
        for each in spare:
            pool.remove(each)
        before = pool.owners(CLIENTS)
        assert before == Told(kind(), members).owners(CLIENTS)
        for each in members:
            pool.remove(each)
        for each in spare:
            pool.add(each)
        during = pool.owners(CLIENTS)
        assert chiSquared(Counter(during), spare) < CRITICAL[3]
        for each in spare:
            pool.remove(each)
        for each in members:
            pool.add(each)
        assert pool.owners(CLIENTS) == before

    def test_manyTiers(self, kind: Any) -> None:
        """
        Each tier has places of its own, whatever others there are: a client comes to
        the lowest one that has candidates, and to the same member there.
        """
        tiers = {number: backends(4, tier=number) for number in (7, 0, 65535)}
        alone = {
            number: Told(kind(), members).owners(200)
            for number, members in tiers.items()
        }
        pool = Told(kind(), [each for tier in tiers.values() for each in tier])
        for number in (0, 7, 65535):
            rebuild(pool)
            assert {pool.pick(client=client) for client in range(200)} == set(
                tiers[number]
            )
            assert pool.owners(200) == alone[number]
            for each in tiers[number]:
                pool.remove(each)

    def test_tiersComeAndGo(self, kind: Any) -> None:
        """Members that are of another tier now are found there, as after a start."""
        members = backends(6)
        pool = Told(kind(), members)
        for numbers in ([5] * 6, [5, 5, 5, 2, 2, 2], [9, 9, 9, 9, 2, 5]):
            for each, number in zip(members, numbers, strict=True):
                each.backend = evolve(each.backend, tier=number)
            pool.reconfigure(members)
            rebuild(pool)
            fresh = Told(kind(), members)
            rebuild(fresh)
            assert pool.owners(50) == fresh.owners(50)
            for each in reversed(members[1:]):
                pool.remove(each)
                fresh.remove(each)
                assert pool.owners(50) == fresh.owners(50)
            for each in members[1:]:
                pool.add(each)

    def test_twins(self, kind: Any) -> None:
        """Two members of one name have a share each."""
        members = [Member(Backend("tcp:127.0.0.1:1", "twin")) for _ in range(2)]
        pool = Told(kind(), members)
        picked = [pool.pick(client=client) for client in range(1000)]
        assert 400 < picked.count(members[0]) < 600

    def test_withoutAPool(self, kind: Any) -> None:
        """A picker that nobody has told anything has the same answers."""
        members = backends(12)
        view = viewOf(members)
        told, untold = Told(kind(), members), kind()
        for client in range(200):
            picked = untold.pick(view, clientAt(client))
            assert picked is told.pick(client=client)

    def test_strangers(self, kind: Any) -> None:
        """Candidates that it was not told of are picked if no others are left."""
        known, strangers = backends(3), backends(3, backup=True)
        pool = Told(kind(), known)
        assert pool.picker.pick(viewOf(strangers), aConnection()) in strangers

    def test_nobody(self, kind: Any) -> None:
        """Without candidates nobody is picked."""
        assert kind().pick(viewOf([]), aConnection()) is None


class TestKeys:
    @BOTH
    @pytest.mark.parametrize(
        ("key", "same", "other"),
        [
            ("client-address", "port server", "host"),
            ("client-address-port", "server", "host port"),
            ("server-name", "host port", "server"),
        ],
    )
    def test_whatCounts(self, kind: Any, key: str, same: str, other: str) -> None:
        """The option names what tells two clients apart."""
        pool = Told(kind(key), backends(50))

        def owners(what: str) -> set[str]:
            picked = set()
            for at in range(40):
                connection = aConnection()
                if what == "host":
                    connection.client = Address(f"192.0.2.{at}", 40000)
                elif what == "port":
                    connection.client = Address("192.0.2.1", 40000 + at)
                else:
                    connection.serverName = f"{at}.example"
                picked.add(pool.picker.pick(pool.view, connection).name)
            return picked

        assert all(len(owners(what)) == 1 for what in same.split())
        assert all(len(owners(what)) > 10 for what in other.split())

    def test_serverNamesHaveNoCase(self) -> None:
        """A server's name is the same in capitals."""
        pool = Told(Rendezvous("server-name"), backends(50))
        connection = aConnection()
        connection.serverName = "Shop.Example"
        first = pool.picker.pick(pool.view, connection)
        connection.serverName = "shop.example"
        assert pool.picker.pick(pool.view, connection) is first

    @BOTH
    @pytest.mark.parametrize("key", ["client-address", "client-address-port"])
    @pytest.mark.parametrize("path", ["", "/run/a.sock", "/run/\udcff", "\0abstract"])
    def test_unixClients(self, kind: Any, key: str, path: str) -> None:
        """A client of a UNIX socket is known by its path, if it has one."""
        pool = Told(kind(key), backends(5))
        connection = aConnection()
        connection.client = Address(path)
        first = pool.picker.pick(pool.view, connection)
        assert pool.picker.pick(pool.view, connection) is first


class TestStable:
    """The same everywhere: in other processes, on other machines, in later versions."""

    def test_hashes(self) -> None:
        """What is hashed, and how, never changes."""
        assert keyHash("192.0.2.1").hex() == "962827e8b02a5ae36259008eddf5b0d5"
        assert nameHash("web-1").hex() == "a05cdd81b37ffe10447d6571c1f181ff"
        assert nameHash("web-1", 1).hex() == "e623c37644e6358eadac346030bbf302"

    def test_rendezvous(self) -> None:
        """These clients go to these members of twelve for ever."""
        assert " ".join(Told(Rendezvous(), backends(12)).owners(16)) == (
            "m2 m5 m6 m6 m8 m10 m9 m5 m9 m5 m2 m2 m10 m11 m1 m11"
        )

    def test_maglev(self) -> None:
        """These clients go to these members of twelve for ever."""
        assert " ".join(Told(Maglev(), backends(12)).owners(16)) == (
            "m8 m1 m8 m2 m6 m3 m3 m5 m1 m11 m7 m11 m8 m5 m6 m4"
        )

    @BOTH
    @pytest.mark.parametrize("seed", ["0", "1234"])
    def test_anotherProcess(self, kind: Any, seed: str) -> None:
        """Another process, with other seeds of its own, sends clients the same way."""
        program = (
            "from picking import Told, backends;"
            f"from lbproxy.balance.pickers import {kind.__name__} as Kind;"
            "print(*Told(Kind(), backends(30)).owners(100))"
        )
        said = subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": str(Path(__file__).parent.parent),
            },
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout.split()
        assert said == Told(kind(), backends(30)).owners(100)


class TestRendezvous:
    @settings(deadline=None)
    @given(st.sets(st.integers(0, 5000), min_size=1, max_size=40), st.data())
    def test_noHistory(self, numbers: set[int], data: st.DataObject) -> None:
        """It depends on who is configured, and not on who was before."""
        everybody = {
            each: Member(Backend("tcp:127.0.0.1:1", f"m{each}", 1 + each % 3))
            for each in numbers
        }
        members = list(everybody.values())
        pool = Told(Rendezvous(), members)
        some = data.draw(
            st.lists(st.sampled_from(members), min_size=1, unique_by=id), label="some"
        )
        pool.reconfigure(some)
        assert pool.owners(30) == Told(Rendezvous(), some).owners(30)
        pool.reconfigure(members)
        assert pool.owners(30) == Told(Rendezvous(), members).owners(30)

    @pytest.mark.long
    def test_removalOfOneOfThousands(self) -> None:
        """Of 5,000 members one is removed: few clients move besides its own."""
        members = backends(5000)
        pool = Told(Rendezvous(), members)
        before = pool.owners(100_000)
        count = 0
        for at in range(10):
            pool.reconfigure([*members[:at], *members[at + 1 :]])
            count += len(moved(before, pool.owners(100_000)))
        assert count / 10 < 8 * 100_000 / 5000
