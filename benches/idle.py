"""The origin and the client of benches/idle."""

import resource
import selectors
import socket
import sys
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def origin(http_port, tcp_port):
    """Answers requests on one port, and sends back what comes on the other, for ever."""
    events = selectors.DefaultSelector()
    for port, kind in ((http_port, "http"), (tcp_port, "tcp")):
        listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        events.register(listener, selectors.EVENT_READ, (kind, True))
    while True:
        for key, _ in events.select():
            kind, listens = key.data
            if listens:
                connection, _ = key.fileobj.accept()
                events.register(connection, selectors.EVENT_READ, (kind, False))
                continue
            try:
                data = key.fileobj.recv(65536)
                if data:
                    key.fileobj.sendall(ANSWER if kind == "http" else data)
            except OSError:
                data = b""
            if not data:
                events.unregister(key.fileobj)
                key.fileobj.close()


def resident_kib(pid):
    """Resident memory of a process and of its children."""
    total = 0
    for process in [pid, *children(pid)]:
        with open(f"/proc/{process}/status") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return total


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as listed:
        return [int(child) for child in listed.read().split()]


def talk(port, kind):
    """A connection that has carried one exchange."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    message, answer = (REQUEST, b"ok") if kind == "http" else (b"ping", b"ping")
    connection.sendall(message)
    received = b""
    while not received.endswith(answer):
        piece = connection.recv(4096)
        if not piece:
            sys.exit(f"a connection was closed after {received!r}")
        received += piece
    return connection


def client(kind, port, count, pid, name):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 100, hard), hard))
    talk(port, kind).close()
    time.sleep(1)
    before = resident_kib(pid)
    connections = [talk(port, kind) for _ in range(count)]
    time.sleep(2)
    after = resident_kib(pid)
    each = (after - before) * 1024 / count
    what = "keep-alive HTTP connection" if kind == "http" else "TCP pair"
    print(f"{name:8} idle {what:27}: {each:7.0f} bytes each ({before} KiB before, {after} KiB with {count})")
    for connection in connections:
        connection.close()


if __name__ == "__main__":
    if sys.argv[1] == "origin":
        origin(int(sys.argv[2]), int(sys.argv[3]))
    else:
        client(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
