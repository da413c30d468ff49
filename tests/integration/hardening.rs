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
