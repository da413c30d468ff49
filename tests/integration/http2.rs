//! HTTP/2 from clients: requests walk as over HTTP/1, streams do not disturb each other, and connections end well.
//! The client is the h2 crate, which shares no code with the proxy.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};

use crate::support::origin::read_request;
use crate::support::programs::{output, program};
use crate::support::*;

/// Runs a client within the limit of tests.
fn run<T>(client: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, client).await.expect("it ends in time") })
}

/// A connection whose own windows are large; the other half says how it ended.
async fn connect(
    address: SocketAddr,
) -> (SendRequest<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24)
        .enable_push(false)
        .handshake(socket)
        .await
        .unwrap();
    (send, tokio::spawn(connection))
}

fn request(method: Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://site.example{path}")).body(()).unwrap()
}

async fn open(
    send: &SendRequest<Bytes>,
    request: Request<()>,
    end: bool,
) -> (ResponseFuture, SendStream<Bytes>) {
    send.clone().ready().await.unwrap().send_request(request, end).unwrap()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

async fn read(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, body.trailers().await?))
}

async fn answer(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, body) = response.await?.into_parts();
    let (body, trailers) = read(body).await?;
    Ok(Answer { status: head.status, headers: head.headers, body, trailers })
}

async fn get(send: &SendRequest<Bytes>, path: &str) -> Answer {
    answer(open(send, request(Method::GET, path), true).await.0).await.unwrap()
}

/// Sends a body as the windows allow.
async fn send_body(stream: &mut SendStream<Bytes>, mut body: Bytes, end: bool) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let allowed = std::future::poll_fn(|context| stream.poll_capacity(context)).await.unwrap().unwrap();
        let piece = body.split_to(allowed.min(body.len()));
        let last = body.is_empty() && end;
        stream.send_data(piece, last).unwrap();
    }
}

fn config(origin: &Origin, lines: &str) -> String {
    format!(
        "global\n    nbthread 2\n{HTTP_DEFAULTS}\nfrontend fe\n    bind @fe@\n{lines}\n    default_backend be\n\
         backend be\n    http-reuse always\n    server s1 {}\n",
        origin.address()
    )
}

/// What the origin got, in one line: start line, host, cookies, and the body.
fn echo() -> Origin {
    Origin::http(|request| {
        let line = request.head.lines().next().unwrap_or_default().to_owned();
        let of = |name| request.headers(name).join("|");
        let body = String::from_utf8_lossy(&request.body).into_owned();
        Reply::ok(format!("{line} host={} cookie={} body={body}", of("host"), of("cookie")))
    })
}

#[test]
fn requests_walk_as_over_http1() {
    both_drivers(|driver| {
        let (origin, mut syslog) = (echo(), Syslog::start());
        let lines = format!(
            "    log {} local0\n    log-format \"<%HV %HM %HPO %ST %[capture.req.hdr(0)] %tsc>\"\n    \
             capture request header x-seen len 10\n    http-request set-header x-version %[req.ver]\n    \
             http-request return status 418 content-type text/plain lf-string \"%[req.ver] %[fc_http_major] %[fc_nb_streams] %[fc_settings_streams_limit] %[fc_glitches]\" if {{ path /teapot }}\n    \
             http-response set-header X-Status %[status]",
            syslog.address()
        );
        let proxy = Proxy::start(driver, &config(&origin, &lines));
        run(async {
            let (send, _) = connect(proxy.address("fe")).await;
            let mut first = request(Method::GET, "/a?b=c");
            let headers = first.headers_mut();
            headers.insert("x-seen", "yes".parse().unwrap());
            headers.append("cookie", "a=1".parse().unwrap());
            headers.append("cookie", "b=2".parse().unwrap());
            let got = answer(open(&send, first, true).await.0).await.unwrap();
            assert_eq!(
                (got.status, String::from_utf8_lossy(&got.body).as_ref()),
                (StatusCode::OK, "GET /a?b=c HTTP/1.1 host=site.example cookie=a=1; b=2 body=")
            );
            // Names are in lower case, and nothing of a connection is told.
            assert_eq!(got.headers.get("x-status").unwrap(), "200");
            assert!(
                ["connection", "transfer-encoding", "keep-alive"]
                    .iter()
                    .all(|name| !got.headers.contains_key(*name))
            );
            let got = get(&send, "/teapot").await;
            assert_eq!((got.status.as_u16(), got.body.as_slice()), (418, &b"2.0 2 1 100 0"[..]));
            let (response, mut body) = open(&send, request(Method::POST, "/post"), false).await;
            send_body(&mut body, Bytes::from_static(b"with a body"), true).await;
            let got = answer(response).await.unwrap();
            assert!(got.body.ends_with(b"body=with a body"), "{}", String::from_utf8_lossy(&got.body));
            let got = answer(open(&send, request(Method::HEAD, "/"), true).await.0).await.unwrap();
            assert!(got.body.is_empty() && got.headers.get("content-length").is_some());
        });
        syslog.wait_for(&["<HTTP/2.0 GET /a 200 yes --"]);
        syslog.wait_for(&["<HTTP/2.0 GET /teapot 418 - LR"]);
        assert_eq!(proxy.stat("fe", "FRONTEND", "stot"), "1", "one connection");
        assert_eq!(proxy.stat("fe", "FRONTEND", "req_tot"), "4");
        assert_eq!(proxy.stat("be", "s1", "hrsp_2xx"), "3");
    });
}

#[test]
fn streams_run_beside_each_other_within_their_windows() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| match request.path() {
            "/large" => Reply::ok(vec![b'x'; 1 << 20]),
            _ => Reply::ok(request.body.clone()),
        });
        let proxy = Proxy::start(driver, &config(&origin, ""));
        run(async {
            let (send, _) = connect(proxy.address("fe")).await;
            let upload = |number: u8| {
                let send = send.clone();
                async move {
                    let (response, mut body) = open(&send, request(Method::POST, "/echo"), false).await;
                    let sent = Bytes::from(vec![number; 300_000 + usize::from(number)]);
                    // The origin answers when all is there, so both directions need not be driven at once.
                    send_body(&mut body, sent.clone(), true).await;
                    assert!(answer(response).await.unwrap().body == sent, "upload {number}");
                }
            };
            let tasks: Vec<_> = (0..20)
                .map(|number| {
                    let send = send.clone();
                    tokio::spawn(async move {
                        if number % 2 == 0 {
                            assert_eq!(get(&send, "/large").await.body.len(), 1 << 20);
                        }
                    })
                })
                .collect();
            for number in 0..10 {
                upload(number).await;
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(proxy.stat("fe", "FRONTEND", "req_tot"), "20");
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "scur") == "0"));
    });
}

#[test]
fn trailers_pass_both_ways() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, connection, seen| {
            use std::io::Write;
            let mut buffer = Vec::new();
            while let Some(request) = read_request(&mut stream, &mut buffer, connection) {
                seen.note(&request);
                let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n\
                              5\r\nhello\r\n0\r\ngrpc-status: 7\r\n\r\n";
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let proxy = Proxy::start(driver, &config(&origin, ""));
        run(async {
            let (send, _) = connect(proxy.address("fe")).await;
            let (response, mut body) = open(&send, request(Method::POST, "/"), false).await;
            send_body(&mut body, Bytes::from_static(b"ping"), false).await;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checksum", "abc".parse().unwrap());
            body.send_trailers(trailers).unwrap();
            let got = answer(response).await.unwrap();
            assert_eq!(got.body, b"hello");
            assert_eq!(got.trailers.unwrap().get("grpc-status").unwrap(), "7");
        });
        assert_eq!(origin.last().body, b"ping");
        assert_eq!(origin.last().header("transfer-encoding"), Some("chunked"));
    });
}

#[test]
fn an_early_answer_ends_its_stream_alone() {
    both_drivers(|driver| {
        let origin = echo();
        let lines = "    http-request deny deny_status 403 if { path /denied }";
        let proxy = Proxy::start(driver, &config(&origin, lines));
        run(async {
            let (send, _) = connect(proxy.address("fe")).await;
            let (response, mut body) = open(&send, request(Method::POST, "/denied"), false).await;
            body.send_data(Bytes::from_static(b"the first part"), false).unwrap();
            let got = answer(response).await.unwrap();
            assert_eq!(got.status, StatusCode::FORBIDDEN);
            // RFC 9113 section 8.1: the client is told that the rest is not wanted.
            let reason = std::future::poll_fn(|context| body.poll_reset(context)).await.unwrap();
            assert_eq!(reason, Reason::NO_ERROR);
            assert_eq!(get(&send, "/next").await.status, StatusCode::OK, "the connection goes on");
        });
        assert_eq!(origin.requests(), 1);
    });
}

#[test]
fn a_stream_that_its_client_resets_is_given_up() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, connection, seen| {
            let mut buffer = Vec::new();
            while let Some(request) = read_request(&mut stream, &mut buffer, connection) {
                seen.note(&request);
                if request.path() == "/never" {
                    // It answers nothing, and waits until the proxy leaves.
                    let _ = std::io::Read::read(&mut stream, &mut [0; 16]);
                    return;
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if std::io::Write::write_all(&mut stream, answer).is_err() {
                    return;
                }
            }
        });
        let mut syslog = Syslog::start();
        let lines = format!("    log {} local0\n    log-format \"<%HPO %ST %tsc>\"", syslog.address());
        let proxy = Proxy::start(driver, &config(&origin, &lines));
        run(async {
            let (send, _) = connect(proxy.address("fe")).await;
            let (response, mut stream) = open(&send, request(Method::GET, "/never"), true).await;
            while origin.requests() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stream.send_reset(Reason::CANCEL);
            drop(response);
            assert_eq!(get(&send, "/next").await.body, b"ok", "the others go on");
        });
        syslog.wait_for(&["</never 400 CH"]);
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "scur") == "0"), "its slot is free");
        assert_eq!(proxy.stat("be", "s1", "cli_abrt"), "1");
    });
}

#[test]
fn a_soft_stop_lets_streams_finish() {
    both_drivers(|driver| {
        let origin = Origin::http(|request| {
            if request.path() == "/slow" {
                std::thread::sleep(Duration::from_millis(300));
            }
            Reply::ok("done")
        });
        let mut proxy = Proxy::start(driver, &config(&origin, ""));
        run(async {
            let (idle, idle_end) = connect(proxy.address("fe")).await;
            assert_eq!(get(&idle, "/").await.body, b"done");
            let (send, end) = connect(proxy.address("fe")).await;
            let (response, _) = open(&send, request(Method::GET, "/slow"), true).await;
            while origin.requests() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            proxy.signal(libc::SIGUSR1);
            assert_eq!(answer(response).await.unwrap().body, b"done");
            for end in [idle_end, end] {
                end.await.unwrap().expect("it ends with GOAWAY, without an error");
            }
        });
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
    });
}

#[test]
fn the_preface_is_recognised_however_it_comes() {
    both_drivers(|driver| {
        let origin = echo();
        let more = |name: &str, bind: &str, line: &str| {
            format!(
                "listen {name}\n    bind @{name}@ {bind}\n    {line}\n    server s1 {}\n",
                origin.address()
            )
        };
        let config = format!(
            "{HTTP_DEFAULTS}\n{}{}{}",
            more("auto", "", "timeout http-request 5s"),
            more("only1", "", "option disable-h2-upgrade"),
            more("only2", "proto h2", "timeout http-request 5s")
        );
        let proxy = Proxy::start(driver, &config);
        for name in ["auto", "only2"] {
            let mut client = proxy.client(name);
            for byte in PREFACE {
                client.send([*byte]);
            }
            let head = client.read_exact(9);
            assert_eq!((head[3], &head[5..]), (4, &[0, 0, 0, 0][..]), "{name}: SETTINGS");
        }
        let mut client = proxy.client("only1");
        client.send(PREFACE);
        assert_eq!(client.response().status, 405);
        // A request that begins like the preface is one.
        let mut client = proxy.client("auto");
        for byte in b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n" {
            client.send([*byte]);
        }
        assert_eq!(client.response().status, 200);
        // A listener of HTTP/2 alone answers no request of HTTP/1.
        let mut client = proxy.client("only2");
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.read_to_end();
        assert!(!answer.starts_with(b"HTTP/1"), "{}", String::from_utf8_lossy(&answer));
    });
}

#[test]
fn streams_share_what_belongs_to_the_connection() {
    both_drivers(|driver| {
        let origin = echo();
        let lines = "    tcp-request connection set-var(sess.first) str(kept)\n    \
             tcp-request connection track-sc0 src table counts\n    \
             http-request set-var(sess.seen) path if { path /one }\n    \
             http-request return status 200 content-type text/plain lf-string \
             \"%[var(sess.first)] %[var(sess.seen)] %[sc0_http_req_cnt] %[sc0_conn_cur]\" if { path /two }";
        let table = "backend counts\n    stick-table type ip size 100 store http_req_cnt,conn_cur\n";
        let proxy = Proxy::start(driver, &format!("{}{table}", config(&origin, lines)));
        run(async {
            let (send, end) = connect(proxy.address("fe")).await;
            get(&send, "/one").await;
            let got = get(&send, "/two").await;
            assert_eq!(String::from_utf8_lossy(&got.body), "kept /one 2 1");
            drop(send);
            end.await.unwrap().unwrap();
        });
        assert!(
            wait_until(LIMIT, || proxy.admin("show table counts").contains("conn_cur=0")),
            "{}",
            proxy.admin("show table counts")
        );
    });
}

#[test]
fn interim_answers_go_in_front() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, connection, seen| {
            let mut buffer = Vec::new();
            while let Some(request) = read_request(&mut stream, &mut buffer, connection) {
                seen.note(&request);
                let answer = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if std::io::Write::write_all(&mut stream, answer).is_err() {
                    return;
                }
            }
        });
        let proxy = Proxy::start(driver, &config(&origin, ""));
        let Some(mut curl) = program("curl") else { return };
        let url = format!("http://{}/", proxy.address("fe"));
        let said = output(curl.args(["-s", "-i", "--max-time", "5", "--http2-prior-knowledge", &url]));
        assert!(said.starts_with("HTTP/2 103") && said.contains("link: </a>"), "{said}");
        assert!(said.contains("HTTP/2 200") && said.ends_with("ok"), "{said}");
    });
}

#[test]
fn silence_ends_idle_connections_and_stalled_requests() {
    both_drivers(|driver| {
        let (origin, mut syslog) = (echo(), Syslog::start());
        let lines = format!(
            "    log {} local0\n    log-format \"<%HPO %ST %tsc>\"\n    timeout http-keep-alive 200ms\n    \
             timeout client 400ms",
            syslog.address()
        );
        let proxy = Proxy::start(driver, &config(&origin, &lines));
        run(async {
            let (send, end) = connect(proxy.address("fe")).await;
            assert_eq!(get(&send, "/").await.status, StatusCode::OK);
            end.await.unwrap().expect("it ends with GOAWAY");
            let (send, _) = connect(proxy.address("fe")).await;
            let (response, mut body) = open(&send, request(Method::POST, "/stalls"), false).await;
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            assert_eq!(answer(response).await.unwrap().status, StatusCode::REQUEST_TIMEOUT);
        });
        syslog.wait_for(&["</stalls 408 cH"]);
    });
}

#[test]
fn tls_agrees_on_it_unless_told_otherwise() {
    both_drivers(|driver| {
        let origin = echo();
        let builder = Proxy::build(driver);
        let certificate = Certificate::new(&["site.example"]);
        builder.write("a.pem", &certificate.both());
        let path = builder.path("a.pem");
        let line = |name: &str, alpn: &str| format!("    bind @{name}@ ssl crt {path} {alpn}\n");
        let binds =
            [line("default", ""), line("both", "alpn h2,http/1.1"), line("old", "alpn http/1.1")].concat();
        let proxy = builder.start(&format!(
            "{HTTP_DEFAULTS}\nfrontend fe\n{binds}    default_backend be\nbackend be\n    server s1 {}\n",
            origin.address()
        ));
        for (name, expected) in [("default", "2"), ("both", "2"), ("old", "1.1")] {
            let Some(mut curl) = program("curl") else { return };
            let place = proxy.address(name);
            let said = output(
                curl.args(["-s", "-k", "--max-time", "5", "--http2", "-w", " v=%{http_version}"]).args([
                    "--connect-to",
                    &format!("site.example:443:{place}"),
                    "https://site.example/x",
                ]),
            );
            assert!(said.starts_with("GET /x HTTP/1.1 host=site.example"), "{name}: {said}");
            assert!(said.ends_with(&format!(" v={expected}")), "{name}: {said}");
        }
    });
}

/// Accepts WebSockets by `accept`, given the key of the request, and echoes what comes in the tunnel.
fn websockets(accept: impl Fn(&str) -> String + Send + Sync + 'static) -> Origin {
    Origin::raw(move |mut stream, connection, seen| {
        use std::io::{Read, Write};
        let Some(request) = read_request(&mut stream, &mut Vec::new(), connection) else { return };
        seen.note(&request);
        let accept = accept(request.header("sec-websocket-key").unwrap_or_default());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes());
        let mut bytes = [0; 1024];
        while let Ok(count) = stream.read(&mut bytes)
            && count > 0
            && stream.write_all(&bytes[..count]).is_ok()
        {}
    })
}

fn proof(key: &str) -> String {
    haring::http::h2::websocket::accept(key.as_bytes())
}

#[test]
fn websockets_come_as_extended_connect() {
    both_drivers(|driver| {
        let origin = websockets(proof);
        let proxy = Proxy::start(driver, &config(&origin, ""));
        let connect_to = |path: &str| {
            let mut wish = request(Method::CONNECT, path);
            wish.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
            wish.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
            wish
        };
        run(async {
            let (send, _) = connect(proxy.address("fe")).await;
            // The settings of the proxy have to be here before it may be asked so.
            while !send.is_extended_connect_protocol_enabled() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (response, mut up) = open(&send, connect_to("/chat"), false).await;
            let response = response.await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let names = ["upgrade", "connection", "sec-websocket-accept"];
            assert!(names.iter().all(|name| !response.headers().contains_key(*name)));
            let mut down = response.into_body();
            for message in ["one", "two"] {
                up.send_data(Bytes::from(message), false).unwrap();
                assert_eq!(down.data().await.unwrap().unwrap(), message);
                down.flow_control().release_capacity(message.len()).unwrap();
            }
            up.send_data(Bytes::new(), true).unwrap();
            while let Some(piece) = down.data().await {
                assert!(piece.unwrap().is_empty(), "its end comes back too");
            }
        });
        let got = origin.last();
        assert!(got.head.starts_with("GET /chat HTTP/1.1"), "{}", got.head);
        assert_eq!((got.header("upgrade"), got.header("transfer-encoding")), (Some("websocket"), None));
        // A server that grants without understanding is not believed.
        let liar = websockets(|_| "AAAA".to_owned());
        let proxy = Proxy::start(driver, &config(&liar, ""));
        run(async {
            let (send, _) = connect(proxy.address("fe")).await;
            while !send.is_extended_connect_protocol_enabled() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (response, _) = open(&send, connect_to("/chat"), false).await;
            assert_eq!(response.await.unwrap().status(), StatusCode::BAD_GATEWAY);
        });
    });
}

#[test]
fn limits_of_the_configuration_are_announced() {
    both_drivers(|driver| {
        let origin = echo();
        let global = "global\n    tune.h2.fe.max-concurrent-streams 7 rq-load 1 min 2\n    tune.streams-elasticity 50\n    \
             tune.h2.initial-window-size 70000\n    tune.h2.fe.rxbuf 200k\n    tune.h2.fe.max-total-streams 2\n";
        let proxy = Proxy::start(driver, &config(&origin, "").replacen("global\n", global, 1));
        run(async {
            let (send, end) = connect(proxy.address("fe")).await;
            for _ in 0..2 {
                assert_eq!(get(&send, "/").await.status, StatusCode::OK);
            }
            // `max-total-streams` is reached: the client is asked to open another connection.
            end.await.unwrap().expect("it ends with GOAWAY");
        });
        let mut client = proxy.client("fe");
        client.send(PREFACE);
        let head = client.read_exact(9);
        let settings = client.read_exact(usize::from(head[2]));
        let values: Vec<_> = settings
            .chunks(6)
            .map(|one| (one[1], u32::from_be_bytes(one[2..].try_into().unwrap())))
            .collect();
        assert!(values.contains(&(3, 7)) && values.contains(&(4, 70_000)), "{values:?}");
    });
}

#[test]
fn what_is_malformed_ends_its_stream_and_is_counted() {
    both_drivers(|driver| {
        let (origin, mut syslog) = (echo(), Syslog::start());
        let lines = format!("    log {} local0\n    log-format \"<%HPO %ST>\"", syslog.address());
        let proxy = Proxy::start(driver, &config(&origin, &lines));
        run(async {
            let (send, _) = connect(proxy.address("fe")).await;
            // The length of a body that does not come (RFC 9113 section 8.1.1).
            let mut wrong = request(Method::GET, "/wrong");
            wrong.headers_mut().insert("content-length", "5".parse().unwrap());
            let refused = answer(open(&send, wrong, true).await.0).await;
            assert!(refused.is_err_and(|error| error.reason() == Some(Reason::PROTOCOL_ERROR)));
            assert_eq!(get(&send, "/next").await.status, StatusCode::OK);
        });
        assert_eq!(proxy.stat("fe", "FRONTEND", "ereq"), "1");
        assert_eq!(proxy.stat("fe", "FRONTEND", "hrsp_4xx"), "1");
        // It has no line in the log.
        syslog.wait_for(&["</next 200>"]);
        assert!(!syslog.rest(Duration::from_millis(50)).iter().any(|line| line.contains('<')));
        assert_eq!(origin.requests(), 1);
    });
}

#[test]
fn an_idle_client_that_answers_pings_stays() {
    both_drivers(|driver| {
        let origin = echo();
        let lines = "    timeout client 500ms";
        let text = config(&origin, lines).replace("bind @fe@", "bind @fe@ idle-ping 100ms");
        let proxy = Proxy::start(driver, &text);
        run(async {
            let (send, end) = connect(proxy.address("fe")).await;
            assert_eq!(get(&send, "/").await.status, StatusCode::OK);
            tokio::time::sleep(Duration::from_millis(1200)).await;
            assert!(!end.is_finished(), "it answers, and lives");
            assert_eq!(get(&send, "/").await.status, StatusCode::OK);
        });
        // One that does not answer is gone.
        let mut client = proxy.client("fe");
        client.send(PREFACE);
        let said = client.read_to_end();
        let pings = said.windows(9).filter(|head| head[..5] == [0, 0, 8, 6, 0]).count();
        assert_eq!(pings, 1, "{said:?}");
    });
}

#[test]
fn a_client_that_sends_without_an_end_leaves_the_thread_to_others() {
    use std::io::Write;
    both_drivers(|driver| {
        let origin = echo();
        let lines = "    http-request return status 200 content-type text/plain string ok if { path /ok }";
        let text = config(&origin, lines).replace("nbthread 2", "nbthread 1");
        let proxy = Proxy::start(driver, &text);
        // Pieces of one byte, far beyond the window that the stream has.
        let mut flood = PREFACE.to_vec();
        flood.extend(b"\0\0\x0d\x01\x04\0\0\0\x01\x83\x84\x86\x41\x08site.abc");
        flood.extend(b"\0\0\x01\0\0\0\0\0\x01x".repeat(20_000));
        let address = proxy.address("fe");
        let floods: Vec<_> = (0..3)
            .map(|_| {
                let flood = flood.clone();
                std::thread::spawn(move || {
                    let mut stream = std::net::TcpStream::connect(address).unwrap();
                    // It ends when the proxy has had enough.
                    let limit = std::time::Instant::now() + LIMIT;
                    while stream.write_all(&flood).is_ok() {
                        assert!(std::time::Instant::now() < limit, "the flood is not stopped");
                    }
                })
            })
            .collect();
        for _ in 0..50 {
            assert_eq!(proxy.client("fe").get("/ok", "").text(), "ok");
        }
        floods.into_iter().for_each(|flood| flood.join().unwrap());
    });
}

/// A client that writes frames itself.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A HEADERS frame that ends its stream: GET of a path.
fn get_frame(stream: u8, path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend(b"\x41\x08site.abc");
    let mut frame = vec![0, 0, block.len() as u8, 1, 5, 0, 0, 0, stream];
    frame.extend(block);
    frame
}

/// The next frame of a kind that is not skipped: kind, stream and payload.
fn next_frame(client: &mut Client, skipped: &[u8]) -> (u8, u8, Vec<u8>) {
    loop {
        let head = client.read_exact(9);
        let payload = client.read_exact(usize::from(head[1]) << 8 | usize::from(head[2]));
        if !skipped.contains(&head[3]) {
            return (head[3], head[8], payload);
        }
    }
}

#[test]
fn streams_on_their_way_are_served_after_the_first_goaway() {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    const WINDOW: u8 = 8;
    both_drivers(|driver| {
        let held = Arc::new(AtomicBool::new(true));
        let hold = held.clone();
        let origin = Origin::http(move |request| {
            if request.path() == "/slow" {
                wait_until(LIMIT, || !hold.load(SeqCst));
            }
            Reply::ok("done")
        });
        let mut proxy = Proxy::start(driver, &config(&origin, ""));
        let mut client = proxy.client("fe");
        client.send(PREFACE);
        client.send(get_frame(1, "/slow"));
        assert!(wait_until(LIMIT, || origin.requests() == 1));
        proxy.signal(libc::SIGUSR1);
        // The connection learns of the stop in its next turn, which a client brings about.
        let last = loop {
            client.send(b"\0\0\x08\x06\0\0\0\0\0harmless");
            if let (GOAWAY, _, payload) = next_frame(&mut client, &[SETTINGS, WINDOW]) {
                break payload;
            }
        };
        assert_eq!(last[..4], [0x7f, 0xff, 0xff, 0xff], "no stream is excluded yet");
        // This one was on its way; several turns of the connection pass meanwhile.
        for _ in 0..3 {
            client.send(b"\0\0\x08\x06\0\0\0\0\0harmless");
            assert_eq!(next_frame(&mut client, &[SETTINGS, WINDOW]).0, PING);
        }
        client.send(get_frame(3, "/late"));
        held.store(false, SeqCst);
        let mut answered = Vec::new();
        while answered.len() < 2 {
            match next_frame(&mut client, &[SETTINGS, PING, WINDOW, DATA]) {
                (HEADERS, stream, _) => answered.push(stream),
                (GOAWAY, ..) => {} // the last one
                other => panic!("{other:?}"),
            }
        }
        answered.sort_unstable();
        assert_eq!(answered, [1, 3]);
        drop(client);
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
    });
}

#[test]
fn a_silent_drop_is_silent() {
    both_drivers(|driver| {
        let origin = echo();
        let proxy = Proxy::start(driver, &config(&origin, "    http-request silent-drop if { path /drop }"));
        let mut client = proxy.client("fe");
        client.send(PREFACE);
        client.send(get_frame(1, "/drop"));
        assert!(wait_until(LIMIT, || proxy.stat("fe", "FRONTEND", "scur") == "0"), "the proxy has closed");
        // The connection stands for its client: neither an end nor a reset comes.
        assert_eq!(proxy.stat("fe", "FRONTEND", "dreq"), "1");
        client.read_limit(Duration::from_millis(200));
        let mut rest = Vec::new();
        let ended = loop {
            let mut bytes = [0; 1024];
            match std::io::Read::read(&mut client.stream(), &mut bytes) {
                Ok(0) => break true,
                Ok(count) => rest.extend_from_slice(&bytes[..count]),
                Err(error) => {
                    break !matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    );
                }
            }
        };
        assert!(!ended, "{rest:?}");
    });
}

#[test]
fn a_request_that_may_be_the_preface_has_one_time_limit() {
    both_drivers(|driver| {
        let (origin, mut syslog) = (echo(), Syslog::start());
        let lines = format!(
            "    log {} local0\n    log-format \"<%ST %tsc %Ta>\"\n    timeout http-request 400ms",
            syslog.address()
        );
        let proxy = Proxy::start(driver, &config(&origin, &lines));
        let mut client = proxy.client("fe");
        client.send("P");
        assert_eq!(client.response().status, 408);
        let line = syslog.wait_for(&["<408 cR"]);
        // The time of the whole exchange, by the proxy's own clock: one limit, not two.
        let taken = line.rsplit(' ').next().and_then(|last| last.trim_end_matches('>').parse::<u32>().ok());
        assert!(taken.is_some_and(|ms| ms < 800), "{line}");
    });
}
