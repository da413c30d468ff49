//! The configurations that come with Haring: all are valid without a warning, and the default one serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::programs::{output, program};
use crate::support::secure::{Certificate, SecureClient};
use crate::support::websocket::WebSocket;
use crate::support::{Client, Proxy, both_drivers, own_address, websocket};

/// How long a process may take to listen, on a machine that is busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// How long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A port that had no listener a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    // All at once, so that they differ.
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// Sends a GET on an open connection and gives status and body.
fn get(connection: &mut BufReader<TcpStream>, path: &str) -> (u16, String) {
    write!(connection.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut line = String::new();
    connection.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {line:?}"));
    let mut length = None;
    loop {
        line.clear();
        connection.read_line(&mut line).expect("a header line");
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => connection.take(length).read_to_end(&mut body),
        None => connection.read_to_end(&mut body),
    }
    .expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Connects as soon as a program listens.
fn connect(port: u16, process: &mut Running) -> BufReader<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_PATIENCE)).expect("a limit");
                return BufReader::new(stream);
            }
            Err(error) => {
                let ended = process.0.try_wait().expect("a child");
                assert!(
                    ended.is_none() && start.elapsed() < START_PATIENCE,
                    "port {port}: {error}, {ended:?}"
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The files of the folder of examples.
fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("config/examples")).expect("examples");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "cfg"));
    files
}

#[test]
fn every_configuration_is_valid() {
    let mut files = examples();
    assert!(files.len() >= 6, "{files:?}");
    files.push(root().join("config/haproxy.cfg"));
    let certificate = std::env::temp_dir().join(format!("haring-example-{}.pem", std::process::id()));
    std::fs::write(&certificate, Certificate::new(&["www.example.com"]).both()).expect("a certificate");
    let certificate = Scratch(certificate);
    for file in files {
        let output = Command::new(env!("CARGO_BIN_EXE_haring"))
            .args(["-c", "-dW", "-f"])
            .arg(&file)
            .env("CERTIFICATES", &certificate.0)
            .current_dir(root())
            .output()
            .expect("the binary runs");
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {shown}", file.display());
        assert_eq!(shown, "", "{}", file.display());
    }
}

/// An example with its listeners on an address of the test's and one origin in place of all servers.
pub fn at_home(name: &str, own: IpAddr, origin: SocketAddr) -> String {
    let text = std::fs::read_to_string(root().join("config/examples").join(name)).expect("an example");
    let map = root().join("config/examples/fqdn-to-shard.map");
    let line = |line: &str| {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match words.first().map(String::as_str) {
            Some("server") => words[2] = origin.to_string(),
            Some("server-template") => words[3] = origin.to_string(),
            Some("bind") => words[1] = words[1].replace('*', &own.to_string()),
            // The test brings a socket of its own.
            Some("stats") if words[1] == "socket" => words.clear(),
            _ => {
                return line
                    .replace("config/examples/fqdn-to-shard.map", map.to_str().expect("a plain name"));
            }
        }
        format!("    {}", words.join(" "))
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_example_serves() {
    let cases = [
        ("gateway.cfg", &[8080][..], true),
        ("websocket.cfg", &[8080], false),
        ("flask-cookie.cfg", &[60000, 60001], false),
        ("microservices.cfg", &[8080], false),
        ("hosting-map.cfg", &[8080], true),
        ("tcp-websocket.cfg", &[8443], false),
        ("rate-limit.cfg", &[8080], false),
        ("docker-scale.cfg", &[8080], false),
    ];
    assert_eq!(cases.len() + EDGES.len(), examples().len(), "each example is started");
    for (name, ports, has_statistics) in cases {
        both_drivers(|driver| {
            let origin = websocket::echo_origin("origin");
            let own = own_address();
            let proxy = Proxy::start(driver, &at_home(name, own, origin.address()));
            for port in ports {
                let address = SocketAddr::new(own, *port);
                let mut client = Client::connect(address);
                client.send("GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n");
                let response = client.response();
                assert_eq!((response.status, response.text().as_str()), (200, "origin"), "{name} {port}");
                if name.contains("websocket") {
                    let (mut socket, _) = WebSocket::connect(address, "/", "");
                    socket.say(b"hello");
                    assert_eq!(socket.hear(), b"hello", "{name}");
                    socket.close();
                }
            }
            if has_statistics {
                let page = Client::connect(SocketAddr::new(own, 8404)).get("/stats", "");
                assert!(page.status == 200 && page.text().contains("</html>"), "{name}");
            }
            drop(proxy);
        });
    }
}

/// The examples that speak TLS.
const EDGES: [&str; 2] = ["tls.cfg", "wss.cfg"];

#[test]
fn every_edge_speaks_tls_and_both_versions_of_http() {
    both_drivers(|driver| {
        for name in EDGES {
            let origin = websocket::echo_origin("origin");
            let own = own_address();
            let builder = Proxy::build(driver);
            builder.write("edge.pem", &Certificate::new(&["www.example.com"]).both());
            let certificate = builder.path("edge.pem");
            let builder = builder.environment("CERTIFICATES", &certificate);
            let _proxy = builder.start(&at_home(name, own, origin.address()));
            let address = SocketAddr::new(own, 8443);
            let mut client = SecureClient::connect(address, "www.example.com");
            let response = client.get("/", "");
            assert_eq!((response.status, response.text().as_str()), (200, "origin"), "{name}");
            if let Some(mut curl) = program("curl") {
                let place = format!("www.example.com:443:{address}");
                let said =
                    output(
                        curl.args(["-s", "-k", "--max-time", "10", "--http2", "-w", " %{http_version}"])
                            .args(["--connect-to", &place, "https://www.example.com/"]),
                    );
                assert_eq!(said, "origin 2", "{name}");
            }
            if name == "tls.cfg" {
                let mut client = Client::connect(SocketAddr::new(own, 8080));
                let response = client.get("/a?b", "");
                let location = response.header("location").unwrap_or_default();
                assert_eq!(response.status, 301, "{name}");
                assert!(location.starts_with("https://") && location.ends_with("/a?b"), "{location}");
            } else {
                let mut client = SecureClient::connect(address, "www.example.com");
                client.send(
                    "GET /chat HTTP/1.1\r\nHost: www.example.com\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                );
                assert_eq!(client.response().status, 101, "{name}");
                client.send(b"\x81\x85\0\0\0\0hello");
                assert_eq!(client.read_exact(7), b"\x81\x05hello", "{name}");
            }
        }
    });
}

#[test]
fn the_default_configuration_serves() {
    let [web, statistics, one, two] = free_ports();
    let mut text = std::fs::read_to_string(root().join("config/haproxy.cfg")).expect("the default");
    for (written, free) in [("8080", web), ("8404", statistics), ("8081", one), ("8082", two)] {
        assert!(
            text.contains(&format!(":{written}\n")) || text.contains(&format!(":{written} ")),
            "{written}"
        );
        text = text.replace(&format!(":{written}"), &format!(":{free}"));
    }
    let file = std::env::temp_dir().join(format!("haring-default-{}.cfg", std::process::id()));
    std::fs::write(&file, text).expect("a copy");
    let file = Scratch(file);
    let process = Command::new(env!("CARGO_BIN_EXE_haring"))
        .args(["-db", "-f"])
        .arg(&file.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut process = Running(process);

    let mut client = connect(web, &mut process);
    let answers: Vec<(u16, String)> = (0..6).map(|_| get(&mut client, "/")).collect();
    let bodies: Vec<&str> = answers.iter().map(|(_, body)| body.as_str()).collect();
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let in_turn = [["one\n", "two\n"], ["two\n", "one\n"]];
    assert!(in_turn.iter().any(|turn| bodies.chunks(2).all(|pair| pair == turn)), "{bodies:?}");

    let mut client = connect(statistics, &mut process);
    let (status, page) = get(&mut client, "/stats");
    assert_eq!(status, 200);
    assert!(page.contains("origins") && page.contains("</html>"), "{page}");
}
