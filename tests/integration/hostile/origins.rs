//! The requests that go on, in front of servers that people run: each must read of them what the proxy meant.
//!
//! Every origin writes a line for each request: method, target, length of the body, and the proxy's own field,
//! which names the client. A server may refuse a request that the proxy let pass; it may not see another one, more,
//! or fewer, and the harmless request behind must be seen as itself.
//!
//! A server that is not installed is a failure; `HOSTILE_WITHOUT=node,h11` leaves some out.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http_body_util::BodyExt;

use super::cases::{self, RequestCase};
use super::client::RawClient;
use super::oracle;
use super::requests::proxy;
use crate::support::*;

/// How to start one.
type Start = fn() -> Program;

/// A server that is a program, and its log.
struct Program {
    name: &'static str,
    /// None of one that is a thread.
    child: Option<Child>,
    address: SocketAddr,
    folder: Folder,
}

impl Program {
    fn start(name: &'static str, address: SocketAddr, folder: Folder, command: &mut Command) -> Program {
        let output = std::fs::File::create(folder.path().join("output")).expect("a file of the test");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second descriptor"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} does not start ({error}); tests/run installs what is needed")
            });
        let program = Program { name, child: Some(child), address, folder };
        let ready = wait_until(LIMIT, || std::net::TcpStream::connect(address).is_ok());
        let said = std::fs::read_to_string(program.folder.path().join("output")).unwrap_or_default();
        assert!(ready, "{name} does not listen; tests/run installs what is needed\n{said}");
        program
    }

    /// A script of `tests/hostile/origins`.
    fn script(name: &'static str, interpreter: &str, script: &str) -> Program {
        let (address, folder) = (programs::free_address(), Folder::new());
        let script = origins().join(script);
        let mut command = Command::new(interpreter);
        command.arg(script).arg(address.ip().to_string()).arg(address.port().to_string());
        command.arg(folder.write("log", ""));
        Program::start(name, address, folder, &mut command)
    }

    fn gunicorn() -> Program {
        let (address, folder) = (programs::free_address(), Folder::new());
        let mut command = Command::new("/usr/bin/python3");
        command
            .args(["-m", "gunicorn", "-b", &address.to_string(), "-k", "gthread", "--threads", "4"])
            .args(["--keep-alive", "600", "--limit-request-line", "0", "--limit-request-field_size", "0"])
            .args(["--chdir", origins().to_str().expect("a plain name"), "wsgi:application"])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("ORIGIN_LOG", folder.write("log", ""));
        Program::start("gunicorn", address, folder, &mut command)
    }

    /// nginx before itself: the inner one logs what the outer one has read, bodies by their length.
    fn nginx() -> Program {
        let (address, folder) = (programs::free_address(), Folder::new());
        let place = folder.path().display();
        let config = folder.write(
            "nginx.conf",
            &format!(
                "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
    uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
    keepalive_requests 1000000; keepalive_timeout 600; large_client_header_buffers 4 64k;
    log_format seen escape=none '$request_method $request_uri $length $http_x_client';
    map $http_content_length $length {{ '' 0; default $http_content_length; }}
    access_log off;
    server {{
        listen {address};
        underscores_in_headers on;
        location / {{ proxy_pass http://unix:{place}/inner; proxy_http_version 1.1; }}
    }}
    server {{
        listen unix:{place}/inner;
        large_client_header_buffers 4 128k;
        access_log {place}/log seen;
        location / {{ return 200 seen; }}
    }}
}}
"
            ),
        );
        folder.write("log", "");
        let binary =
            ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| PathBuf::from(path).is_file());
        let mut command = Command::new(binary.unwrap_or("nginx"));
        command.args(["-e", "stderr", "-c", &config]).arg("-p").arg(folder.path());
        Program::start("nginx", address, folder, &mut command)
    }

    /// hyper on a thread of this process.
    fn hyper() -> Program {
        let (address, folder) = (programs::free_address(), Folder::new());
        let log = folder.write("log", "");
        let listener = std::net::TcpListener::bind(address).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(tokio::task::LocalSet::new().run_until(serve_hyper(listener, log)));
        });
        Program { name: "hyper", child: None, address, folder }
    }

    /// The lines of its log from a place on.
    fn lines(&self, from: usize) -> Vec<String> {
        let bytes = std::fs::read(self.folder.path().join("log")).expect("the log of an origin");
        let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    fn log_length(&self) -> usize {
        let length = std::fs::metadata(self.folder.path().join("log")).expect("the log of an origin").len();
        usize::try_from(length).expect("a small log")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn serve_hyper(listener: std::net::TcpListener, log: String) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    while let Ok((stream, _)) = listener.accept().await {
        let log = log.clone();
        let service = hyper::service::service_fn(move |request| answer_hyper(request, log.clone()));
        let connection = hyper::server::conn::http1::Builder::new();
        let connection = connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        tokio::task::spawn_local(async move { drop(connection.await) });
    }
}

async fn answer_hyper(
    request: hyper::Request<hyper::body::Incoming>,
    log: String,
) -> Result<hyper::Response<String>, hyper::Error> {
    let (head, body) = request.into_parts();
    let length = body.collect().await?.to_bytes().len();
    let client = head.headers.get(oracle::CLIENT).map(|client| String::from_utf8_lossy(client.as_bytes()));
    let line = format!("{} {} {length} {}\n", head.method, head.uri, client.unwrap_or_default());
    let mut log = std::fs::OpenOptions::new().append(true).open(log).expect("the log of an origin");
    log.write_all(line.as_bytes()).expect("the log of an origin");
    Ok(hyper::Response::new("seen".to_owned()))
}

fn origins() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/origins")
}

/// `METHOD TARGET LENGTH` of a request as the corpus expects it, the target without scheme and authority: some
/// servers keep them, some do not.
fn expected(line: &str) -> String {
    let line = line.replace("\\'", "'").replace("\\\"", "\"").replace("\\\\", "\\");
    let mut words = line.splitn(4, ' ');
    let mut next = || words.next().unwrap_or_default();
    let (method, target, framing, rest) = (next(), next(), next(), next());
    let length = if framing == "none" { "0" } else { rest.split(' ').next().unwrap_or("0") };
    // gunicorn has every method in upper case.
    format!("{} {} {length}", method.to_ascii_uppercase(), path(target))
}

fn path(target: &str) -> String {
    let rest = match target.split_once("://") {
        Some((scheme, rest))
            if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) =>
        {
            &rest[rest.find(['/', '?']).unwrap_or(rest.len())..]
        }
        _ => target,
    };
    if rest.starts_with('/') || rest == "*" { rest.to_owned() } else { format!("/{rest}") }
}

/// What a server gets wrong by itself, and why that is no matter of the proxy's.
const EXCEPTIONS: &[(&str, &str)] = &[
    // It takes a request for the tunnel it asks for, body and all, and never answers it.
    ("aiohttp", "upgrade-with-body"),
];

/// What an origin wrote of a request: its reading, and the client that asked.
fn seen(line: &str) -> (String, String) {
    let words: Vec<_> = line.split(' ').collect();
    match &words[..] {
        [method, target @ .., length, client] => {
            let reading = format!("{} {} {length}", method.to_ascii_uppercase(), path(&target.join(" ")));
            (reading, (*client).to_owned())
        }
        _ => (line.to_owned(), String::new()),
    }
}

fn check(proxy: &Proxy, origin: &Program, case: &RequestCase, number: usize) -> Result<(), String> {
    let from = origin.log_length();
    let mut client = RawClient::connect(proxy.address(&case.listen));
    let name = client.name();
    client.send(&case.bytes, case.segments);
    client.finish_sending();
    // What the server makes of each: answered as usual, or refused.
    let mut refused = false;
    let mut answered = 0;
    for line in &case.origin {
        let response = loop {
            match client.response(line.starts_with("HEAD"))? {
                Some(response) if response.status < 200 => {}
                other => break other,
            }
        };
        match response {
            Some(response) if response.status == 200 => answered += 1,
            Some(response) if matches!(response.status, 400..=499 | 501 | 505) => refused = true,
            Some(response) => return Err(format!("{} to {line}", response.status)),
            None if refused => break,
            None => return Err(format!("no answer to {line}")),
        }
    }
    drop(client);
    let mut behind = RawClient::connect(proxy.address("strict"));
    let target = format!("/sentinel/{number}");
    behind.send(format!("GET {target} HTTP/1.1\r\nHost: sentinel\r\n\r\n").as_bytes(), usize::MAX);
    match behind.response(false)? {
        Some(response) if response.status == 200 && response.body == b"seen" => {}
        other => return Err(format!("the request behind got {other:?}")),
    }
    let last = format!("GET {target} 0 {}", behind.name());
    if !wait_until(Duration::from_secs(3), || origin.lines(from).last() == Some(&last)) {
        return Err(format!("the request behind was seen as {:?}", origin.lines(from)));
    }
    let mut found: Vec<_> = origin.lines(from).iter().map(|line| seen(line)).collect();
    found.pop();
    if let Some((line, other)) = found.iter().find(|(_, client)| !case.was_asked_by(client, &name)) {
        return Err(format!("a request that the proxy did not make: {line} of {other}"));
    }
    let found: Vec<_> = found.into_iter().map(|(line, _)| line).collect();
    let meant: Vec<_> = case.origin.iter().map(|line| expected(line)).collect();
    // Those that it refused are missing, the others are as they were meant and in order.
    let mut rest = meant.iter();
    let in_order = found.iter().all(|line| rest.any(|meant| meant == line));
    if !in_order || found.len() != answered || (!refused && found != meant) {
        return Err(format!("it saw {found:?}, not {meant:?}"));
    }
    Ok(())
}

impl RequestCase {
    /// Whether a log's last word names the client, as the proxy writes it.
    fn was_asked_by(&self, word: &str, name: &str) -> bool {
        word == name || self.listen == "preface"
    }

    /// Whether a usual server is asked the whole of it.
    fn goes_to_servers(&self) -> bool {
        let connects = self.origin.iter().any(|line| line.starts_with("CONNECT"));
        let plain = self.replies.is_empty() && self.tunnel.is_none() && self.partial.is_none();
        plain && !connects && !self.origin.is_empty() && self.statuses.iter().all(|status| status == "200")
    }
}

#[test]
fn servers_that_people_run_read_what_the_proxy_meant() {
    let cases: Vec<_> = cases::requests().into_iter().filter(RequestCase::goes_to_servers).collect();
    let only = std::env::var("HOSTILE_CASE").unwrap_or_default();
    assert!(cases.len() >= 200, "{} requests", cases.len());
    let without = std::env::var("HOSTILE_WITHOUT").unwrap_or_default();
    let known: [(&str, Start); 7] = [
        ("nginx", Program::nginx),
        ("node", || Program::script("node", "node", "node.js")),
        ("http.server", || Program::script("http.server", "/usr/bin/python3", "http_server.py")),
        ("h11", || Program::script("h11", "/usr/bin/python3", "h11_server.py")),
        ("aiohttp", || Program::script("aiohttp", "/usr/bin/python3", "aiohttp_server.py")),
        ("gunicorn", Program::gunicorn),
        ("hyper", Program::hyper),
    ];
    let wanted = known.iter().filter(|(name, _)| !without.split(',').any(|other| other == *name));
    let origins: Vec<_> = wanted.map(|(_, start)| start()).collect();
    both_drivers(|driver| {
        let wrong: Vec<String> = std::thread::scope(|scope| {
            let runs: Vec<_> = origins
                .iter()
                .map(|origin| {
                    let (cases, only) = (&cases, &only);
                    scope.spawn(move || {
                        let proxy = proxy(driver, &origin.address.to_string());
                        let fits = |case: &RequestCase| {
                            case.name.contains(only) && !EXCEPTIONS.contains(&(origin.name, &case.name))
                        };
                        let chosen = cases.iter().enumerate().filter(|(_, case)| fits(case));
                        let wrong = chosen.filter_map(|(number, case)| {
                            let reason = check(&proxy, origin, case, number).err()?;
                            let bytes = &case.bytes[..case.bytes.len().min(300)];
                            let (name, case) = (origin.name, &case.name);
                            Some(format!("{name}, {case}: {reason}\n    sent \"{}\"", bytes.escape_ascii()))
                        });
                        wrong.collect::<Vec<_>>()
                    })
                })
                .collect();
            runs.into_iter().flat_map(|run| run.join().expect("a run ends")).collect()
        });
        println!("{} requests to each of {} servers", cases.len(), origins.len());
        assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
    });
}
