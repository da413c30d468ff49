//! TLS at listeners and towards servers: handshakes, certificates by name, records of any size, resumption,
//! verification both ways, checks, and what goes wrong.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::HandshakeKind;

use crate::support::*;

/// A frontend that answers on its own, and one in TCP mode before an origin.
fn config(origin: &Origin, options: &str) -> String {
    format!(
        "{HTTP_DEFAULTS}
frontend fe
    bind @fe@ ssl {options}
    default_backend be
backend be
    server s {}
",
        origin.address()
    )
}

fn large() -> Vec<u8> {
    (0..1_500_000u32).map(|n| (n ^ n >> 8) as u8).collect()
}

fn origin() -> Origin {
    Origin::http(|request| match request.path() {
        "/large" => Reply::ok(large()),
        "/echo" => Reply::ok(&request.body),
        "/close" => Reply::ok("bye").and_close(),
        path => Reply::ok(path),
    })
}

#[test]
fn requests_are_served_in_both_versions_and_in_steps() {
    let origin = origin();
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        let certificate = Certificate::new(&["example.com"]);
        builder.write("a.pem", &certificate.both());
        let path = builder.path("a.pem");
        let proxy = builder.start(&config(&origin, &format!("crt {path} alpn http/1.1")));
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for step in [1, usize::MAX] {
                let mut wishes = client_config(&[version]);
                wishes.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                let mut client =
                    SecureClient::try_connect(proxy.address("fe"), "example.com", Arc::new(wishes), step)
                        .unwrap();
                assert_eq!(client.session.alpn_protocol(), Some(&b"http/1.1"[..]));
                assert_eq!(client.certificate(), certificate.der);
                for path in ["/one", "/two"] {
                    assert_eq!(client.get(path, "").text(), path, "{version:?} in steps of {step}");
                }
                let body = if step == 1 { vec![b'x'; 3000] } else { large() };
                client.send(format!(
                    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                ));
                client.send(&body);
                assert!(client.response().body == body);
                assert!(client.get("/large", "").body == large());
                // Two requests at once, then the end.
                client.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                assert_eq!(client.response().text(), "/3");
                assert_eq!(client.response().text(), "/4");
                let (rest, told) = client.read_to_end();
                assert!(rest.is_empty() && told, "the end is told by close_notify");
            }
        }
    });
}

#[test]
fn tcp_mode_passes_both_ways_and_ends_each_way_by_itself() {
    let origin = Origin::raw(|mut stream, _, _| {
        let mut all = Vec::new();
        if stream.write_all(b"hello\n").is_ok() && stream.read_to_end(&mut all).is_ok() {
            let _ = stream.write_all(&all);
        }
    });
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        builder.write("a.pem", &Certificate::new(&["example.com"]).both());
        let path = builder.path("a.pem");
        let proxy = builder.start(&format!(
            "{TCP_DEFAULTS}
listen fe
    bind @fe@ ssl crt {path}
    server s {}
",
            origin.address()
        ));
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let config = Arc::new(client_config(&[version]));
            let mut client = SecureClient::try_connect(proxy.address("fe"), "a", config, usize::MAX).unwrap();
            assert_eq!(client.read_exact(6), b"hello\n", "the server speaks first");
            client.send(large());
            if version.version == rustls::ProtocolVersion::TLSv1_3 {
                client.session.refresh_traffic_keys().unwrap();
            }
            client.send("end");
            client.finish_sending();
            let (bytes, told) = client.read_to_end();
            assert!(told && bytes.len() == large().len() + 3 && bytes.ends_with(b"end"));
        }
    });
}

#[test]
fn names_choose_certificates_and_sessions_are_resumed() {
    let origin = origin();
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        let all: Vec<(&str, Certificate)> = [("a", "a.com"), ("b", "b.com"), ("c", "*.c.com")]
            .map(|(file, name)| (file, Certificate::new(&[name])))
            .into();
        for (file, certificate) in &all {
            builder.write(&format!("{file}.pem"), &certificate.pem);
            builder.write(&format!("{file}.pem.key"), &certificate.key_pem);
        }
        let folder = builder.path("");
        builder.write(
            "list",
            &format!(
                "# comment\n{folder}/a.pem\n{folder}/b.pem [ssl-min-ver TLSv1.3] b.com\n{folder}/c.pem *.c.com !not.c.com\n"
            ),
        );
        let list = builder.path("list");
        let proxy = builder.start(&format!(
            "{HTTP_DEFAULTS}
frontend fe
    bind @fe@ ssl crt-list {list}
    bind @strict@ ssl crt-list {list} strict-sni
    bind @ids@ ssl crt {folder}/a.pem no-tls-tickets
    default_backend be
backend be
    server s {}
",
            origin.address()
        ));
        for (name, expected) in [("a.com", 0), ("b.com", 1), ("x.c.com", 2), ("not.c.com", 0), ("z", 0)] {
            let client = SecureClient::connect(proxy.address("fe"), name);
            assert_eq!(client.certificate(), all[expected].1.der, "{name}");
        }
        let old = Arc::new(client_config(&[&rustls::version::TLS12]));
        let try_old = |name| SecureClient::try_connect(proxy.address("fe"), name, old.clone(), usize::MAX);
        assert!(try_old("a.com").is_ok());
        assert!(try_old("b.com").is_err(), "its line asks for TLS 1.3");
        let any = Arc::new(client_config(rustls::ALL_VERSIONS));
        let strict = |name| SecureClient::try_connect(proxy.address("strict"), name, any.clone(), usize::MAX);
        assert!(strict("x.c.com").is_ok());
        let refused = strict("z").map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("UnrecognizedName") || refused.contains("UnrecognisedName"), "{refused}");
        for (listener, version) in [
            ("fe", &rustls::version::TLS12),
            ("fe", &rustls::version::TLS13),
            ("ids", &rustls::version::TLS12),
        ] {
            let config = Arc::new(client_config(&[version]));
            let mut kinds = Vec::new();
            for _ in 0..3 {
                let address = proxy.address(listener);
                let mut client =
                    SecureClient::try_connect(address, "a.com", config.clone(), usize::MAX).unwrap();
                assert_eq!(client.get("/", "").text(), "/");
                kinds.push(client.session.handshake_kind().unwrap());
            }
            let resumed = HandshakeKind::Resumed;
            assert!(kinds[0] != resumed && kinds[1..] == [resumed; 2], "{listener} {version:?}: {kinds:?}");
        }
    });
}

#[test]
fn early_data_are_neither_taken_nor_sent() {
    let origin = origin();
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        let certificate = Certificate::new(&["a.com"]);
        builder.write("a.pem", &certificate.both());
        let path = builder.path("a.pem");
        // The second proxy of the chain would log and serve what came early.
        let proxy = builder.start(&format!(
            "{HTTP_DEFAULTS}
frontend fe
    bind @fe@ ssl crt {path} allow-0rtt
    http-response set-header x-early %[ssl_fc_has_early]
    default_backend be
backend be
    server s @addr:inner@ ssl verify none allow-0rtt
frontend inner
    bind @inner@ ssl crt {path} allow-0rtt
    http-response set-header x-inner-early %[ssl_fc_has_early]
    http-response set-header connection close
    default_backend plain
backend plain
    server s {}
",
            origin.address()
        ));
        let mut config = client_config(&[&rustls::version::TLS13]);
        config.enable_early_data = true;
        let config = Arc::new(config);
        for round in 0..3 {
            let mut client =
                SecureClient::try_connect(proxy.address("fe"), "a.com", config.clone(), usize::MAX).unwrap();
            assert!(!client.session.is_early_data_accepted());
            let answer = client.get("/x", "");
            let early = ["x-early", "x-inner-early"].map(|name| answer.header(name));
            assert_eq!((answer.text().as_str(), early), ("/x", [Some("0"); 2]), "{round}");
            let resumed = client.session.handshake_kind() == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, round > 0);
        }
    });
}

#[test]
fn what_is_no_tls_is_told_and_limited_in_time() {
    both_drivers(|driver| {
        let mut log = Syslog::start();
        let builder = Proxy::build(driver);
        builder.write("a.pem", &Certificate::new(&["example.com"]).both());
        let path = builder.path("a.pem");
        let proxy = builder.start(&format!(
            "global
    log {} local0
defaults
    mode http
    log global
    option httplog
    timeout client 30s
    timeout client-hs 300ms
frontend fe
    bind @fe@ ssl crt {path}
    http-request return status 200
",
            log.address()
        ));
        let mut client = proxy.client("fe");
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.read_to_end().is_empty());
        log.wait_for(&["fe/1: SSL handshake failure (http request"]);
        let mut client = proxy.client("fe");
        client.send([22, 3, 1, 0, 5, 1, 0, 0, 1, 7]);
        assert_eq!(client.read_to_end(), [21, 3, 3, 0, 2, 2, 50], "an alert");
        log.wait_for(&["SSL handshake failure (the client's hello is malformed)"]);
        // A whole hello of TLS 1.1, which has no extensions.
        let suites = [0, 4, 0xc0, 0x13, 0, 0x2f];
        let hello = [&[3, 2][..], &[7; 32], &[0], &suites, &[1, 0]].concat();
        let length = |bytes: usize| (bytes as u16).to_be_bytes();
        let message = [&[1, 0], &length(hello.len())[..], &hello].concat();
        let mut client = proxy.client("fe");
        client.send([&[22, 3, 1], &length(message.len())[..], &message].concat());
        assert_eq!(client.read_to_end().first(), Some(&21), "an alert");
        log.wait_for(&["fe/1: SSL handshake failure (unsupported protocol"]);
        let mut client = proxy.client("fe");
        client.send([22, 3, 1, 1]);
        assert!(client.read_to_end().is_empty());
        log.wait_for(&["fe/1: Timeout during SSL handshake"]);
        drop(proxy.client("fe"));
        log.wait_for(&["fe/1: Connection closed during SSL handshake"]);
        // A handshake that stops behind the hello.
        let config = Arc::new(client_config(rustls::ALL_VERSIONS));
        let name = rustls::pki_types::ServerName::try_from("a").unwrap();
        let mut session = rustls::ClientConnection::new(config, name).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        let mut client = proxy.client("fe");
        client.send(&hello);
        let answer = client.read_to_end();
        assert_eq!(answer.first(), Some(&22), "the server's part of it");
        log.wait_for(&["fe/1: Timeout during SSL handshake"]);
    });
}

#[test]
fn mistakes_with_certificates_are_told_at_their_line() {
    let certificate = Certificate::new(&["a"]);
    let other = Certificate::new(&["b"]);
    for (file, options, expected) in [
        (None, "crt {}", "unable to read the certificate"),
        (Some(certificate.pem.clone()), "crt {}", "there is no private key in this file"),
        (Some(certificate.pem.clone() + &other.key_pem), "crt {}", "does not belong to the certificate"),
        (Some("no pem".to_owned()), "crt {}", "there is no certificate in this file"),
        (Some(certificate.both()), "crt {} ssl-min-ver TLSv1.4", "unknown version 'TLSv1.4'"),
        (Some(certificate.both()), "crt {} ssl-max-ver TLSv1.1", "only TLSv1.2 and TLSv1.3 are spoken"),
        (Some(certificate.both()), "crt {} no-tlsv12 no-tlsv13", "no version of TLS is left"),
        (Some(certificate.both()), "crt {} verify required", "nothing says who signs clients' certificates"),
        (Some("x.pem [foo]".to_owned()), "crt-list {}", "'foo' is no option of a certificate"),
        (Some("x.pem [alpn h2".to_owned()), "crt-list {}", "is not closed by ']'"),
        (Some("\n/nowhere.pem a.com".to_owned()), "crt-list {}", "file:2 : 'crt' : unable to read"),
        (Some("x.pem a.com !".to_owned()), "crt-list {}", "file:1 : '!' names nothing"),
        (None, "crt-list {}", "unable to open"),
        (Some(certificate.both()), "", "'ssl' needs a certificate"),
        (Some("x".to_owned()), "crt {} tls-ticket-keys {}", "line 1 is no key"),
    ] {
        let builder = Proxy::build(Driver::Epoll);
        if let Some(text) = &file {
            builder.write("file", text);
        }
        let options = options.replace("{}", &builder.path("file"));
        let failed = builder
            .try_start(&format!(
                "{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@ ssl {options}\n    http-request return status 200\n"
            ))
            .map(|_| ())
            .unwrap_err();
        assert!(failed.contains(expected), "{options}: {failed}");
    }
}

#[test]
fn idle_clients_hold_no_buffer_and_die_with_a_word() {
    both_drivers(|driver| {
        let builder = Proxy::build(driver);
        builder.write("a.pem", &Certificate::new(&["example.com"]).both());
        let path = builder.path("a.pem");
        let proxy = builder.start(&format!(
            "defaults
    mode http
    timeout client 30s
    timeout http-keep-alive 300ms
frontend fe
    bind @fe@ ssl crt {path}
    http-request return status 200 content-type text/plain string ok
"
        ));
        let mut client = SecureClient::connect(proxy.address("fe"), "example.com");
        assert_eq!(client.get("/", "").text(), "ok");
        let (rest, told) = client.read_to_end();
        assert!(rest.is_empty() && told, "the end of an idle connection is told by close_notify");
    });
}

/// A proxy that speaks TLS and answers with what it knows of it.
fn inner(driver: Driver, certificate: &Certificate, options: &str) -> Proxy {
    let builder = Proxy::build(driver);
    builder.write("a.pem", &certificate.both());
    let path = builder.path("a.pem");
    builder.start(&format!(
        "{HTTP_DEFAULTS}
frontend fe
    bind @fe@ ssl crt {path} {options}
    http-request return status 200 content-type text/plain lf-string \"%[ssl_fc_sni] %sslv %[ssl_fc_is_resumed] %[ssl_c_s_dn(CN)] %[src]\"
"
    ))
}

#[test]
fn servers_are_reached_by_tls_with_names_and_resumed_sessions() {
    both_drivers(|driver| {
        let certificate = Certificate::new(&["server.example"]);
        let inner = inner(driver, &certificate, "");
        let address = inner.address("fe");
        let builder = Proxy::build(driver);
        builder.write("ca.pem", &certificate.pem);
        builder.write("other.pem", &Certificate::new(&["other"]).pem);
        let (ca, other) = (builder.path("ca.pem"), builder.path("other.pem"));
        let mut log = Syslog::start();
        let proxy = builder.start(&format!(
            "global
    log {} local0
    nbthread 1
{HTTP_DEFAULTS}
    log global
    option httplog
    retries 0
frontend fe
    bind @fe@
    http-response set-header x-tls %[ssl_bc]/%[ssl_bc_protocol]/%[ssl_bc_sni]/%[ssl_s_s_dn(CN)]/%[ssl_bc_is_resumed]
    use_backend %[path,field(2,/)]
backend host
    server s {address} ssl verify none
backend name
    server s {address} ssl verify none sni str(given.example) no-ssl-reuse
backend verified
    server s {address} ssl verify required ca-file {ca} sni str(server.example)
backend verifyhost
    server s {address} ssl verify required ca-file {ca} verifyhost server.example no-sni-auto
backend wrong-name
    server s {address} ssl verify required ca-file {ca} sni str(wrong.example)
backend wrong-authority
    server s {address} ssl verify required ca-file {other} no-sni-auto
backend old
    server s {address} ssl verify none ssl-max-ver TLSv1.2 ciphers ECDHE-ECDSA-AES256-GCM-SHA384
",
            log.address()
        ));
        let mut client = proxy.client("fe");
        let mut get = |path: &str, host: &str| {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let response = client.response();
            (response.status, response.text(), response.header("x-tls").unwrap_or_default().to_owned())
        };
        let (status, text, known) = get("/host", "one.example:80");
        assert_eq!((status, &*known), (200, "1/TLSv1.3/one.example/server.example/0"));
        assert!(text.starts_with("one.example TLSv1.3 0 "), "{text}");
        // The same name uses the connection again, another one does not.
        assert_eq!(get("/host", "one.example").2, "1/TLSv1.3/one.example/server.example/0");
        assert_eq!(get("/host", "two.example").2, "1/TLSv1.3/two.example/server.example/0");
        assert_eq!(proxy.stat("host", "s", "connect"), "2");
        assert_eq!(proxy.stat("host", "s", "reuse"), "1");
        assert_eq!(get("/name", "h").2, "1/TLSv1.3/given.example/server.example/0");
        assert_eq!(get("/verified", "h").0, 200);
        assert_eq!(get("/verifyhost", "h").0, 200);
        assert_eq!(get("/old", "h").2, "1/TLSv1.2/h/server.example/0");
        // The pool is emptied, the session is not.
        proxy.admin("set server host/s state maint");
        proxy.admin("set server host/s state ready");
        assert_eq!(get("/host", "one.example").2, "1/TLSv1.3/one.example/server.example/1", "resumed");
        for wrong in ["/wrong-name", "/wrong-authority"] {
            assert_eq!(get(wrong, "h").0, 503, "{wrong}");
            log.wait_for(&["SC--", wrong]);
        }
    });
}

#[test]
fn clients_show_certificates_that_are_verified() {
    both_drivers(|driver| {
        let (known, unknown) = (Certificate::new(&["client one"]), Certificate::new(&["stranger"]));
        let expired = Certificate::with(&["late"], |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
        let mut log = Syslog::start();
        let builder = Proxy::build(driver);
        builder.write("a.pem", &Certificate::new(&["server.example"]).both());
        builder.write("ca.pem", &(known.pem.clone() + &expired.pem));
        let (path, ca) = (builder.path("a.pem"), builder.path("ca.pem"));
        let proxy = builder.start(&format!(
            "global
    log {} local0
{HTTP_DEFAULTS}
    log global
    option httplog
frontend fe
    bind @required@ ssl crt {path} verify required ca-file {ca}
    bind @optional@ ssl crt {path} verify optional ca-file {ca} crt-ignore-err all ca-ignore-err all
    http-request return status 200 content-type text/plain lf-string \"%[ssl_c_used] %[ssl_c_verify] %[ssl_c_err] %[ssl_fc_has_crt] %{{+Q}}[ssl_c_s_dn(CN)] %[ssl_c_notafter]\"
",
            log.address()
        ));
        let talk = |listener: &str, config: &Arc<rustls::ClientConfig>| {
            let address = proxy.address(listener);
            let mut client = SecureClient::try_connect(address, "a", config.clone(), usize::MAX)?;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut byte = [0];
            // The refusal comes with the first read in TLS 1.3.
            while client.socket.peek(&mut byte)? > 0 {
                if client.step()? {
                    return Ok(client.response().text());
                }
            }
            Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
        };
        let ours = Arc::new(known.client_config());
        let said = talk("required", &ours).unwrap();
        assert!(said.starts_with("1 0 0 1 \"client one\" "), "{said}");
        // Resumed, it is known still.
        let said = talk("required", &ours).unwrap();
        assert!(said.starts_with("1 0 0 0 \"client one\" "), "{said}");
        assert!(talk("required", &Arc::new(unknown.client_config())).is_err());
        log.wait_for(&["fe/1: SSL client certificate not trusted (self-signed certificate)"]);
        assert!(talk("required", &Arc::new(expired.client_config())).is_err());
        log.wait_for(&["fe/1: SSL client certificate not trusted (certificate has expired)"]);
        assert!(talk("required", &Arc::new(client_config(rustls::ALL_VERSIONS))).is_err());
        log.wait_for(&["fe/1: SSL handshake failure (peer did not return a certificate)"]);
        let said = talk("optional", &Arc::new(client_config(rustls::ALL_VERSIONS))).unwrap();
        assert!(said.starts_with("0 0 0 0 "), "{said}");
        let said = talk("optional", &Arc::new(unknown.client_config())).unwrap();
        assert!(said.starts_with("1 18 18 1 \"stranger\" "), "{said}");
        let said = talk("optional", &Arc::new(expired.client_config())).unwrap();
        assert!(said.starts_with("1 10 10 1 \"late\" 210101"), "{said}");
    });
}

#[test]
fn checks_speak_tls() {
    both_drivers(|driver| {
        let certificate = Certificate::new(&["server.example"]);
        let inner = inner(driver, &certificate, "");
        let plain = Origin::raw(|mut stream, _, _| {
            let _ = stream.write_all(b"220 this is another protocol\r\n");
        });
        let address = inner.address("fe");
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
backend tcp
    server s {address} ssl verify none check inter 100ms
backend http
    option httpchk
    http-check send meth GET uri / hdr Host checked.example
    http-check expect string checked.example
    server s {address} ssl verify none check inter 100ms
backend own
    option tcp-check
    tcp-check connect ssl sni asked.example
    tcp-check send \"GET / HTTP/1.0\\r\\n\\r\\n\"
    tcp-check expect string asked.example
    server s {address} verify none check inter 100ms
backend failing
    server s {} check-ssl verify none check inter 100ms
",
                plain.address()
            ),
        );
        for (backend, status) in [("tcp", "L6OK"), ("http", "L7OK"), ("own", "L7OK"), ("failing", "L6RSP")] {
            let reached = wait_until(LIMIT, || proxy.stat(backend, "s", "check_status") == status);
            assert!(reached, "{backend}: {}", proxy.stat(backend, "s", "check_status"));
        }
        proxy.wait_status("failing", "s", "DOWN");
    });
}

/// Asks over the runtime API with a payload.
fn with_payload(proxy: &Proxy, command: &str, payload: &str) -> String {
    let lines: Vec<&str> = payload.lines().filter(|line| !line.trim().is_empty()).collect();
    proxy.admin(&format!("{command} <<\n{}\n", lines.join("\n")))
}

#[test]
fn certificates_are_replaced_while_it_runs() {
    both_drivers(|driver| {
        let (old, new, other) =
            (Certificate::new(&["a.com"]), Certificate::new(&["a.com"]), Certificate::new(&["b.com"]));
        let builder = Proxy::build(driver);
        builder.write("a.pem", &old.both());
        builder.write("plain.pem", &old.both());
        let (path, folder) = (builder.path("a.pem"), builder.path(""));
        builder.write("list", &format!("{folder}/plain.pem\n"));
        let list = builder.path("list");
        let proxy = builder.start(&format!(
            "global
    nbthread 2
{HTTP_DEFAULTS}
frontend fe
    bind @fe@ ssl crt {path}
    bind @list@ ssl crt-list {list} strict-sni
    http-request return status 200 content-type text/plain string ok
"
        ));
        let shown = |listener: &str, name: &str| {
            let config = Arc::new(client_config(rustls::ALL_VERSIONS));
            let client = SecureClient::try_connect(proxy.address(listener), name, config, usize::MAX).ok()?;
            Some(client.certificate())
        };
        let mut live = SecureClient::connect(proxy.address("fe"), "a.com");
        assert_eq!(live.certificate(), old.der);
        let told = proxy.admin("show ssl cert");
        assert!(told.starts_with("# filename\n") && told.contains(&format!("\n{path}\n")), "{told}");
        let told = proxy.admin(&format!("show ssl cert {path}"));
        assert!(told.contains("Status: Used") && told.contains("Subject: /CN=a.com"), "{told}");
        // What cannot be used changes nothing.
        for (payload, expected) in [("nonsense", "Can't update"), (&*new.pem, "Transaction created")] {
            let told = with_payload(&proxy, &format!("set ssl cert {path}"), payload);
            assert!(told.contains(expected), "{told}");
        }
        assert!(proxy.admin(&format!("commit ssl cert {path}")).contains("inconsistencies"));
        assert_eq!(shown("fe", "a.com"), Some(old.der.clone()));
        // The key completes it.
        let told = with_payload(&proxy, &format!("set ssl cert {path}.key"), &new.key_pem);
        assert!(told.contains("Transaction updated"), "{told}");
        assert!(proxy.admin("show ssl cert").contains(&format!("# transaction\n*{path}")));
        assert_eq!(shown("fe", "a.com"), Some(old.der.clone()), "nothing is seen before the commit");
        assert!(proxy.admin(&format!("commit ssl cert {path}")).contains("Success!"));
        for _ in 0..4 {
            assert_eq!(shown("fe", "a.com"), Some(new.der.clone()), "on every core");
        }
        assert_eq!(live.get("/", "").text(), "ok", "a connection that stands goes on");
        // A transaction that is aborted is forgotten.
        with_payload(&proxy, &format!("set ssl cert {path}"), &other.both());
        assert!(proxy.admin(&format!("abort ssl cert {path}")).contains("aborted"));
        assert!(proxy.admin(&format!("commit ssl cert {path}")).contains("No ongoing transaction"));
        assert_eq!(shown("fe", "a.com"), Some(new.der.clone()));
        // A new certificate comes into a list, and leaves it.
        let name = format!("{folder}/new.pem");
        assert!(proxy.admin(&format!("new ssl cert {name}")).contains("New empty certificate store"));
        with_payload(&proxy, &format!("set ssl cert {name}"), &other.both());
        assert!(proxy.admin(&format!("commit ssl cert {name}")).contains("Success!"));
        assert_eq!(shown("list", "b.com"), None);
        let told = with_payload(
            &proxy,
            &format!("add ssl crt-list {list}"),
            &format!("{name} [alpn h2 ssl-min-ver TLSv1.2] b.com !x.b.com"),
        );
        assert!(told.contains("Success!"), "{told}");
        assert_eq!(shown("list", "b.com"), Some(other.der.clone()));
        let told = proxy.admin(&format!("show ssl crt-list {list}"));
        assert!(told.contains("[alpn h2 ssl-min-ver TLSv1.2] b.com !x.b.com"), "{told}");
        assert!(proxy.admin(&format!("del ssl cert {name}")).contains("in use"));
        assert!(proxy.admin(&format!("del ssl crt-list {list} {name}")).contains("deleted"));
        assert_eq!(shown("list", "b.com"), None);
        assert!(proxy.admin(&format!("del ssl cert {name}")).contains("deleted"));
    });
}

/// Waits for nothing: asks for a name and tells the certificate that is shown.
fn shown(proxy: &Proxy, listener: &str, name: &str) -> Option<rustls::pki_types::CertificateDer<'static>> {
    let config = Arc::new(client_config(rustls::ALL_VERSIONS));
    let client = SecureClient::try_connect(proxy.address(listener), name, config, usize::MAX).ok()?;
    Some(client.certificate())
}

/// Replaces a certificate at run time.
fn replace(proxy: &Proxy, path: &str, by: &Certificate) {
    with_payload(proxy, &format!("set ssl cert {path}"), &by.both());
    assert!(proxy.admin(&format!("commit ssl cert {path}")).contains("Success!"));
}

#[test]
fn a_line_that_is_added_to_a_list_is_one_line_and_every_word_of_it_counts() {
    let (one, two) = (Certificate::new(&["a.com"]), Certificate::new(&["b.com"]));
    let builder = Proxy::build(Driver::Epoll);
    builder.write("one.pem", &one.both());
    builder.write("two.pem", &two.both());
    builder.write("list", "one.pem\n");
    let (folder, list) = (builder.path(""), builder.path("list"));
    let folder = folder.trim_end_matches('/');
    let proxy = builder.start(&format!(
        "global
    crt-base {folder}
{HTTP_DEFAULTS}
frontend fe
    bind @fe@ ssl crt one.pem crt two.pem
    bind @list@ ssl crt-list {list} strict-sni
    http-request return status 200
"
    ));
    let add = format!("add ssl crt-list {list}");
    let before = proxy.admin(&format!("show ssl crt-list {list}"));
    for (payload, expected) in [
        ("two.pem b.com\ntwo.pem c.com\ntwo.pem d.com", "one line can be added at a time, and 2 more follow"),
        ("two.pem b.com !", "'!' names nothing"),
        ("two.pem b.com ]", "is no filter"),
        ("three.pem", "three.pem' does not exist"),
    ] {
        let told = with_payload(&proxy, &add, payload);
        assert!(told.contains(expected) && !told.contains("Success"), "{payload}: {told}");
    }
    for words in ["two.pem b.com", "two.pem [verify none]"] {
        let told = proxy.admin(&format!("{add} {words}"));
        assert!(told.contains("is one word too many"), "{told}");
    }
    let told = with_payload(&proxy, &format!("{add} two.pem"), "two.pem b.com");
    assert!(told.contains("'two.pem' is one word too many"), "{told}");
    assert_eq!(proxy.admin(&format!("show ssl crt-list {list}")), before);
    assert_eq!(shown(&proxy, "list", "b.com"), None);
    let told = with_payload(&proxy, &add, "two.pem b.com");
    assert!(told.contains(&format!("Inserting certificate '{folder}/two.pem'")), "{told}");
    assert_eq!(shown(&proxy, "list", "b.com"), Some(two.der.clone()));
    let told = with_payload(&proxy, "set ssl cert one.pem.sctl", "AAAA");
    assert!(!told.contains("Transaction"), "{told}");
    let told = with_payload(&proxy, &format!("set ssl cert {folder}/one.pem"), "garbage");
    assert!(told.contains("the payload holds no certificate; it must have a block"), "{told}");
}

#[test]
fn a_reload_keeps_what_was_changed_of_files_that_are_the_same_and_tells_what_it_drops() {
    both_drivers(|driver| {
        let [old, new, again, other] = [(); 4].map(|()| Certificate::new(&["a.com"]));
        let more = Certificate::new(&["b.com"]);
        let builder = Proxy::build(driver);
        let path = |name: &str| builder.path(name);
        for name in ["a.pem", "plain.pem", "gone.pem"] {
            builder.write(name, &old.both());
        }
        builder.write("list", &format!("{0}\n{0} x.com\n", path("plain.pem")));
        let paths = ["a.pem", "list", "gone.pem", "new.pem", "plain.pem"].map(path);
        let [a, list, gone, made, plain] = paths.each_ref().map(String::as_str);
        let config = |more: &str| {
            format!(
                "{HTTP_DEFAULTS}
frontend fe
    bind @fe@ ssl crt {a} {more}
    bind @list@ ssl crt-list {list} strict-sni
    http-request track-sc0 path
    http-request return status 200 content-type text/plain string ok
    stick-table type string size 10 STORE
"
            )
        };
        let first = config(&format!("crt {gone}")).replace("STORE", "store http_req_cnt");
        let proxy = builder.start(&first);
        replace(&proxy, a, &new);
        replace(&proxy, gone, &new);
        proxy.admin(&format!("new ssl cert {made}"));
        replace(&proxy, made, &more);
        assert!(
            with_payload(&proxy, &format!("add ssl crt-list {list}"), &format!("{made} b.com"))
                .contains("Success!")
        );
        assert!(proxy.admin(&format!("del ssl crt-list {list} {plain}:2")).contains("deleted"));
        with_payload(&proxy, &format!("set ssl cert {a}"), &other.both());
        assert_eq!(SecureClient::connect(proxy.address("fe"), "a.com").get("/seen", "").text(), "ok");
        // The same files: all is as it was. Twice, since what was kept is kept again.
        for _ in 0..2 {
            let said = proxy.reload();
            assert!(!said.contains("crt") && !said.contains("certificate"), "{said}");
            assert_eq!(shown(&proxy, "fe", "a.com"), Some(new.der.clone()));
            assert_eq!(shown(&proxy, "list", "b.com"), Some(more.der.clone()));
            assert_eq!(shown(&proxy, "list", "x.com"), None);
        }
        assert!(proxy.admin("show ssl cert").contains(&format!("# transaction\n*{a}")));
        assert!(proxy.admin(&format!("commit ssl cert {a}")).contains("Success!"));
        assert_eq!(shown(&proxy, "fe", "a.com"), Some(other.der.clone()));
        // Files that have changed win, and lines that are gone take theirs with them.
        std::fs::write(a, again.both()).unwrap();
        std::fs::write(list, format!("{plain}\n")).unwrap();
        with_payload(&proxy, &format!("set ssl cert {gone}"), &other.both());
        proxy.rewrite(&config("").replace("STORE", "store http_req_cnt,bytes_out_cnt"));
        let said = proxy.reload();
        for expected in [
            format!(
                "the file of the certificate '{a}' has changed and is read anew: what was set at run time is gone"
            ),
            format!(
                "the file of crt-list '{list}' has changed and is read anew: 1 lines added and 1 deleted at run time are gone"
            ),
            format!("the certificate '{gone}', which was replaced at run time, is dropped"),
            format!("the transaction for the certificate '{gone}' is dropped"),
            "the stick table 'fe' begins empty, and its 1 entries are forgotten: 'store' has changed"
                .to_owned(),
        ] {
            assert!(said.contains(&expected) && proxy.stderr().contains(&expected), "{expected}\n{said}");
        }
        assert_eq!(shown(&proxy, "fe", "a.com"), Some(again.der.clone()));
        assert_eq!(shown(&proxy, "list", "b.com"), None);
        assert!(proxy.admin("show ssl cert").contains(&format!("\n{made}\n")), "it belongs to no file");
        assert!(!proxy.reload().contains("gone"), "what is dropped is told once");
        // A file that now holds what was set at run time replaces nothing.
        replace(&proxy, a, &new);
        std::fs::write(a, new.both()).unwrap();
        let said = proxy.reload();
        assert!(!said.contains("certificate"), "{said}");
        assert_eq!(shown(&proxy, "fe", "a.com"), Some(new.der.clone()));
    });
}
