"""What the bench beside other balancers makes of what programs tell it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from hypothesis import given
from hypothesis import strategies as st

from bench.contenders.chart import chart
from bench.contenders.command import chosen, parser, possible, shared, taking
from bench.contenders.configs import (
    HAPROXY,
    HAPROXY_TLS,
    LBPROXY,
    LBPROXY_TLS,
    NGINX,
    NGINX_TLS,
    Command,
    commands,
    configured,
)
from bench.contenders.loads import Load, abLoad, wrkLoad
from bench.contenders.measure import Range, Sample, compared, measured, ranges, turns
from bench.contenders.processes import Broken, Cpu, Running, cpuOfStat
from bench.contenders.programs import Contender, streamModule, versionIn
from bench.contenders.report import Results, asJson, gate, shortly, table, text
from bench.contenders.tls import Certificate
from bench.contenders.work import WORKS, Figures, Measure, Stage, throughput

WRK = """\
Running 1s test @ http://127.0.0.1:18999/
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    69.03us  206.53us   4.16ms   98.88%
    Req/Sec    57.24k     2.77k   60.27k    63.64%
  62614 requests in 1.10s, 9.26MB read
Requests/sec:  56910.54
Transfer/sec:      8.41MB

{"seconds": 1.100218, "requests": 62614, "read": 9704870, "written": 2567174, \
"p50": 0.049000, "p99": 0.418000, "errors": 3}
"""

AB = """\
Concurrency Level:      20
Time taken for tests:   0.035 seconds
Complete requests:      500
Failed requests:        2
   (Connect: 0, Receive: 0, Length: 2, Exceptions: 0)
Total transferred:      75000 bytes
HTML transferred:       4000 bytes
Requests per second:    14213.02 [#/sec] (mean)
Time per request:       1.407 [ms] (mean)
Time per request:       0.070 [ms] (mean, across all concurrent requests)
"""

PERCENTILES = """\
Percentage served,Time in ms
0,0.778
50,1.325
99,2.179
100,2.246
"""

STAT = (
    "25028 (a (b) c) S 24875 24875 13745 0 -1 4194304 100 0 0 0 250 1300 7 9 20 0 1 0 "
    "4512916 3133440 377 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0"
)


def contenders(*names: str) -> list[Contender]:
    """Some that are never started."""
    return [Contender(name, "1.2", None) for name in names]


def test_wrk() -> None:
    """What wrk says at its end is read, whatever it has printed before."""
    assert wrkLoad(WRK) == Load(1.100218, 62614, 9704870, 2567174, 0.049, 0.418, 3)


@pytest.mark.parametrize("printed", ["", "unable to connect", "{}", "[1]", '{"a": 1}'])
def test_wrkThatFails(printed: str) -> None:
    """What is no result of wrk's is told."""
    with pytest.raises(Broken, match=r"^wrk: "):
        wrkLoad(printed)


def test_ab() -> None:
    """The mean of all is read, not that across all concurrent requests."""
    expected = Load(0.035, 500, 75000, 0, 1.325, 2.179, 2, mean=1.407)
    assert abLoad(AB, PERCENTILES) == expected


@pytest.mark.parametrize(
    ("printed", "percentiles", "lacks"),
    [
        ("", PERCENTILES, "seconds"),
        (AB.replace("(mean)", ""), PERCENTILES, "mean"),
        (AB, "", "percentiles"),
        (AB, "50,what\n99,1\n", "percentiles"),
    ],
)
def test_abThatFails(printed: str, percentiles: str, lacks: str) -> None:
    """The error names what is missing."""
    with pytest.raises(Broken, match=f"^ab: tells of no {lacks}$"):
        abLoad(printed, percentiles)


def test_stat() -> None:
    """Ticks become seconds; a program's name may look like more fields."""
    assert cpuOfStat(STAT, 100) == Cpu(2.5, 13.0)


def test_costs() -> None:
    """What a unit costs is what was spent meanwhile, in microseconds."""
    spent = Cpu(2.5, 13.0).since(Cpu(2.0, 12.0))
    assert spent.each(10_000) == Cpu(50.0, 100.0)
    load = wrkLoad(WRK)
    figures = throughput(attrs.evolve(load, seconds=2.0), 10_000, spent)
    assert figures == {"rate": 5000, "errors": 3, "user": 50, "system": 100}
    assert throughput(load, 1, None).keys() == {"rate", "errors"}


def test_nothingAnswered() -> None:
    """A run without an answer is not one whose requests cost nothing."""
    with pytest.raises(Broken, match="nothing was answered, 3 errors"):
        throughput(wrkLoad(WRK), 0, Cpu(0.5, 1.0))


def test_ratios() -> None:
    """
    Costs are compared with the cheaper of HAProxy and nginx, and latencies with those
    of no balancer.
    """
    figures = {
        "direct": {"mean": 2.0},
        "lbproxy": {"user": 10.0, "system": 20.0, "mean": 5.0},
        "haproxy": {"user": 5.0, "system": 15.0, "mean": 3.0},
        "nginx": {"user": 1.0, "system": 11.0, "mean": 2.5},
        "pen": {"user": 1.0, "system": 5.0, "mean": 1.5},
    }
    after = compared(figures, ("user", "system"))
    ratios = {name: each.get("ratio") for name, each in after.items()}
    assert ratios == {
        "direct": None,
        "lbproxy": 2.5,
        "haproxy": 20 / 12,
        "nginx": 1.0,
        "pen": 0.5,
    }
    added = {name: each.get("added") for name, each in after.items()}
    assert added == {
        "direct": None,
        "lbproxy": 3.0,
        "haproxy": 1.0,
        "nginx": 0.5,
        "pen": -0.5,
    }
    assert "ratio" not in figures["nginx"]


@pytest.mark.parametrize(
    ("lbproxy", "said"),
    [
        ((9.0, 10.0, 12.0), "0.900 1.00 1.20; the gate is 1.1: kept"),
        ((9.0, 12.0, 15.0), "0.900 1.20 1.50; the gate is 1.1: not kept"),
    ],
)
def test_gate(lbproxy: tuple[float, ...], said: str) -> None:
    """
    What a new connection costs lbproxy is compared with the compact balancer in the
    same round, and there is a line of it below the table.
    """
    samples = []
    for at, user in enumerate(lbproxy):
        # The machine gets slower.
        figures = {"compact": {"user": 10.0 + at}, "nginx": {"user": 5.0}}
        figures["lbproxy-epoll"] = {"user": user / 10 * (10.0 + at)}
        figures["lbproxy-reactor"] = {"user": 99.0}
        samples += [
            Sample("connection-a-request", at, name, each)
            for name, each in compared(figures, ("user",)).items()
        ]
    of = ranges(samples)["connection-a-request"]
    assert {name for name in of if "overCompact" in of[name]} == {
        *("lbproxy-epoll", "lbproxy-reactor")
    }
    kinds = {each.name: each for each in WORKS}
    work = kinds["connection-a-request"]
    whole = Results([work], contenders(*of), {}, samples, {}, [])
    assert text(whole).splitlines()[-1] == f"lbproxy-epoll / compact: {said}"
    assert gate(kinds["keepalive-64B"], of) == ""
    del of["lbproxy-epoll"]
    assert gate(work, of) == ""


@pytest.mark.parametrize("others", [{}, {"pen": {"memory": 3.0}}])
def test_noYardstick(others: dict[str, Figures]) -> None:
    """Without HAProxy and nginx there is no ratio, nor with one that cost nothing."""
    figures = {"lbproxy": {"memory": 6.0}, "nginx": {"memory": 0.0}, **others}
    for each in compared(figures, ("memory",)).values():
        assert each.keys() == {"memory"}


@given(st.integers(1, 9), st.integers(1, 9))
def test_turns(count: int, rounds: int) -> None:
    """In each round everybody has one turn, and the first one changes."""
    there = contenders(*(str(each) for each in range(count)))
    order = turns(there, rounds)
    assert len(order) == rounds
    for at, each in enumerate(order):
        assert sorted(each, key=lambda one: one.name) == there
        assert each[0] is there[at % count]


@attrs.frozen
class Scripted:
    """A kind of work in which all but one need twice as long in each next round."""

    name: str = "scripted"
    unit: str = "request"
    compared: tuple[str, ...] = ("user",)
    program: str = ""
    tls: bool = False

    @contextmanager
    def prepared(self, stage: Stage) -> Iterator[Measure]:
        """What measures."""
        done: dict[str, int] = {}

        def measure(contender: Contender) -> Figures:
            if contender.name == "pen":
                raise Broken("it is ill")
            done[contender.name] = at = done.get(contender.name, 0) + 1
            return {"user": 2.0**at * (3 if contender.name == "lbproxy" else 1)}

        yield measure


def results(tmp_path: Path, rounds: int) -> tuple[Results, list[str]]:
    """What such work comes to, and what was told meanwhile."""
    told: list[str] = []

    @contextmanager
    def step(work: str, at: int, contender: str) -> Iterator[None]:
        try:
            yield
        finally:
            told.append(f"{work} {at} {contender}")

    there = contenders("lbproxy", "nginx", "pen")
    stage = Stage(tmp_path, Running(1), 1, 1, 1)
    work = Scripted()
    samples, failures = measured(work, there, rounds, stage, step)
    settings = {"rounds": rounds}
    skipped = {"envoy": "not installed"}
    return Results([work], there, settings, samples, skipped, failures), told


def test_measured(tmp_path: Path) -> None:
    """One that fails leaves the others their figures, and is told of."""
    whole, told = results(tmp_path, 2)
    assert told == [
        *("scripted 1 lbproxy", "scripted 1 nginx", "scripted 1 pen"),
        *("scripted 2 nginx", "scripted 2 pen", "scripted 2 lbproxy"),
    ]
    assert whole.failures == [
        "scripted, round 1, pen: it is ill",
        "scripted, round 2, pen: it is ill",
    ]
    assert whole.samples == [
        Sample("scripted", 1, "lbproxy", {"user": 6.0, "ratio": 3.0}),
        Sample("scripted", 1, "nginx", {"user": 2.0, "ratio": 1.0}),
        Sample("scripted", 2, "nginx", {"user": 4.0, "ratio": 1.0}),
        Sample("scripted", 2, "lbproxy", {"user": 12.0, "ratio": 3.0}),
    ]


def test_json(tmp_path: Path) -> None:
    """Programs find each sample, the ranges, and who was left out and why."""
    said = json.loads(asJson(results(tmp_path, 3)[0]))
    of = said["ranges"]["scripted"]["lbproxy"]
    assert of["user"] == {"least": 6.0, "median": 12.0, "most": 24.0}
    assert len(said["samples"]) == 6
    assert said["skipped"] == {"envoy": "not installed"}
    assert said["versions"]["nginx"] == "1.2"
    assert said["machine"]["cores"].isdecimal()


def test_text(tmp_path: Path) -> None:
    """The table is followed by what came to nothing."""
    lines = text(results(tmp_path, 3)[0]).splitlines()
    assert "lbproxy 1.2, nginx 1.2, pen 1.2" in lines
    assert [" ".join(each.split()) for each in lines[4:7]] == [
        "scripted user us/request cost ratio",
        "lbproxy 6.00 12.0 24.0 3.00",
        "nginx 2.00 4.00 8.00 1.00",
    ]
    assert lines[8:10] == ["What came to nothing:", "scripted, round 1, pen: it is ill"]


def test_table() -> None:
    """Columns that nobody has are left out, and errors are told."""
    of = {
        "direct": {"rate": Range(1000, 2000, 3000.4), "errors": Range(0, 0, 0)},
        "pen": {
            "rate": Range(5, 5, 5),
            "user": Range(0, 0, 0),
            "errors": Range(0, 1, 7),
        },
    }
    assert table(Scripted(), of, ["direct", "haproxy", "pen"]).splitlines() == [
        "scripted         requests/s  user us/request",
        "direct    1,000 2,000 3,000                -",
        "pen                    5.00                0  up to 7 errors",
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *[(0, "0"), (0.01234, "0.012"), (1, "1.00"), (9.999, "10.0")],
        *[(12.34, "12.3"), (99.96, "100"), (123.4, "123"), (12345.6, "12,346")],
        *[(-5.25, "-5.25"), (-0.5, "-0.500")],
    ],
)
def test_shortly(value: float, written: str) -> None:
    """Figures have three digits, and no point where there are enough before it."""
    assert shortly(value) == written


def test_chart(tmp_path: Path) -> None:
    """The drawing has a bar for each contender that did the work, to scale."""
    drawing = ElementTree.fromstring(chart(results(tmp_path, 1)[0]))
    space = "{http://www.w3.org/2000/svg}"
    _, *bars = drawing.iter(f"{space}rect")
    lbproxy, nginx = (float(each.get("width", "nan")) for each in bars)
    assert lbproxy == pytest.approx(3 * nginx, abs=0.2)
    said = [each.text for each in drawing.iter(f"{space}text")]
    assert said == [
        "scripted: user time for each request",
        *("lbproxy", "6.00 µs", "nginx", "2.00 µs"),
    ]


def test_ranges() -> None:
    """A figure's range has its least, its median and its most."""
    samples = [
        Sample("w", at, "c", {"rate": rate}) for at, rate in enumerate((5, 1, 2))
    ]
    assert ranges(samples) == {"w": {"c": {"rate": Range(1, 2, 5)}}}


def test_chosen() -> None:
    """Contenders are named, or have a pattern; an unknown one is an error."""
    there = contenders("direct", "haproxy", "haproxy-splice", "nginx")
    assert chosen(there, None) == there
    assert chosen(there, ["nginx", "haproxy"]) == [there[1], there[3]]
    assert chosen(there, ["haproxy*"]) == there[1:3]
    with pytest.raises(Broken, match=r"^--contender: pen: expected one of direct, hap"):
        chosen(there, ["nginx", "pen"])


@pytest.mark.parametrize(
    ("work", "named", "part"),
    [
        ("keepalive-64B", ["direct", "nginx"], ["direct", "nginx"]),
        ("keepalive-64B", ["nginx"], ["nginx"]),
        ("keepalive-64B", ["compact"], ["compact"]),
        ("download-64MiB", ["compact", "nginx"], ["nginx"]),
        ("latency", ["nginx"], ["direct", "nginx"]),
        ("idle-memory", ["direct", "nginx"], ["nginx"]),
        ("tls-keepalive-64B", ["direct", "compact", "nginx", "pen"], ["nginx"]),
        ("tls-handshake", ["direct", "nginx"], ["nginx"]),
        ("tls-idle-memory", ["pen"], []),
    ],
)
def test_taking(work: str, named: list[str], part: list[str]) -> None:
    """
    What a balancer adds needs the latency without one; no memory needs that. Work with
    TLS is for those that can terminate it.
    """
    there = contenders("direct", "compact", "nginx", "pen")
    there[2] = attrs.evolve(there[2], secure=lambda *_: [])
    kinds = {each.name: each for each in WORKS}
    found = taking(kinds[work], there, chosen(there, named))
    assert [each.name for each in found] == part


def test_workForNobody() -> None:
    """Work that none of those who were asked for can do is left out, and told of."""
    there = contenders("direct", "pen")
    kinds = {each.name: each for each in WORKS}
    works = [kinds["tls-resumed"], kinds["keepalive-64B"]]
    taken, out = shared(works, there, there[1:])
    assert taken == {"keepalive-64B": there[1:]}
    assert out == {"tls-resumed": "none of the contenders can do it"}
    with pytest.raises(
        Broken, match=r"^tls-resumed: none of the contenders can do it$"
    ):
        shared(works[:1], there, there[1:])


def test_programsThatAreMissing() -> None:
    """Work whose program is not installed is left out, and it is told why."""
    missing = {"wrk": "/usr/bin/wrk"}.get
    names = ["latency", "keepalive-64B", "idle-memory"]
    works, out = possible(WORKS, names, missing)
    assert [each.name for each in works] == ["keepalive-64B", "idle-memory"]
    assert out == {"latency": "ab is not installed"}
    lacking = {each.name for each in WORKS if each.program == "ab"}
    assert possible(WORKS, None, missing)[1].keys() == lacking
    with pytest.raises(Broken, match=r"^latency: ab is not installed$"):
        possible(WORKS, ["latency"], missing)


@pytest.mark.parametrize(
    "wrong",
    [("--rounds", "0"), ("--seconds", "1.5"), ("--idle", "5000"), ("--only", "all")],
)
def test_wrongOptions(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong value is told with its option."""
    with pytest.raises(SystemExit):
        parser().parse_args(wrong)
    last = capsys.readouterr().err.splitlines()[-1]
    assert wrong[0] in last
    assert wrong[1] in last


def test_versions() -> None:
    """A version is found in what programs say of themselves."""
    assert versionIn("HAProxy version 2.6.12-1+deb12u4 2026/10/17") == "2.6.12"
    assert versionIn("usage: pen") == "?"


def test_certificate(tmp_path: Path) -> None:
    """All contenders get an ECDSA key on P-256, and the certificate that it fits."""
    made = Certificate.made(tmp_path)
    key = load_pem_private_key(made.key.read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    assert isinstance(key.curve, SECP256R1)
    for each in (made.chain, made.both):
        chain = load_pem_x509_certificates(each.read_bytes())
        assert chain[0].public_key() == key.public_key()
    assert made.key.read_bytes() in made.both.read_bytes()


@pytest.mark.parametrize(
    ("template", "tls", "said"),
    [
        (HAPROXY, HAPROXY_TLS, "bind 127.0.0.1:1 ssl crt /both ssl-min-ver TLSv1.3"),
        (NGINX, NGINX_TLS, "listen 127.0.0.1:1 ssl; ssl_protocols TLSv1.3;"),
        (LBPROXY, LBPROXY_TLS, 'certificates = [{chain = "/chain", key = "/key"}]'),
    ],
)
def test_configurations(template: str, tls: str, said: str, tmp_path: Path) -> None:
    """Of two commands only the second one's file has the certificate."""
    more = dict.fromkeys(("user", "module", "nosplice", "splice", "process"), "")

    def make(tls: str) -> Command:
        return configured(template, "file", "program", tls=tls, **more)

    files = Certificate(*map(Path, ("/chain", "/key", "/both")))
    assert commands(make, tls, None)[1] is None
    for each, there in zip(commands(make, tls, files), (False, True), strict=True):
        assert each is not None
        command = each(tmp_path, 1, 2)
        assert command == ["program", str(tmp_path / "file")]
        assert (said in (tmp_path / "file").read_text()) is there


def test_streamModule(tmp_path: Path) -> None:
    """nginx's stream module is built in, or a file, or not there."""
    built = f"--modules-path={tmp_path} --with-stream=dynamic --with-stream_ssl_module"
    with pytest.raises(Broken, match="no stream module"):
        streamModule(built)
    module = tmp_path / "ngx_stream_module.so"
    module.touch()
    assert streamModule(built) == f"load_module {module};"
    assert streamModule("--with-http --with-stream --with-mail") == ""
