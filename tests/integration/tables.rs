//! Stick tables: rules that keep clients on their servers, and the runtime API's view of tables.

use std::io::{Read, Write};

use crate::support::*;

/// Lines of `show table be`, without the head and the entries' numbers, sorted.
fn entries(proxy: &Proxy) -> Vec<String> {
    let text = proxy.admin("show table be");
    let entries = text.lines().filter_map(|line| line.strip_prefix("0x")?.split_once(' '));
    let mut entries: Vec<String> = entries.map(|(_, rest)| rest.to_owned()).collect();
    entries.sort_unstable();
    entries
}

fn origins<const N: usize>() -> [Origin; N] {
    std::array::from_fn(|number| Origin::named(&format!("s{}", number + 1)))
}

fn config(lines: &str, servers: &[(&Origin, &str)]) -> String {
    let mut text = format!(
        "global\n    nbthread 2\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    balance roundrobin\n    {lines}\n"
    );
    for (number, (origin, words)) in servers.iter().enumerate() {
        text.push_str(&format!("    server s{} {} {words}\n", number + 1, origin.address()));
    }
    text
}

fn get(proxy: &Proxy, fields: &str) -> String {
    proxy.client("fe").get("/", fields).text()
}

#[test]
fn clients_stay_by_their_header() {
    both_drivers(|driver| {
        let [one, two, three] = origins();
        let lines = "option redispatch\n    retries 1\n    \
                     stick-table type string len 16 size 100 expire 1m\n    stick on req.hdr(X-User)";
        let proxy = Proxy::start(driver, &config(lines, &[(&one, ""), (&two, ""), (&three, "")]));
        let user = |name: &str| get(&proxy, &format!("X-User: {name}\r\n"));
        let firsts = ["a", "b", "c"].map(user);
        assert_eq!(firsts, ["s1", "s2", "s3"], "balanced while they are new");
        for _ in 0..3 {
            assert_eq!(["c", "a", "b"].map(user), ["s3", "s1", "s2"]);
        }
        assert_eq!(get(&proxy, "") + &get(&proxy, ""), "s1s2", "without the header nothing is kept");
        let entry =
            |text: &str| text.starts_with("key=a use=0 exp=") && text.ends_with("server_id=1 server_key=s1");
        let shown = entries(&proxy);
        assert!(shown.len() == 3 && entry(&shown[0]), "{shown:?}");

        // A server in maintenance is not used; its clients move and stay where they went.
        assert_eq!(proxy.admin("set server be/s1 state maint").trim(), "");
        let moved = user("a");
        assert_ne!(moved, "s1");
        assert_eq!(proxy.admin("set server be/s1 state ready").trim(), "");
        assert_eq!(user("a"), moved);

        // The runtime API moves a client too.
        assert_eq!(proxy.admin("set table be key a data.server_id 1").trim(), "");
        assert_eq!(user("a"), moved, "the name counts more than the number");
        assert_eq!(proxy.admin("clear table be key a").trim(), "");
        assert_eq!(proxy.admin("set table be key a data.server_id 3").trim(), "");
        assert_eq!(user("a"), "s3");
    });
}

#[test]
fn a_redispatch_is_learned() {
    both_drivers(|driver| {
        let [mut one, two] = origins();
        // A kept connection that the server closes meanwhile would be answered with a 502.
        let lines = "option http-server-close\n    option redispatch 1\n    retries 1\n    \
                     stick-table type ip size 10\n    stick on src";
        let proxy = Proxy::start(driver, &config(lines, &[(&one, ""), (&two, "")]));
        assert_eq!([get(&proxy, ""), get(&proxy, "")], ["s1", "s1"]);
        one.stop();
        assert_eq!(get(&proxy, ""), "s2");
        one.restart();
        assert_eq!([get(&proxy, ""), get(&proxy, "")], ["s2", "s2"]);
        let shown = entries(&proxy);
        assert_eq!(shown, ["key=127.0.0.1 use=0 exp=0 shard=0 server_id=2 server_key=s2"]);
    });
}

#[test]
fn sessions_of_applications_are_learned_from_responses() {
    both_drivers(|driver| {
        // Each answer without a session opens one.
        let origin = |name: &'static str| {
            Origin::http(move |request| match request.header("cookie") {
                Some(_) => Reply::ok(name),
                None => Reply::status(200, &format!("Set-Cookie: SID=of-{name}; path=/\r\n"), name),
            })
        };
        let (one, two) = (origin("s1"), origin("s2"));
        let lines = "stick-table type string len 32 size 100\n    stick store-response res.cook(SID)\n    \
                     stick match req.cook(SID)";
        let proxy = Proxy::start(driver, &config(lines, &[(&one, ""), (&two, "non-stick")]));
        assert_eq!([get(&proxy, ""), get(&proxy, "")], ["s1", "s2"]);
        let shown = entries(&proxy);
        assert_eq!(shown, ["key=of-s1 use=0 exp=0 shard=0 server_id=1 server_key=s1"], "s2 is not learned");
        for _ in 0..3 {
            assert_eq!(get(&proxy, "Cookie: SID=of-s1\r\n"), "s1");
        }
        let others = [0; 2].map(|_| get(&proxy, "Cookie: SID=of-s2\r\n"));
        assert!(others.contains(&"s1".into()) && others.contains(&"s2".into()), "{others:?}");
    });
}

#[test]
fn the_cookie_and_use_server_come_before() {
    both_drivers(|driver| {
        let [one, two, three] = origins();
        let lines = "cookie SRV insert indirect\n    stick-table type ip size 10 srvkey addr\n    stick on src\n    \
                     use-server s3 if { req.hdr(X-Use) -m found }";
        let servers = [(&one, "cookie c1"), (&two, "cookie c2"), (&three, "cookie c3")];
        let proxy = Proxy::start(driver, &config(lines, &servers));
        assert_eq!(get(&proxy, ""), "s1");
        assert_eq!(get(&proxy, "Cookie: SRV=c2\r\n"), "s2", "and it is learned");
        assert_eq!(get(&proxy, ""), "s2");
        assert_eq!(get(&proxy, "X-Use: 1\r\n"), "s3");
        let shown = entries(&proxy);
        assert!(shown[0].ends_with(&format!("server_key={}", three.address())), "{shown:?}");
    });
}

#[test]
fn connections_stay_in_tcp_mode() {
    both_drivers(|driver| {
        let origin = |name: &'static str| {
            Origin::raw(move |mut stream, _, _| {
                let _ = stream.read_exact(&mut [0; 4]);
                let _ = stream.write_all(name.as_bytes());
            })
        };
        let (one, two) = (origin("s1"), origin("s2"));
        let text = format!(
            "global\n    nbthread 1\n{TCP_DEFAULTS}\nlisten be\n    bind @fe@\n    balance roundrobin\n    \
             tcp-request inspect-delay 5s\n    tcp-request content accept if {{ req.len ge 4 }}\n    \
             tcp-response inspect-delay 5s\n    tcp-response content accept if {{ res.len ge 2 }}\n    \
             stick-table type binary len 4 size 10\n    stick on req.payload(0,4)\n    \
             stick-table\n    server s1 {}\n    server s2 {}\n",
            one.address(),
            two.address()
        );
        let text = text
            .replace("    stick-table\n", "    stick store-response res.payload(0,2),concat(xx) table by\n");
        let text = text + "backend by\n    stick-table type string size 10\n";
        let proxy = Proxy::start(driver, &text);
        let says = |word: &str| {
            let mut client = proxy.client("fe");
            client.send(word);
            String::from_utf8(client.read_to_end()).unwrap()
        };
        assert_eq!(["aaaa", "bbbb", "aaaa", "aaaa", "bbbb"].map(says), ["s1", "s2", "s1", "s1", "s2"]);
        let shown = entries(&proxy);
        let expected = [("61616161", 1), ("62626262", 2)];
        let expected = expected
            .map(|(key, id)| format!("key={key} use=0 exp=0 shard=0 server_id={id} server_key=s{id}"));
        assert_eq!(shown, expected);
        assert!(proxy.admin("show table by").contains("key=s1xx use=0"));
    });
}
