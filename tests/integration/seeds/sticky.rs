//! The tutorial of Flask applications behind a cookie, on a range of ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::support::programs::{ProgramOrigin, output, program};
use crate::support::*;

fn config(address: std::net::IpAddr, one: SocketAddr, two: SocketAddr) -> String {
    format!(
        "global
    log stdout format raw local0
    maxconn 4096

defaults
    mode http
    log global
    option httplog
    option dontlognull
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    timeout check 10s

frontend http_front
    bind {address}:60000-60001
    default_backend flask_servers
    option forwardfor

backend flask_servers
    balance roundrobin
    option httpchk GET /status
    cookie SERVER insert indirect nocache
    server web-a {one} check cookie web-a inter 50ms fall 1 rise 5
    server web-b {two} check cookie web-b inter 50ms fall 1 rise 5
"
    )
}

fn get(client: &mut Client, cookie: &str) -> Response {
    let line = if cookie.is_empty() { String::new() } else { format!("Cookie: a=1; {cookie}; z=2\r\n") };
    client.get("/", &line)
}

#[test]
fn both_ports_of_the_range_serve_and_the_cookie_sticks() {
    both_drivers(|driver| {
        // `nocache` says something only where a cache could keep the answer.
        let page = |name: &'static str| Origin::http(move |_| Reply::status(200, "ETag: \"1\"\r\n", name));
        let (one, two) = (page("web-a"), page("web-b"));
        let address = own_address();
        let proxy = Proxy::start(driver, &config(address, one.address(), two.address()));
        let mut cookies = Vec::new();
        for port in [60000, 60001] {
            let mut client = Client::connect((address, port).into());
            let response = get(&mut client, "");
            let set = response.header("Set-Cookie").expect("a cookie is set").to_owned();
            assert_eq!(set, format!("SERVER={}; path=/", response.text()));
            assert_eq!(response.header("Cache-Control"), Some("private"));
            let pair = set.split(';').next().unwrap().to_owned();
            for _ in 0..5 {
                let again = get(&mut Client::connect((address, port).into()), &pair);
                assert_eq!(again.text(), response.text());
                assert_eq!(again.header("Set-Cookie"), None, "a known cookie is not set again");
            }
            cookies.push(pair);
        }
        assert_ne!(cookies[0], cookies[1]);
        let application = |request: &Request| request.path() == "/";
        let seen: Vec<Request> = [one.seen(), two.seen()].concat().into_iter().filter(application).collect();
        assert_eq!(seen.len(), 12);
        for request in seen {
            let cookie = request.header("Cookie").unwrap_or_default().to_owned();
            assert!(!cookie.contains("SERVER"), "'indirect' hides it from the application: {cookie}");
            assert_eq!(request.headers("X-Forwarded-For"), ["127.0.0.1"]);
        }
        // A cookie that names no server: a new choice and a new cookie.
        let response = get(&mut Client::connect((address, 60000).into()), "SERVER=web-c");
        assert!(response.header("Set-Cookie").is_some());
        assert!(wait_until(LIMIT, || {
            let log = proxy.stdout();
            log.contains(" http_front flask_servers/web-a ") && log.contains(" 200 ") && log.contains("--VN ")
        }));
    });
}

#[test]
fn one_failed_check_moves_the_sessions_and_five_good_ones_bring_them_back() {
    both_drivers(|driver| {
        let up = Arc::new(AtomicBool::new(true));
        let state = up.clone();
        let one = Origin::http(move |request| match request.path() {
            "/status" if !state.load(SeqCst) => Reply::status(500, "", ""),
            _ => Reply::ok("web-a"),
        });
        let two = Origin::named("web-b");
        let address = own_address();
        let proxy = Proxy::start(driver, &config(address, one.address(), two.address()));
        let ask = |cookie: &str| get(&mut Client::connect((address, 60001).into()), cookie);
        assert_eq!(ask("SERVER=web-a").text(), "web-a");
        up.store(false, SeqCst);
        proxy.wait_status("flask_servers", "web-a", "DOWN");
        let moved = ask("SERVER=web-a");
        assert_eq!(
            (moved.text().as_str(), moved.header("Set-Cookie")),
            ("web-b", Some("SERVER=web-b; path=/"))
        );
        one.forget();
        up.store(true, SeqCst);
        proxy.wait_status("flask_servers", "web-a", "UP");
        assert!(one.requests() >= 5, "rise 5, after {} checks", one.requests());
        assert_eq!(ask("SERVER=web-a").text(), "web-a");
        for request in one.seen() {
            let expected = if request.path() == "/" { "HTTP/1.1" } else { "HTTP/1.0" };
            assert!(request.head.lines().next().unwrap().ends_with(expected), "{}", request.head);
        }
    });
}

#[test]
fn a_cookie_jar_of_curl_keeps_one_server() {
    both_drivers(|driver| {
        let (Some(one), Some(two)) = (ProgramOrigin::python("web-a"), ProgramOrigin::python("web-b")) else {
            return;
        };
        let address = own_address();
        let proxy = Proxy::start(driver, &config(address, one.address(), two.address()));
        let jar = proxy.folder().path().join("jar");
        let ask = || {
            let mut curl = program("curl")?;
            Some(output(
                curl.args(["-sS", "-b"])
                    .arg(&jar)
                    .arg("-c")
                    .arg(&jar)
                    .arg(format!("http://{address}:60000/")),
            ))
        };
        let Some(first) = ask() else { return };
        assert!(first == "web-a" || first == "web-b", "{first}");
        for _ in 0..5 {
            assert_eq!(ask().as_deref(), Some(first.as_str()));
        }
    });
}

#[test]
fn a_wrong_backend_name_is_refused_with_the_right_one() {
    let config = config(own_address(), ([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
    let config = config.replace("default_backend flask_servers", "default_backend backend_servers");
    let Err(said) = Proxy::build(Driver::Epoll).try_start(&config) else { panic!("it started") };
    assert!(said.contains("unable to find required default_backend: 'backend_servers'"), "{said}");
    assert!(said.contains("did you mean 'flask_servers'?"), "{said}");
}
