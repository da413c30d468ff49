//! The Prometheus exporter: a scrape read by the letter of its format, and held against `show stat`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::support::*;

/// One sample: its metric, labels and value.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A scrape in which every line was understood.
#[derive(Debug, Default)]
struct Scrape {
    types: HashMap<String, String>,
    samples: Vec<Sample>,
}

impl Scrape {
    /// Reads the text format: `HELP`, then `TYPE`, then all samples of a metric, once each.
    fn parse(text: &str) -> Scrape {
        assert!(text.is_empty() || text.ends_with('\n'), "the last line ends");
        let mut scrape = Scrape::default();
        let mut helped = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "helped twice: {line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                assert!(helped.contains(name) && ["counter", "gauge"].contains(&kind), "{line}");
                assert_eq!(scrape.types.insert(name.to_owned(), kind.to_owned()), None, "{line}");
                name.clone_into(&mut current);
            } else {
                let sample = sample(line);
                assert_eq!(sample.name, current, "samples of a metric stand together: {line}");
                assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
                scrape.samples.push(sample);
            }
        }
        scrape
    }

    fn of(proxy: &Proxy, query: &str) -> Scrape {
        let response = proxy.client("fe").get(&format!("/metrics{query}"), "");
        assert_eq!(response.status, 200, "{query}");
        Scrape::parse(&response.text())
    }

    /// The value of the one sample of that metric with these labels among its own.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found: Vec<_> = self
            .samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter(|sample| {
                labels.iter().all(|(label, text)| sample.labels.get(*label).is_some_and(|own| own == text))
            })
            .collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        found[0].value
    }

    fn names(&self) -> BTreeSet<&str> {
        self.samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    /// The beginnings of its metrics' names: `haproxy_server`.
    fn families(&self) -> BTreeSet<String> {
        let family = |name: &str| name.splitn(3, '_').take(2).collect::<Vec<_>>().join("_");
        self.names().into_iter().map(family).collect()
    }
}

fn is_name(text: &str) -> bool {
    let rest = text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    rest.len() < text.len() && rest.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// `name{label="value",...} number`, with nothing between or behind.
fn sample(line: &str) -> Sample {
    let at = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(at);
    assert!(is_name(name), "name: {line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("label: {line}"));
            assert!(is_name(label), "label: {line}");
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("open label: {line}"));
            assert_eq!(labels.insert(label.to_owned(), value), None, "label twice: {line}");
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').unwrap_or_else(|| panic!("brace: {line}"));
                    break;
                }
            }
        }
    }
    let number = rest.strip_prefix(' ').unwrap_or_else(|| panic!("blank: {line}"));
    let value = match number {
        "NaN" => f64::NAN,
        _ => {
            let is_plain = number.chars().all(|letter| letter.is_ascii_digit() || "-.".contains(letter));
            assert!(is_plain, "number: {line}");
            number.parse().unwrap_or_else(|_| panic!("number: {line}"))
        }
    };
    Sample { name: name.to_owned(), labels, value }
}

/// The text up to the closing quote, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            plain => value.push(plain),
        }
    }
    None
}

fn config(origin: &Origin, rest: &str) -> String {
    format!(
        "    description all of \\\"it\\\"
    {rest}
{HTTP_DEFAULTS}
frontend fe
    bind @fe@ name main
    option socket-stats
    description the \\\"front\\\\door\\\"
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request track-sc0 src table be
    http-request deny if {{ path /denied }}
    default_backend be
backend be
    stick-table type ip size 1k expire 1m store http_req_cnt
    server one {}
    server away 127.0.0.1:1 disabled
listen plain
    mode tcp
    bind @plain@
    server one {}
",
        origin.address(),
        origin.address()
    )
}

#[test]
fn a_scrape_agrees_with_the_statistics() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let proxy = Proxy::start(driver, &config(&origin, ""));
        let mut client = proxy.client("fe");
        for _ in 0..3 {
            assert_eq!(client.get("/", "").status, 200);
        }
        assert_eq!(client.get("/denied", "").status, 403);
        drop(client);
        assert!(wait_until(LIMIT, || proxy.stat("be", "one", "scur") == "0"));
        let scrape = Scrape::of(&proxy, "");
        let server = [("proxy", "be"), ("server", "one")];
        let back = [("proxy", "be")];
        let front = [("proxy", "fe")];
        for (metric, labels, stat) in [
            ("haproxy_server_sessions_total", &server[..], ("be", "one", "stot")),
            ("haproxy_server_bytes_in_total", &server, ("be", "one", "bin")),
            ("haproxy_server_bytes_out_total", &server, ("be", "one", "bout")),
            ("haproxy_server_loadbalanced_total", &server, ("be", "one", "lbtot")),
            ("haproxy_server_connection_attempts_total", &server, ("be", "one", "connect")),
            ("haproxy_server_connection_reuses_total", &server, ("be", "one", "reuse")),
            ("haproxy_server_weight", &server, ("be", "one", "weight")),
            ("haproxy_backend_http_requests_total", &back, ("be", "BACKEND", "req_tot")),
            ("haproxy_backend_active_servers", &back, ("be", "BACKEND", "act")),
            ("haproxy_backend_limit_sessions", &back, ("be", "BACKEND", "slim")),
            ("haproxy_frontend_requests_denied_total", &front, ("fe", "FRONTEND", "dreq")),
            ("haproxy_frontend_limit_sessions", &front, ("fe", "FRONTEND", "slim")),
        ] {
            let told: f64 = proxy.stat(stat.0, stat.1, stat.2).parse().unwrap();
            assert_eq!(scrape.value(metric, labels), told, "{metric}");
        }
        for (metric, labels, expected) in [
            ("haproxy_server_http_responses_total", &[("server", "one"), ("code", "2xx")][..], 3.0),
            ("haproxy_server_http_responses_total", &[("server", "one"), ("code", "other")][..], 0.0),
            ("haproxy_frontend_http_responses_total", &[("proxy", "fe"), ("code", "4xx")], 1.0),
            ("haproxy_frontend_status", &[("proxy", "fe"), ("state", "UP")], 1.0),
            ("haproxy_listener_status", &[("listener", "main"), ("state", "OPEN")], 1.0),
            ("haproxy_backend_status", &[("proxy", "be"), ("state", "DOWN")], 0.0),
            ("haproxy_backend_agg_server_status", &[("proxy", "be"), ("state", "MAINT")], 1.0),
            ("haproxy_server_status", &[("server", "away"), ("state", "MAINT")], 1.0),
            ("haproxy_server_status", &[("server", "away"), ("state", "UP")], 0.0),
            ("haproxy_sticktable_size", &[("name", "be"), ("type", "ip")], 1024.0),
            ("haproxy_sticktable_used", &[("name", "be"), ("type", "ip")], 1.0),
            ("haproxy_process_build_info", &[("version", "3.5-dev5-haring")], 1.0),
            ("haproxy_process_description", &[("desc", "all of \"it\"")], 1.0),
            ("haproxy_process_stopping", &[], 0.0),
        ] {
            assert_eq!(scrape.value(metric, labels), expected, "{metric} {labels:?}");
        }
        assert!(scrape.value("haproxy_server_limit_sessions", &server).is_nan(), "no maxconn, no number");
        assert_eq!(scrape.types["haproxy_server_sessions_total"], "counter");
        assert_eq!(scrape.types["haproxy_server_status"], "gauge");
        let of_tcp = |sample: &&Sample| sample.labels.get("proxy").is_some_and(|proxy| proxy == "plain");
        assert!(scrape.samples.iter().filter(of_tcp).all(|sample| !sample.name.contains("_http_")));
        assert!(scrape.samples.iter().any(|sample| of_tcp(&sample)));
        let again = Scrape::of(&proxy, "");
        let intercepted =
            |scrape: &Scrape| scrape.value("haproxy_frontend_intercepted_requests_total", &front);
        assert_eq!(intercepted(&again), intercepted(&scrape) + 1.0, "the first scrape was counted");
    });
}

#[test]
fn a_scrape_brings_what_was_asked_for() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let proxy = Proxy::start(driver, &config(&origin, ""));
        let families = |query: &str| Scrape::of(&proxy, query).families().into_iter().collect::<Vec<_>>();
        for (query, expected) in [
            ("?scope=server", &["haproxy_server"][..]),
            ("?scope=backend&scope=frontend", &["haproxy_backend", "haproxy_frontend"]),
            ("?scope=*&scope=&scope=listener", &["haproxy_listener"]),
            ("?scope=global", &["haproxy_process"]),
            ("?scope=sticktable&extra-counters", &["haproxy_sticktable"]),
            ("?scope=", &[]),
        ] {
            assert_eq!(families(query), expected, "{query}");
        }
        let all = Scrape::of(&proxy, "");
        // Name servers are there if the system has some: then there is a section 'default'.
        let others: Vec<_> =
            all.families().into_iter().filter(|family| *family != "haproxy_resolver").collect();
        assert_eq!(others.len(), 6, "{others:?}");
        let few = Scrape::of(&proxy, "?metrics=haproxy_server_status,haproxy_backend_weight");
        assert_eq!(
            few.names().into_iter().collect::<Vec<_>>(),
            ["haproxy_backend_weight", "haproxy_server_status"]
        );
        let most = Scrape::of(&proxy, "?metrics=-haproxy_server_weight");
        let left_out: Vec<_> = all.names().difference(&most.names()).copied().collect();
        assert_eq!(left_out, ["haproxy_server_weight"]);
        let names_server = |scrape: &Scrape, name: &str| {
            scrape.samples.iter().any(|sample| sample.labels.get("server").is_some_and(|own| own == name))
        };
        let kept = Scrape::of(&proxy, "?no-maint");
        assert!(names_server(&all, "away") && !names_server(&kept, "away") && names_server(&kept, "one"));
        let described = Scrape::of(&proxy, "?desc-labels&scope=frontend&scope=global");
        let front = [("proxy", "fe"), ("desc", "the \"front\\door\"")];
        assert_eq!(described.value("haproxy_frontend_requests_denied_total", &front), 0.0);
        described.value("haproxy_process_nbproc", &[("desc", "all of \"it\"")]);
    });
}

#[test]
fn the_answer_is_that_of_an_http_service() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let mut syslog = Syslog::start();
        let logging = format!("log {} local0", syslog.address());
        let text = config(&origin, &logging)
            .replace("    option socket-stats", "    log global\n    option httplog\n    stats uri /stats");
        let proxy = Proxy::start(driver, &text);
        let mut client = proxy.client("fe");
        for (method, query, status) in [
            ("GET", "", 200),
            ("HEAD", "", 200),
            ("GET", "?scope=", 200),
            ("POST", "?scope=global", 200),
            ("OPTIONS", "?scope=global", 200),
        ] {
            client.send(format!("{method} /metrics{query} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
            let response = client.response_to(method);
            assert_eq!(response.status, status, "{method} {query}");
            for (name, value) in
                [("content-type", "text/plain; version=0.0.4"), ("cache-control", "no-cache")]
            {
                assert_eq!(response.header(name), Some(value), "{method} {query}");
            }
            let scrape = Scrape::parse(&response.text());
            assert_eq!(scrape.samples.is_empty(), method == "HEAD" || query == "?scope=", "{method} {query}");
            let line = syslog.wait_for(&[&format!("\"{method} /metrics{query} HTTP/1.1\"")]);
            assert!(line.contains(" fe fe/<PROMEX> 0/0/0/0/"), "{line}");
            assert!(line.contains(" LR-- "), "{line}");
        }
        let bad = client.get("/metrics?scope=everything", "");
        assert_eq!((bad.status, bad.header("connection")), (400, Some("close")));
        let line = syslog.wait_for(&["/metrics?scope=everything"]);
        assert!(line.contains(" fe fe/<PROMEX> ") && line.contains(" 400 "), "{line}");

        assert_eq!(proxy.client("fe").get("/stats;csv", "").status, 200);
        let line = syslog.wait_for(&["/stats;csv"]);
        assert!(line.contains(" fe fe/<STATS> 0/0/0/0/"), "{line}");

        // What takes several parts has no length, and an older client sees its end by that of the connection.
        assert_eq!(proxy.client("fe").get("/metrics", "").header("transfer-encoding"), Some("chunked"));
        let mut old = proxy.client("fe");
        for target in ["/metrics?scope=global", "/stats;csv"] {
            old.send(format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
            let response = old.response();
            assert_eq!(response.header("connection"), Some("keep-alive"), "{target}");
            assert_eq!(
                response.header("content-length"),
                Some(&*response.text().len().to_string()),
                "{target}"
            );
        }
        old.send("GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let whole = String::from_utf8(old.read_to_end()).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("chunked") && head.contains("connection: close"), "{head}");
        assert!(Scrape::parse(body).families().len() > 1);
    });
}

/// Enough backends that the answers come in many parts while others are served.
#[test]
fn a_long_answer_leaves_the_thread_to_others() {
    both_drivers(|driver| {
        let mut text = String::from("    nbthread 1\n");
        text += HTTP_DEFAULTS;
        // Each waits unread for the ones before it.
        text += "    timeout client 10m\nfrontend fe\n    bind @fe@\n    stats uri /stats\n    \
                 http-request use-service prometheus-exporter if { path /metrics }\n    \
                 http-request return status 200 if { path /other }\n";
        for number in 0..300 {
            text += &format!("backend b{number}\n    server s 127.0.0.1:1\n");
        }
        let proxy = Proxy::start(driver, &text);
        let targets = ["/metrics", "/stats", "/stats;csv", "/stats;json", "/stats;typed"];
        let slow = targets.map(|target| {
            let mut slow = proxy.client("fe");
            slow.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
            slow
        });
        // The one thread is in the middle of answers without a reader: it must answer this one too.
        let mut other = proxy.client("fe");
        for _ in 0..3 {
            assert_eq!(other.get("/other", "").status, 200);
        }
        for (mut slow, target) in slow.into_iter().zip(targets) {
            let response = slow.response();
            let text = response.text();
            assert!(text.len() > 100 << 10, "{target}: {}", text.len());
            match target {
                "/metrics" => {
                    let scrape = Scrape::parse(&text);
                    for name in ["b0", "b150", "b299"] {
                        assert_eq!(scrape.value("haproxy_backend_weight", &[("proxy", name)]), 1.0);
                    }
                }
                "/stats" => assert!(text.ends_with("</body></html>\n"), "{target}"),
                "/stats;json" => {
                    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(rows.as_array().unwrap().len(), 1 + 2 * 300);
                }
                _ => assert!(text.contains("b299"), "{target}"),
            }
        }
    });
}
