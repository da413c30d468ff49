"""Python's http.server as an origin: a line of the log for each request, before it is answered.

python3 http_server.py ADDRESS PORT LOG
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS, PORT, LOG = sys.argv[1:]
log = open(LOG, "a", buffering=1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: in two, each answer would wait for the kernel.
    wbufsize = -1

    def __getattr__(self, name):
        # Every method is as good as another.
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def body(self):
        if "transfer-encoding" not in self.headers:
            return len(self.rfile.read(int(self.headers.get("content-length", 0))))
        length = 0
        while size := int(self.rfile.readline(), 16):
            length += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        return length

    def answer(self):
        length = self.body()
        target = self.requestline.split()[1]
        log.write(f"{self.command} {target} {length} {self.headers.get('x-client')}\n")
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"seen")

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer((ADDRESS, int(PORT)), Handler).serve_forever()
