"""The programs that are compared and the configuration each of them gets for a case.

HAProxy and Haring read the same text but for the port and the socket's name. The other programs get the fairest
equivalent that their manuals name: one worker, connections to the origin kept, no access log.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from .machine import descriptors

# The programs that read haproxy.cfg.
HAPROXY_LIKE = ("haproxy", "haring")


def connections_max():
    """What a proxy may have: a connection takes two descriptors, and half of one for pipes where HAProxy
    forwards in the kernel; some are needed beside."""
    return (descriptors() - 400) * 2 // 5


@dataclass(frozen=True)
class Setup:
    """What a proxy is asked to do: lines of haproxy.cfg for the places where they stand."""

    mode: str = "http"
    threads: int = 1
    # Close both sides after a request.
    close: bool = False
    # Uploads go to an origin that reads them.
    origin: str = "nginx"
    global_lines: tuple = ()
    defaults_lines: tuple = ()
    frontend_lines: tuple = ()
    # More sections, with {origin} where the origin's port stands.
    sections: str = ""
    servers: tuple = ("server origin 127.0.0.1:{origin}",)
    # Whether what is asked can be said to programs other than HAProxy and Haring, by the plain forwarding
    # that they are configured for.
    plain: bool = True

    def with_defaults(self, *lines):
        return replace(self, defaults_lines=self.defaults_lines + lines)


@dataclass(frozen=True)
class Peer:
    """A program that takes part."""

    name: str
    kind: str
    program: str
    environment: dict = field(default_factory=dict)
    version: str = ""


def haproxy_text(setup, port, origin, socket):
    """The file for HAProxy and Haring."""

    def block(lines):
        return "".join(f"    {line}\n" for line in lines)

    mode = ("mode http", "http-reuse always") if setup.mode == "http" else ("mode tcp",)
    keep = ("timeout http-keep-alive 300s",) if setup.mode == "http" else ()
    close = ("option httpclose",) if setup.close else ()
    # Said, since the default differs between versions.
    mode = (*mode, "balance roundrobin")
    defaults = (*mode, "timeout connect 5s", "timeout client 300s", "timeout server 300s", *keep, *close)
    return (
        "global\n"
        + block((f"nbthread {setup.threads}", f"maxconn {connections_max()}", f"stats socket {socket} level admin"))
        + block(setup.global_lines)
        + "\ndefaults\n"
        + block(defaults + setup.defaults_lines)
        + f"\nfrontend web\n    bind 127.0.0.1:{port}\n"
        + block(setup.frontend_lines)
        + "    default_backend origin\n\nbackend origin\n"
        + block(line.replace("{origin}", str(origin)) for line in setup.servers)
        + setup.sections.replace("{origin}", str(origin))
    )


def nginx_text(setup, port, origin, directory):
    """A forwarding nginx."""
    close = "keepalive_timeout 0;" if setup.close else "keepalive_timeout 300s; keepalive_requests 1000000000;"
    keep = "" if setup.close else "keepalive 2048; keepalive_requests 1000000000; keepalive_timeout 300s;"
    version = "" if setup.close else 'proxy_http_version 1.1; proxy_set_header Connection "";'
    paths = " ".join(
        f"{name}_temp_path {directory};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors()};
pid {directory}/pid;
error_log {directory}/error.log crit;
events {{ worker_connections {descriptors() - 100}; multi_accept on; }}
http {{
    access_log off;
    {close}
    {paths}
    client_max_body_size 0;
    # An upload goes on as it comes, as it does in the others, instead of through a file.
    proxy_request_buffering off;
    upstream origin {{ server 127.0.0.1:{origin} max_fails=0; {keep} }}
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        location / {{ proxy_pass http://origin; {version} }}
    }}
}}
"""


def envoy_text(setup, port, origin):
    """A forwarding Envoy, as its benchmarking notes advise: no request ids, no dynamic statistics."""
    address = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    breaker = {"max_connections": 200000, "max_pending_requests": 200000, "max_requests": 200000}
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "dynamic_stats": False,
            "suppress_envoy_headers": True,
        },
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "generate_request_id": False,
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [breaker]},
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(origin)}}]}],
        },
    }
    if setup.close:
        options = {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"max_requests_per_connection": 1},
            "explicit_http_config": {"http_protocol_options": {}},
        }
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        }
    listener = {"name": "web", "address": address(port), "filter_chains": [chain]}
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}, indent=1)


def sozu_text(port, origin, directory):
    """A forwarding Sōzu with one worker."""
    return f"""log_level = "error"
log_target = "stdout"
command_socket = "{directory}/sozu.sock"
worker_count = 1
worker_automatic_restart = false
max_connections = {connections_max()}
handle_process_affinity = false

[[listeners]]
protocol = "http"
address = "127.0.0.1:{port}"

[clusters.origin]
protocol = "http"
load_balancing = "ROUND_ROBIN"
frontends = [{{ address = "127.0.0.1:{port}", hostname = "127.0.0.1:{port}" }}]
backends = [{{ address = "127.0.0.1:{origin}" }}]
"""


def takes_part(peer, setup):
    """Whether a program can do what a case asks."""
    if peer.kind in HAPROXY_LIKE:
        return True
    if peer.kind == "floor":
        return setup.plain
    return setup.plain and setup.mode == "http"


def command(peer, setup, port, origin, directory, tool):
    """Writes the configuration of a peer into a directory; returns the command that starts it."""
    directory = Path(directory)
    directory.mkdir(exist_ok=True)
    if peer.kind in HAPROXY_LIKE:
        file = directory / "haproxy.cfg"
        file.write_text(haproxy_text(setup, port, origin, directory / "admin.sock"))
        return [peer.program, "-db", "-f", file]
    if peer.kind == "nginx":
        file = directory / "nginx.conf"
        file.write_text(nginx_text(setup, port, origin, directory))
        return [peer.program, "-p", directory, "-c", file]
    if peer.kind == "envoy":
        file = directory / "envoy.json"
        file.write_text(envoy_text(setup, port, origin))
        return [peer.program, "-c", file, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    if peer.kind == "sozu":
        file = directory / "sozu.toml"
        file.write_text(sozu_text(port, origin, directory))
        return [peer.program, "start", "-c", file]
    if peer.kind == "floor":
        return [tool, "floor", "--listen", f"127.0.0.1:{port}", "--server", f"127.0.0.1:{origin}"]
    # Any other executable is told where to listen and where the origin is.
    return [peer.program, f"127.0.0.1:{port}", f"127.0.0.1:{origin}"]


def first_line(*words):
    """What a program says of its version."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "version not told"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "version not told"


def find(haring, haproxy, tool, extra, drivers):
    """The programs that take part, the base first, and what is missing with the reason."""
    found = [Peer("haproxy", "haproxy", haproxy, version=first_line(haproxy, "-v"))]
    missing = []
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx:
        found.append(Peer("nginx", "nginx", nginx, version=first_line(nginx, "-v")))
    else:
        missing.append("nginx: not installed")
    for name, flag in (("envoy", "--version"), ("sozu", "--version")):
        program = extra.pop(name, None) or shutil.which(name)
        if program:
            found.append(Peer(name, name, program, version=first_line(program, flag)))
        else:
            missing.append(f"{name}: not installed (give it with --peer {name}=PATH)")
    for name, program in extra.items():
        kind = next((kind for kind in HAPROXY_LIKE if name.startswith(kind)), "other")
        version = first_line(program, "-v") if kind in HAPROXY_LIKE else program
        found.append(Peer(name, kind, program, version=version))
    version = first_line(haring, "-v")
    for driver in drivers:
        name = "haring" if driver == drivers[0] else f"haring-{driver}"
        found.append(Peer(name, "haring", haring, {"HARING_DRIVER": driver}, version=f"{version} ({driver})"))
    found.append(Peer("floor", "floor", tool, version="recv and send on one thread, nothing else"))
    return found, missing

