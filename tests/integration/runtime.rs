//! The runtime API: what it shows, what it changes, and what it refuses.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::proxy::admin;
use crate::support::*;

fn config(one: &Origin, two: &Origin) -> String {
    format!(
        "{HTTP_DEFAULTS}
global
    stats socket @cli@ level admin
    stats socket @dir@/user.sock level user
    stats socket @dir@/operator.sock level operator
listen be
    bind @fe@
    balance roundrobin
    http-request set-header X-Map %[path,map_str(@dir@/paths.map,none)]
    server s1 {} weight 100
    server s2 {} weight 100
",
        one.address(),
        two.address()
    )
}

fn start(driver: Driver, one: &Origin, two: &Origin) -> Proxy {
    let builder = Proxy::build(driver);
    builder.write("paths.map", "/a first\n/b second\n");
    builder.start(&config(one, two))
}

fn shares(proxy: &Proxy, one: &Origin, two: &Origin, requests: usize) -> (usize, usize) {
    one.forget();
    two.forget();
    let mut client = proxy.client("fe");
    for _ in 0..requests {
        assert_eq!(client.get("/", "").status, 200);
    }
    (one.requests(), two.requests())
}

#[test]
fn shown_things_have_their_shape() {
    both_drivers(|driver| {
        let (one, two) = (Origin::named("one"), Origin::named("two"));
        let proxy = start(driver, &one, &two);
        assert_eq!(shares(&proxy, &one, &two, 4), (2, 2));
        let info = proxy.admin("show info");
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(&format!("{name}: ")))
                .unwrap_or_else(|| panic!("no {name} in\n{info}"))
                .to_owned()
        };
        assert_eq!(field("Name"), "HAProxy");
        assert_eq!(field("Pid"), proxy.pid().to_string());
        assert_eq!(field("CumReq"), "4");
        assert!(field("Version").starts_with("3.5"));
        assert!(field("Maxconn").parse::<u32>().unwrap() > 0);
        let stat = proxy.admin("show stat");
        let head = stat.lines().next().unwrap();
        assert!(head.starts_with("# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,"), "{head}");
        let columns = head.split(',').count();
        for line in stat.lines().skip(1).filter(|line| !line.is_empty()) {
            assert_eq!(line.split(',').count(), columns, "{line}");
        }
        let services: Vec<&str> = stat
            .lines()
            .filter_map(|line| line.strip_prefix("be,"))
            .map(|rest| rest.split(',').next().unwrap())
            .collect();
        assert_eq!(services, ["FRONTEND", "s1", "s2", "BACKEND"]);
        let json = proxy.admin("show stat json");
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        let state = proxy.admin("show servers state");
        let lines: Vec<&str> = state.lines().collect();
        assert_eq!(lines[0], "1");
        assert!(lines[1].starts_with("# be_id be_name srv_id srv_name srv_addr srv_op_state"), "{state}");
        let fields: Vec<&str> = lines[2].split(' ').collect();
        assert_eq!(fields[1..7], ["be", "1", "s1", &one.address().ip().to_string(), "2", "0"], "{state}");
        let shown = proxy.admin(&format!("show map {}/paths.map", proxy.folder().path().display()));
        assert_eq!(shown.lines().filter(|line| line.starts_with("0x")).count(), 2, "{shown}");
        let help = proxy.admin("help");
        assert!(help.contains("show info") && help.contains("set weight"), "{help}");
    });
}

#[test]
fn changes_reach_the_traffic() {
    both_drivers(|driver| {
        let (one, two, three) = (Origin::named("one"), Origin::named("two"), Origin::named("three"));
        let proxy = start(driver, &one, &two);
        assert_eq!(shares(&proxy, &one, &two, 20), (10, 10));
        assert_eq!(proxy.admin("set weight be/s1 25%"), "\n");
        assert_eq!(shares(&proxy, &one, &two, 50), (10, 40));
        assert_eq!(proxy.admin("get weight be/s1"), "25 (initial 100)\n\n");
        assert_eq!(proxy.admin("set server be/s1 weight 100"), "\n");
        assert_eq!(shares(&proxy, &one, &two, 20), (10, 10));
        let (ip, port) = (three.address().ip(), three.address().port());
        let said = proxy.admin(&format!("set server be/s1 addr {ip} port {port}"));
        assert!(said.contains(&format!("IP changed from '{}' to '{ip}'", one.address().ip())), "{said}");
        assert_eq!(shares(&proxy, &three, &two, 20), (10, 10));
        assert_eq!(one.requests(), 10, "none reached the old place");
        proxy.admin("set server be/s2 state drain");
        assert_eq!(shares(&proxy, &three, &two, 10), (10, 0));
        proxy.admin("set server be/s2 state ready");
        assert_eq!(shares(&proxy, &three, &two, 10), (5, 5));
        proxy.admin("disable frontend be");
        proxy.admin("enable frontend be");
        assert_eq!(shares(&proxy, &three, &two, 10), (5, 5));
    });
}

#[test]
fn map_changes_reach_the_traffic() {
    both_drivers(|driver| {
        let (one, two) = (Origin::named("one"), Origin::named("two"));
        let proxy = start(driver, &one, &two);
        let map = format!("{}/paths.map", proxy.folder().path().display());
        let looked_up = |path: &str| {
            proxy.client("fe").get(path, "");
            let all = [one.seen(), two.seen()].concat();
            let value = all
                .iter()
                .find(|request| request.path() == path)
                .unwrap()
                .header("X-Map")
                .unwrap()
                .to_owned();
            one.forget();
            two.forget();
            value
        };
        assert_eq!((looked_up("/a"), looked_up("/c")), ("first".into(), "none".into()));
        proxy.admin(&format!("add map {map} /c third"));
        assert_eq!(looked_up("/c"), "third");
        proxy.admin(&format!("set map {map} /a changed"));
        assert_eq!(looked_up("/a"), "changed");
        proxy.admin(&format!("del map {map} /a"));
        assert_eq!(looked_up("/a"), "none");
        proxy.admin(&format!("add map {map} <<\n/d fourth\n/e fifth with words\n"));
        assert_eq!((looked_up("/d"), looked_up("/e")), ("fourth".into(), "fifth with words".into()));
        let version: u32 =
            proxy.admin(&format!("prepare map {map}")).trim().rsplit(' ').next().unwrap().parse().unwrap();
        proxy.admin(&format!("add map @{version} {map} /f sixth"));
        assert_eq!(looked_up("/f"), "none");
        proxy.admin(&format!("commit map @{version} {map}"));
        assert_eq!((looked_up("/f"), looked_up("/d")), ("sixth".into(), "none".into()));
        proxy.admin(&format!("clear map {map}"));
        assert_eq!(looked_up("/f"), "none");
    });
}

#[test]
fn several_commands_and_a_prompt() {
    both_drivers(|driver| {
        let (one, two) = (Origin::named("one"), Origin::named("two"));
        let proxy = start(driver, &one, &two);
        assert_eq!(
            proxy.admin("get weight be/s1; get weight be/s2;set weight be/s1 7;get weight be/s1"),
            "100 (initial 100)\n\n100 (initial 100)\n\n\n7 (initial 100)\n\n"
        );
        let mut stream = UnixStream::connect(proxy.admin_path()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"prompt\nget weight be/s1\nget weight be/s2\nquit\n").unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert_eq!(all, "\n> 7 (initial 100)\n\n> 100 (initial 100)\n\n> ");
        // Over TCP the same, half-closed as by test harnesses.
        let mut client = proxy.client("cli");
        client.send("get weight be/s1\n");
        client.finish_sending();
        assert_eq!(client.read_to_end(), b"7 (initial 100)\n\n");
    });
}

/// `show servers state` without the column that grows with the time.
fn states(proxy: &Proxy) -> Vec<String> {
    const SINCE: usize = 9;
    let line = |line: &str| {
        let fields = line.split(' ').enumerate().filter(|(at, _)| *at != SINCE).map(|(_, field)| field);
        fields.collect::<Vec<_>>().join(" ")
    };
    proxy.admin("show servers state").lines().map(line).collect()
}

#[test]
fn levels_and_malformed_commands_change_nothing() {
    both_drivers(|driver| {
        let (one, two) = (Origin::named("one"), Origin::named("two"));
        let proxy = start(driver, &one, &two);
        let map = format!("{}/paths.map", proxy.folder().path().display());
        let look = || (states(&proxy), proxy.admin(&format!("show map {map}")));
        let before = look();
        let place = proxy.folder().path();
        for socket in ["user.sock", "operator.sock"] {
            for command in ["disable server be/s1", "set weight be/s1 1", "set server be/s1 addr 1.2.3.4"] {
                assert_eq!(
                    admin(&place.join(socket), command),
                    "Permission denied\n\n",
                    "{socket} {command}"
                );
            }
            assert!(admin(&place.join(socket), "show info").contains("Uptime_sec"));
        }
        for command in [
            "",
            ";",
            ";;;",
            "nonsense",
            "set",
            "set weight",
            "set weight be",
            "set weight be/s9 1",
            "set weight be/s1",
            "set weight be/s1 lots",
            "set weight be/s1 -1",
            "set weight be/s1 257",
            "set server be/s1",
            "set server be/s1 addr",
            "set server be/s1 addr nowhere:x",
            "set server be/s1 addr 1.2.3.4 port 99999",
            "set server be/s1 state asleep",
            "set server nobody/s1 state maint",
            "disable server",
            "disable server be",
            "set map",
            "set map nowhere.map a b",
            "add map nowhere.map a b",
            "del map nowhere.map a",
            "show map nowhere.map",
            "set maxconn server be/s1 many",
            "\u{1}\u{2}\u{fffd}",
            "show stat 1 2 3 4 5 6 7 8",
        ] {
            let said = proxy.admin(command);
            assert!(said.ends_with('\n') || said.is_empty(), "{command}: {said:?}");
            assert_eq!(before, look(), "{command} changed something");
        }
        let long = "x".repeat(100_000);
        let mut stream = UnixStream::connect(proxy.admin_path()).unwrap();
        let _ = stream.write_all(long.as_bytes());
        drop(stream);
        assert_eq!(shares(&proxy, &one, &two, 4), (2, 2));
        assert!(proxy.admin("nonsense").starts_with("Unknown command"));
    });
}

#[test]
fn the_patterns_of_acl_lines_change_while_running() {
    both_drivers(|driver| {
        let proxy = Proxy::build(driver).start(&format!(
            "{HTTP_DEFAULTS}
global
    stats socket @cli@ level admin
    set-var-fmt proc.greeting \"hi %[str(there)]\"
frontend fe
    bind @fe@
    acl shut path_beg -i -u 5 /shut /gone
    http-request deny if shut
    http-request deny if {{ path -m reg ^(?!/(open|shut|late)) }}
    http-request return status 200 hdr x-var %[var(proc.greeting)]
"
        ));
        let mut client = proxy.client("fe");
        let mut status = |path: &str| client.get(path, "").status;
        let shown = proxy.admin("show acl");
        assert!(shown.starts_with("# id (file) description\n0 () acl 'path' file "), "{shown}");
        assert!(shown.contains("\n5 () acl 'path_beg' file ") && shown.contains("entry_cnt=2"), "{shown}");
        assert_eq!([status("/SHUT/x"), status("/open"), status("/else")], [403, 200, 403]);
        assert!(proxy.admin("get acl #5 /Gone/1").contains("type=beg, case=insensitive, match=yes"));
        proxy.admin("add acl #5 /late");
        assert_eq!([status("/late"), status("/open")], [403, 200]);
        proxy.admin("del acl #5 /shut");
        assert_eq!([status("/shut"), status("/late")], [200, 403]);
        assert!(proxy.admin("prepare acl #5").contains("New version created: 1"));
        proxy.admin("add acl @1 #5 /open");
        assert_eq!(status("/open"), 200, "not before the commit");
        proxy.admin("commit acl @1 #5");
        assert_eq!([status("/open"), status("/late")], [403, 200]);
        proxy.admin("clear acl #5");
        assert_eq!(status("/open"), 200);
        assert!(proxy.admin("get var proc.greeting").contains("type=str value=<hi there>"));
        proxy.admin("experimental-mode on; set var proc.greeting expr str(bye)");
        assert_eq!(client.get("/open", "").header("x-var"), Some("bye"));
    });
}

#[test]
fn only_forms_of_the_page_itself_change_servers() {
    both_drivers(|driver| {
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
listen be
    bind @fe@
    stats uri /stats
    stats auth me:too
    stats realm a\\ \"\\\"b\\\"\"
    stats admin if TRUE
    server s1 127.0.0.1:1
"
            ),
        );
        let host = proxy.address("fe");
        let unknown = proxy.client("fe").get("/stats", "");
        assert_eq!(unknown.status, 401);
        assert_eq!(unknown.header("www-authenticate"), Some(r#"Basic realm="a \"b\"""#));
        let ask = |lines: &str, action: &str| {
            let body = format!("s=s1&action={action}&b=be");
            let mut client = proxy.client("fe");
            client.send(format!(
                "POST /stats HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic bWU6dG9v\r\n{lines}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            let response = client.response();
            assert_eq!(response.status, 303, "{lines}");
            response.header("location").unwrap().to_owned()
        };
        for lines in [
            "Origin: http://evil.internal\r\n",
            "Origin: null\r\n",
            "Referer: http://evil.internal/lb\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
        ] {
            assert_eq!(ask(lines, "maint"), "/stats;st=DENY", "{lines}");
        }
        for lines in
            [String::new(), format!("Origin: http://{host}\r\n"), format!("Referer: http://{host}/stats\r\n")]
        {
            assert_eq!(ask(&lines, "maint"), "/stats;st=DONE", "{lines}");
            proxy.wait_status("be", "s1", "MAINT");
            assert_eq!(ask(&lines, "ready"), "/stats;st=DONE", "{lines}");
            proxy.wait_status("be", "s1", "no check");
        }
    });
}

#[test]
fn invalid_messages_are_kept_with_their_positions() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| match request.path() {
            "/head" => Reply::raw("HTTP/1.1 200 OK\r\nA B: c\r\n\r\n").and_close(),
            "/length" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").and_close(),
            "/chunk" => Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
                .and_close(),
            _ => Reply::ok("fine"),
        });
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
frontend fe
    id 12
    bind @fe@
    default_backend be
backend be
    id 13
    server s1 {}
",
                origin.address()
            ),
        );
        let none = proxy.admin("show errors");
        assert!(none.starts_with("Total events captured on [") && none.ends_with("] : 0\n\n"), "{none}");
        let ask = |bytes: &str| {
            let mut client = proxy.client("fe");
            client.send(bytes);
            (client.response().status, client.local_address().port())
        };
        for (bytes, position) in [
            ("GET / HTTP/1.1\r\nHo st: x\r\n\r\n", 18),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 0),
        ] {
            let (status, port) = ask(bytes);
            assert_eq!(status, 400);
            let text = proxy.admin("show errors fe request");
            for part in [
                " frontend fe (#12): invalid request\n  backend <NONE> (#-1), server <NONE> (#-1), event #"
                    .to_owned(),
                format!(", src 127.0.0.1:{port}\n"),
                format!("  len {}, wraps at 16384, error at position ", bytes.len()),
                "\n  00000  GET / HTTP/1.1\\r\\n\n  00016  Ho".to_owned(),
            ] {
                assert!(text.contains(&part), "{part} in {text}");
            }
            if position > 0 {
                assert!(text.contains(&format!("error at position {position}\n")), "{text}");
            }
            assert_eq!(text.matches("invalid request").count(), 1, "the last one alone: {text}");
        }
        for (path, line) in [
            ("/head", "  00017  A B: c\\r\\n\n"),
            ("/length", "  00017  Content-Length: x\\r\\n\n"),
            ("/chunk", "zz\\r\\n\n"),
        ] {
            ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
            for asked in ["be", "13", "be response", "12 response"] {
                let text = proxy.admin(&format!("show errors {asked}"));
                assert!(
                    text.contains(
                        " backend be (#13): invalid response\n  frontend fe (#12), server s1 (#1), event #"
                    ),
                    "{path} {asked}: {text}"
                );
                assert!(text.contains(line), "{path} {asked}: {text}");
            }
        }
        let (status, _) =
            ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nyy\r\n");
        assert_eq!(status, 400);
        let all = proxy.admin("show errors");
        assert!(all.lines().next().unwrap().ends_with("] : 6"), "{all}");
        assert!(all.contains("  backend be (#13), server <NONE> (#-1), event #5"), "{all}");
        assert!(all.contains("yy\\r\\n\n"), "{all}");
        assert_eq!(proxy.admin("show errors be request").matches("invalid re").count(), 1);
        assert_eq!(proxy.admin("show errors nowhere"), "No such proxy.\n\n");
    });
}

#[test]
fn statistics_and_commands_tell_what_tools_read() {
    both_drivers(|driver| {
        let origin = Origin::named("a");
        let proxy = Proxy::start(
            driver,
            &format!(
                "    maxconn 1000\n{HTTP_DEFAULTS}frontend fe\n    bind @fe@\n    acl unused path /x\n    acl used path /y\n    \
                 http-request deny if used\n    default_backend be\nfrontend other\n    bind @other@\n    \
                 use_backend %[path] if FALSE\n    http-request return status 200\nfrontend tfe\n    mode tcp\n    bind @tfe@\n    \
                 default_backend tbe\nbackend be\n    server s1 {0}\nbackend tbe\n    mode tcp\n    server s1 {0}\n",
                origin.address()
            ),
        );
        // An ACL is numbered whether a rule uses it or not, as HAProxy numbers it.
        let acls = proxy.admin("show acl");
        let rows: Vec<&str> = acls.lines().filter(|line| line.contains("acl 'path'")).collect();
        assert!(rows.len() == 2 && rows[0].starts_with("0 ") && rows[1].starts_with("1 "), "{acls}");
        for name in ["fe", "tfe"] {
            let mut client = proxy.client(name);
            assert_eq!(client.get("/", "Connection: close\r\n").status, 200);
        }
        assert!(wait_until(LIMIT, || proxy.stat("tbe", "s1", "stot") == "1"));
        // A tenth of what may come in by frontends that name it: a name that is made at run time counts for none. A
        // frontend in TCP mode has no requests, and says 0.
        assert_eq!(proxy.stat("be", "BACKEND", "slim"), "100");
        assert_eq!(
            (proxy.stat("fe", "FRONTEND", "req_tot"), proxy.stat("tfe", "FRONTEND", "req_tot")),
            ("1".into(), "0".into())
        );
        assert_ne!(proxy.stat("be", "s1", "lastsess"), "-1");
        proxy.admin("clear counters all");
        for row in ["s1", "BACKEND"] {
            assert_eq!(proxy.stat("be", row, "lastsess"), "-1", "{row}");
            assert_eq!(proxy.stat("be", row, "stot"), "0", "{row}");
        }
        // Scripts cut each line at ': '.
        let info = proxy.admin("show info");
        let driver_line = info.lines().find(|line| line.starts_with("Driver: ")).expect("the driver is told");
        assert!(info.lines().all(|line| line.matches(": ").count() <= 1), "{info}");
        assert!(driver_line.contains(driver.name()), "{driver_line}");
        let unknown = proxy.admin("set severity-output number;nosuch");
        assert!(unknown.trim_start().starts_with("[3]:"), "{unknown}");
    });
}
