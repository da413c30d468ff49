//! The process: version, environment, sockets, threads, descriptors, memory, start-up messages.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::stat::integer;
use crate::base::clock;
use crate::base::units::{TimeUnit, parse_time};
use crate::control::admin::{Call, Command, Flow, PART_BYTES, Parts, Severity, Until};
use crate::model::bind::CliLevel::{Admin, Operator, User};
use crate::model::{BindAddress, Proxy};
use crate::state::Snapshot;
use crate::state::proxy::fe;
use crate::stats::info;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "version"], arguments: "", text: "show the version", level: User, run: |call| call.say(Severity::Info, info::VERSION) },
    Command { words: &["show", "env"], arguments: "[var]", text: "show the environment of the process", level: Operator, run: environment },
    Command { words: &["show", "cli", "sockets"], arguments: "", text: "list the sockets of the runtime API", level: User, run: sockets },
    Command { words: &["show", "startup-logs"], arguments: "", text: "report what was said while starting", level: Operator, run: startup_logs },
    Command { words: &["show", "errors"], arguments: "[<px>] [request|response]", text: "report the last invalid requests and responses", level: Operator, run: errors },
    Command { words: &["show", "activity"], arguments: "", text: "show what the process has done", level: Operator, run: activity },
    Command { words: &["show", "threads"], arguments: "", text: "list the threads and what they do", level: Operator, run: threads },
    Command { words: &["show", "fd"], arguments: "[num]", text: "list the open descriptors", level: Operator, run: descriptors },
    Command { words: &["show", "pools"], arguments: "", text: "report the use of memory", level: Operator, run: memory },
    Command { words: &["wait"], arguments: "{-h|<delay_ms>} cond [args...]", text: "wait for a time or a condition (-h lists them)", level: Admin, run: wait },
];

fn environment(call: &mut Call<'_>) -> Flow {
    use std::os::unix::ffi::OsStrExt as _;
    let wanted = call.arg(2).to_owned();
    let mut found = false;
    for (name, value) in std::env::vars_os() {
        if wanted.is_empty() || name.as_bytes() == wanted.as_bytes() {
            found = true;
            call.print(name.as_bytes());
            call.print("=");
            call.print(value.as_bytes());
            call.print("\n");
        }
    }
    if found || wanted.is_empty() { Flow::Done } else { call.error("Variable not found") }
}

fn sockets(call: &mut Call<'_>) -> Flow {
    call.print("# socket lvl processes\n");
    for bind in &call.control.model().global.stats_sockets {
        let address = match &bind.address {
            BindAddress::Inet(address) if address.is_ipv6() => format!("ipv6@{address}"),
            BindAddress::Inet(address) => format!("ipv4@{address}"),
            BindAddress::Unix(path) => format!("unix@{}", path.display()),
            BindAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
            BindAddress::Fd(number) => format!("fd@{number}"),
        };
        let level = match bind.level {
            Admin => "admin",
            Operator => "operator",
            User => "user",
        };
        call.print(format!("{address} {level} all\n"));
    }
    Flow::Done
}

fn startup_logs(call: &mut Call<'_>) -> Flow {
    let text = call.control.admin.startup_logs.borrow().clone();
    if text.is_empty() {
        return call.say(Severity::Info, "No startup alerts/warnings.");
    }
    call.say(Severity::Info, &text)
}

/// The invalid messages that are kept: of every proxy, or of the one that word 2 names by name or number and what
/// it had to do with.
fn errors(call: &mut Call<'_>) -> Flow {
    let (wanted, model) = (call.arg(2).to_owned(), call.control.model());
    let number = match model.proxies.iter().find(|proxy| *proxy.name == *wanted) {
        Some(proxy) => i64::from(proxy.id),
        None => integer(&wanted),
    };
    if !wanted.is_empty() && number == 0 {
        return call.error("No such proxy.");
    }
    // Any negative number stands for all.
    let only = u32::try_from(number).ok().filter(|_| !wanted.is_empty());
    let (requests, responses) = match call.arg(3) {
        "request" => (true, false),
        "response" => (false, true),
        _ => (true, true),
    };
    let captured = call.control.process.invalid_messages.load(Relaxed);
    call.print(format!("Total events captured on [{}] : {captured}\n", local_time(clock::read().wall_us)));
    let mut at = 0;
    // The message being shown, and how far.
    let mut open: Option<(Arc<Snapshot>, usize)> = None;
    Flow::Parts(Parts::new(move |out| {
        while out.len() < PART_BYTES {
            if let Some((snapshot, from)) = &mut open {
                *from = snapshot.write_line(*from, out);
                if *from >= snapshot.bytes.len() {
                    open = None;
                }
                continue;
            }
            let Some(proxy) = model.proxies.get(at / 2) else { return false };
            let is_request = at % 2 == 0;
            at += 1;
            let kept = &proxy.state.snapshots;
            let (kept, is_wanted) =
                if is_request { (&kept.request, requests) } else { (&kept.response, responses) };
            let Some(snapshot) = kept.load_full().filter(|_| is_wanted) else { continue };
            let concerns =
                |id: u32| id == proxy.id || snapshot.other.as_ref().is_some_and(|other| other.1 == id);
            if only.is_none_or(concerns) {
                describe(proxy, is_request, &snapshot, out);
                open = (!snapshot.bytes.is_empty()).then_some((snapshot, 0));
            }
        }
        true
    }))
}

/// What stands before the bytes of an invalid message.
fn describe(proxy: &Proxy, is_request: bool, snapshot: &Snapshot, out: &mut Vec<u8>) {
    let named = |named: &Option<(Box<str>, u32)>| match named {
        Some((name, id)) => format!("{name} (#{id})"),
        None => "<NONE> (#-1)".to_owned(),
    };
    let (side, message, other) = match is_request {
        true => ("frontend", "request", "backend"),
        false => ("backend", "response", "frontend"),
    };
    let source = match snapshot.source {
        Some(address) => format!("{}:{}", address.ip(), address.port()),
        None => "unix:0".to_owned(),
    };
    let length = snapshot.bytes.len();
    let text = format!(
        " \n[{}] {side} {} (#{}): invalid {message}\n  {other} {}, server {}, event #{}, src {source}\n  \
         buffer starts at 0 (including 0 out), {} free,\n  len {length}, wraps at {}, error at position {}\n  \
         {} :\n  \n",
        local_time(snapshot.wall_us),
        proxy.name,
        proxy.id,
        named(&snapshot.other),
        named(&snapshot.server),
        snapshot.event,
        snapshot.buffer_size.saturating_sub(length),
        snapshot.buffer_size,
        snapshot.position,
        snapshot.reason,
    );
    out.extend_from_slice(text.as_bytes());
}

/// `21/Nov/2026:07:10:12.345` in the local time zone.
pub fn local_time(wall_us: u64) -> String {
    let stamp = jiff::Timestamp::from_microsecond(wall_us as i64).unwrap_or_default();
    let zoned = stamp.to_zoned(jiff::tz::TimeZone::system());
    format!("{}.{:03}", zoned.strftime("%d/%b/%Y:%H:%M:%S"), wall_us / 1000 % 1000)
}

fn activity(call: &mut Call<'_>) -> Flow {
    let control = call.control;
    let model = control.model();
    let sum =
        |field: usize| -> u64 { model.proxies.iter().map(|proxy| proxy.state.frontend.sum(field)).sum() };
    let now = clock::read();
    let mut text = String::new();
    let _ = writeln!(text, "date_now: {}.{:06}", now.wall_secs(), now.wall_us % 1_000_000);
    let _ =
        writeln!(text, "uptime_now: {:.6}", now.mono_us.saturating_sub(control.started.mono_us) as f64 / 1e6);
    let _ = writeln!(text, "threads: {}", control.threads);
    let _ = writeln!(text, "driver: {}", control.driver);
    let _ = writeln!(text, "conn_now: {}", control.process.connections.load(Relaxed));
    let _ = writeln!(text, "conn_total: {}", sum(fe::CONNECTIONS));
    let _ = writeln!(text, "sess_total: {}", sum(fe::SESSIONS));
    let _ = writeln!(text, "req_total: {}", control.process.requests.load(Relaxed));
    let _ = writeln!(text, "bytes_in: {}", sum(fe::BYTES_IN));
    let _ = writeln!(text, "bytes_out: {}", sum(fe::BYTES_OUT));
    let _ = writeln!(text, "dropped_logs: {}", control.log.dropped());
    let accidents = control.cores.accidents();
    let _ = writeln!(text, "panics: {}", accidents.panics);
    let _ = writeln!(text, "rings_failed: {}", accidents.rings_failed);
    call.print(text);
    Flow::Done
}

/// Every thread as the kernel sees it: `/proc/self/task/*`.
fn threads(call: &mut Call<'_>) -> Flow {
    let mut lines: Vec<(u32, String)> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let name = read("comm").trim().to_owned();
        let stat = read("stat");
        // The name may hold blanks and brackets; the fields start after the last bracket.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or("?");
        lines.push((
            id,
            format!(
                "{id} {name}: state={} utime={} stime={} cpu={}\n",
                field(0),
                field(11),
                field(12),
                field(36)
            ),
        ));
    }
    lines.sort_unstable();
    call.print(format!("Thread list: {} data threads, {} in all\n", call.control.threads, lines.len()));
    for (_, line) in lines {
        call.print(line);
    }
    Flow::Done
}

/// Every descriptor as the kernel names it: `/proc/self/fd/*`.
fn descriptors(call: &mut Call<'_>) -> Flow {
    let wanted: Option<u32> = call.arg(2).parse().ok();
    let mut lines: Vec<(u32, String)> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        lines.push((number, format!("{number:>7} : {}\n", target.display())));
    }
    lines.sort_unstable();
    for (_, line) in lines.iter().filter(|(number, _)| wanted.is_none_or(|wanted| wanted == *number)) {
        call.print(line);
    }
    Flow::Done
}

fn memory(call: &mut Call<'_>) -> Flow {
    let bytes = crate::sys::process::resident_bytes();
    call.print(format!(
        "Memory comes from the process's allocator; there are no pools to list.\n\
         Total: 0 pools, {bytes} bytes allocated, {bytes} used (resident memory).\n"
    ));
    Flow::Done
}

const WAIT_USAGE: &str = "Usage: wait {-h|<duration>} [condition [args...]]
  - '-h' shows this help
  - <duration> is the longest time, in milliseconds or with a unit among
    'us', 'ms', 's', 'm', 'h', and 'd'
  - <condition> ends it early:
    - <none> : just sleep for the duration
    - be-removable <px> : 'del backend' would delete it
    - srv-removable <px>/<sv> : 'del server' would delete it
";

fn wait(call: &mut Call<'_>) -> Flow {
    let word = call.arg(1).to_owned();
    if word.is_empty() {
        return call.error("Expects a duration in milliseconds.");
    }
    if word == "-h" {
        return call.say(Severity::Info, WAIT_USAGE);
    }
    let ms = match parse_time(&word, TimeUnit::Millisecond) {
        Ok(ms) if ms > 0 => ms,
        _ => return call.error("Invalid duration."),
    };
    let until = match call.arg(2) {
        "" => None,
        "srv-removable" if call.arg(3).is_empty() => {
            return call.error("Missing server name (<backend>/<server>).");
        }
        "srv-removable" => match call.arg(3).split_once('/').filter(|(_, server)| !server.is_empty()) {
            Some((backend, server)) => {
                Some(Until::ServerRemovable { backend: backend.to_owned(), server: server.to_owned() })
            }
            None => return call.error("Require 'backend/server'."),
        },
        "be-removable" if call.arg(3).is_empty() => return call.error("Missing backend name."),
        "be-removable" => Some(Until::BackendRemovable { backend: call.arg(3).to_owned() }),
        "-h" => return call.say(Severity::Info, WAIT_USAGE),
        _ => return call.error(WAIT_USAGE),
    };
    Flow::Wait { ms, until }
}

#[cfg(test)]
mod tests {
    use crate::control::mock::{ask, control};
    use crate::model::bind::CliLevel::Admin;

    #[test]
    fn facts_of_the_process() {
        let control = control();
        for (line, part) in [
            ("show version", "3.5-dev"),
            ("show env PATH", "PATH="),
            ("show env NO_SUCH_VARIABLE_HERE", "Variable not found\n"),
            ("show cli sockets", "# socket lvl processes\n"),
            ("show startup-logs", "No startup alerts/warnings.\n"),
            ("show errors", "Total events captured on ["),
            ("show errors nope", "No such proxy.\n"),
            ("show activity", "\nthreads: 2\n"),
            ("show threads", "Thread list: 2 data threads"),
            ("show fd", "      1 : "),
            ("show pools", "\nTotal: 0 pools, "),
            ("wait", "Expects a duration in milliseconds.\n"),
            ("wait 0", "Invalid duration.\n"),
            ("wait 5 srv-removable", "Missing server name (<backend>/<server>).\n"),
        ] {
            let text = ask(&control, Admin, line);
            assert!(text.contains(part), "{line}: {text}");
        }
        assert!(crate::sys::process::resident_bytes() > 1 << 20);
    }
}
