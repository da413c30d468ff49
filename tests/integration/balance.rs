//! Which server is chosen: every algorithm of `balance` over named origins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};

use crate::support::*;

/// A backend over the origins, each server with its own words.
fn config(balance: &str, servers: &[(&Origin, &str)]) -> String {
    let mut text =
        format!("global\n    nbthread 2\n{HTTP_DEFAULTS}\nlisten be\n    bind @fe@\n    {balance}\n");
    for (number, (origin, words)) in servers.iter().enumerate() {
        text.push_str(&format!("    server s{} {} {words}\n", number + 1, origin.address()));
    }
    text
}

fn origins<const N: usize>() -> [Origin; N] {
    std::array::from_fn(|number| Origin::named(&format!("s{}", number + 1)))
}

/// The server that answers each of these requests, every one on a connection of its own.
fn answers(proxy: &Proxy, requests: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    requests
        .into_iter()
        .map(|(path, fields)| {
            let response = proxy.client("fe").get(&path, &fields);
            assert_eq!(response.status, 200, "{path}: {}", response.head);
            response.text()
        })
        .collect()
}

fn plain(count: usize) -> Vec<(String, String)> {
    vec![("/".to_owned(), String::new()); count]
}

fn counts(answers: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(&**answer).or_insert(0) += 1;
    }
    counts
}

#[test]
fn weights_share_in_proportion() {
    both_drivers(|driver| {
        let [one, two, three] = origins();
        for algorithm in ["roundrobin", "static-rr"] {
            let text = config(
                &format!("balance {algorithm}"),
                &[(&one, "weight 10"), (&two, "weight 30"), (&three, "weight 0")],
            );
            let proxy = Proxy::start(driver, &text);
            let answers = answers(&proxy, plain(80));
            assert_eq!(counts(&answers), BTreeMap::from([("s1", 20), ("s2", 60)]), "{algorithm}");
        }
    });
}

#[test]
fn hashes_are_stable_and_spread() {
    both_drivers(|driver| {
        let servers: [Origin; 4] = origins();
        let rows: Vec<_> = servers.iter().map(|origin| (origin, "")).collect();
        let uri = |number: usize| (format!("/path/{number}?q=1"), String::new());
        let field = |number: usize| ("/".to_owned(), format!("X-User: user-{number}\r\n"));
        let parameter = |number: usize| (format!("/?id=user-{number}&x=y"), String::new());
        type Make<'a> = &'a dyn Fn(usize) -> (String, String);
        let cases: [(&str, Make<'_>); 7] = [
            ("balance uri", &uri),
            ("balance uri\n    hash-type consistent", &uri),
            ("balance hdr(X-User)", &field),
            ("balance hdr(X-User)\n    hash-type consistent wt6 avalanche", &field),
            ("balance url_param id", &parameter),
            ("balance hash req.hdr(X-User)", &field),
            ("balance hash path,lower\n    hash-type map-based djb2 avalanche", &uri),
        ];
        for (balance, make) in cases {
            let proxy = Proxy::start(driver, &config(balance, &rows));
            let first = answers(&proxy, (0..60).map(make));
            let shares = counts(&first);
            assert_eq!(shares.len(), 4, "{balance}: {shares:?}");
            assert!(shares.values().all(|count| (3..=35).contains(count)), "{balance}: {shares:?}");
            assert_eq!(answers(&proxy, (0..60).map(make)), first, "{balance}: the same again");
            // Another process agrees: the choice depends on the configuration alone.
            let other = Proxy::start(driver, &config(balance, &rows));
            assert_eq!(answers(&other, (0..60).map(make)), first, "{balance}: after a restart");
        }
    });
}

/// A fleet may run both programs: the same key meets the same server in either.
#[test]
fn hashes_choose_as_haproxy_does() {
    let servers: [Origin; 4] = origins();
    let mut sections = String::new();
    let mut paths = Vec::new();
    for balance in ["hdr(X-User)", "uri"] {
        for method in ["map-based", "consistent"] {
            for function in ["", "sdbm", "djb2", "wt6", "crc32", "sdbm avalanche", "wt6 avalanche"] {
                let name = format!("be{}", paths.len());
                sections.push_str(&format!(
                    "backend {name}\n    balance {balance}\n    hash-type {method} {function}\n"
                ));
                for (number, origin) in servers.iter().enumerate() {
                    let (number, weight) = (number + 1, 1 + 2 * number);
                    let address = origin.address();
                    sections.push_str(&format!("    server s{number} {address} weight {weight}\n"));
                }
                paths.push(name);
            }
        }
    }
    let config = |bind: &str| {
        format!(
            "{HTTP_DEFAULTS}\nfrontend fe\n    bind {bind}\n    use_backend %[path,field(2,/)]\n{sections}"
        )
    };
    let Some(haproxy) = programs::ProgramOrigin::haproxy(|address| config(&address.to_string())) else {
        return;
    };
    both_drivers(|driver| {
        let proxy = Proxy::start(driver, &config("@fe@"));
        let (mut theirs, mut ours) = (Client::connect(haproxy.address()), proxy.client("fe"));
        for backend in &paths {
            for number in 0..40 {
                let (path, user) = (format!("/{backend}/{number}"), format!("X-User: user-{number}\r\n"));
                let expected = theirs.get(&path, &user).text();
                assert!(expected.starts_with('s'), "{expected}");
                assert_eq!(ours.get(&path, &user).text(), expected, "{path}\n{sections}");
            }
        }
    });
}

#[test]
fn uri_hashes_heed_their_limits() {
    both_drivers(|driver| {
        let servers: [Origin; 4] = origins();
        let rows: Vec<_> = servers.iter().map(|origin| (origin, "")).collect();
        for (balance, paths) in [
            ("balance uri", ["/same/path?a=1", "/same/path?b=2", "/same/path"]),
            ("balance uri depth 2", ["/a/b/c", "/a/b/d", "/a/b/e/f"]),
            ("balance uri len 5", ["/abcdefgh", "/abcdxyz", "/abcd"]),
        ] {
            let proxy = Proxy::start(driver, &config(balance, &rows));
            let answers = answers(&proxy, paths.map(|path| (path.to_owned(), String::new())));
            assert_eq!(counts(&answers).len(), 1, "{balance}: {answers:?}");
        }
        let proxy = Proxy::start(driver, &config("balance uri whole", &rows));
        let whole = answers(&proxy, (0..40).map(|number| (format!("/same?q={number}"), String::new())));
        assert!(counts(&whole).len() > 1, "{whole:?}");
    });
}

#[test]
fn a_source_keeps_its_server() {
    both_drivers(|driver| {
        let servers: [Origin; 3] = origins();
        let rows: Vec<_> = servers.iter().map(|origin| (origin, "")).collect();
        let proxy = Proxy::start(driver, &config("balance source", &rows));
        let answers = answers(&proxy, plain(20));
        assert_eq!(counts(&answers).len(), 1, "{answers:?}");
    });
}

/// Requests for /hold wait until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn origin(&self, name: &str) -> Origin {
        let (gate, name) = (self.0.clone(), name.to_owned());
        Origin::http(move |request| {
            if request.path() == "/hold" {
                let open = gate.0.lock().expect("no panic");
                drop(gate.1.wait_timeout_while(open, LIMIT, |open| !*open));
            }
            Reply::ok(&name)
        })
    }

    fn open(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_all();
    }
}

#[test]
fn leastconn_avoids_who_is_busy() {
    both_drivers(|driver| {
        let gate = Gate::default();
        let (one, two) = (gate.origin("s1"), gate.origin("s2"));
        let proxy = Proxy::start(driver, &config("balance leastconn", &[(&one, ""), (&two, "")]));
        let mut holder = proxy.client("fe");
        holder.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(wait_until(LIMIT, || one.requests() + two.requests() == 1));
        let idle = if one.requests() == 1 { "s2" } else { "s1" };
        for _ in 0..10 {
            // A response is there before its session is over.
            assert!(wait_until(LIMIT, || proxy.stat("be", idle, "scur") == "0"));
            assert_eq!(answers(&proxy, plain(1)), [idle]);
        }
        gate.open();
        assert_ne!(holder.response().text(), idle);
    });
}

#[test]
fn first_fills_one_before_the_next() {
    both_drivers(|driver| {
        let gate = Gate::default();
        let (one, two) = (gate.origin("s1"), gate.origin("s2"));
        let text = config("balance first", &[(&one, "maxconn 2"), (&two, "maxconn 2")]);
        let proxy = Proxy::start(driver, &text);
        assert_eq!(counts(&answers(&proxy, plain(6))), BTreeMap::from([("s1", 6)]));
        // A response is there before its session is over.
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "scur") == "0"));
        let mut holders: Vec<_> = (0..2).map(|_| proxy.client("fe")).collect();
        for holder in &mut holders {
            holder.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        assert!(wait_until(LIMIT, || one.requests() == 8));
        assert_eq!(counts(&answers(&proxy, plain(4))), BTreeMap::from([("s2", 4)]));
        gate.open();
        assert!(holders.iter_mut().all(|holder| holder.response().text() == "s1"));
    });
}

#[test]
fn random_reaches_everybody() {
    both_drivers(|driver| {
        let servers: [Origin; 3] = origins();
        let rows: Vec<_> = servers.iter().map(|origin| (origin, "")).collect();
        for balance in ["balance random", "balance random(1)"] {
            let proxy = Proxy::start(driver, &config(balance, &rows));
            let answers = answers(&proxy, plain(90));
            let shares = counts(&answers);
            assert!(shares.len() == 3 && shares.values().all(|count| *count > 8), "{balance}: {shares:?}");
        }
    });
}

#[test]
fn backups_serve_only_when_nobody_else_does() {
    both_drivers(|driver| {
        let (mut one, two, three) = (Origin::named("s1"), Origin::named("s2"), Origin::named("s3"));
        let check = "check inter 100ms fall 1 rise 1";
        let text = config("balance roundrobin", &[(&one, check), (&two, "backup"), (&three, "backup")]);
        let proxy = Proxy::start(driver, &text);
        proxy.wait_status("be", "s1", "UP");
        assert_eq!(counts(&answers(&proxy, plain(6))), BTreeMap::from([("s1", 6)]));
        one.stop();
        proxy.wait_status("be", "s1", "DOWN");
        assert_eq!(counts(&answers(&proxy, plain(6))), BTreeMap::from([("s2", 6)]), "the first of them only");
        one.restart();
        proxy.wait_status("be", "s1", "UP");
        assert_eq!(counts(&answers(&proxy, plain(6))), BTreeMap::from([("s1", 6)]));
        let text = config(
            "balance roundrobin\n    option allbackups",
            &[(&two, "disabled"), (&one, "backup"), (&three, "backup")],
        );
        let proxy = Proxy::start(driver, &text);
        assert_eq!(counts(&answers(&proxy, plain(6))), BTreeMap::from([("s1", 3), ("s3", 3)]));
    });
}

#[test]
fn use_server_overrides_the_balance() {
    both_drivers(|driver| {
        let [one, two] = origins();
        let text = config("use-server s2 if { path_beg /two }", &[(&one, ""), (&two, "")]);
        let proxy = Proxy::start(driver, &text);
        let asked = (0..6).map(|number| (format!("/two/{number}"), String::new()));
        let seen: BTreeSet<_> = answers(&proxy, asked).into_iter().collect();
        assert_eq!(seen, BTreeSet::from(["s2".to_owned()]));
        assert_eq!(counts(&answers(&proxy, plain(6))).len(), 2);
    });
}
