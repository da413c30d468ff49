"""The proxy and its origins as the load scripts run them: start, look at, end."""

import os
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody listens on port {port}")


class Origin:
    """An origin in a process of its own, which can be killed and come back."""

    def __init__(self, kind):
        self.kind, self.port, self.process = kind, free_port(), None
        self.start()
        await_port(self.port)

    def start(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "origin.py"), self.kind, str(self.port)])

    def kill(self):
        self.process.kill()
        self.process.wait()


class Proxy:
    """A running proxy."""

    def __init__(self, program, config, admin, folder, environment=None, arguments=()):
        self.admin_path = admin
        self.log = open(os.path.join(folder, "proxy.log"), "wb")
        self.process = subprocess.Popen(
            [program, "-f", config, *arguments],
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.admin("show version")
                return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"the proxy did not start: see {self.log.name}")

    def admin(self, command):
        """One command on a connection of its own; the answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(self.admin_path)
            connection.sendall(command.encode() + b"\n")
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()

    def info(self):
        lines = (line.partition(": ") for line in self.admin("show info").splitlines())
        return {name: value for name, _, value in lines}

    def rows(self):
        """`show stat` as dictionaries."""
        lines = [line.split(",") for line in self.admin("show stat").strip().splitlines()]
        names = [name.lstrip("# ") for name in lines[0]]
        return [dict(zip(names, line)) for line in lines[1:]]

    def processes(self):
        """Itself and its children: a master keeps its workers there."""
        found, at = [self.process.pid], 0
        while at < len(found):
            for task in os.listdir(f"/proc/{found[at]}/task"):
                with open(f"/proc/{found[at]}/task/{task}/children") as children:
                    found += [int(child) for child in children.read().split()]
            at += 1
        return found

    def usage(self):
        """Memory in KiB, descriptors by kind, threads and processor seconds over its processes."""
        total = {"rss": 0, "sockets": 0, "pipes": 0, "other": 0, "threads": 0, "cpu": 0.0}
        for pid in self.processes():
            with open(f"/proc/{pid}/status") as status:
                fields = dict(line.split(":", 1) for line in status)
            total["rss"] += int(fields["VmRSS"].split()[0])
            total["threads"] += int(fields["Threads"])
            with open(f"/proc/{pid}/stat") as stat:
                times = stat.read().rsplit(")", 1)[1].split()
            total["cpu"] += (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
            for number in os.listdir(f"/proc/{pid}/fd"):
                try:
                    link = os.readlink(f"/proc/{pid}/fd/{number}")
                except OSError:
                    continue
                kind = "sockets" if link.startswith("socket:") else "pipes" if link.startswith("pipe:") else "other"
                total[kind] += 1
        return total

    def stop(self):
        """Ends it as a service manager would; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode
