//! The PROXY protocol: headers that are accepted, refused, sent, chained and checked with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haring::wire::proxy_protocol::{self, Progress, V2Writer};

use crate::support::programs::ProgramOrigin;
use crate::support::*;

/// Tells which address the session takes for its client, and what the connection itself shows.
const TELL: &str = "http-request return status 200 content-type text/plain lf-string \
    \"%[src]:%[src_port] %[dst]:%[dst_port] %[fc_src] %[fc_rcvd_proxy] %[fc_err]\"";

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn v2(source: &str, destination: &str, fields: &[(u8, &[u8])], checksum: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut header = V2Writer::begin(source.parse().ok(), destination.parse().ok(), &mut bytes);
    fields.iter().for_each(|(kind, value)| header.field(*kind, value));
    if checksum {
        header.checksum();
    }
    header.finish();
    bytes
}

#[test]
fn headers_tell_the_client_in_whatever_pieces_they_come() {
    let plain: &[(Vec<u8>, &str)] = &[
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n".to_vec(), "192.0.2.1:5000 198.51.100.2:443"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n".to_vec(), "2001:db8::1:1 2001:db8::2:2"),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n".to_vec(), "::ffff:192.0.2.1:1 ::1:2"),
        (
            v2("192.0.2.1:5000", "198.51.100.2:443", &[(4, &[0; 300])], true),
            "192.0.2.1:5000 198.51.100.2:443",
        ),
        (v2("[2001:db8::1]:7", "[2001:db8::2]:8", &[], false), "2001:db8::1:7 2001:db8::2:8"),
        // These leave the connection's own addresses in force.
        (b"PROXY UNKNOWN\r\n".to_vec(), "own"),
        (b"PROXY UNKNOWN whatever stands here\r\n".to_vec(), "own"),
        (v2("", "", &[(4, b"x")], true), "own"),
    ];
    both_drivers(|driver| {
        let config = format!("{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@ accept-proxy\n    {TELL}\n");
        let proxy = Proxy::start(driver, &config);
        for (header, told) in plain {
            for bytewise in [false, true] {
                let mut client = proxy.client("fe");
                client.stream().set_nodelay(true).unwrap();
                let own = format!("{} {}", client.local_address(), proxy.address("fe"));
                let told = if *told == "own" { own } else { (*told).to_owned() };
                let expected = format!("{told} 127.0.0.1 1 0");
                match bytewise {
                    true => header.iter().for_each(|byte| client.send([*byte])),
                    // One segment holds the header and the request behind it.
                    false => client.send([header, REQUEST.as_bytes()].concat()),
                }
                if bytewise {
                    client.send(REQUEST);
                }
                assert_eq!(client.response().text(), expected);
                assert_eq!(client.get("/again", "").text(), expected, "it holds for the connection");
            }
        }
    });
}

#[test]
fn what_is_no_header_ends_the_connection_with_a_line_of_its_own() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let config = format!(
            "{HTTP_DEFAULTS}    option httplog\n    log {} local0\n\
             frontend fe\n    bind @fe@ accept-proxy name door\n    {TELL}\n\
             frontend format\n    bind @format@ accept-proxy\n    error-log-format \"%ci %[fc_err] %[fc_err_name]\"\n    {TELL}\n\
             frontend slow\n    bind @slow@ accept-proxy\n    timeout client-hs 50ms\n    {TELL}\n\
             frontend quiet\n    bind @quiet@ accept-proxy\n    option dontlognull\n    {TELL}\n",
            syslog.address()
        );
        let proxy = Proxy::start(driver, &config);
        let cases: &[(&[u8], &str)] = &[
            (
                b"GET / HTTP/1.1\r\n\r\n",
                "Received something which does not look like a PROXY protocol header",
            ),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n", "Received an invalid PROXY protocol header"),
            (
                b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
                "Received an unhandled protocol in the PROXY protocol header",
            ),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01x", "Received an invalid PROXY protocol header"),
            (b"PROXY TCP4 1.2.3", "Truncated PROXY protocol header received"),
            (b"", "Connection closed while waiting for PROXY protocol header"),
        ];
        for (bytes, said) in cases {
            let mut client = proxy.client("fe");
            client.send(bytes);
            client.finish_sending();
            assert!(client.is_closed_within(LIMIT), "{said}");
            let line = syslog.wait_for(&[said]);
            let start = format!("{} [", client.local_address());
            assert!(line.contains(&start) && line.ends_with(&format!("] fe/door: {said}")), "{line}");
        }
        assert_eq!(proxy.stat("fe", "FRONTEND", "stot"), "0", "they never were sessions");

        let mut client = proxy.client("format");
        client.send("nonsense\n");
        assert!(client.is_closed_within(LIMIT));
        syslog.wait_for(&["127.0.0.1 15 PRX_NOT_HDR"]);

        let mut client = proxy.client("slow");
        client.send("PROXY TC");
        assert!(client.is_closed_within(LIMIT));
        syslog.wait_for(&["slow/1: Timeout while waiting for PROXY protocol header"]);

        let client = proxy.client("quiet");
        client.finish_sending();
        let mut client = proxy.client("quiet");
        client.send("x");
        assert!(client.is_closed_within(LIMIT));
        // The line of the second is the first that comes.
        let line = syslog.wait_for(&["quiet/1: "]);
        assert!(line.contains("does not look like"), "{line}");
    });
}

#[test]
fn connection_rules_come_before_the_header_and_session_rules_after() {
    both_drivers(|driver| {
        let config = format!(
            "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n\
             \x20   acl known src 127.0.0.1\n\
             \x20   tcp-request connection expect-proxy layer4 if known\n\
             \x20   tcp-request connection set-var(sess.early) src\n\
             \x20   tcp-request connection reject if {{ src 192.0.2.0/24 }}\n\
             \x20   tcp-request session set-var(sess.late) src\n\
             \x20   tcp-request session reject if {{ src 192.0.2.9 }}\n\
             \x20   http-request return status 200 content-type text/plain lf-string \
             \"%[var(sess.early)] %[var(sess.late)] %[src] %[fc_rcvd_proxy]\"\n\
             frontend plain\n    bind @plain@\n\
             \x20   tcp-request connection expect-proxy layer4 if {{ src 203.0.113.1 }}\n    {TELL}\n"
        );
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("fe");
        client.send(format!("PROXY TCP4 192.0.2.1 198.51.100.2 5 80\r\n{REQUEST}"));
        assert_eq!(client.response().text(), "127.0.0.1 192.0.2.1 192.0.2.1 1");
        let mut client = proxy.client("fe");
        client.send(format!("PROXY TCP4 192.0.2.9 198.51.100.2 5 80\r\n{REQUEST}"));
        assert!(client.is_closed_within(LIMIT));
        assert_eq!(proxy.stat("fe", "FRONTEND", "dses"), "1");
        let mut client = proxy.client("fe");
        client.send(REQUEST);
        assert!(client.is_closed_within(LIMIT), "a header is demanded");
        let mut client = proxy.client("plain");
        assert!(client.get("/", "").text().ends_with(" 127.0.0.1 0 0"), "none is demanded, none is taken");
        client.send("PROXY TCP4 192.0.2.1 198.51.100.2 5 80\r\n\r\n");
        assert_eq!(client.response().status, 400);
    });
}

/// Reads a header from a stream byte by byte, so that nothing behind it is taken.
fn read_header(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match proxy_protocol::parse(&bytes).expect("a valid header") {
            Progress::Complete { .. } => return Some(bytes),
            Progress::Partial => {
                let mut byte = [0];
                if stream.read(&mut byte).ok()? == 0 {
                    return None;
                }
                bytes.push(byte[0]);
            }
        }
    }
}

/// The client's address in a header.
fn source(header: &[u8]) -> Option<SocketAddr> {
    match proxy_protocol::parse(header) {
        Ok(Progress::Complete { header, .. }) => header.addresses.map(|(source, _)| source),
        _ => None,
    }
}

/// An origin that keeps the header of each connection; `serve` has the rest.
fn origin_with_headers(
    serve: impl Fn(&mut TcpStream) + Send + Sync + 'static,
) -> (Origin, Arc<Mutex<Vec<Vec<u8>>>>) {
    let headers: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = headers.clone();
    let origin = Origin::raw(move |mut stream, _, _| {
        if let Some(header) = read_header(&mut stream) {
            kept.lock().unwrap().push(header);
            serve(&mut stream);
        }
    });
    (origin, headers)
}

fn serve_http(stream: &mut TcpStream) {
    let mut buffer = Vec::new();
    while origin::read_request(stream, &mut buffer, 0).is_some() {
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

#[test]
fn a_client_keeps_its_connections_to_several_servers() {
    both_drivers(|driver| {
        let (one, of_one) = origin_with_headers(serve_http);
        let (two, of_two) = origin_with_headers(serve_http);
        let config = format!(
            "{HTTP_DEFAULTS}\nlisten fe\n    bind @fe@\n    balance roundrobin\n    server one {} send-proxy\n    \
             server two {} send-proxy\n",
            one.address(),
            two.address()
        );
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("fe");
        for _ in 0..8 {
            assert_eq!(client.get("/", "").text(), "ok");
        }
        let headers = [of_one.lock().unwrap().len(), of_two.lock().unwrap().len()];
        assert_eq!(headers, [1, 1]);
        assert_eq!(proxy.stat("fe", "BACKEND", "reuse"), "6");
    });
}

#[test]
fn a_connection_with_a_header_serves_one_client_only() {
    for reuse in ["never", "safe", "aggressive", "always"] {
        both_drivers(|driver| {
            let (origin, headers) = origin_with_headers(serve_http);
            let config = format!(
                "{HTTP_DEFAULTS}    http-reuse {reuse}\nlisten fe\n    bind @fe@\n    server s {} send-proxy\n",
                origin.address()
            );
            let proxy = Proxy::start(driver, &config);
            let mut one = proxy.client("fe");
            let mut two = proxy.client("fe");
            for _ in 0..3 {
                assert_eq!(one.get("/", "").text(), "ok");
                assert_eq!(two.get("/", "").text(), "ok");
            }
            let first = one.local_address();
            drop(one);
            let mut three = proxy.client("fe");
            assert_eq!(three.get("/", "").text(), "ok");
            let sources: Vec<_> =
                headers.lock().unwrap().iter().map(|header| source(header).unwrap()).collect();
            assert_eq!(sources, [first, two.local_address(), three.local_address()], "{reuse}");
            // A request that comes from another client by its own account has another connection.
            let (origin, headers) = origin_with_headers(serve_http);
            let config = format!(
                "{HTTP_DEFAULTS}    http-reuse {reuse}\nlisten fe\n    bind @fe@\n    http-request set-src hdr(x)\n    \
                 server s {} send-proxy-v2\n",
                origin.address()
            );
            let proxy = Proxy::start(driver, &config);
            let mut client = proxy.client("fe");
            for ip in ["10.0.0.1", "10.0.0.1", "10.0.0.2"] {
                assert_eq!(client.get("/", &format!("x: {ip}\r\n")).text(), "ok");
            }
            let headers = headers.lock().unwrap();
            let sources: Vec<_> =
                headers.iter().map(|header| source(header).unwrap().ip().to_string()).collect();
            assert_eq!(sources, ["10.0.0.1", "10.0.0.2"]);
        });
    }
}

#[test]
fn tcp_mode_sends_the_header_before_the_first_byte_and_without_one() {
    both_drivers(|driver| {
        let (origin, headers) = origin_with_headers(|stream| {
            // The server speaks first: the header may not wait for the client's bytes.
            let _ = stream.write_all(b"welcome\n");
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            let _ = stream.write_all(&said);
        });
        let config = format!(
            "{TCP_DEFAULTS}\nlisten fe\n    bind @fe@\n    server s {0} send-proxy\n\
             listen dst\n    bind @dst@\n    tcp-request content set-dst ipv6(2001:db8::1)\n    server s {0} send-proxy\n\
             listen again\n    bind @again@ accept-proxy\n    server s {0} send-proxy-v2 proxy-v2-options crc32c,ssl\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("fe");
        assert_eq!(client.line().unwrap().as_deref(), Some("welcome"));
        client.send("hello");
        client.finish_sending();
        assert_eq!(client.read_to_end(), b"hello");
        let (own, to) = (client.local_address(), proxy.address("fe"));
        let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", own.port(), to.port());
        assert_eq!(headers.lock().unwrap().pop().unwrap(), line.as_bytes());

        let mut client = proxy.client("dst");
        client.finish_sending();
        assert_eq!(client.read_to_end(), b"welcome\n");
        let line = String::from_utf8(headers.lock().unwrap().pop().unwrap()).unwrap();
        assert!(line.starts_with("PROXY TCP6 ::ffff:127.0.0.1 2001:db8::1 "), "{line}");

        let mut client = proxy.client("again");
        client.send("PROXY TCP4 192.0.2.1 198.51.100.2 5 80\r\nand bytes");
        client.finish_sending();
        assert_eq!(client.read_to_end(), b"welcome\nand bytes");
        let header = headers.lock().unwrap().pop().unwrap();
        assert_eq!(header, v2_with_ssl());
    });
}

/// What `send-proxy-v2 proxy-v2-options crc32c,ssl` says of a client without TLS.
fn v2_with_ssl() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut header = V2Writer::begin("192.0.2.1:5".parse().ok(), "198.51.100.2:80".parse().ok(), &mut bytes);
    header.checksum();
    header.field(0x20, &[0; 5]);
    header.finish();
    bytes
}

#[test]
fn fields_go_through_a_chain_over_a_unix_socket() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let config = format!(
            "{HTTP_DEFAULTS}    log {} local0\n    unique-id-format id-%[rand(1)]\n\
             frontend fe\n    bind @fe@ accept-proxy\n    default_backend up\n\
             backend up\n    default-server send-proxy-v2 proxy-v2-options crc32c,unique-id,authority\n\
             \x20   server s unix@@dir@/second.sock set-proxy-v2-tlv-fmt(0xEA) %[fc_pp_tlv(0xEA)] \
             set-proxy-v2-tlv-fmt(0xEB) user-%[src]\n\
             frontend second\n    bind unix@@dir@/second.sock accept-proxy\n    mode http\n\
             \x20   log-format \"%ci:%cp %[fc_pp_authority] %[fc_pp_unique_id] %[fc_pp_tlv(0xEA),hex] \
             %[fc_pp_tlv(0xEB)] %[fc_src]\"\n    http-request return status 204\n",
            syslog.address()
        );
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("fe");
        client.send(v2("192.0.2.1:5", "198.51.100.2:80", &[(2, b"a.example"), (0xea, b"\x01z")], true));
        client.send(REQUEST);
        assert_eq!(client.response().status, 204);
        syslog.wait_for(&["192.0.2.1:5 a.example id-0 017A user-192.0.2.1 -"]);
    });
}

#[test]
fn unix_clients_have_no_address_to_tell() {
    both_drivers(|driver| {
        let (origin, headers) = origin_with_headers(serve_http);
        let config = format!(
            "{HTTP_DEFAULTS}\nfrontend fe\n    bind unix@@dir@/front.sock\n    bind @fe@\n    use_backend two if {{ path /2 }}\n    \
             default_backend one\n\
             backend one\n    server s {0} send-proxy\nbackend two\n    server s {0} send-proxy send-proxy-v2\n",
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        for (path, expected) in [("/1", &b"PROXY UNKNOWN\r\n"[..]), ("/2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
        {
            let mut client = UnixStream::connect(proxy.folder().path().join("front.sock")).unwrap();
            client.set_read_timeout(Some(LIMIT)).unwrap();
            write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert_eq!(headers.lock().unwrap().pop().unwrap(), expected);
        }
    });
}

#[test]
fn checks_begin_with_a_header_where_the_service_does() {
    let (origin, headers) = origin_with_headers(serve_http);
    let bare = Origin::named("bare");
    let (to, port) = (origin.address(), origin.address().port());
    let config = |global: &str, line: &str| {
        format!(
            "global\n    {global}\n{HTTP_DEFAULTS}\nlisten be\n    bind @be@\n    option httpchk GET /check\n    \
             server s {line} inter 50ms check\n"
        )
    };
    for (global, line, start) in [
        ("", format!("{to} send-proxy"), "PROXY TCP4 127.".to_owned()),
        ("", format!("{to} send-proxy-v2"), "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_owned()),
        ("pp2-never-send-local", format!("{to} send-proxy-v2"), "\r\n\r\n\0\r\nQUIT\n\x21\x11".to_owned()),
        (
            "",
            format!("{} addr {} port {port} send-proxy check-send-proxy", bare.address(), to.ip()),
            "PROXY TCP4".to_owned(),
        ),
        (
            "",
            format!("{} addr {} port {port} check-send-proxy", bare.address(), to.ip()),
            "PROXY TCP4".to_owned(),
        ),
    ] {
        let proxy = Proxy::start(Driver::Epoll, &config(global, &line));
        proxy.wait_status("be", "s", "UP");
        assert!(wait_until(LIMIT, || proxy.stat("be", "s", "check_status") == "L7OK"), "{line}");
        drop(proxy);
        let headers: Vec<_> = headers.lock().unwrap().drain(..).collect();
        assert!(!headers.is_empty());
        for header in headers {
            assert!(header.starts_with(start.as_bytes()), "{line}: {}", String::from_utf8_lossy(&header));
        }
    }
    // A check of another port does not speak as the service is spoken to.
    let port = bare.address().port();
    let line = format!("{to} addr {} port {port} send-proxy", bare.address().ip());
    let proxy = Proxy::start(Driver::Epoll, &config("", &line));
    assert!(wait_until(LIMIT, || proxy.stat("be", "s", "check_status") == "L7OK"));
    drop(proxy);
    // A script's own connect asks for the header itself.
    let script = format!(
        "{TCP_DEFAULTS}\nlisten be\n    bind @be@\n    option tcp-check\n    tcp-check connect send-proxy\n    \
         tcp-check send \"GET / HTTP/1.1\\r\\nHost:\\ a\\r\\n\\r\\n\"\n    tcp-check expect string 200\n    \
         server s {to} inter 50ms check\n"
    );
    headers.lock().unwrap().clear();
    let proxy = Proxy::start(Driver::Epoll, &script);
    assert!(wait_until(LIMIT, || proxy.stat("be", "s", "check_status") == "L7OK"));
    assert!(headers.lock().unwrap()[0].starts_with(b"PROXY TCP4 127."));
}

#[test]
fn nginx_understands_what_is_sent() {
    for option in ["send-proxy", "send-proxy-v2 proxy-v2-options crc32c,ssl,unique-id"] {
        let Some(nginx) =
            ProgramOrigin::nginx_listening("proxy_protocol", "$proxy_protocol_addr:$proxy_protocol_port")
        else {
            return;
        };
        both_drivers(|driver| {
            let config = format!(
                "{HTTP_DEFAULTS}    unique-id-format x\nlisten fe\n    bind @fe@\n    server s {} {option} check inter 50ms\n",
                nginx.address()
            );
            let proxy = Proxy::start(driver, &config);
            let mut client = proxy.client("fe");
            for _ in 0..2 {
                assert_eq!(client.get("/", "").text(), client.local_address().to_string());
            }
        });
    }
}

#[test]
fn haproxy_understands_what_is_sent_and_is_understood() {
    // HAProxy receives.
    let receives = |address: SocketAddr| {
        format!(
            "defaults\n mode http\n timeout client 5s\n timeout connect 5s\n timeout server 5s\n\
             frontend fe\n bind {address} accept-proxy\n http-request return status 200 content-type text/plain lf-string \
             \"%[src]:%[src_port] %[dst]:%[dst_port] %[fc_pp_unique_id] %[fc_pp_authority]\"\n"
        )
    };
    let Some(haproxy) = ProgramOrigin::haproxy(receives) else { return };
    both_drivers(|driver| {
        let options = "proxy-v2-options crc32c,ssl,cert-cn,unique-id,authority";
        let config = format!(
            "{HTTP_DEFAULTS}    unique-id-format an-id\n\
             listen one\n    bind @one@ accept-proxy\n    server s {0} send-proxy\n\
             listen two\n    bind @two@ accept-proxy\n    server s {0} send-proxy-v2-ssl-cn {options}\n",
            haproxy.address()
        );
        let proxy = Proxy::start(driver, &config);
        let header = v2("[2001:db8::1]:5", "[2001:db8::2]:80", &[(2, b"a.example")], false);
        for (name, fields) in [("one", "  "), ("two", " an-id a.example")] {
            let mut client = proxy.client(name);
            client.send([&header, REQUEST.as_bytes()].concat());
            assert_eq!(client.response().text(), format!("2001:db8::1:5 2001:db8::2:80{fields}"));
        }
    });
    // HAProxy sends.
    both_drivers(|driver| {
        let config = format!("{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@ accept-proxy\n    {TELL}\n");
        let proxy = Proxy::start(driver, &config);
        for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl proxy-v2-options crc32c,unique-id"] {
            let to = proxy.address("fe");
            let sends = |address: SocketAddr| {
                format!(
                    "defaults\n mode http\n timeout client 5s\n timeout connect 5s\n timeout server 5s\n unique-id-format x\n\
                     listen fe\n bind {address}\n server s {to} {option} check inter 50\n"
                )
            };
            let haproxy = ProgramOrigin::haproxy(sends).expect("it was there");
            let mut client = Client::connect(haproxy.address());
            let told = client.get("/", "").text();
            let expected = format!("{} {} 127.0.0.1 1 0", client.local_address(), haproxy.address());
            assert_eq!(told, expected, "{option}");
        }
    });
}

#[test]
fn a_failed_connection_says_why() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let nobody = crate::support::programs::free_address();
        let config = format!(
            "{HTTP_DEFAULTS}    log {} local0\n    retries 0\n    log-format \"bc %[bc_err] %[bc_err_name] fc %[fc_err_str]\"\n\
             listen fe\n    bind @fe@\n    server s {nobody}\n",
            syslog.address()
        );
        let proxy = Proxy::start(driver, &config);
        assert_eq!(proxy.client("fe").get("/", "").status, 503);
        syslog.wait_for(&["bc 46 EREFUSED fc Success"]);
        assert!(syslog.rest(Duration::from_millis(1)).is_empty());
    });
}
