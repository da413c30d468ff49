//! What one request of a buffer's size may cost, in instructions of the whole process, beside a plain one that is
//! forwarded: every converter that takes a text, and rules of every kind that reads more than a word.
//!
//! The proxy runs in valgrind's callgrind, which counts instructions and so gives the same numbers on a busy machine.
//! A byte on its standard input has it call [`haring_guard_mark`], before which callgrind writes what it has counted
//! since the last time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use haring::sample::arg::ArgType;
use haring::sample::conv::{self, Converter};
use haring::sample::value::Type;

use crate::load::{self, Load};

/// Has the proxy listen for marks.
pub const MARK_VARIABLE: &str = "HARING_GUARDS_MARK";
/// Plain requests that one request may cost; twice as many without optimisation, which makes loops over bytes dearer
/// than what surrounds them.
const LIMIT: u64 = if cfg!(debug_assertions) { 200 } else { 100 };
/// Rules that may cost more: they call the library for regular expressions once for each of thousands of elements, as
/// HAProxy calls PCRE2. There the first costs 198 plain requests and the second 50; here, optimised, 380 and 100.
const DEARER: &[(&str, u64)] = &[("replace-value", 550), ("regsub", 200)];
/// Bytes of a request's head, or of its head and body: nearly a buffer of the default size without its reserve.
const SIZE: usize = 14_500;
/// Rules that are tried with one request. Together they must keep to the limit; if not, each is tried alone.
const GROUP: usize = 12;
/// The longest that valgrind may take for one answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What callgrind waits for.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn haring_guard_mark() {
    std::hint::black_box(0);
}

/// Calls [`haring_guard_mark`] for each byte that comes, and sends it back.
pub fn mark_for_ever() {
    let mut byte = [0];
    while std::io::stdin().read_exact(&mut byte).is_ok() {
        haring_guard_mark();
        let _ = std::io::stdout().write_all(&byte).and_then(|()| std::io::stdout().flush()); // the guard has ended
    }
}

/// A request that is as long as it may be.
struct Shape {
    name: &'static str,
    request: Vec<u8>,
}

fn filled(part: &str) -> String {
    part.repeat(SIZE / part.len())
}

/// A request with one long field.
fn field(name: &'static str, value: &str) -> Shape {
    Shape { name, request: format!("GET / HTTP/1.1\r\nHost: a.com\r\nX: {value}\r\n\r\n").into() }
}

fn path(name: &'static str, part: &str) -> Shape {
    Shape { name, request: format!("GET /{} HTTP/1.1\r\nHost: a.com\r\n\r\n", filled(part)).into() }
}

/// Long texts for converters: letters, words and escapes between all kinds of separators, nested objects.
fn texts() -> Vec<Shape> {
    vec![
        field("letters", &filled("a")),
        field("words and escapes", &filled("a,%61; q=0.1 c=\\u0041d.e:f|")),
        field("objects", &filled("{\"a\":[")),
    ]
}

fn parameters() -> Shape {
    let request = format!("GET /x?{} HTTP/1.1\r\nHost: a.com\r\n\r\n", filled("a=b&"));
    Shape { name: "parameters", request: request.into() }
}

fn fields() -> Shape {
    let mut head = "GET / HTTP/1.1\r\nHost: a.com\r\n".to_owned();
    for number in 0..95 {
        let _ = write!(head, "X-{number}: {}\r\n", "a,b;".repeat(34));
    }
    Shape { name: "many fields", request: (head + "\r\n").into() }
}

fn body(name: &'static str, head: &str, body: &str) -> Shape {
    Shape { name, request: format!("POST / HTTP/1.1\r\nHost: a.com\r\n{head}\r\n{body}").into() }
}

/// Rules, by what they read most of.
fn rules() -> Vec<(Shape, Vec<String>)> {
    let test = |condition: &str| format!("http-request set-var(txn.b) bool(true) if {{ {condition} }}");
    let set = |expression: &str| format!("http-request set-var(txn.v) {expression}");
    let normalize = |what: &str| format!("http-request normalize-uri {what}");
    let own = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let kinds = ["str", "beg", "sub", "dir", "dom", "end", "reg"];
    let matches = |fetch: &str| -> Vec<String> {
        let listed = kinds.iter().map(|kind| match *kind {
            "reg" => test(&format!("{fetch} -m reg (a|b)*c$ ^(.*)-(.*)-(.*)$ [^/]+/[0-9]+$")),
            kind => test(&format!("{fetch} -m {kind} -i -f @patterns@")),
        });
        listed.collect()
    };
    vec![
        (
            path("dots", "a/../"),
            ["path-strip-dot", "path-strip-dotdot", "path-strip-dotdot full"].map(normalize).into(),
        ),
        (path("slashes", "/"), own(&["http-request normalize-uri path-merge-slashes"])),
        (
            path("escapes in the path", "%61%2e"),
            ["percent-decode-unreserved", "percent-to-uppercase", "fragment-encode", "fragment-strip"]
                .map(normalize)
                .into(),
        ),
        (parameters(), {
            let mut lines = vec![normalize("query-sort-by-name")];
            lines.extend(["url_param(zz)", "urlp(zz,;,i)", "query", "url32"].map(set));
            lines
        }),
        (
            path("a long path", "a/b"),
            own(&[
                "http-request replace-path (a)/(b) \\2/\\1",
                "http-request replace-pathq ^/(.*)c(.*)$ /x",
                "http-request replace-uri ([^/]*)$ \\1",
                "http-request set-path %[path,lower]",
                "http-request set-query a=%[path]",
                "http-request set-uri %[url]",
            ]),
        ),
        (path("patterns in the path", "ab/"), matches("path")),
        (field("patterns in a field", &filled("ab.c,")), matches("req.hdr(x)")),
        (
            field("a list", &filled("a,")),
            own(&[
                "http-request replace-value x (a) \\1",
                "http-request replace-header x a$ b",
                "http-request set-header y %[req.hdr(x,-1)]%[req.hdr_cnt(x)]",
                "http-request set-var(txn.i) req.hdr_ip(x,-1)",
                "http-request set-var(txn.i) req.fhdr(x)",
                "http-request capture req.hdr(x) len 100",
                "http-request track-sc0 req.hdr(x) table t",
                "http-request set-map(@map@) %[req.hdr(x)] %[req.hdr(x)]",
            ]),
        ),
        (
            fields(),
            own(&[
                "http-request del-header nothing -m reg",
                "http-request replace-header x-50 (a),(b) \\2,\\1",
                "http-request del-header x-9 -m beg",
                "http-request del-header ^x-[0-7].*5$ -m reg",
                "http-request set-var(txn.v) req.hdrs",
                "http-request set-var(txn.v) req.hdr_names",
                "http-request add-header z %[req.hdrs_bin,hex,length]",
                "http-request set-var(txn.v) req.hdr(nothing)",
            ]),
        ),
        (
            Shape {
                name: "cookies",
                request: format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", filled("a=b; ")).into(),
            },
            ["req.cook(zz)", "req.cook_cnt()", "req.cook_names", "req.cook_val(zz)"].map(set).into(),
        ),
        (
            Shape {
                name: "options of the connection",
                request: format!(
                    "GET / HTTP/1.1\r\nHost: a\r\nConnection: {}close2\r\n\r\n",
                    filled("x-1, b1, keep, ")
                )
                .into(),
            },
            own(&["http-request set-header x-1 a"]),
        ),
        (
            body("a form", &format!("Content-Length: {}\r\n", 13_999), &"a=b&".repeat(3500)[..13_999]),
            own(&[
                "http-request wait-for-body time 5s",
                "http-request set-var(txn.v) req.body_param(zz)",
                "http-request set-var(txn.v) req.body,lower",
                "http-request set-var(txn.v) req.body,url_dec",
                "http-request set-var(txn.i) req.body_len",
            ]),
        ),
        (
            body(
                "small chunks",
                "Transfer-Encoding: chunked\r\n",
                &("1\r\na\r\n".repeat(2300) + "0\r\n\r\n"),
            ),
            own(&["http-request wait-for-body time 5s", "http-request set-var(txn.v) req.body"]),
        ),
    ]
}

/// A use of a converter behind a fetch; nothing where it takes only values of a fixed size.
fn used(row: &Converter) -> Option<String> {
    if !matches!(row.input, Type::Any | Type::Str | Type::Bin) {
        return None;
    }
    let key = "MDEyMzQ1Njc4OWFiY2RlZg==";
    let given = match row.name {
        "aes_cbc_dec" | "aes_cbc_enc" => format!("128,{key},{key}"),
        "aes_gcm_dec" => format!("128,{key},{key},{key}"),
        "aes_gcm_enc" => format!("128,{key},{key},txn.tag"),
        "be2dec" | "le2dec" => "-,2".into(),
        "be2hex" => "-,1".into(),
        "digest" => "sha256".into(),
        "hmac" => format!("sha256,{key}"),
        "field" | "word" => "-2,\\,".into(),
        "json" => "utf8s".into(),
        "json_query" | "jwt_header_query" | "jwt_payload_query" => "$.a.b".into(),
        "jwt_verify" => "\"HS256\",secret".into(),
        "ltrim" | "rtrim" => "a".into(),
        "mqtt_field_value" => "connect,client_identifier".into(),
        "fix_tag_value" => "35".into(),
        "protobuf" | "ungrpc" => "1.2.3".into(),
        "add_item" => ";,txn.w".into(),
        "regsub" => "[ab]*c|[^a]+,x,g".into(),
        "rfc7239_field" => "for".into(),
        "when" => "normal".into(),
        // Certificates are named, and the path comes with them.
        "jwt_verify_cert" => return None,
        // What waits for captures of the frontend, or tells the operator's log.
        "capture-req" | "capture-res" | "debug" => return None,
        _ => {
            let words = row.args.iter().take(row.required).map(|kind| match kind {
                ArgType::Int | ArgType::IntOrVariable => "1",
                ArgType::Str => "a",
                ArgType::Regex => "[ab]*c",
                ArgType::Variable => "txn.w",
                ArgType::Map => "@map@",
                ArgType::Table => "t",
                ArgType::Mask4 | ArgType::Mask6 => "24",
                ArgType::Backend | ArgType::Frontend => "t",
                ArgType::Ipv4 => "1.2.3.4",
                ArgType::Ipv6 => "::1",
                ArgType::Server => "t/s",
                ArgType::UserList => "u",
            });
            words.collect::<Vec<_>>().join(",")
        }
    };
    let given = if given.is_empty() { given } else { format!("({given})") };
    // Values of a map have the type of the result, and regular expressions are in a map of their own.
    let keys = if row.name.contains("_reg") { "regex" } else { "map" };
    let values = ["_int", "_ip"].into_iter().find(|end| row.name.ends_with(end)).unwrap_or_default();
    let given = given.replace("@map@", &format!("@{keys}{values}@"));
    Some(format!("http-request set-var(txn.v) req.fhdr(x),{}{given}", row.name))
}

/// A trial: rules, and the request that meets them.
struct Trial {
    what: String,
    request: Vec<u8>,
    rules: Vec<String>,
}

fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut converters: Vec<String> = conv::TABLE.iter().copied().flatten().filter_map(used).collect();
    converters.sort();
    for group in converters.chunks(GROUP) {
        for Shape { name, request } in texts() {
            trials.push(Trial { what: name.to_owned(), request, rules: group.to_vec() });
        }
    }
    for (Shape { name, request }, rules) in rules() {
        trials.push(Trial { what: name.to_owned(), request, rules });
    }
    trials
}

/// The proxy in callgrind, with a listener for each list of rules and one that forwards.
struct Proxy {
    child: Child,
    marks: (ChildStdin, ChildStdout),
    folder: PathBuf,
    dumps: u32,
    plain: SocketAddr,
    listeners: Vec<SocketAddr>,
}

impl Proxy {
    fn start(lists: &[Vec<String>]) -> Proxy {
        let folder = std::env::temp_dir().join(format!("haring-costs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let names = write_files(&folder);
        let all: Vec<TcpListener> =
            (0..=lists.len()).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        let mut config = format!(
            "global\n expose-experimental-directives\n nbthread 1\n tune.driver epoll\ndefaults\n mode http\n timeout connect 60s\n timeout client 300s\n \
             timeout server 300s\n timeout http-request 300s\nbackend t\n stick-table type string size 100 store \
             gpc0,gpc1,gpt0,conn_cnt,conn_cur,conn_rate(1m),sess_cnt,sess_rate(1m),http_req_cnt,http_req_rate(1m),\
             http_err_cnt,http_err_rate(1m),http_fail_cnt,http_fail_rate(1m),bytes_in_cnt,bytes_in_rate(1m),\
             bytes_out_cnt,bytes_out_rate(1m),gpc0_rate(1m),gpc1_rate(1m),glitch_cnt,glitch_rate(1m),server_id\n \
             server s {origin}\nbackend g\n stick-table type string size 100 store gpc(2),gpt(2),gpc_rate(2,1m)\n\
             frontend plain\n bind fd@{}\n default_backend t\n",
            all[0].as_raw_fd(),
            origin = load::origin(Load::KeepAlive(1)),
        );
        for (number, (rules, listener)) in lists.iter().zip(&all[1..]).enumerate() {
            let _ = write!(config, "frontend f{number}\n bind fd@{}\n", listener.as_raw_fd());
            for rule in rules {
                let rule = names.iter().fold(rule.clone(), |rule, (name, path)| rule.replace(name, path));
                let _ = writeln!(config, " {rule}");
            }
            config.push_str(" http-request return status 200\n");
        }
        let file = folder.join("haring.cfg");
        std::fs::write(&file, config).expect("the configuration");
        let counts = format!("--callgrind-out-file={}", folder.join("counts").display());
        let mut command = Command::new("valgrind");
        command.args([
            "-q",
            "--tool=callgrind",
            "--dump-line=no",
            "--dump-before=haring_guard_mark",
            &counts,
        ]);
        command.arg(std::env::current_exe().expect("this program")).args(["-db", "-f"]).arg(&file);
        command.env(MARK_VARIABLE, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        crate::inherit(&mut command, all.iter().map(|listener| listener.as_raw_fd()).collect());
        let mut child = command.spawn().expect("valgrind starts");
        let marks = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut addresses = all.iter().map(|listener| listener.local_addr().expect("an address"));
        let plain = addresses.next().expect("a listener that forwards");
        Proxy { child, marks, folder, dumps: 0, plain, listeners: addresses.collect() }
    }

    /// The instructions since the last mark; an error if the proxy is not there.
    fn mark(&mut self) -> Result<u64, String> {
        let mut byte = [1];
        let told = self.marks.0.write_all(&byte).and_then(|()| self.marks.0.flush());
        told.and_then(|()| self.marks.1.read_exact(&mut byte))
            .map_err(|error| format!("the proxy has ended: {error}"))?;
        self.dumps += 1;
        let path = self.folder.join(format!("counts.{}", self.dumps));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("callgrind has counted nothing: {error}"))?;
        let _ = std::fs::remove_file(&path);
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
        total.ok_or_else(|| "callgrind's counts cannot be read".to_owned())
    }

    /// What a request costs on a connection of its own.
    fn cost(&mut self, address: SocketAddr, request: &[u8], end: &[u8]) -> Result<u64, String> {
        let mut stream = TcpStream::connect(address).map_err(|error| format!("cannot connect: {error}"))?;
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE))).expect("options");
        self.mark()?;
        stream.write_all(request).map_err(|error| format!("cannot send: {error}"))?;
        answered(&mut stream, end)?;
        self.mark()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn answered(stream: &mut TcpStream, end: &[u8]) -> Result<(), String> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    while !bytes.ends_with(end) {
        match stream.read(&mut part) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(length @ 1..) => bytes.extend_from_slice(&part[..length]),
            other => {
                return Err(format!("no answer ({other:?}) behind {:?}", String::from_utf8_lossy(&bytes)));
            }
        }
    }
    match bytes.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(format!("{:?}", String::from_utf8_lossy(&bytes))),
    }
}

/// The maps and lists that rules name, as long as those of a busy site, and what stands for their paths.
fn write_files(folder: &Path) -> BTreeMap<&'static str, String> {
    let lines = |value: &str| -> String { (0..2000).map(|n| format!("key{n:x}b.c/{n}x{value}\n")).collect() };
    let regex = |value: &str| -> String { (0..20).map(|n| format!("^(.*)(k{n}|b+)c$ {value}\n")).collect() };
    let files = [
        ("@patterns@", lines("")),
        ("@map@", lines(" value")),
        ("@map_int@", lines(" 1")),
        ("@map_ip@", lines(" 10.0.0.1")),
        ("@regex@", regex("value")),
        ("@regex_int@", regex("1")),
        ("@regex_ip@", regex("10.0.0.1")),
    ];
    let write = |(name, text): (&'static str, String)| {
        let path = folder.join(name.trim_matches('@'));
        std::fs::write(&path, text).expect("a file");
        (name, path.display().to_string())
    };
    files.into_iter().map(write).collect()
}

/// Tries all rules; what is dearer than it may be, or why nothing was tried.
pub fn check() -> Vec<String> {
    let is_there = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) {
        println!("COSTS WERE NOT COUNTED: valgrind is not installed");
        return Vec::new();
    }
    let trials = trials();
    let (plain, costs) = match measure(&trials) {
        Ok(counted) => counted,
        Err(error) => return vec![format!("costs of rules: {error}")],
    };
    let dearest = costs.iter().max().copied().unwrap_or(0);
    println!(
        "costs of rules: plain {plain} instructions, {} trials, the dearest {} plain ones",
        costs.len(),
        dearest / plain.max(1)
    );
    let mut complaints = Vec::new();
    if plain < 1000 || dearest < 2 * plain {
        complaints.push("costs of rules: requests went by uncounted".to_owned());
    }
    // What is too dear together may be dear by one rule alone, or by none.
    let alone =
        trials.iter().zip(&costs).filter(|(_, cost)| **cost > LIMIT * plain).flat_map(|(trial, _)| {
            let one = |rule: &String| Trial {
                what: trial.what.clone(),
                request: trial.request.clone(),
                rules: vec![rule.clone()],
            };
            trial.rules.iter().map(one).collect::<Vec<_>>()
        });
    let alone: Vec<Trial> = alone.collect();
    if !alone.is_empty() {
        match measure(&alone) {
            Err(error) => complaints.push(format!("costs of rules: {error}")),
            Ok((plain, costs)) => {
                for (trial, cost) in alone.iter().zip(costs) {
                    let times = cost / plain;
                    println!("  {times:>5} plain ones: {} on {}", trial.rules[0], trial.what);
                    let limit = limit(&trial.rules[0]);
                    if times > limit {
                        complaints.push(format!(
                            "'{}' on {} costs {times} plain requests, limit {limit}",
                            trial.rules[0], trial.what
                        ));
                    }
                }
            }
        }
    }
    complaints
}

/// How many plain requests a rule may cost.
fn limit(rule: &str) -> u64 {
    let known = DEARER.iter().find(|(name, _)| rule.contains(name));
    known.map_or(LIMIT, |(_, limit)| *limit)
}

/// What a plain request costs, and each trial.
fn measure(trials: &[Trial]) -> Result<(u64, Vec<u64>), String> {
    let mut lists: Vec<Vec<String>> = trials.iter().map(|trial| trial.rules.clone()).collect();
    lists.dedup();
    let mut proxy = Proxy::start(&lists);
    let request =
        b"GET /v1/things?x=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: guard\r\nAccept: */*\r\n\r\n";
    let address = proxy.plain;
    proxy.cost(address, request, load::BODY)?;
    let plain = proxy.cost(address, request, load::BODY)?;
    let mut costs = Vec::new();
    for trial in trials {
        let begun = std::time::Instant::now();
        let at = lists.iter().position(|list| *list == trial.rules).expect("every list has a listener");
        let address = proxy.listeners[at];
        let cost = proxy.cost(address, &trial.request, b"\r\n\r\n");
        costs.push(cost.map_err(|error| format!("{} with {:?}: {error}", trial.what, trial.rules))?);
        if std::env::var_os("HARING_GUARDS_WHERE").is_some() {
            let times = costs.last().map_or(0, |cost| cost / plain.max(1));
            println!("  {times:>5} plain ones in {:?}: {} {:?}", begun.elapsed(), trial.what, trial.rules);
        }
    }
    Ok((plain, costs))
}
