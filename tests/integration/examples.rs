//! The configurations that come with Haring: all are valid without a warning, and the default one serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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

/// A port that nobody listened on a moment ago.
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

/// Connects as soon as somebody listens.
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

#[test]
fn every_configuration_is_valid() {
    let examples = std::fs::read_dir(root().join("config/examples")).expect("examples");
    let mut files: Vec<PathBuf> = examples.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "cfg"));
    assert!(files.len() >= 6, "{files:?}");
    files.push(root().join("config/haproxy.cfg"));
    for file in files {
        let output = Command::new(env!("CARGO_BIN_EXE_haring"))
            .args(["-c", "-dW", "-f"])
            .arg(&file)
            .current_dir(root())
            .output()
            .expect("the binary runs");
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {shown}", file.display());
        assert_eq!(shown, "", "{}", file.display());
    }
}

/// Gives every `bind *:PORT` and `bind *:LOW-HIGH` of a text free ports; the ports with it.
fn on_free_ports(text: &str) -> (String, Vec<u16>) {
    let mut ports = Vec::new();
    let lines = text.lines().map(|line| {
        let Some((indent, given)) = line.split_once("bind *:") else { return line.to_owned() };
        let (low, high) = given.split_once('-').unwrap_or((given, given));
        let number = |text: &str| text.trim().parse::<u16>().unwrap_or_else(|_| panic!("{line}"));
        let addresses = (number(low)..=number(high)).map(|_| {
            let [free] = free_ports();
            ports.push(free);
            format!("127.0.0.1:{free}")
        });
        format!("{indent}bind {}", addresses.collect::<Vec<_>>().join(","))
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    (text, ports)
}

#[test]
fn every_example_starts_and_answers() {
    let examples = std::fs::read_dir(root().join("config/examples")).expect("examples");
    for entry in examples {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "cfg") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let written = std::fs::read_to_string(&path).expect("an example");
        let (text, ports) = on_free_ports(&written);
        assert!(!ports.is_empty(), "{name} listens nowhere");
        let base = std::env::temp_dir().join(format!("haring-example-{name}-{}", std::process::id()));
        let socket = Scratch(base.with_extension("sock"));
        let text = text.replace("/tmp/haring-admin.sock", &socket.0.display().to_string());
        let file = Scratch(base.with_extension("cfg"));
        std::fs::write(&file.0, text).expect("a copy");
        let process = Command::new(env!("CARGO_BIN_EXE_haring"))
            .args(["-db", "-f"])
            .arg(&file.0)
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut process = Running(process);
        for port in ports {
            let mut client = connect(port, &mut process);
            if written.contains("mode http") {
                // Its servers are not there: what counts is that a frontend answers.
                let (status, _) = get(&mut client, "/stats");
                assert!(matches!(status, 200 | 404 | 503), "{name}: {status}");
            }
        }
    }
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
