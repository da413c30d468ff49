"""The cases: what a proxy is asked to do and by what load, and the bounds that Haring is held to."""

from dataclasses import dataclass, field, replace

from .peers import HAPROXY_LIKE, Setup

MIB = 2**20


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


@dataclass(frozen=True)
class Bound:
    """`who` may cost so much of what `against` costs; or so many microseconds more."""

    case: str
    who: str
    against: str
    limit: float
    difference: bool = False


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
    ]


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
    Bound("http-1m-upload", "haring", "haproxy+splice", 1.0),
    Bound("log", "haring", "haproxy", 0.85),
    Bound("rules", "haring", "haproxy", 0.9),
    # Wherever nginx takes part.
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
    return [b for b in BOUNDS if b.case in (case.name, "*") and b.who in names and b.against in names]
