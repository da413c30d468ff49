//! WebSocket nodes behind HTTP mode and behind TCP mode.

use std::time::{Duration, Instant};

use crate::support::programs::{output, program};
use crate::support::websocket::{WebSocket, echo_origin};
use crate::support::*;

fn http_config(one: &Origin, two: &Origin) -> String {
    format!(
        "{HTTP_DEFAULTS}
    timeout client 1s
    timeout server 1s
    timeout tunnel 5m
frontend http-in
    bind @fe@
    stats enable
    stats uri /stats
    default_backend ws_backend
backend ws_backend
    balance roundrobin
    option http-server-close
    option forwardfor
    server node1 {}
    server node2 {}
",
        one.address(),
        two.address()
    )
}

fn converse(socket: &mut WebSocket, messages: usize) {
    let mut longest = vec![b'x'; 70_000];
    for number in 0..messages {
        let message = format!("message {number}");
        socket.say(message.as_bytes());
        assert_eq!(socket.hear(), message.as_bytes());
    }
    longest[0] = b'a';
    socket.say(&longest);
    assert!(socket.hear() == longest, "the long message came back different");
}

#[test]
fn ten_thousand_messages_through_http_mode() {
    both_drivers(|driver| {
        let (one, two) = (echo_origin("node1"), echo_origin("node2"));
        let proxy = Proxy::start(driver, &http_config(&one, &two));
        let (mut socket, response) =
            WebSocket::connect(proxy.address("fe"), "/chat", "Origin: http://test\r\n");
        assert_eq!(response.header("X-Served-By"), Some("node1"));
        let request = one.last();
        assert_eq!(request.headers("X-Forwarded-For"), ["127.0.0.1"]);
        assert_eq!(request.header("Upgrade"), Some("websocket"));
        assert!(request.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
        assert_eq!(request.header("Origin"), Some("http://test"));
        converse(&mut socket, 10_000);
        let (mut second, response) = WebSocket::connect(proxy.address("fe"), "/chat", "");
        assert_eq!(response.header("X-Served-By"), Some("node2"));
        converse(&mut second, 10);
        socket.close();
        second.close();
        // The same backend serves plain requests too.
        assert_eq!(proxy.client("fe").get("/", "").text(), "node1");
    });
}

#[test]
fn an_idle_tunnel_outlives_the_client_timeout() {
    both_drivers(|driver| {
        let (one, two) = (echo_origin("node1"), echo_origin("node2"));
        let proxy = Proxy::start(driver, &http_config(&one, &two));
        let (mut socket, _) = WebSocket::connect(proxy.address("fe"), "/", "");
        socket.say(b"before");
        assert_eq!(socket.hear(), b"before");
        let silence = Duration::from_secs(if slow_tests() { 60 } else { 3 });
        assert!(!is_closed(&mut socket, silence), "closed while idle");
        socket.say(b"after");
        assert_eq!(socket.hear(), b"after");
    });
}

/// Whether the other side closes within this time.
fn is_closed(socket: &mut WebSocket, limit: Duration) -> bool {
    socket.client().is_closed_within(limit)
}

#[test]
fn without_a_tunnel_timeout_the_others_hold() {
    both_drivers(|driver| {
        let (one, two) = (echo_origin("node1"), echo_origin("node2"));
        let config = http_config(&one, &two).replace("timeout tunnel 5m", "timeout tunnel 300ms");
        let config = config.replace("client 1s", "client 1m").replace("server 1s", "server 1m");
        let proxy = Proxy::start(driver, &config);
        let begun = Instant::now();
        let (mut socket, _) = WebSocket::connect(proxy.address("fe"), "/", "");
        assert!(is_closed(&mut socket, LIMIT));
        assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
    });
}

#[test]
fn messages_pass_tcp_mode() {
    both_drivers(|driver| {
        let (one, two) = (echo_origin("node1"), echo_origin("node2"));
        let proxy = Proxy::start(
            driver,
            &format!(
                "{TCP_DEFAULTS}
    timeout client 500ms
    timeout server 500ms
    timeout tunnel 1h
listen ws
    bind @fe@
    balance leastconn
    server node1 {}
    server node2 {}
",
                one.address(),
                two.address()
            ),
        );
        let (mut first, response) = WebSocket::connect(proxy.address("fe"), "/", "");
        let one_served = response.header("X-Served-By").unwrap().to_owned();
        let (mut second, response) = WebSocket::connect(proxy.address("fe"), "/", "");
        assert_ne!(response.header("X-Served-By"), Some(one_served.as_str()));
        converse(&mut first, 2_000);
        assert!(!is_closed(&mut second, Duration::from_millis(1200)), "closed while idle");
        converse(&mut second, 10);
        first.close();
        second.close();
        assert!(wait_until(LIMIT, || proxy.stat("ws", "FRONTEND", "scur") == "0"));
    });
}

#[test]
fn curl_reads_the_statistics_on_the_traffic_port() {
    both_drivers(|driver| {
        let (one, two) = (echo_origin("node1"), echo_origin("node2"));
        let proxy = Proxy::start(driver, &http_config(&one, &two));
        let Some(mut curl) = program("curl") else { return };
        let page = output(curl.args(["-sS", "--fail", &proxy.url("fe", "/stats")]));
        assert!(page.contains("ws_backend") && page.contains("node2"), "{page}");
        assert_eq!(one.requests() + two.requests(), 0);
    });
}
