"""The machine: which processor does what, what a processor has done, and the processes that we start.

The proxy under test has PROXY_PROCESSOR for itself; load, origins and this program stay on the other one. Every
process started here is ended here, by its id.
"""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

PROXY_PROCESSOR = 1
OTHER_PROCESSOR = 0
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

# The fields of a processor's line in /proc/stat (proc(5)).
FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
BUSY = ("user", "nice", "system", "irq", "softirq")

DESCRIPTORS = 65536
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Trouble(Exception):
    """Something that ends a case, or the program, with a message for the user."""


def prepare():
    """Pins this program and allows it the descriptors that thousands of connections need."""
    if len(os.sched_getaffinity(0) & {PROXY_PROCESSOR, OTHER_PROCESSOR}) < 2:
        raise Trouble("processors 0 and 1 are needed: one for the proxy, one for everything else")
    os.sched_setaffinity(0, {OTHER_PROCESSOR})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limits in ((DESCRIPTORS, max(hard, DESCRIPTORS)), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
        except (ValueError, PermissionError):
            continue
    return descriptors()


def descriptors():
    """How many a process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def processors():
    """The counters of each processor, by its name in /proc/stat."""
    found = {}
    with open("/proc/stat") as stat:
        for line in stat:
            name, *values = line.split()
            if name.startswith("cpu"):
                found[name] = [int(value) for value in values]
    return found


class Usage:
    """What the proxy's processor did between two readings of /proc/stat, in seconds."""

    def __init__(self, before, after):
        name = f"cpu{PROXY_PROCESSOR}"
        pairs = zip(FIELDS, before[name], after[name])
        spent = {field: (last - first) * TICK_SECONDS for field, first, last in pairs}
        self.busy = sum(spent[field] for field in BUSY)
        # Outside interrupts: what processes did.
        self.by_processes = spent["user"] + spent["nice"] + spent["system"]
        self.steal = spent["steal"]
        self.whole = sum(spent.values())


def process_seconds(pids):
    """Processor time that processes and their children have taken so far."""
    ticks = 0
    for pid in family(pids):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                values = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(values[11]) + int(values[12])
    return ticks * TICK_SECONDS


def family(pids):
    """The processes and their children."""
    found = list(pids)
    for pid in found:
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as children:
                found += [int(child) for child in children.read().split()]
        except OSError:
            continue
    return found


def resident_kib(pid):
    """Resident memory of a process and its children."""
    total = 0
    for process in family([pid]):
        with open(f"/proc/{process}/status") as status:
            total += next((int(line.split()[1]) for line in status if line.startswith("VmRSS:")), 0)
    return total


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Processes:
    """What was started, in a directory that takes its output."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.running = {}

    def start(self, name, command, processor, environment=None):
        """Starts a command on a processor (a number or several); returns its process id."""
        allowed = {processor} if isinstance(processor, int) else set(processor)

        def pin():
            os.sched_setaffinity(0, allowed)
            # If this program is killed, what it started goes with it.
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        with open(self.directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                preexec_fn=pin,
                # Ctrl-C is for this program, which then ends the others in order.
                process_group=0,
            )
        process.told = name
        self.running[process.pid] = process
        return process.pid

    def await_port(self, pid, port, seconds=10.0):
        """Waits until somebody listens on a port of the loopback interface; returns how long that took."""
        began = time.monotonic()
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return time.monotonic() - began
            except OSError:
                process = self.running[pid]
                if process.poll() is not None or time.monotonic() - began > seconds:
                    why = "it has ended" if process.poll() is not None else f"nothing listens after {seconds:.0f} s"
                    raise Trouble(f"{process.told}: {why}\n{self.tail(process.told)}") from None
                time.sleep(0.005)

    def tail(self, name):
        try:
            text = (self.directory / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-8:])

    def alive(self, pid):
        return self.running[pid].poll() is None

    def stop(self, *pids):
        """Ends processes and waits for them."""
        processes = [self.running.pop(pid) for pid in pids if pid in self.running]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop_all(self):
        self.stop(*list(self.running))


def describe():
    """What somebody needs to know about this machine to compare figures."""
    model = "unknown"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    system = os.uname()
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "kernel": f"{system.sysname} {system.release} {system.machine}",
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }
