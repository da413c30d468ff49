"""A WSGI application (for gunicorn): a line of the log for each request, before it is answered."""

import os

log = open(os.environ["ORIGIN_LOG"], "a", buffering=1)


def application(environ, start):
    length = len(environ["wsgi.input"].read())
    client = environ.get("HTTP_X_CLIENT")
    log.write(f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {length} {client}\n")
    start("200 OK", [("Content-Length", "4")])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else b"seen"]
