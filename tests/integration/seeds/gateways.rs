//! Two API gateways behind round robin with health checks, statistics and load generators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::support::programs::{ProgramOrigin, output, program};
use crate::support::*;

/// An origin that answers `/health` as told and everything else with its name.
fn gateway(name: &'static str, healthy: &Arc<AtomicBool>) -> Origin {
    let healthy = healthy.clone();
    Origin::http(move |request| match request.path() {
        "/health" if healthy.load(SeqCst) => Reply::ok("UP"),
        "/health" => Reply::status(503, "", "DOWN"),
        _ => Reply::status(200, &format!("X-Served-By: {name}\r\n"), name),
    })
}

fn healthy() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

fn config(one: impl std::fmt::Display, two: impl std::fmt::Display) -> String {
    format!(
        "{HTTP_DEFAULTS}
global
    nbthread 2
frontend main
    bind @fe@
    default_backend gateways
frontend stats
    bind @stats@
    stats enable
    stats uri /stats
    stats refresh 30s
backend gateways
    balance roundrobin
    option httpchk GET /health
    default-server inter 40ms fall 3 rise 2
    server gateway-1 {one} check
    server gateway-2 {two} check
"
    )
}

fn name_of(proxy: &Proxy) -> String {
    let response = proxy.client("fe").get("/", "");
    assert_eq!(response.status, 200, "{}", response.head);
    assert_eq!(response.header("X-Served-By"), Some(response.text().as_str()));
    response.text()
}

#[test]
fn round_robin_alternates_strictly_over_threads() {
    both_drivers(|driver| {
        let up = healthy();
        let (one, two) = (gateway("gw1", &up), gateway("gw2", &up));
        let proxy = Proxy::start(driver, &config(one.address(), two.address()));
        let names: Vec<String> = (0..20).map(|_| name_of(&proxy)).collect();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "separate connections: {names:?}");
        let mut client = proxy.client("fe");
        let names: Vec<String> = (0..20).map(|_| client.get("/", "").text()).collect();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "one connection: {names:?}");
    });
}

#[test]
fn a_stopped_gateway_leaves_and_returns() {
    both_drivers(|driver| {
        let (up, two_up) = (healthy(), healthy());
        let (mut one, two) = (gateway("gw1", &up), gateway("gw2", &two_up));
        let proxy = Proxy::start(driver, &config(one.address(), two.address()));
        one.stop();
        proxy.wait_status("gateways", "gateway-1", "DOWN");
        assert!((0..10).all(|_| name_of(&proxy) == "gw2"));
        one.restart();
        proxy.wait_status("gateways", "gateway-1", "UP");
        let names: Vec<String> = (0..10).map(|_| name_of(&proxy)).collect();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        // One that answers, but ill: no request reaches it either.
        two_up.store(false, SeqCst);
        proxy.wait_status("gateways", "gateway-2", "DOWN");
        assert!((0..10).all(|_| name_of(&proxy) == "gw1"));
        // A star stands before it while the next check is under way.
        let status = proxy.stat("gateways", "gateway-2", "check_status");
        assert_eq!(status.trim_start_matches("* "), "L7STS");
        assert_eq!(proxy.stat("gateways", "gateway-2", "check_code"), "503");
        up.store(false, SeqCst);
        proxy.wait_status("gateways", "gateway-1", "DOWN");
        assert_eq!(proxy.client("fe").get("/", "").status, 503);
        two_up.store(true, SeqCst);
        proxy.wait_status("gateways", "gateway-2", "UP");
        assert_eq!(name_of(&proxy), "gw2");
    });
}

#[test]
fn a_stopped_gateway_is_marked_down_within_fall_checks() {
    both_drivers(|driver| {
        let up = healthy();
        let (one, two) = (gateway("gw1", &up), gateway("gw2", &up));
        let proxy = Proxy::start(driver, &config(one.address(), two.address()));
        proxy.wait_status("gateways", "gateway-1", "UP");
        // A server is up from the start, and its first check alone would take it down.
        assert!(wait_until(LIMIT, || proxy.stat("gateways", "gateway-1", "check_status") == "L7OK"));
        let checks = || proxy.stat("gateways", "gateway-1", "chkfail").parse::<u32>().unwrap();
        assert_eq!(checks(), 0, "{}", proxy.stat("gateways", "gateway-1", "last_chk"));
        up.store(false, SeqCst);
        proxy.wait_status("gateways", "gateway-1", "DOWN");
        // `chkfail` counts only checks that failed while the server was up.
        assert_eq!(checks(), 3);
        assert_eq!(proxy.stat("gateways", "gateway-1", "chkdown"), "1");
    });
}

#[test]
fn statistics_are_a_page_and_a_table() {
    both_drivers(|driver| {
        let up = healthy();
        let (one, two) = (gateway("gw1", &up), gateway("gw2", &up));
        let proxy = Proxy::start(driver, &config(one.address(), two.address()));
        for _ in 0..6 {
            name_of(&proxy);
        }
        let page = proxy.client("stats").get("/stats", "Connection: close\r\n");
        assert_eq!(page.status, 200);
        assert!(page.header("Content-Type").unwrap().starts_with("text/html"));
        let text = page.text();
        for part in ["gateway-1", "gateway-2", "gateways", "main", "Statistics Report"] {
            assert!(text.contains(part), "{part} on the page");
        }
        let table = proxy.client("stats").get("/stats;csv", "");
        assert_eq!(table.header("Content-Type"), Some("text/plain"));
        let text = table.text();
        assert!(text.starts_with("# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,"), "{text}");
        let sessions = |name: &str| proxy.stat("gateways", name, "stot");
        assert_eq!((sessions("gateway-1"), sessions("gateway-2")), ("3".into(), "3".into()));
        assert_eq!(proxy.stat("main", "FRONTEND", "hrsp_2xx"), "6");
        assert_eq!(proxy.client("stats").get("/nothing", "").status, 503);
    });
}

#[test]
fn a_post_passes_untouched() {
    both_drivers(|driver| {
        let up = healthy();
        let (one, two) = (gateway("gw1", &up), gateway("gw2", &up));
        let proxy = Proxy::start(driver, &config(one.address(), two.address()));
        let body = "{\"account\":\"42\",\"amount\":1.5,\"note\":\"für Ärzte\"}";
        let mut client = proxy.client("fe");
        client.send(format!(
            "POST /api/v1/orders?x=1&y=%20 HTTP/1.1\r\nHost: localhost:8080\r\n\
             Authorization: Bearer abc.def-123\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(client.response().status, 200);
        let seen: Vec<Request> = [one.seen(), two.seen()]
            .concat()
            .into_iter()
            .filter(|request| request.path() != "/health")
            .collect();
        let [request] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((request.method(), request.path()), ("POST", "/api/v1/orders?x=1&y=%20"));
        assert_eq!(request.header("Authorization"), Some("Bearer abc.def-123"));
        assert_eq!(request.header("Content-Type"), Some("application/json"));
        assert_eq!(request.header("Host"), Some("localhost:8080"));
        assert_eq!(request.body, body.as_bytes());
    });
}

#[test]
fn load_generators_see_no_failure() {
    both_drivers(|driver| {
        let (Some(one), Some(two)) = (ProgramOrigin::nginx("gw1"), ProgramOrigin::nginx("gw2")) else {
            return;
        };
        let proxy = Proxy::start(driver, &config(one.address(), two.address()));
        if let Some(mut ab) = program("ab") {
            let said = output(ab.args(["-n", "1000", "-c", "10", &proxy.url("fe", "/")]));
            assert!(said.contains("Complete requests:      1000"), "{said}");
            assert!(said.contains("Failed requests:        0"), "{said}");
            assert!(!said.contains("Non-2xx"), "{said}");
        }
        if let Some(mut wrk) = program("wrk") {
            let said = output(wrk.args(["-t10", "-c100", "-d2s", &proxy.url("fe", "/")]));
            assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
            let sessions = |name: &str| proxy.stat("gateways", name, "stot").parse::<i64>().unwrap();
            let (left, right) = (sessions("gateway-1"), sessions("gateway-2"));
            assert!(left > 500 && (left - right).abs() <= 100, "{left} and {right}");
        }
    });
}
