//! What a request costs in system calls, submissions to the ring, allocations and locked instructions, held to
//! exact limits; and what the dearest requests cost in instructions beside a plain one.
//!
//! None of these numbers depends on the machine's speed, so they show a dearer data path where a timing
//! would drown it in noise. The proxy is this very program, started again: it then runs
//! [`haring::process::main`] on an allocator that counts. The test sends requests one by one, or one on
//! each of several connections, and counts what the data thread does meanwhile.
//!
//! `HARING_GUARDS_WHERE=1` shows where the allocations of a case come from; the argument picks cases by
//! a part of their name: `cargo test --test guards -- rules`.

mod allocations;
mod costs;
mod load;
#[cfg(target_arch = "x86_64")]
mod stepper;
mod tracer;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::Ordering::SeqCst;

use allocations::{Counting, Page};
use load::{Client, Load};
use tracer::{Counts, Tracer};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Names the shared file to the process that plays the proxy.
const PAGE_VARIABLE: &str = "HARING_GUARDS_PAGE";
/// Requests before anything counts: pools, tables and connections are there then.
const WARM_UP: usize = 320;
/// Requests that count; a multiple of every number of connections.
const REQUESTS: usize = 320;
/// Calls of a kind beside those of requests: what the last request before left to do, turns of timers.
const CALLS_SPARE: u64 = 12;
/// Allocations beside those of requests, in all of a run.
const ALLOCATIONS_SPARE: u64 = 4;

/// Calls of the other threads together, beside those of requests: timers of the control thread.
const OTHER_CALLS_SPARE: u64 = 48;

/// One case: a configuration, a load, and what a request may cost the data thread.
struct Case {
    name: &'static str,
    load: Load,
    /// Lines of `defaults` and of the frontend.
    lines: [&'static str; 2],
    /// The most calls of each kind per request; a kind that is not listed may not occur.
    calls: &'static [(&'static str, u64)],
    /// The same for what only the epoll driver calls.
    epoll_calls: &'static [(&'static str, u64)],
    /// Entries handed to the ring.
    submissions: u64,
    allocations: u64,
    /// Calls of the other threads, of all kinds together.
    other_calls: u64,
}

/// What a request on connections that stand costs: a receive and a send on each side, and the core's waits
/// for the request and for the answer. Nothing is allocated: a core reuses the memory of exchanges, heads and
/// bodies again.
const STANDING: Case = Case {
    name: "keep-alive, 1 connection",
    load: Load::KeepAlive(1),
    lines: ["", ""],
    calls: &[("recvfrom", 2), ("send", 2), ("wait", 2)],
    epoll_calls: &[],
    submissions: 0,
    allocations: 0,
    other_calls: 0,
};

const CASES: &[Case] = &[
    STANDING,
    Case { name: "keep-alive, 16 connections", load: Load::KeepAlive(16), ..STANDING },
    Case { name: "tcp ping-pong", load: Load::PingPong, lines: ["mode tcp", ""], allocations: 0, ..STANDING },
    // What rules make of variables and texts is owned by the transaction.
    Case { name: "rules", lines: ["option forwardfor", RULES], allocations: 8, ..STANDING },
    // A line is allocated here, travels to the control thread and is sent and freed there.
    Case {
        name: "log",
        lines: ["log @sink@ local0\n option httplog", ""],
        allocations: 1,
        other_calls: 6,
        ..STANDING
    },
    // A listener is asked until it is empty, hence two calls of accept4. The first receive may come before
    // the request, the last one sees the end. The debug build looks at each descriptor before it closes it
    // (fcntl). The ring arms a poll for the client and takes it back. Its end and the next client may wake the thread
    // together or one after the other: 3.0 to 4.1 waits were seen.
    Case {
        name: "a client connection per request",
        load: Load::Connections,
        calls: &[
            ("accept4", 2),
            ("close", 1),
            ("fcntl", 1),
            ("recvfrom", 4),
            ("send", 2),
            ("setsockopt", 1),
            ("wait", 5),
        ],
        epoll_calls: &[("epoll_ctl", 1)],
        submissions: 2,
        allocations: 6,
        ..STANDING
    },
    // Three polls: the client's, the server's for its being connected and for its answer. The server's connection
    // is boxed, since idle clients that hold one carry its size otherwise. The shutdown sends the answer and the
    // end in one segment.
    Case {
        name: "both connections per request",
        load: Load::Connections,
        lines: ["option httpclose", ""],
        calls: &[
            ("accept4", 2),
            ("close", 2),
            ("connect", 1),
            ("fcntl", 2),
            ("getpeername", 1),
            ("getsockname", 1),
            ("recvfrom", 4),
            ("send", 2),
            ("setsockopt", 2),
            ("shutdown", 1),
            ("socket", 1),
            ("wait", 4),
        ],
        epoll_calls: &[("epoll_ctl", 2)],
        submissions: 4,
        allocations: 7,
        ..STANDING
    },
];

/// What configurations do beside forwarding: ACLs, variables, edits of headers both ways.
const RULES: &str = "
    acl is_api path_beg /api /v1 /v2
    acl is_static path_end .css .js .png .jpg .svg
    acl is_own_host hdr(host) -i example.com www.example.com shop.example.com
    acl is_internal src 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.0/8
    http-request set-var(txn.host) req.hdr(host),field(1,:),lower
    http-request set-var(txn.path) path
    http-request deny if { path_sub /../ } or { req.hdr_cnt(host) gt 1 }
    http-request deny deny_status 405 unless METH_GET or { method POST PUT DELETE }
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Host %[var(txn.host)]
    http-request del-header X-Debug unless is_internal
    http-response set-header X-Frame-Options SAMEORIGIN
    http-response set-header X-Path %[var(txn.path)] if { var(txn.host) -m found }
    http-response del-header Server
    use_backend origin if is_api is_own_host !is_static
";

fn main() -> ExitCode {
    if let Some(path) = std::env::var_os(PAGE_VARIABLE) {
        allocations::count_in(allocations::map(Path::new(&path)));
        return haring::process::main();
    }
    if std::env::var_os(costs::MARK_VARIABLE).is_some() {
        std::thread::spawn(costs::mark_for_ever);
        return haring::process::main();
    }
    // Options are the test harness's, which this is not.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let ring = haring::net::driver::choose(haring::model::global::Driver::IoUring).map(drop);
    if let Err(reason) = &ring {
        println!("guards on io_uring are skipped: {reason}");
    }
    let mut complaints = Vec::new();
    let mut run = 0;
    for case in CASES {
        if !wanted.is_empty() && !wanted.iter().any(|part| case.name.contains(&**part)) {
            continue;
        }
        for driver in ["io_uring", "epoll"] {
            if driver == "epoll" || ring.is_ok() {
                complaints.extend(check(case, driver));
                run += 1;
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    if wanted.is_empty() || wanted.iter().any(|part| "locked".contains(&**part)) {
        complaints.extend(check_locked());
        run += 1;
    }
    if wanted.is_empty() || wanted.iter().any(|part| "costs".contains(&**part)) {
        complaints.extend(costs::check());
        run += 1;
    }
    println!("\n{run} guards, {} complaints", complaints.len());
    complaints.iter().for_each(|complaint| println!("  {complaint}"));
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Has a program that is to be started keep descriptors.
fn inherit(command: &mut Command, descriptors: Vec<RawFd>) {
    let keep = move || {
        for descriptor in &descriptors {
            // SAFETY: a plain system call that is allowed between fork and exec.
            if unsafe { libc::fcntl(*descriptor, libc::F_SETFD, 0) } != 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure does nothing but system calls.
    unsafe { command.pre_exec(keep) };
}

/// The proxy of one case.
struct Proxy {
    child: Child,
    folder: PathBuf,
    page: &'static Page,
    address: SocketAddr,
}

impl Proxy {
    fn start(case: &Case, driver: &str) -> Proxy {
        let folder = std::env::temp_dir().join(format!("haring-guards-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (_sink, sink) = load::sink();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let [defaults, frontend] = case.lines.map(|lines| lines.replace("@sink@", &sink.to_string()));
        let config = format!(
            "global\n nbthread 1\ndefaults\n mode http\n http-reuse always\n timeout connect 5s\n \
             timeout client 60s\n timeout server 60s\n {defaults}\nfrontend web\n bind fd@{}\n {frontend}\n \
             default_backend origin\nbackend origin\n server one {}\n",
            listener.as_raw_fd(),
            load::origin(case.load)
        );
        let file = folder.join("haring.cfg");
        std::fs::write(&file, config).expect("the configuration");
        let shared = folder.join("page");
        let _ = std::fs::remove_file(&shared);
        let page = allocations::map(&shared);
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["-db", "-q", "-f"]).arg(&file).stdin(Stdio::null());
        command.env(PAGE_VARIABLE, &shared).env("HARING_DRIVER", driver);
        inherit(&mut command, vec![listener.as_raw_fd()]);
        let child = command.spawn().expect("the proxy starts");
        // The listener is there already: a client that connects now is served when the proxy is.
        Proxy { child, folder, page, address: listener.local_addr().expect("an address") }
    }

    /// Its threads and their names.
    fn threads(&self) -> BTreeMap<u32, String> {
        let list = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("a running proxy");
        let number =
            |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        let name = |thread: u32| {
            let path = format!("/proc/{}/task/{thread}/comm", self.child.id());
            (thread, std::fs::read_to_string(path).unwrap_or_default().trim().to_owned())
        };
        list.filter_map(number).map(name).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs a case and returns what was more than its limits.
fn check(case: &Case, driver: &str) -> Vec<String> {
    let proxy = Proxy::start(case, driver);
    let mut client = Client::new(case.load, proxy.address);
    client.run(WARM_UP);
    let threads = proxy.threads();
    let is_data = |thread: u32| threads.get(&thread).is_some_and(|name| name.starts_with("haring/"));
    assert!(threads.keys().any(|thread| is_data(*thread)), "no data thread: {threads:?}");
    let tracer = Tracer::attach(&threads.keys().copied().collect::<Vec<_>>());
    if let Ok(tracer) = &tracer {
        client.run(WARM_UP / 4); // the interruption of attaching is over then
        tracer.count(true);
    }
    proxy.page.counting.store(1, SeqCst);
    client.run(REQUESTS);
    proxy.page.counting.store(0, SeqCst);
    let allocations = proxy.page.allocations(is_data);
    let counts = match &tracer {
        Ok(tracer) => {
            tracer.count(false);
            Some(tracer.counts())
        }
        Err(_) => None,
    };
    drop(client);
    drop(proxy);
    let mut complaints = Vec::new();
    let mut complain = |what: String| complaints.push(format!("{} on {driver}: {what}", case.name));
    let per_request = |count: u64| format!("{:.2}", count as f64 / REQUESTS as f64);
    let mut report = vec![format!("allocations {}", per_request(allocations))];
    if allocations == 0 && case.allocations > 0 {
        complain("no allocation was counted: lower the limit, or mend the counter".into());
    }
    if allocations > case.allocations * REQUESTS as u64 + ALLOCATIONS_SPARE {
        complain(format!("{} allocations, limit {}", per_request(allocations), case.allocations));
    }
    match (tracer, counts) {
        (Ok(tracer), Some(counts)) => {
            tracer.join();
            let own = sum(counts.iter().filter(|(thread, _)| is_data(**thread)).map(|(_, counts)| counts));
            report.push(format!("submissions {}", per_request(own.submissions)));
            if own.submissions > case.submissions * REQUESTS as u64 + CALLS_SPARE {
                complain(format!("{} submissions, limit {}", per_request(own.submissions), case.submissions));
            }
            if own.calls.get("send").copied().unwrap_or(0) < 2 * REQUESTS as u64 {
                complain("requests went by unseen by the tracer".into());
            }
            for (call, count) in &own.calls {
                report.push(format!("{call} {}", per_request(*count)));
                let listed = case.calls.iter().chain(case.epoll_calls.iter().filter(|_| driver == "epoll"));
                let limit: u64 = listed.filter(|(name, _)| name == call).map(|(_, limit)| limit).sum();
                if *count > limit * REQUESTS as u64 + CALLS_SPARE {
                    complain(format!("{} {call}, limit {limit}", per_request(*count)));
                }
            }
            let others =
                sum(counts.iter().filter(|(thread, _)| !is_data(**thread)).map(|(_, counts)| counts));
            let others: u64 = others.calls.values().sum();
            report.push(format!("other threads' calls {}", per_request(others)));
            if others > case.other_calls * REQUESTS as u64 + OTHER_CALLS_SPARE {
                complain(format!(
                    "{} calls of other threads, limit {}",
                    per_request(others),
                    case.other_calls
                ));
            }
        }
        (Err(error), _) => {
            println!("SYSTEM CALLS WERE NOT COUNTED: this machine does not permit ptrace: {error}")
        }
        (Ok(_), None) => unreachable!("who watches counts"),
    }
    println!("{:32} {driver:8} {}", case.name, report.join(", "));
    complaints
}

/// Requests that are stepped through.
#[cfg(target_arch = "x86_64")]
const STEPPED: usize = 1;
/// Locked instructions per keep-alive request. Each is a line of memory that cores may have to hand over, some
/// tens of nanoseconds: what keeps two threads from doing twice the work of one.
#[cfg(target_arch = "x86_64")]
const LOCKED_MAX: u64 = 16;

/// Steps through some keep-alive requests and returns what was more than its limit.
#[cfg(target_arch = "x86_64")]
fn check_locked() -> Vec<String> {
    use std::sync::atomic::AtomicBool;
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let proxy = Proxy::start(&CASES[0], "epoll");
    let mut client = Client::new(CASES[0].load, proxy.address);
    client.run(WARM_UP);
    let threads = proxy.threads();
    let data = threads.iter().find(|(_, name)| name.starts_with("haring/")).expect("a data thread");
    let (ready, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let (process, thread) = (proxy.child.id(), *data.0);
    let steps = std::thread::scope(|scope| {
        let stepper = scope.spawn(|| stepper::steps(process, thread, &ready, &stop));
        while !ready.load(SeqCst) && !stepper.is_finished() {
            std::thread::yield_now();
        }
        let _stop = Stop(&stop);
        client.run(STEPPED);
        stop.store(true, SeqCst);
        client.run(1); // it sleeps otherwise, and is not stepped
        stepper.join().expect("the stepper does not panic")
    });
    let steps = match steps {
        Ok(steps) => steps,
        Err(error) => {
            println!("LOCKED INSTRUCTIONS WERE NOT COUNTED: {error}");
            return Vec::new();
        }
    };
    if std::env::var_os("HARING_GUARDS_WHERE").is_some() {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        let own = maps.lines().find(|line| line.contains("/guards-")).unwrap_or_default();
        let base = own.split('-').next().and_then(|start| u64::from_str_radix(start, 16).ok()).unwrap_or(0);
        for (at, count) in &steps.locked {
            println!("  {count} times at {:#x}", at.wrapping_sub(base));
        }
    }
    let per_request = steps.locked.values().sum::<u64>() / STEPPED as u64;
    println!(
        "locked instructions              epoll    {per_request} of {} per request",
        steps.instructions / STEPPED as u64
    );
    match per_request {
        0 => vec!["locked: none was seen".into()],
        count if count > LOCKED_MAX => vec![format!("locked: {count} per request, limit {LOCKED_MAX}")],
        _ => Vec::new(),
    }
}

/// The sum over threads, with one name for what is one thing: the waits of both drivers, the ways to send.
fn sum<'a>(counts: impl Iterator<Item = &'a Counts>) -> Counts {
    let mut sum = Counts::default();
    for counts in counts {
        sum.submissions += counts.submissions;
        for (call, count) in &counts.calls {
            let name = match &**call {
                "io_uring_enter" | "epoll_wait" => "wait",
                "sendto" | "sendmsg" => "send",
                other => other,
            };
            *sum.calls.entry(name.to_owned()).or_default() += count;
        }
    }
    sum
}
