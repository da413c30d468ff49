"""A crowd of slow clients: `crowd.py PORT COUNT heads|bodies|answers SECONDS`.

Opens the connections from as many loopback addresses as ports demand, sends the part that makes the proxy
wait, then holds them and prints how many were sent and how many of those who listen are open at the end.
"""

import resource
import selectors
import socket
import sys
import time

REQUESTS = {
    "heads": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-Padding: " + b"x" * 12000 + b"\r\n",
    "bodies": b"POST /sink/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 60000,
    "answers": b"GET /bytes/2000000 HTTP/1.1\r\nHost: a\r\n\r\n",
}


def main():
    port, count, kind, seconds = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
    events = selectors.DefaultSelector()
    refused, deaf = 0, []
    for number in range(count):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((f"127.9.0.{number // 20000 + 1}", 0))
        connection.settimeout(5)
        try:
            connection.connect(("127.0.0.1", port))
            connection.setblocking(False)
            connection.send(REQUESTS[kind])
        except OSError:
            refused += 1
            continue
        if kind == "answers":
            deaf.append(connection)  # nothing is ever taken of an answer
        else:
            events.register(connection, selectors.EVENT_READ)
    print(f"{len(events.get_map()) + len(deaf)} sent, {refused} refused", flush=True)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (deaf or events.get_map()):
        for key, _ in events.select(1):
            try:
                data = key.fileobj.recv(65536)
            except OSError:
                data = b""
            if not data:
                events.unregister(key.fileobj)
                key.fileobj.close()
    print(f"{len(events.get_map())} open at the end")


if __name__ == "__main__":
    main()
