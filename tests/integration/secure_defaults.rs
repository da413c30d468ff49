//! `docs/secure-defaults.md` is true: each row's attack, against the default and against the line that relaxes it.

use std::process::Command;

use crate::support::{Driver, Folder, HTTP_DEFAULTS, Origin, Proxy};

/// Where a line goes.
#[derive(Clone, Copy)]
enum Place {
    Global,
    Section,
    Bind,
    Socket,
}
use Place::{Bind, Global, Section, Socket};

struct Row {
    /// The first column.
    what: &'static str,
    /// Whether the default holds.
    holds: fn(&Proxy, &Origin) -> bool,
    /// What undoes it, if anything does.
    relax: Option<(Place, &'static str)>,
}

fn refuses(proxy: &Proxy, request: &str, status: u16) -> bool {
    let mut client = proxy.client("fe");
    client.send(request);
    client.response().status == status
}

fn api(proxy: &Proxy, command: &str) -> String {
    crate::support::proxy::admin(&proxy.folder().path().join("second.sock"), command)
}

/// A field of `/proc/PID/status`.
fn status(proxy: &Proxy, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("a running process");
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.expect("the field").trim_start_matches(':').trim().to_owned()
}

const ROWS: &[Row] = &[
    Row {
        what: "Two lengths",
        holds: |proxy, origin| {
            let mut client = proxy.client("fe");
            client.send(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            client.send("3\r\nabc\r\n0\r\n\r\n");
            let response = client.response();
            let seen = origin.last();
            response.header("connection") == Some("close")
                && seen.header("content-length").is_none()
                && seen.body == b"abc"
        },
        relax: None,
    },
    Row {
        what: "Lengths that differ",
        holds: |proxy, _| {
            refuses(
                proxy,
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
                400,
            )
        },
        relax: None,
    },
    Row {
        what: "Malformed names of fields",
        holds: |proxy, _| {
            ["X : 1", ": 1"]
                .iter()
                .all(|line| refuses(proxy, &format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n"), 400))
        },
        relax: None,
    },
    Row {
        what: "Control characters",
        holds: |proxy, _| refuses(proxy, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400),
        relax: Some((Section, "option accept-unsafe-violations-in-http-request")),
    },
    Row {
        what: "Several `Host`",
        holds: |proxy, _| refuses(proxy, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        relax: Some((Section, "option accept-unsafe-violations-in-http-request")),
    },
    Row {
        what: "`Host` that is not the target's",
        holds: |proxy, _| refuses(proxy, "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        relax: Some((Section, "option accept-unsafe-violations-in-http-request")),
    },
    Row {
        what: "Size of a head",
        holds: |proxy, _| {
            refuses(proxy, &format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(16_000)), 431)
        },
        relax: Some((Global, "tune.bufsize 32768")),
    },
    Row {
        what: "Number of fields",
        holds: |proxy, _| {
            refuses(proxy, &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(110)), 400)
        },
        relax: Some((Global, "tune.http.maxhdr 200")),
    },
    Row {
        what: "Upgrades to `h2c`",
        holds: |proxy, origin| {
            let mut client = proxy.client("fe");
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
            client.response().status == 200 && origin.last().header("upgrade").is_none()
        },
        relax: None,
    },
    Row {
        what: "PROXY protocol",
        holds: |proxy, _| {
            refuses(proxy, "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400)
        },
        relax: Some((Bind, "accept-proxy")),
    },
    Row {
        what: "Statistics page",
        holds: |proxy, origin| {
            let text = proxy.client("fe").get("/haproxy?stats", "").text();
            text == "one" && origin.requests() == 1
        },
        relax: Some((Section, "stats enable")),
    },
    Row {
        what: "Runtime API's level",
        holds: |proxy, _| {
            assert!(api(proxy, "show info").contains("Name:"));
            api(proxy, "set maxconn global 10").contains("Permission denied")
        },
        relax: Some((Socket, "level admin")),
    },
    Row {
        what: "Runtime API's file",
        holds: |proxy, _| {
            use std::os::unix::fs::PermissionsExt;
            let file = std::fs::metadata(proxy.folder().path().join("second.sock")).expect("the socket");
            // The tests' own umask is what it is: a user that may not write to a new file may not connect.
            let made = proxy.folder().path().join("umask");
            std::fs::write(&made, "").expect("a file");
            let plain = std::fs::metadata(&made).expect("a file").permissions().mode() & 0o022;
            file.permissions().mode() & 0o022 == plain
        },
        relax: Some((Socket, "mode 666")),
    },
    Row {
        what: "New privileges",
        holds: |proxy, _| status(proxy, "NoNewPrivs") == "1",
        relax: Some((Global, "insecure-setuid-wanted")),
    },
];

/// Rows whose tests stand in `slow_clients` (they take their time), in `hardening` (they need root), and in
/// `http2` and `tests/hostile/http2` (they need frames).
const ELSEWHERE: &[&str] = &[
    "Slow heads",
    "Silent clients",
    "Core dumps",
    "Floods of HTTP/2 frames",
    "Memory of an HTTP/2 connection",
    "Closed HTTP/2 windows",
    "HTTP/2 on clear listeners",
];

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/secure-defaults.md");
    std::fs::read_to_string(path).expect("the page")
}

/// The rows of a table: those below `heading`, cell by cell.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let after = page.split_once(heading).expect("the heading").1;
    let lines = after.split("\n## ").next().unwrap_or_default().lines();
    let rows = lines.filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn start(origin: &Origin, relax: Option<(Place, &str)>) -> Proxy {
    let line = |wanted: fn(Place) -> bool| match relax {
        Some((place, line)) if wanted(place) => line,
        _ => "",
    };
    let (global, proxy) = (line(|p| matches!(p, Global)), line(|p| matches!(p, Section)));
    let (bind, socket) = (line(|p| matches!(p, Bind)), line(|p| matches!(p, Socket)));
    Proxy::start(
        Driver::Epoll,
        &format!(
            "    stats socket @dir@/second.sock {socket}\n    {global}\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@ \
             {bind}\n    {proxy}\n    server s {}\n",
            origin.address()
        ),
    )
}

#[test]
fn every_default_holds_and_can_be_relaxed_as_the_page_says() {
    for row in ROWS {
        let origin = Origin::named("one");
        let proxy = start(&origin, None);
        assert!((row.holds)(&proxy, &origin), "'{}' does not hold", row.what);
        drop(proxy);
        let Some((_, line)) = row.relax else { continue };
        origin.forget();
        let proxy = start(&origin, row.relax);
        assert!(!(row.holds)(&proxy, &origin), "'{}' is not relaxed by '{line}'", row.what);
    }
}

#[test]
fn the_page_has_these_rows() {
    let told = table("## On by default");
    let tested: Vec<_> = ROWS.iter().map(|row| row.what).chain(ELSEWHERE.iter().copied()).collect();
    assert_eq!(told.iter().map(|row| &*row[0]).collect::<Vec<_>>(), tested);
    for row in ROWS {
        let relaxes = &told.iter().find(|told| told[0] == row.what).expect("seen above")[3];
        let keyword = row.relax.map_or("nothing does", |(place, line)| match place {
            Global => line.split(' ').next().unwrap_or(line),
            _ => line,
        });
        assert!(relaxes.contains(keyword), "'{}' is relaxed by {relaxes}, not {keyword}", row.what);
    }
}

#[test]
fn what_is_open_is_named_by_dash_dd() {
    let folder = Folder::new();
    let told = |config: &str| {
        let file = folder.write("open.cfg", config);
        let program = Command::new(env!("CARGO_BIN_EXE_haring")).args(["-c", "-dD", "-f", &file]).output();
        String::from_utf8_lossy(&program.expect("the program runs").stderr).into_owned()
    };
    let listen = format!("{HTTP_DEFAULTS}\nlisten web\n    bind 127.0.0.1:1\n");
    let page = format!("{listen}    stats enable\n    stats admin if TRUE\n");
    let open = told(&format!("global\n    stats socket ipv4@0.0.0.0:1\n{page}"))
        + &told(&format!("global\n    uid 1\n{page}"));
    for row in table("## Not on by default") {
        let line = row[1].trim_matches('`');
        assert_eq!(open.contains(line), row[0] == "yes", "{line}\n{open}");
    }
}
