//! Sessions in progress: list them, end them.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::base::clock;
use crate::base::units::{TimeUnit, parse_time};
use crate::control::Control;
use crate::control::admin::{Call, Command, Flow, Later, Severity, ask};
use crate::engine::orders::{SESSIONS_AT_ONCE, Shown, core_of};
use crate::model::bind::CliLevel::{Admin, Operator};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "sess"], arguments: "[help|<id>|all] [opts...]", text: "report the list of current sessions, or one of them", level: Operator, run: show },
    Command { words: &["shutdown", "session"], arguments: "<id>", text: "kill a specific session", level: Admin, run: shutdown },
];

const HELP: &str = "Usage: show sess [<id> | all | help] [<options>*]
Shows the sessions in progress, a line each. Selectors:
  <id>           one session in the long form, by the identifier its line begins with
  all            every session in the long form
  help           this help
Options:
  older <age>    sessions older than <age> (in seconds, or with a unit)
  server <b/s>   sessions on this server
  backend <b>    sessions in this backend
  frontend <f>   sessions of this frontend
  susp           sessions that no time-out bounds, or that have outlived it
";

/// Which sessions are wanted, and how.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// One, by its number.
    number: Option<u64>,
    /// In the long form.
    whole: bool,
    older_s: Option<u64>,
    frontend: Option<String>,
    backend: Option<String>,
    server: Option<String>,
    suspicious: bool,
}

impl Wanted {
    fn wants(&self, shown: &Shown) -> bool {
        let backend = shown.backend.as_ref().map(|((name, _), _)| &**name);
        let server = shown.server.as_ref().map(|((name, _), _)| &**name);
        let is = |wanted: &Option<String>, name| {
            wanted.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == name)
        };
        self.number.is_none_or(|number| number == shown.number)
            && self.older_s.is_none_or(|seconds| shown.age_ms / 1000 >= seconds)
            && is(&self.frontend, Some(&*shown.frontend.0.0))
            && is(&self.backend, backend)
            && is(&self.server, server)
            && (!self.suspicious || shown.expires_ms.is_none_or(|left| left < 0))
    }
}

/// The number that an identifier stands for.
fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

fn parse(call: &Call<'_>) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let mut at = 2;
    match call.arg(at) {
        "all" => (wanted.whole, at) = (true, at + 1),
        word if number(word).is_some() => {
            (wanted.number, wanted.whole) = (number(word), true);
            at += 1;
        }
        _ => {}
    }
    let model = call.control.model();
    while at < call.words.len() {
        let (word, value) = (call.arg(at), call.arg(at + 1));
        if matches!(word, "server" | "backend" | "frontend")
            && (wanted.backend.is_some() || wanted.frontend.is_some())
        {
            return Err("Only one of backend, frontend or server may be set.".into());
        }
        match word {
            "older" if value.is_empty() => {
                return Err("Expects a minimum age (in seconds by default).".into());
            }
            "older" => {
                wanted.older_s = Some(parse_time(value, TimeUnit::Second).map_err(|_| "Invalid age.")?);
                wanted.whole = wanted.whole || at == 2;
            }
            "susp" => {
                wanted.suspicious = true;
                at += 1;
                continue;
            }
            "server" if value.is_empty() => return Err("Missing server name (<backend>/<server>).".into()),
            "server" => {
                let Some((backend, server)) = value.split_once('/').filter(|(_, server)| !server.is_empty())
                else {
                    return Err("Require 'backend/server'.".into());
                };
                let proxy = model.backend(backend).ok_or("No such backend.")?;
                if !proxy.state.servers.load().iter().any(|state| *state.name == *server) {
                    return Err("No such server.".into());
                }
                (wanted.backend, wanted.server) = (Some(backend.to_owned()), Some(server.to_owned()));
            }
            "backend" if value.is_empty() => return Err("Missing backend name.".into()),
            "backend" => {
                model.backend(value).ok_or("No such backend.")?;
                wanted.backend = Some(value.to_owned());
            }
            "frontend" if value.is_empty() => return Err("Missing frontend name.".into()),
            "frontend" => {
                model.frontends.get(value).ok_or("No such frontend.")?;
                wanted.frontend = Some(value.to_owned());
            }
            "show-uri" => {
                return Err("'show-uri' is not available: sessions keep no URI that others may read.".into());
            }
            other => return Err(format!("Unknown option '{other}' (use 'show sess help').")),
        }
        at += 2;
    }
    Ok(wanted)
}

fn show(call: &mut Call<'_>) -> Flow {
    if call.arg(2) == "help" {
        return call.say(Severity::Info, HELP);
    }
    match parse(call) {
        Ok(wanted) => {
            let first = wanted.number.map_or(0, |number| core_of(number, call.control.threads));
            let after = wanted.number.map_or(0, |number| number.saturating_sub(1));
            list(call.control.clone(), wanted, first, after)
        }
        Err(text) => call.error(&text),
    }
}

/// Asks one thread after another for its sessions, some at a time, and shows those wanted.
fn list(control: Rc<Control>, wanted: Wanted, core: usize, after: u64) -> Flow {
    Later::flow(async move {
        let sessions = ask(|tell| control.cores.sessions(core, after, tell)).await;
        let mut text = String::new();
        for shown in sessions.iter().filter(|shown| wanted.wants(shown)) {
            if wanted.whole { write_whole(shown, &mut text) } else { write_line(shown, &mut text) }
        }
        let next = match sessions.last() {
            _ if wanted.number.is_some() => {
                if text.is_empty() {
                    text.push_str("Session not found.\n");
                }
                Flow::Done
            }
            Some(last) if sessions.len() == SESSIONS_AT_ONCE => list(control, wanted, core, last.number),
            _ if core + 1 < control.threads => list(control, wanted, core + 1, 0),
            _ => Flow::Done,
        };
        (text.into_bytes(), next)
    })
}

/// The two greatest units of a time.
fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

fn expiry(shown: &Shown) -> String {
    match shown.expires_ms {
        None => "<NEVER>".into(),
        Some(left) if left < 0 => "<PAST>".into(),
        Some(left) => time(left as u64),
    }
}

fn source(shown: &Shown) -> (&'static str, String) {
    match shown.source {
        Some(source) if source.is_ipv4() => ("tcpv4", format!("{}:{}", source.ip(), source.port())),
        Some(source) => ("tcpv6", format!("{}:{}", source.ip(), source.port())),
        None => ("unix_stream", format!("unix:{}", shown.listener.1)),
    }
}

fn state(shown: &Shown) -> &'static str {
    match (shown.is_killed, shown.is_idle, &shown.server, &shown.backend) {
        (true, ..) => "KILLED",
        (_, true, ..) => "IDLE",
        (_, _, Some(_), _) => "SERVER",
        (_, _, _, Some(_)) => "BACKEND",
        _ => "FRONTEND",
    }
}

fn write_line(shown: &Shown, out: &mut String) {
    let (protocol, source) = source(shown);
    let backend = shown.backend.as_ref().map_or("<NONE>", |((name, _), _)| name);
    let server = shown.server.as_ref().map_or("<none>", |((name, _), _)| name);
    let _ = writeln!(
        out,
        "{:#x}: proto={protocol} src={source} fe={} be={backend} srv={server} ts={} age={} exp={}",
        shown.number,
        shown.frontend.0.0,
        state(shown),
        time(shown.age_ms),
        expiry(shown),
    );
}

fn write_whole(shown: &Shown, out: &mut String) {
    let (protocol, source) = source(shown);
    let began_us = clock::read().wall_us.saturating_sub(shown.age_ms * 1000);
    let mode = |is_http: bool| if is_http { "http" } else { "tcp" };
    let (name, id, address) = &shown.listener;
    let ((frontend, frontend_id), frontend_http) = &shown.frontend;
    let _ = writeln!(
        out,
        "{:#x}: [{}] id={} proto={protocol} source={source}",
        shown.number,
        super::process::local_time(began_us),
        shown.number
    );
    let _ = writeln!(
        out,
        "  frontend={frontend} (id={frontend_id} mode={}), listener={} (id={id}) addr={address}",
        mode(*frontend_http),
        name.as_deref().unwrap_or("?"),
    );
    let _ = match &shown.backend {
        Some(((name, id), is_http)) => writeln!(out, "  backend={name} (id={id} mode={})", mode(*is_http)),
        None => writeln!(out, "  backend=<NONE> (id=-1 mode=-)"),
    };
    let _ = match &shown.server {
        Some(((name, id), address)) => writeln!(out, "  server={name} (id={id}) addr={address}"),
        None => writeln!(out, "  server=<NONE> (id=-1)"),
    };
    let _ = writeln!(
        out,
        "  task (state={} exp={} tid={} age={})",
        state(shown),
        expiry(shown),
        shown.thread,
        time(shown.age_ms)
    );
    let (count, bytes_in, bytes_out) = shown.ended;
    let _ = writeln!(out, "  ended transactions={count} bytes_in={bytes_in} bytes_out={bytes_out}");
}

fn shutdown(call: &mut Call<'_>) -> Flow {
    let Some(wanted) = number(call.arg(2)) else {
        return call.error("Session pointer expected (use 'show sess').");
    };
    let (control, severity) = (call.control.clone(), call.session.severity);
    Later::flow(async move {
        let core = core_of(wanted, control.threads);
        let found = ask(|tell| control.cores.sessions(core, wanted.saturating_sub(1), tell)).await;
        if found.first().is_none_or(|shown| shown.number != wanted) {
            let text = format!("{}No such session (use 'show sess').\n", severity.prefix(Severity::Error));
            return (text.into_bytes(), Flow::Done);
        }
        control.cores.shutdown_session(wanted);
        (Vec::new(), Flow::Done)
    })
}

#[cfg(test)]
mod tests {
    use crate::control::mock::{SESSIONS, ask, calls, control, parts};
    use crate::model::bind::CliLevel::Admin;

    #[test]
    fn sessions_are_listed_and_ended() {
        let control = control();
        let all = SESSIONS as usize;
        for (line, first, count) in [
            (
                "show sess",
                "0x2: proto=tcpv4 src=192.0.2.1:1000 fe=fe be=be srv=s1 ts=SERVER age=2s exp=<NEVER>\n",
                all,
            ),
            ("show sess 0x3", "0x3: [", 6),
            ("show sess all", "0x2: [", 6 * all),
            ("show sess older 1999", "0x7d0: [", 6 * 2),
            ("show sess all older 1999s", "0x7d0: [", 6 * 2),
            ("show sess server be/s1", "0x2: ", 2),
            ("show sess backend be", "0x2: ", 2),
            ("show sess frontend fe", "0x2: ", all),
            ("show sess frontend fe susp", "0x2: ", 1),
            ("show sess 0x9999", "Session not found.\n", 1),
            ("show sess frontend nope", "No such frontend.\n", 1),
            ("show sess server be", "Require 'backend/server'.\n", 1),
            ("show sess server be/nope", "No such server.\n", 1),
            ("show sess backend be frontend fe", "Only one of backend, frontend or server may be set.\n", 1),
            ("show sess older", "Expects a minimum age (in seconds by default).\n", 1),
            ("show sess older x", "Invalid age.\n", 1),
            ("show sess strange", "Unknown option 'strange'", 1),
            ("shutdown session", "Session pointer expected (use 'show sess').\n", 1),
            ("shutdown session 0x9999", "No such session (use 'show sess').\n", 1),
            ("shutdown session 0x1", "", 0),
        ] {
            let text = ask(&control, Admin, line);
            assert!(text.starts_with(first), "{line}: {}", text.lines().next().unwrap_or(""));
            assert_eq!(text.lines().count(), count, "{line}");
        }
        assert_eq!(calls(), ["shutdown session 1"]);
        let whole = ask(&control, Admin, "show sess 0x1");
        let (_, rest) = whole.split_once("] ").unwrap();
        let expected = "id=1 proto=tcpv4 source=192.0.2.1:1000\n  \
            frontend=fe (id=2 mode=http), listener=? (id=1) addr=127.0.0.1:8080\n  \
            backend=be (id=3 mode=http)\n  server=s1 (id=1) addr=127.0.0.1:8001\n  \
            task (state=SERVER exp=5s tid=2 age=1s)\n  ended transactions=1 bytes_in=10 bytes_out=20\n";
        assert_eq!(rest, expected);
    }

    #[test]
    fn many_sessions_are_asked_for_some_at_a_time() {
        let control = control();
        let parts = parts(&control, "show sess all");
        let longest = parts.iter().map(Vec::len).max().unwrap();
        assert!(parts.len() > 2000 / 256 && longest < 256 * 512, "{} parts, {longest} bytes", parts.len());
    }

    #[test]
    fn idle_connections_are_counted_per_thread() {
        let text = ask(&control(), Admin, "show servers conn be");
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
        assert_eq!(rows[0][1..].last(), Some(&"idle_per_thr[2]"));
        // The mark of the head is no column, and its last name stands for two.
        assert!(rows[1..].iter().all(|row| row.len() == rows[0].len()), "{text}");
        assert!(text.contains("be/s1 3/1 127.0.0.1 8001 ") && text.contains(" 3 4\n"), "{text}");
    }
}
