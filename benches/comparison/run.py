"""The measuring: origins, proxies and load are started, and rounds of runs are taken.

A round runs every contender once and the base a second time, as another process, at its other end; the next round
goes backwards. So the base's mean stands in the middle of every round (a steady drift of the machine cancels),
and the two processes of the base, which are equal, show how far apart equal programs come out.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import peers as peering
from .cases import contenders, write_fixtures
from .figures import Invalid, parse_idle, parse_wrk
from .machine import (
    OTHER_PROCESSOR,
    PROXY_PROCESSOR,
    TICK_SECONDS,
    Trouble,
    Usage,
    descriptors,
    family,
    free_port,
    process_seconds,
    processors,
    resident_kib,
)

STEAL_MAX = 0.01
# Of a run, by processes other than the proxy on its processor, before the run is marked.
FOREIGN_MAX = 0.03
# The rate of the latency case, of what the weaker one reaches.
RATE_SHARE = 0.7
IDLE = Path(__file__).resolve().parent.parent / "idle.py"


@dataclass
class Sample:
    """One run."""

    name: str
    cost_us: float
    rate: float
    marks: list = field(default_factory=list)
    latency_us: dict = None
    # What the proxy's processes themselves took of the cost, as the kernel's scheduler counts it.
    own_us: float = None

    @property
    def p99_us(self):
        return self.latency_us and self.latency_us["p99"]


class Bench:
    """Everything that is shared by the cases."""

    def __init__(self, processes, tool, all_peers, nginx, pairs, seconds, tell):
        self.processes = processes
        self.directory = processes.directory
        self.tool = tool
        self.peers = all_peers
        self.pairs = pairs
        self.seconds = seconds
        self.tell = tell
        self.nginx_program = nginx
        self.nginx = None
        # A syslog sink that takes every line and reads none: what it costs is the sender's side alone.
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind(("127.0.0.1", 0))

    def origin(self, kind):
        """Starts what stands behind the proxies; returns its port and the process if it is this case's own."""
        if kind.startswith("idle:"):
            ports = [free_port(), free_port()]
            pid = self.processes.start("origin", [sys.executable, IDLE, "origin", *map(str, ports)], OTHER_PROCESSOR)
            for port in ports:
                self.processes.await_port(pid, port)
            return ports[kind == "idle:tcp"], pid
        if kind == "nginx":
            if self.nginx is None:
                self.nginx = self._start_nginx()
            return self.nginx, None
        port = free_port()
        name, _, sizes = kind.partition(":")
        option = ("--http", str(port)) if name == "upload" else ("--exchange", f"{port}:{sizes}")
        pid = self.processes.start("origin", [self.tool, "origin", *option], OTHER_PROCESSOR)
        self.processes.await_port(pid, port)
        return port, pid

    def _start_nginx(self):
        port = free_port()
        home = self.directory / "origin"
        www = home / "www"
        www.mkdir(parents=True)
        for name, size in (("index.html", 1024), ("0", 0), ("1k", 1024), ("64k", 65536), ("1m", 2**20)):
            (www / name).write_bytes(b"x" * size)
        paths = " ".join(
            f"{name}_temp_path {home};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (home / "nginx.conf").write_text(f"""daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors()};
pid {home}/pid;
error_log {home}/error.log crit;
events {{ worker_connections {descriptors() - 100}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    {paths}
    server {{
        listen 0.0.0.0:{port} backlog=4096;
        root {www};
        location /key/ {{ try_files /1k =404; }}
    }}
}}
""")
        words = [self.nginx_program, "-p", home, "-c", home / "nginx.conf"]
        pid = self.processes.start("nginx-origin", words, OTHER_PROCESSOR)
        self.processes.await_port(pid, port)
        return port

    def start_proxy(self, label, peer, setup, origin, processor=PROXY_PROCESSOR, seconds=30.0):
        """Starts a proxy; returns its process, its port and how long it took to listen."""
        port = free_port()
        sink = "127.0.0.1:%d" % self.sink.getsockname()[1]
        fill = lambda lines: tuple(
            line.replace("{sink}", sink).replace("{work}", str(self.directory)) for line in lines
        )
        setup = replace(
            setup, global_lines=fill(setup.global_lines), frontend_lines=fill(setup.frontend_lines)
        )
        home = self.directory / label.replace(" ", "-")
        words = peering.command(peer, setup, port, origin, home, self.tool)
        pid = self.processes.start(label.replace(" ", "-"), words, processor, peer.environment)
        took = self.processes.await_port(pid, port, seconds)
        return pid, port, took

    def load(self, name, pid, port, load, units=1.0, seconds=None, extra=()):
        """One run of load on a proxy; retried once if it is invalid."""
        for attempt in (1, 2):
            try:
                return self._load(name, pid, port, load, units, seconds or self.seconds, extra)
            except Invalid as problem:
                self.tell(f"    {name}: the run is worth nothing: {problem}" + ("; again" if attempt == 1 else ""))
        return None

    def _load(self, name, pid, port, load, units, seconds, extra):
        if load.is_wrk:
            words = ["wrk", "-t", "1", "-c", str(load.connections), "-d", f"{max(1, round(seconds))}s"]
            words += ["--timeout", "10s", f"http://127.0.0.1:{port}{load.path}"]
        else:
            words = [self.tool, "load", "--target", f"127.0.0.1:{port}", "--connections", str(load.connections)]
            words += ["--seconds", str(seconds), *extra, "--process", *map(str, family([pid]))]
            words += [word.replace("{work}", str(self.directory)) for word in load.options]
        busy_before, own_before = processors(), process_seconds([pid])
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=seconds * 4 + 60)
        except subprocess.TimeoutExpired:
            raise Invalid("the load does not end") from None
        busy_after, own_after = processors(), process_seconds([pid])
        if not self.processes.alive(pid):
            raise Trouble(f"{name} has ended\n{self.processes.tail(name.replace(' ', '-'))}")
        if done.returncode:
            raise Invalid((done.stderr or done.stdout).strip() or f"exit code {done.returncode}")
        whole = Usage(busy_before, busy_after)
        latency = None
        if load.is_wrk:
            completed, elapsed = parse_wrk(done.stdout)
            usage, own = whole, own_after - own_before
        else:
            told = json.loads(done.stdout)
            if told["errors"] or not told["completed"]:
                raise Invalid(f"{told['errors']} errors: {told['first_error'] or 'nothing was answered'}")
            completed, elapsed, latency = told["completed"], told["seconds"], told["latency_us"]
            latency["unsent"] = told["unsent"]
            usage, own = Usage(told["before"], told["after"]), told["process_ticks"] * TICK_SECONDS
        marks = []
        if latency and latency["unsent"] > 0.01 * completed:
            marks.append(f"{latency['unsent']} requests were due and not sent")
        if usage.steal > STEAL_MAX * usage.whole:
            marks.append(f"steal {usage.steal / usage.whole:.1%}")
        foreign = whole.by_processes - (own_after - own_before)
        if foreign > FOREIGN_MAX * whole.whole:
            marks.append(f"others on the proxy's processor {foreign / whole.whole:.0%}")
        cost = usage.busy / (completed * units) * 1e6
        own_us = own / (completed * units) * 1e6
        return Sample(name, cost, completed * units / elapsed, marks, latency, own_us)

    def rounds(self, case, running, extra=()):
        """The rounds of a case: `running` has a name, process, port and load for each contender, the base first
        and last."""
        taken = []
        for number in range(self.pairs):
            order = reversed(running) if number % 2 else running
            runs = [self.load(name, pid, port, load, case.units, extra=extra) for name, pid, port, load in order]
            taken.append([sample for sample in runs if sample])
            self.tell_round(number + 1, taken[-1])
        return taken

    def tell_round(self, number, samples):
        told = "  ".join(f"{s.name} {s.cost_us:.3g}{'!' if s.marks else ''}" for s in samples)
        self.tell(f"    round {number}: {told}")

    def rate(self, running):
        """What the latency case is run at: a share of what the weaker of the two reaches here."""
        found = {}
        for name, pid, port, load in running:
            if name in ("haproxy", "haring"):
                closed = replace(load, options=tuple(word for word in load.options if word != "--poisson"))
                sample = self.load(name, pid, port, closed)
                if sample is None:
                    raise Trouble(f"{name} has no maximum")
                found[name] = sample.rate
        return RATE_SHARE * min(found.values()), found

    def run_case(self, case):
        """Everything of one case; returns its rounds, who was left out, and notes."""
        if case.measure == "idle":
            return self.run_idle(case)
        write_fixtures(case, self.directory)
        who = contenders(case, self.peers, peering.takes_part)
        port, own = self.origin(case.setup.origin)
        started, running, skipped = [own] if own else [], [], []
        notes = [case.note] if case.note else []
        try:
            base = who[0]
            for name, peer, setup, load in [*who, (f"{base[0]} again", *base[1:])]:
                try:
                    pid, listening, took = self.start_proxy(name, peer, setup, port)
                    started.append(pid)
                    if case.tells_start and not name.endswith(" again"):
                        notes.append(f"{name}: {took:.2f} s to start, {resident_kib(pid) / 1024:.1f} MiB then.")
                    # Connections to the origin are open before anything counts.
                    self.load(name, pid, listening, load, case.units, seconds=1)
                except Trouble as problem:
                    if peer is base[1]:
                        raise
                    skipped.append(f"{name}: {problem}")
                    self.tell(f"    {name} is left out: {problem}")
                    continue
                running.append((name, pid, listening, load))
            extra = ()
            if case.measure == "latency":
                rate, reached = self.rate(running)
                extra = ("--rate", f"{rate:.0f}")
                told = ", ".join(f"{name} {found:,.0f}" for name, found in reached.items())
                notes.append(f"{rate:,.0f} requests/s, from the maxima in a closed loop: {told}.")
            taken = self.rounds(case, running, extra)
        finally:
            self.processes.stop(*started)
        return taken, skipped, notes

    def run_idle(self, case):
        """Memory of idle connections: a fresh process for each figure, one figure for each program."""
        who = contenders(case, self.peers, peering.takes_part)
        kind = case.setup.origin.partition(":")[2]
        port, origin = self.origin(case.setup.origin)
        samples, skipped = [], []
        try:
            for name, peer, setup, load in [*who, (f"{who[0][0]} again", *who[0][1:])]:
                try:
                    pid, listening, _ = self.start_proxy(name, peer, setup, port)
                except Trouble as problem:
                    skipped.append(f"{name}: {problem}")
                    continue
                words = [sys.executable, IDLE, "client", kind, str(listening), str(load.connections), str(pid), name]
                done = subprocess.run(words, capture_output=True, text=True)
                self.processes.stop(pid)
                try:
                    samples.append(Sample(name, parse_idle(done.stdout), 0.0))
                except Invalid as problem:
                    skipped.append(f"{name}: {problem} {done.stderr.strip()}")
        finally:
            self.processes.stop(origin)
        self.tell_round(1, samples)
        return [samples], skipped, [case.note] if case.note else []


def as_rounds(taken, what="cost_us"):
    """Figures by contender for each round; the base's two processes stand under one name, the control beside."""
    rounds, control = [], []
    for samples in taken:
        figures = {}
        for sample in samples:
            if getattr(sample, what):
                figures.setdefault(sample.name.removesuffix(" again"), []).append(getattr(sample, what))
        rounds.append(figures)
        again = [getattr(sample, what) for sample in samples if sample.name.endswith(" again")]
        base = [getattr(sample, what) for sample in samples if sample.name == samples_base(samples)]
        if again and base and again[0] and base[0]:
            control.append(again[0] / base[0])
    return rounds, control


def samples_base(samples):
    """The name of the contender that was run twice."""
    return next((s.name.removesuffix(" again") for s in samples if s.name.endswith(" again")), None)


def medians(taken, what):
    """The median of something of each contender, over everything that was run."""
    found = {}
    for samples in taken:
        for sample in samples:
            if getattr(sample, what) is not None:
                found.setdefault(sample.name.removesuffix(" again"), []).append(getattr(sample, what))
    return {name: statistics.median(values) for name, values in found.items()}


def temporary_home(directory):
    """nginx drops its rights and reads here."""
    os.chmod(directory, 0o711)
    return Path(directory)
