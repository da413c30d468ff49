//! What the process gives up when it starts, as the kernel shows it.

use crate::support::{Driver, Folder, HTTP_DEFAULTS, Origin, Proxy};

/// A line of `/proc/PID/status`.
fn status(proxy: &Proxy, field: &str) -> String {
    let path = format!("/proc/{}/status", proxy.pid());
    let text = std::fs::read_to_string(path).expect("a running process");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn start(global: &str) -> (Proxy, Origin) {
    let origin = Origin::named("one");
    let config =
        format!("{global}\n{HTTP_DEFAULTS}\nlisten be\n bind @fe@\n server s {}\n", origin.address());
    (Proxy::start(Driver::Epoll, &config), origin)
}

#[test]
fn rights_cannot_be_gained_unless_it_is_wanted() {
    for (global, expected) in [("", "1"), ("insecure-setuid-wanted", "0")] {
        let (proxy, _origin) = start(global);
        assert_eq!(status(&proxy, "NoNewPrivs"), expected, "{global}");
    }
}

#[test]
fn clients_with_privileged_ports_are_refused_where_that_is_wanted() {
    for (value, served) in [("off", true), ("on", false)] {
        let (proxy, _origin) = start(&format!("harden.reject-privileged-ports.tcp {value}"));
        let to = proxy.address("fe");
        let connect = |port: u16| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())?;
            socket.connect(&to.into()).map(|()| std::net::TcpStream::from(socket))
        };
        let found = (600..1024).map(connect).find(|result| match result {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
        });
        let Some(Ok(mut stream)) = found else {
            println!("skipped: no privileged port is to be had");
            return;
        };
        use std::io::{Read, Write};
        let mut answer = Vec::new();
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let _ = sent.and_then(|()| stream.read_to_end(&mut answer));
        assert_eq!(answer.starts_with(b"HTTP/1.1 200"), served, "{value}");
        // Others are served either way.
        assert_eq!(proxy.client("fe").get("/", "").status, 200, "{value}");
    }
}

/// Started as root: another owner, no groups, a root directory of its own, and the service manager, whose
/// socket has no path there, is told still (the start waits for that).
#[test]
fn root_is_given_up() {
    // SAFETY: no memory is involved.
    if unsafe { libc::getuid() } != 0 {
        println!("skipped: only root can give up root");
        return;
    }
    let jail = Folder::new();
    let path = jail.path().to_str().expect("a plain name");
    let (proxy, _origin) = start(&format!("uid 65534\n gid 65534\n chroot {path}"));
    for (field, expected) in [
        ("Uid", "65534 65534 65534 65534"),
        ("Gid", "65534 65534 65534 65534"),
        ("Groups", ""),
        ("CapEff", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ] {
        assert_eq!(status(&proxy, field), expected, "{field}");
    }
    let root = std::fs::read_link(format!("/proc/{}/root", proxy.pid())).expect("root may look");
    assert_eq!(root, std::fs::canonicalize(jail.path()).expect("the jail"));
    assert_eq!(proxy.client("fe").get("/", "").text(), "one");
}

/// The kernel gives the files of `/proc/PID` to root when a process may not be dumped.
#[test]
fn cores_are_left_only_when_wanted() {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: no memory is involved.
    if unsafe { libc::getuid() } != 0 {
        println!("skipped: only root can change the owner");
        return;
    }
    for (line, expected) in [
        ("", 0),
        ("set-dumpable", 65534),
        ("set-dumpable on", 65534),
        ("set-dumpable off", 0),
        ("set-dumpable libs", 65534),
    ] {
        let (proxy, _origin) = start(&format!("uid 65534\n gid 65534\n {line}"));
        let owner = std::fs::metadata(format!("/proc/{}/maps", proxy.pid())).expect("a file").uid();
        assert_eq!(owner, expected, "'{line}'");
    }
}
