"""The cases: what a proxy is asked to do and by what load, and the bounds that Haring is held to."""

from dataclasses import dataclass, replace
from random import Random

from .peers import HAPROXY_LIKE, Setup

MIB = 2**20

SERVERS = 1000
BACKENDS = 10_000
# Backends that get requests in the backends case, however many there are.
BACKENDS_ASKED = 100
IDLE_CONNECTIONS = 3000


@dataclass(frozen=True)
class Load:
    """What is sent. wrk does keep-alive requests for one path; versus-tool does everything else, with its own
    options."""

    connections: int
    path: str = "/"
    options: tuple = ()

    @property
    def is_wrk(self):
        return not self.options


@dataclass(frozen=True)
class Variant:
    """The same case for some programs with another configuration; it stands beside the plain one."""

    name: str
    kinds: tuple
    setup: Setup
    load: Load = None


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    setup: Setup
    load: Load
    groups: tuple = ("all",)
    # What a figure is per, and how many of these an exchange is.
    unit: str = "request"
    units: float = 1.0
    variants: tuple = ()
    # Which kinds of programs take part, if not all that can.
    kinds: tuple = ()
    # What is done: "cost" in a closed loop, "latency" at a fixed rate, "idle" memory.
    measure: str = "cost"
    # How long a start takes and how much memory it needs are told too.
    tells_start: bool = False
    note: str = ""

    @property
    def figure(self):
        """What the figures of this case are."""
        return f"bytes per {self.unit}" if self.measure == "idle" else f"us of processor per {self.unit}"


@dataclass(frozen=True)
class Bound:
    """`who` may have so much of what `against` has. Without a limit, the figure is only told.

    `of` says what of: "ratio" and "difference" (in microseconds) are about costs, "p99" is the ratio of that
    latency."""

    case: str
    who: str
    against: str
    limit: float = None
    of: str = "ratio"


def tool(connections, *options, path="/"):
    return Load(connections, path, options)


PLAIN = Setup()
TCP = Setup(mode="tcp")

RULES_SECTIONS = """
backend api
    server origin 127.0.0.1:{origin}

backend static
    server origin 127.0.0.1:{origin}
"""


def all_cases(rules_text):
    """Every case in the order in which they run."""
    logged = replace(
        PLAIN, global_lines=("log {sink} local0",), defaults_lines=("log global", "option httplog"), plain=False
    )
    rules = replace(
        logged.with_defaults("option forwardfor"),
        frontend_lines=tuple(line.strip() for line in rules_text.splitlines() if line.strip()),
        sections=RULES_SECTIONS,
    )

    def split(setup, *options):
        """HAProxy with the options that make it forward in the kernel; Haring does so unasked."""
        return (Variant("splice", ("haproxy",), setup.with_defaults(*options)),)

    keepalive = [
        Case(f"keepalive-{count}", f"keep-alive, {count} connections, answers of 1 KiB", PLAIN, load, groups)
        for count, load, groups in (
            (1, Load(1), ("all",)),
            (8, Load(8), ("all", "quick")),
            (64, Load(64), ("all", "quick")),
            (512, Load(512), ("all", "quick")),
            # wrk's setting up of so many connections would be a good part of its run.
            (4096, tool(4096, "--http", "/", "--warm", "2"), ("all",)),
        )
    ]
    upload = replace(PLAIN, origin="upload")
    maps = [
        Case(
            f"map-1m-{kind}",
            f"a map of 1,000,000 entries beside one of 10, map_{kind}, random keys, 64 connections",
            map_setup(kind, "10"),
            tool(64, "--paths", f"{{work}}/{kind}.paths"),
            unit="request",
            kinds=HAPROXY_LIKE,
            variants=(Variant("1m", HAPROXY_LIKE, map_setup(kind, "1m")),),
            tells_start=True,
        )
        for kind in ("str", "beg", "ip")
    ]
    bodies = []
    for size, title, connections in ((0, "0", 64), (65536, "64k", 16), (MIB, "1m", 8)):
        big = size >= 65536
        per = {"unit": "MiB", "units": size / MIB} if big else {}
        bodies.append(
            Case(
                f"http-{title}",
                f"downloads of {title} bytes, {connections} connections",
                PLAIN,
                Load(connections, f"/{title}"),
                ("all", "quick") if size == MIB else ("all",),
                variants=split(PLAIN, "option splice-response") if big else (),
                **per,
            )
        )
    for size, title, connections in ((1024, "1k", 64), (65536, "64k", 16), (MIB, "1m", 8)):
        big = size >= 65536
        per = {"unit": "MiB", "units": size / MIB} if big else {}
        bodies.append(
            Case(
                f"http-{title}-upload",
                f"uploads of {title} bytes, {connections} connections",
                upload,
                tool(connections, "--http", "/", "--body", str(size)),
                variants=split(upload, "option splice-request") if big else (),
                **per,
            )
        )
    return [
        *keepalive,
        Case(
            "connection-per-request",
            "a connection for each request on both sides, 64 at a time",
            replace(PLAIN, close=True),
            tool(64, "--http", "/", "--close", "--sources", "16"),
            ("all", "quick"),
        ),
        Case(
            "tcp-small",
            "TCP mode, 64 bytes there and back, 64 connections",
            replace(TCP, origin="exchange:64:64"),
            tool(64, "--exchange", "64:64"),
            ("all", "quick"),
            unit="exchange",
        ),
        Case(
            "tcp-1m",
            "TCP mode, transfers of 1 MiB from the server, 8 connections",
            replace(TCP, origin=f"exchange:1:{MIB}"),
            tool(8, "--exchange", f"1:{MIB}"),
            ("all", "quick"),
            unit="MiB",
            variants=split(replace(TCP, origin=f"exchange:1:{MIB}"), "option splice-auto"),
        ),
        *bodies,
        Case("log", "keep-alive, `option httplog` to a UDP sink, 64 connections", logged, Load(64), ("all", "quick")),
        Case(
            "rules",
            "keep-alive, ACLs, variables, header edits, backends, log, 64 connections",
            rules,
            Load(64),
            ("all", "quick"),
        ),
        Case(
            "servers-1000",
            f"round robin over {SERVERS} servers beside 1, 64 connections",
            PLAIN,
            Load(64),
            kinds=HAPROXY_LIKE,
            variants=(Variant("1000", HAPROXY_LIKE, replace(PLAIN, servers=many_servers(SERVERS))),),
        ),
        *maps,
        Case(
            "backends-10000",
            f"{BACKENDS} backends beside {BACKENDS_ASKED}, chosen by name; {BACKENDS_ASKED} of them get requests",
            backends_setup(BACKENDS_ASKED),
            tool(64, "--paths", "{work}/backends.paths"),
            kinds=HAPROXY_LIKE,
            variants=(Variant("10000", HAPROXY_LIKE, backends_setup(BACKENDS)),),
            tells_start=True,
        ),
        Case(
            "threads-2",
            "`nbthread 2` beside 1, 64 connections",
            PLAIN,
            Load(64),
            kinds=HAPROXY_LIKE,
            variants=(Variant("2-threads", HAPROXY_LIKE, replace(PLAIN, threads=2)),),
            note="Both threads run on the proxy's one processor: this is the work that sharing asks for (atomics, wake-ups, "
            "connections spread over two pools). How threads get into each other's way on processors of their own "
            "cannot be seen while load and origin need one of two processors.",
        ),
        Case(
            "latency",
            "open loop at 70 % of what the weaker of haproxy and haring reaches, Poisson arrivals, 64 connections",
            PLAIN,
            tool(64, "--http", "/", "--poisson"),
            measure="latency",
            note="A latency counts from when a request was due. Load and origin share a processor: their own waiting is in "
            "every figure, so differences between proxies are real and absolute values are not.",
        ),
        Case(
            "idle-http",
            f"memory of {IDLE_CONNECTIONS} idle keep-alive connections that did one request",
            replace(PLAIN, origin="idle:http"),
            Load(IDLE_CONNECTIONS),
            unit="connection",
            measure="idle",
        ),
        Case(
            "idle-tcp",
            f"memory of {IDLE_CONNECTIONS} idle pairs in TCP mode",
            replace(TCP, origin="idle:tcp"),
            Load(IDLE_CONNECTIONS),
            unit="pair",
            measure="idle",
        ),
    ]


def many_servers(count):
    """Servers at addresses of their own, which are all the same origin."""
    return tuple(f"server s{n} 127.0.{n // 250 + 2}.{n % 250 + 1}:{{origin}}" for n in range(count))


def map_setup(kind, size):
    """A look-up in a map for each request, its result in a header."""
    key = "path,field(3,/)" if kind == "ip" else "path"
    line = f"http-request set-header X-Found %[{key},map_{kind}({{work}}/{kind}.{size},none)]"
    return replace(PLAIN, frontend_lines=(line,), plain=False)


def backends_setup(count):
    sections = "".join(f"\nbackend b{n}\n    server origin 127.0.0.1:{{origin}}\n" for n in range(count))
    return replace(PLAIN, frontend_lines=("use_backend %[path,field(3,/)]",), sections=sections, plain=False)


def write_fixtures(case, directory):
    """The files that a case reads: maps and the paths that are asked for. The same in every run."""
    kind = case.name.rpartition("-")[2]
    if case.name.startswith("map-1m-"):
        random = Random(kind)
        keys = set()
        while len(keys) < 1_000_000:
            number = random.getrandbits(64)
            keys.add(".".join(str(number >> shift & 255) for shift in (0, 8, 16, 24)) if kind == "ip" else f"{number:x}")
        keys = sorted(keys)
        random.shuffle(keys)
        prefix = "" if kind == "ip" else "/key/"
        for size, count in (("10", 10), ("1m", len(keys))):
            with open(directory / f"{kind}.{size}", "w") as file:
                file.writelines(f"{prefix}{key} value\n" for key in keys[:count])
        rest = "/below" if kind == "beg" else ""
        asked = random.sample(keys, 10_000)
        (directory / f"{kind}.paths").write_text("".join(f"/key/{key}{rest}\n" for key in asked))
    elif case.name.startswith("backends-"):
        (directory / "backends.paths").write_text("".join(f"/key/b{n}\n" for n in range(BACKENDS_ASKED)))


BOUNDS = [
    Bound("keepalive-8", "haring", "haproxy", 0.88),
    Bound("keepalive-64", "haring", "haproxy", 0.88),
    Bound("keepalive-512", "haring", "haproxy", 0.85),
    Bound("keepalive-64", "haring", "floor", 1.12),
    Bound("connection-per-request", "haring", "haproxy", 0.95),
    Bound("tcp-small", "haring", "haproxy", 0.95),
    Bound("tcp-1m", "haring", "haproxy+splice", 1.0),
    Bound("http-1m", "haring", "haproxy", 0.75),
    Bound("http-1m", "haring", "haproxy+splice", 1.0),
    Bound("http-1m-upload", "haring", "haproxy+splice"),
    Bound("log", "haring", "haproxy", 0.85),
    Bound("rules", "haring", "haproxy", 0.9),
    Bound("servers-1000", "haring+1000", "haring", 1.03),
    Bound("servers-1000", "haproxy+1000", "haproxy"),
    *(
        bound
        for kind in ("str", "beg", "ip")
        for bound in (
            Bound(f"map-1m-{kind}", "haring+1m", "haproxy+1m", 0.9),
            Bound(f"map-1m-{kind}", "haring+1m", "haring", 0.3, "difference"),
            Bound(f"map-1m-{kind}", "haproxy+1m", "haproxy", None, "difference"),
        )
    ),
    Bound("backends-10000", "haring+10000", "haring"),
    Bound("backends-10000", "haproxy+10000", "haproxy"),
    Bound("threads-2", "haring+2-threads", "haring"),
    Bound("threads-2", "haproxy+2-threads", "haproxy"),
    Bound("latency", "haring", "haproxy", 1.0, "p99"),
    # Wherever nginx takes part and costs are measured.
    Bound("*", "haring", "nginx", 0.95),
]


def contenders(case, peers, takes_part):
    """Who runs in a case: a name, the program, its configuration and its load."""
    found = []
    for peer in peers:
        if case.kinds and peer.kind not in case.kinds:
            continue
        if takes_part(peer, case.setup):
            found.append((peer.name, peer, case.setup, case.load))
        for variant in case.variants:
            if peer.kind in variant.kinds:
                found.append((f"{peer.name}+{variant.name}", peer, variant.setup, variant.load or case.load))
    return found


def bounds_of(case, names):
    """The bounds that concern a case, as far as both sides took part."""
    concerned = (case.name, "*") if case.measure == "cost" else (case.name,)
    return [b for b in BOUNDS if b.case in concerned and b.who in names and b.against in names]
