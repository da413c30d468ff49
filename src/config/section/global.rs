//! The `global` section (manual, sections 3.1, 3.3): the process. Tuning knobs are in
//! [`super::tune`].

use std::path::PathBuf;
use std::sync::Arc;

use super::bind::{self, BindDraft};
use crate::config::keyword::{Keyword, keywords};
use crate::config::loading::{DefaultPath, Loading};
use crate::config::shape;
use crate::config::syntax::Word;
use crate::config::words::{Words, within};
use crate::diag::{Span, did_you_mean};
use crate::http::status_set::StatusSet;
use crate::log::target::Target;
use crate::model::Global;
use crate::model::global::{AcceptFamily, CloseSpread, Driver, MapWriteback, VarSource};
use crate::sample::acl::AclSet;
use crate::sample::expr::{Files as _, Phase};
use crate::sample::vars::{Scope, SetCondition, VarName};
use crate::sample::{Expr, LogFormat};
use crate::tls::options::RecordSizes;

/// Reads a line of `global`.
pub type GlobalParser = fn(&mut GlobalDraft, &mut Words<'_>, &mut Loading<'_>);

/// Every keyword of `global`.
pub const TABLES: &[&[Keyword<GlobalParser>]] =
    &[TABLE, OWN, super::tune::TABLE, super::tune::LIMITS, super::global_tls::TABLE, super::tune::ABSENT];

/// The first words that a second one completes.
pub const FAMILIES: &[&str] = &["stats"];

keywords! {
    /// The process.
    pub TABLE: GlobalParser, "3.1";
    "chroot" "{ <jail dir> | auto }" GLOBAL => Parse(chroot), "Locks the process into a directory once it has started.";
    "close-spread-time" "{ <time> | infinite }" GLOBAL => Parse(close_spread_time), "The time over which client connections are closed while stopping; 'infinite' leaves them to their timeouts.";
    "cpu-affinity" "<affinity>" GLOBAL => NoAction("every data thread is pinned to one CPU already"), "How threads are bound to CPUs.";
    "cpu-map" "[auto:]<thread-group>[/<thread-set>] <cpu-set>..." GLOBAL => Parse(cpu_map), "The CPUs of each thread.";
    "cpu-policy" "<policy>" GLOBAL => NoAction("there is one data thread per usable CPU unless 'nbthread' or 'cpu-map' say otherwise"), "How CPUs are chosen.";
    "cpu-set" "<directive>..." GLOBAL => Refused("which CPUs are used is said by 'nbthread' and 'cpu-map', or from outside (taskset, CPUAffinity= of systemd)"), "Which CPUs are used.";
    "daemon" "" GLOBAL => Parse(|g, w, l| switch(w, l, &mut g.global.daemon)), "Goes into the background.";
    "default-path" "{ current | config | parent | origin <path> }" GLOBAL => Parse(default_path), "What relative paths in the configuration are relative to.";
    "description" "<text>" GLOBAL => Parse(description), "A text for the statistics page.";
    "expose-deprecated-directives" "" GLOBAL => NoAction("what is deprecated is read without it"), "Lets deprecated directives be used.";
    "expose-experimental-directives" "" GLOBAL => Parse(|_, w, l| { l.named.experimental = true; w.end(l.report); }), "Lets experimental directives be used.";
    "fd-hard-limit" "<number>" GLOBAL => Parse(fd_hard_limit), "The most descriptors to ask the system for.";
    "gid" "<number>" GLOBAL => Parse(|g, w, l| owner(w, "group", l, |n| g.global.gid = Some(n))), "The group to run as.";
    "grace" "<time>" GLOBAL => Refused("a process that is told to stop stops accepting at once; use 'hard-stop-after' to bound its end"), "How long a process that was told to stop goes on accepting.";
    "group" "<group name>" GLOBAL => Parse(group), "The group to run as.";
    "h1-accept-payload-with-any-method" "" GLOBAL => Refused("bodies in GET, HEAD and DELETE requests of HTTP/1.0 are never taken"), "Takes bodies with any method.";
    "h1-case-adjust" "<from> <to>" GLOBAL => Parse(case_adjust), "How a header name is written to peers that need it ('option h1-case-adjust-bogus-client', '-server').";
    "h1-case-adjust-file" "<hdrs-file>" GLOBAL => Parse(case_adjust_file), "A file of header names and how they are written, a pair a line.";
    "h1-do-not-close-on-insecure-transfer-encoding" "" GLOBAL => NoAction("a message with both Content-Length and Transfer-Encoding is taken, and its connection is closed after it"), "Keeps connections after messages whose framing is in doubt.";
    "hard-stop-after" "<time>" GLOBAL => Parse(|g, w, l| time(w, l, |ms| g.global.hard_stop_after_ms = Some(ms))), "How long sessions may go on in a process that stops.";
    "harden.reject-privileged-ports.tcp" "{ on | off }" GLOBAL => Parse(reject_privileged_ports), "Refuses clients with ports below 1024.";
    "harden.reject-privileged-ports.quic" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken"), "Refuses clients with ports below 1024.";
    "http-err-codes" "[+-]<range>[,...] [...]" GLOBAL => Parse(|g, w, l| statuses(w, l, &mut g.global.counted_statuses.errors)), "Statuses that count as the client's errors.";
    "http-fail-codes" "[+-]<range>[,...] [...]" GLOBAL => Parse(|g, w, l| statuses(w, l, &mut g.global.counted_statuses.failures)), "Statuses that count as the server's failures.";
    "insecure-fork-wanted" "" GLOBAL => NoAction("no directive that starts programs is available"), "Lets the process start programs.";
    "insecure-setuid-wanted" "" GLOBAL => Parse(|g, w, l| switch(w, l, &mut g.global.insecure_setuid)), "Lets programs that the process starts gain rights.";
    "localpeer" "<name>" GLOBAL => Parse(localpeer), "The name of this peer.";
    "log" "<target> [len <length>] [format <format>] [sample <ranges>:<size>] <facility> [<level> [<minlevel>]]" GLOBAL => Parse(log), "Where log lines of 'log global' go.";
    "log-send-hostname" "[<string>]" GLOBAL => Parse(log_send_hostname), "Puts a host name into log lines.";
    "log-tag" "<string>" GLOBAL => Parse(log_tag), "The program's name in log lines.";
    "master-worker" "[no-exit-on-failure]" GLOBAL => Removed("start with -W or -Ws instead"), "Runs as master and worker.";
    "max-threads-per-group" "<number>" GLOBAL => NoAction("threads are not grouped"), "How many threads a group may have.";
    "mworker-max-reloads" "<number>" GLOBAL => NoAction("a reload starts no process that an old one could outlive"), "How many reloads an old worker survives.";
    "nbproc" "<number>" GLOBAL => Removed("there is a single process; remove the line"), "Processes.";
    "nbthread" "<number>" GLOBAL => Parse(nbthread), "Data threads.";
    "node" "<name>" GLOBAL => Parse(node), "This node's name, for the statistics page.";
    "noreuseport" "" GLOBAL => Parse(|g, w, l| switch(w, l, &mut g.global.no_reuseport)), "Does not set SO_REUSEPORT: the threads share a socket, and '-sf' has the old process pause.";
    "numa-cpu-mapping" "" GLOBAL => NoAction("threads run on all usable CPUs unless 'cpu-map' says otherwise"), "Binds threads to one NUMA node.";
    "pidfile" "<pidfile>" GLOBAL => Parse(|g, w, l| path(w, l, |p| g.global.pidfile = Some(p))), "Where the process writes its number.";
    "pp2-never-send-local" "" GLOBAL => Parse(|g, _, _| g.global.pp2_never_send_local = true), "Announces health checks as proxied connections.";
    "prealloc-fd" "" GLOBAL => NoAction("the kernel's table grows as needed"), "Opens and closes the highest descriptor at start.";
    "presetenv" "<name> <value>" GLOBAL => NoAction("the reader has done it, since the following lines may use it"), "Sets a variable that is not set.";
    "resetenv" "[<name> ...]" GLOBAL => NoAction("the reader has done it, since the following lines may use it"), "Forgets all variables but these.";
    "setenv" "<name> <value>" GLOBAL => NoAction("the reader has done it, since the following lines may use it"), "Sets a variable.";
    "unsetenv" "[<name> ...]" GLOBAL => NoAction("the reader has done it, since the following lines may use it"), "Forgets variables.";
    "server-state-base" "<directory>" GLOBAL => Parse(|g, w, l| path(w, l, |p| g.global.server_state_base = Some(p.to_string_lossy().into()))), "The directory of server state files.";
    "server-state-file" "<file>" GLOBAL => Parse(|g, w, l| path(w, l, |p| g.global.server_state_file = Some(p.to_string_lossy().into()))), "The file that 'load-server-state-from-file global' reads.";
    "set-dumpable" "[on | off | libs]" GLOBAL => Parse(set_dumpable), "Lets a crash leave a core, also after 'user' has changed the process's owner.";
    "set-var" "<var-name> <expr>" GLOBAL => Parse(set_var), "Sets a variable of the process.";
    "set-var-fmt" "<var-name> <fmt>" GLOBAL => Parse(set_var_format), "Sets a variable of the process.";
    "setcap" "<name>[,<name>...]" GLOBAL => Refused("keeping capabilities is not available yet"), "Capabilities to keep.";
    "stats calculate-max-counters" "[on | off]" GLOBAL => NoAction("the greatest values cost nothing to keep"), "Keeps greatest values.";
    "stats maxconn" "<connections>" GLOBAL => Parse(|g, w, l| number(w, l, 1..=i64::from(i32::MAX), |n| g.global.stats_maxconn = n as u32)), "Connections to the runtime API at once.";
    "stats socket" "[<address:port> | <path>] [param*]" GLOBAL => Parse(stats_socket), "Where the runtime API listens.";
    "stats timeout" "<timeout>" GLOBAL => Parse(stats_timeout), "How long a connection to the runtime API may be silent.";
    "stats bind-process" "<set>" GLOBAL => Removed("there is a single process; remove the line"), "Processes of the runtime API.";
    "stats-file" "<path>" GLOBAL => NoAction("counters live on over reloads by themselves; a fresh start begins at zero"), "Counters of an earlier process.";
    "shm-stats-file" "<name>" GLOBAL => NoAction("counters live on over reloads by themselves"), "Counters shared between processes.";
    "shm-stats-file-max-objects" "<number>" GLOBAL => NoAction("counters live on over reloads by themselves"), "The size of 'shm-stats-file'.";
    "stress-level" "<level>" GLOBAL => NoAction("it is for developers of HAProxy"), "Makes rare cases frequent.";
    "strict-limits" "" GLOBAL => Parse(strict_limits), "Does not start where the system refuses the descriptors that 'maxconn' or 'ulimit-n' wants. Without it that is a warning, and connections wait while descriptors are short.";
    "thread-group" "<group> [<thread-range>...]" GLOBAL => NoAction("threads are not grouped"), "The threads of a group.";
    "thread-groups" "<number>" GLOBAL => Parse(thread_groups), "Groups of threads.";
    "thread-hard-limit" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 1..=i64::from(i32::MAX), |n| g.thread_hard_limit = Some(n as usize))), "The most threads to start.";
    "uid" "<number>" GLOBAL => Parse(|g, w, l| owner(w, "user", l, |n| g.global.uid = Some(n))), "The user to run as.";
    "ulimit-n" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 1..=i64::from(i32::MAX), |n| g.global.ulimit_n = Some(n as u64))), "Descriptors that the process may have.";
    "unix-bind" "[prefix <prefix>] [mode <mode>] [user <user>] [uid <uid>] [group <group>] [gid <gid>]" GLOBAL => Parse(unix_bind), "How Unix sockets are made.";
    "user" "<user name>" GLOBAL => Parse(user), "The user to run as.";
    "anonkey" "<key>" GLOBAL => NoAction("the runtime API does not anonymise"), "The key of anonymised output.";
    "debug.counters" "{ on | off }" GLOBAL => NoAction("it is for developers of HAProxy"), "Counters for developers.";
    "force-cfg-parser-pause" "<0..65535, in milliseconds>" GLOBAL => Parse(parser_pause), "Slows reading down. Accepted without effect: it is for developers of HAProxy.";
    "quick-exit" "" GLOBAL => NoAction("memory is never freed piece by piece at exit"), "Exits without freeing memory.";
    "quiet" "" GLOBAL => Parse(|g, w, l| switch(w, l, &mut g.global.quiet)), "Shows no messages at start.";
    "warn-blocked-traffic-after" "<time>" GLOBAL => NoAction("how long a task holds its thread is not watched"), "Warns when traffic was blocked.";
    "zero-warning" "" GLOBAL => Parse(|g, w, l| switch(w, l, &mut g.global.zero_warning)), "Fails on warnings.";
    "debug" "" GLOBAL => Removed("start with -d instead"), "Stays in the foreground.";
}

keywords! {
    /// What HAProxy does not have.
    pub OWN: GlobalParser, "-";
    "map-writeback" "{ all | off | <file>... }" GLOBAL => Parse(map_writeback), "Writes changes of maps at run time back to their files.";
    "tune.driver" "{ auto | io_uring | epoll }" GLOBAL => Parse(driver), "What carries the data path.";
}

/// `global` while its lines are being read.
pub struct GlobalDraft {
    /// The result so far.
    pub global: Global,
    /// `stats socket` lines.
    pub stats_sockets: Vec<BindDraft>,
    /// `log` lines.
    pub log: Vec<Arc<Target>>,
    /// `tune.h2.fe.initial-window-size` stands.
    pub h2_own_window: bool,
    /// `tune.h2.fe.max-concurrent-streams` stands.
    pub h2_own_streams: bool,
    /// `thread-hard-limit`
    pub thread_hard_limit: Option<usize>,
}

impl Default for GlobalDraft {
    fn default() -> Self {
        GlobalDraft {
            h2_own_window: false,
            h2_own_streams: false,
            global: Global {
                stats_timeout_ms: 10_000,
                stats_maxconn: 10,
                var_limits: Default::default(),
                bufsize: 16_384,
                maxrewrite: 1024,
                headers_max: 101,
                h2: Default::default(),
                log_uri_len: 1024,
                header_case: Default::default(),
                cookie_len: 63,
                maxaccept: super::tune::MAXACCEPT,
                pipesize: 0,
                idle_pool_shared: true,
                tls_records: RecordSizes { first: 0, most: 0, idle_ms: 1000 },
                ..Global::default()
            },
            stats_sockets: Vec::new(),
            log: Vec::new(),
            thread_hard_limit: None,
        }
    }
}

/// Takes a number for a setting.
pub(super) fn number(
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    bounds: std::ops::RangeInclusive<i64>,
    to: impl FnOnce(i64),
) {
    let Some(word) = words.expect(loading.report, "an integer argument") else { return };
    if let Some(number) = within(word, &words.keyword(), bounds, loading.report) {
        to(number);
    }
    words.end(loading.report);
}

/// Takes a time in milliseconds for a setting.
pub(super) fn time(words: &mut Words<'_>, loading: &mut Loading<'_>, to: impl FnOnce(u64)) {
    if let Some(ms) = words.time_ms(loading.report) {
        to(ms);
    }
    words.end(loading.report);
}

/// Changes a set of statuses, word by word.
fn statuses(words: &mut Words<'_>, loading: &mut Loading<'_>, set: &mut StatusSet) {
    if words.is_done() {
        let message = format!("'{}' expects ranges of statuses", words.keyword());
        loading.report.alert(words.span(), message).help("for instance 400-499 -450");
    }
    while !words.is_done() {
        let Some(word) = words.expect(loading.report, "a range of statuses") else { return };
        if let Err(problem) = set.change(&word.text) {
            let message = format!("'{}': {problem}", words.keyword());
            loading.report.alert(word.span, message);
        }
    }
}

fn switch(words: &mut Words<'_>, loading: &mut Loading<'_>, to: &mut bool) {
    *to = !words.is_negated();
    words.end(loading.report);
}

fn path(words: &mut Words<'_>, loading: &mut Loading<'_>, to: impl FnOnce(PathBuf)) {
    if let Some(word) = words.expect(loading.report, "a file name as argument") {
        to(PathBuf::from(&word.text));
    }
    words.end(loading.report);
}

fn reject_privileged_ports(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(wanted) = words.on_off(loading.report) {
        global.global.reject_privileged_ports = wanted;
    }
    words.end(loading.report);
}

/// Read for its mistakes only: no developer waits for this reader.
fn parser_pause(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if !loading.experimental(words) {
        return;
    }
    shape::read("force-cfg-parser-pause", "<0..65535, in milliseconds>", words, loading.report);
    words.end(loading.report);
}

fn close_spread_time(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.peek() == Some("infinite") {
        words.take_word();
        global.global.close_spread = CloseSpread::Never;
        return words.end(loading.report);
    }
    time(words, loading, |ms| {
        global.global.close_spread = if ms == 0 { CloseSpread::AtOnce } else { CloseSpread::Over(ms) };
    });
}

fn strict_limits(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    global.global.strict_limits = !words.is_negated();
    words.end(loading.report);
}

fn set_dumpable(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let negated = words.is_negated();
    let wanted = match words.take_word() {
        None => true,
        Some(word) => match word.text.as_str() {
            // One file holds all that a core needs to be read: there are no libraries to add.
            "on" | "libs" => true,
            "off" => false,
            other => {
                let message = format!("'set-dumpable' expects 'on', 'off' or 'libs', not '{other}'");
                loading.report.alert(word.span, message);
                return;
            }
        },
    };
    global.global.dumpable = wanted && !negated;
    words.end(loading.report);
}

fn case_adjust(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let (Some(from), Some(to)) = (words.take_word(), words.take_word()) else {
        loading.report.alert(words.span(), "'h1-case-adjust' expects <from> and <to> as argument");
        return;
    };
    if let Err(problem) = global.global.header_case.add(&from.text, &to.text) {
        loading.report.alert(from.span, format!("h1-case-adjust: {problem}"));
    }
    words.end(loading.report);
}

fn case_adjust_file(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "a file name") else { return };
    let text = match loading.environment.read(&word.text) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            let message = format!("h1-case-adjust-file: cannot read '{}': {error}", word.text);
            loading.report.alert(word.span, message);
            return;
        }
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut pair = line.split_ascii_whitespace();
        let result = match (pair.next(), pair.next(), pair.next()) {
            (Some(from), Some(to), None) => global.global.header_case.add(from, to),
            _ => Err("expects two header names".to_owned()),
        };
        if let Err(problem) = result {
            let message = format!("h1-case-adjust-file: '{}' line {}: {problem}", word.text, number + 1);
            loading.report.alert(word.span, message);
        }
    }
    words.end(loading.report);
}

fn chroot(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "a directory as an argument") else { return };
    words.end(loading.report);
    if word.text == "auto" {
        loading.report.alert(word.span, "'chroot auto' is not available yet").help("name an empty directory");
        return;
    }
    global.global.chroot = Some(PathBuf::from(&word.text));
}

fn default_path(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    match words.text() {
        Some("current") => loading.default_path = DefaultPath::Current,
        Some("config") => loading.default_path = DefaultPath::Config,
        Some("parent") => loading.default_path = DefaultPath::Parent,
        Some("origin") => {
            let Some(word) = words.expect(loading.report, "a directory after 'origin'") else { return };
            loading.default_path = DefaultPath::Origin(word.text.clone());
        }
        other => {
            let message = format!(
                "default-path mode '{}' not supported; use 'current', 'config', 'parent', or 'origin'",
                other.unwrap_or("")
            );
            loading.report.alert(words.last_span(), message);
        }
    }
    let span = words.span();
    words.end(loading.report);
    loading.enter(span);
}

fn stats_timeout(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(ms) = words.time_ms(loading.report) else { return };
    if ms == 0 {
        loading.report.alert(words.last_span(), "'stats timeout' expects a positive value");
        return;
    }
    global.global.stats_timeout_ms = ms;
    words.end(loading.report);
}

fn description(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.is_done() {
        loading.report.alert(words.span(), "'description' expects a string argument");
        return;
    }
    global.global.description = Some(words.take_rest().join(" "));
}

fn fd_hard_limit(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    number(words, loading, 1..=i64::from(i32::MAX), |n| {
        let limit = n as u64;
        global.global.ulimit_n = Some(global.global.ulimit_n.map_or(limit, |set| set.min(limit)));
    });
}

/// The number of a user or group. A name is ignored with a warning, as HAProxy does; `instead` takes it.
fn owner(words: &mut Words<'_>, instead: &str, loading: &mut Loading<'_>, set: impl FnOnce(u32)) {
    let keyword = words.keyword();
    let Some(word) = words.expect(loading.report, "an integer argument") else { return };
    match word.text.parse() {
        Ok(number) => set(number),
        Err(_) => {
            let message = format!("{keyword}: string '{}' is not a number", word.text);
            loading.report.warning(word.span, message).help(format!("write: {instead} {}", word.text));
        }
    }
    words.end(loading.report);
}

fn user(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "a user name") else { return };
    match loading.id_in("/etc/passwd", &word.text) {
        Some(uid) => global.global.uid = Some(uid),
        None => unknown_id(word, "user", loading),
    }
    words.end(loading.report);
}

fn group(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "a group name") else { return };
    match loading.id_in("/etc/group", &word.text) {
        Some(gid) => global.global.gid = Some(gid),
        None => unknown_id(word, "group", loading),
    }
    words.end(loading.report);
}

fn unknown_id(word: &Word, what: &str, loading: &mut Loading<'_>) {
    let message = format!("cannot find {what} id for '{}' (0:Success)", word.text);
    loading.report.alert(word.span, message);
}

fn localpeer(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(word) = words.expect(loading.report, "a name as an argument") {
        global.global.localpeer = Some(word.text.clone());
    }
    words.end(loading.report);
}

fn log(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.line.prefix != crate::config::syntax::Prefix::None {
        if !words.is_done() {
            loading.report.alert(words.span(), "'no log' does not expect arguments");
        }
        global.log.clear();
        return;
    }
    if words.rest() == ["global"] {
        loading.report.alert(words.span(), "'log' : 'global' is not supported for a global syslog server");
        return;
    }
    global.log.extend(super::log::target(words, "", loading).map(Arc::new));
}

fn log_send_hostname(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let name = match words.text() {
        Some(name) => Some(name.to_owned()),
        None => host_name(loading),
    };
    global.global.log_hostname = name;
    words.end(loading.report);
}

/// The host's name: the reader puts it into the environment of shells; otherwise the kernel's file.
fn host_name(loading: &mut Loading<'_>) -> Option<String> {
    let bytes = loading.file("/proc/sys/kernel/hostname").ok()?;
    let name = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!name.is_empty()).then_some(name)
}

fn log_tag(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(word) = words.expect(loading.report, "a tag for use in syslog") {
        global.global.log_tag = Some(word.text.clone());
    }
    words.end(loading.report);
}

fn node(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "a node name") else { return };
    if !word.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
        let message = "'node' valid node name - non-empty string with digits(0-9), letters(A-Z, a-z), dot(.), \
                       hyphen(-) or underscode(_)";
        loading.report.alert(word.span, message);
        return;
    }
    global.global.node = Some(word.text.clone());
    words.end(loading.report);
}

fn nbthread(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let most = crate::base::core_id::CORES_MAX as i64;
    number(words, loading, 1..=most, |n| global.global.nbthread = Some(n as usize));
}

/// Groups do not exist here; the number is still checked as HAProxy checks it.
fn thread_groups(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    number(words, loading, 1..=64, |_| {});
}

fn stats_socket(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.is_done() {
        let message = "'stats socket' in the global section expects an address or a path to a UNIX socket";
        loading.report.alert(words.span(), message);
        return;
    }
    let parsed = bind::parse(words, "stats socket", loading);
    if parsed.as_ref().is_some_and(|line| line.settings.accept_proxy) {
        let message = "'stats socket accept-proxy' : the PROXY protocol is taken by 'bind' lines only";
        loading.report.alert(words.span(), message);
    }
    global.stats_sockets.extend(parsed);
}

fn unix_bind(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    while let Some(word) = words.take_word() {
        let Some(value) = words.take_word() else {
            loading.report.alert(word.span, format!("'unix-bind' : '{}' expects a value", word.text));
            return;
        };
        match word.text.as_str() {
            "prefix" => loading.unix_prefix.clone_from(&value.text),
            "mode" => match u32::from_str_radix(&value.text, 8) {
                Ok(mode) => loading.unix_bind.unix_mode = Some(mode),
                Err(_) => {
                    loading.report.alert(value.span, "'unix-bind' : 'mode' expects an octal number");
                }
            },
            "uid" => {
                loading.unix_bind.unix_uid =
                    within(value, "uid", 0..=i64::from(u32::MAX), loading.report).map(|n| n as u32)
            }
            "gid" => {
                loading.unix_bind.unix_gid =
                    within(value, "gid", 0..=i64::from(u32::MAX), loading.report).map(|n| n as u32)
            }
            "user" => match loading.id_in("/etc/passwd", &value.text) {
                Some(uid) => loading.unix_bind.unix_uid = Some(uid),
                None => unknown_id(value, "user", loading),
            },
            "group" => match loading.id_in("/etc/group", &value.text) {
                Some(gid) => loading.unix_bind.unix_gid = Some(gid),
                None => unknown_id(value, "group", loading),
            },
            _ => {
                let message = "'unix-bind' only supports the 'prefix', 'mode', 'user', 'group', 'uid' and 'gid' options";
                loading.report.alert(word.span, message);
                return;
            }
        }
    }
}

/// The variable that a line sets: one of the process, since nothing else exists yet.
#[allow(clippy::type_complexity)]
fn variable(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<(VarName, Box<[SetCondition]>)> {
    let word = words.expect(loading.report, "<var-name> and a value as arguments")?;
    match SetCondition::split(&word.text) {
        Ok((name, conditions)) if name.scope == Scope::Proc => Some((name, conditions)),
        Ok(_) => {
            let message = format!(
                "'{}': '{}': only variables of scope 'proc' can be set here",
                words.keyword(),
                word.text
            );
            loading.report.alert(word.span, message);
            None
        }
        Err(error) => {
            loading.report.alert(word.span, format!("'{}': {error}", words.keyword()));
            None
        }
    }
}

fn set_var(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some((name, conditions)) = variable(words, loading) else { return };
    let Some(word) = words.expect(loading.report, "an expression") else { return };
    let none = AclSet::default();
    let expr = Expr::parse(&word.text, word.span, &mut loading.context(Phase::Config, None, &none));
    words.end(loading.report);
    global.global.set_vars.extend(expr.map(|expr| (name, conditions, VarSource::Expr(expr))));
}

fn set_var_format(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some((name, conditions)) = variable(words, loading) else { return };
    let Some(word) = words.expect(loading.report, "a format") else { return };
    let none = AclSet::default();
    let format = LogFormat::parse(&word.text, word.span, &mut loading.context(Phase::Config, None, &none));
    words.end(loading.report);
    global.global.set_vars.extend(format.map(|format| (name, conditions, VarSource::Format(format))));
}

fn map_writeback(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let files = words.take_rest();
    global.global.map_writeback = match files.as_slice() {
        [] => {
            let message = "'map-writeback' expects 'all', 'off' or the names of map files";
            loading.report.alert(words.span(), message);
            return;
        }
        ["all"] => MapWriteback::All,
        ["off"] => MapWriteback::Off,
        files => MapWriteback::Files(files.iter().map(|&file| file.to_owned()).collect()),
    };
}

fn driver(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    global.global.driver = match words.text() {
        Some("auto") => Driver::Auto,
        Some("io_uring") => Driver::IoUring,
        Some("epoll") => Driver::Epoll,
        other => {
            let message = format!(
                "'tune.driver' expects 'auto', 'io_uring' or 'epoll' but got '{}'",
                other.unwrap_or("")
            );
            let help = other.and_then(|other| did_you_mean(other, ["auto", "io_uring", "epoll"]));
            let found = loading.report.alert(words.last_span(), message);
            if let Some(help) = help {
                found.help(help);
            }
            return;
        }
    };
    words.end(loading.report);
}

/// `cpu-map [auto:]<group>[/<threads>] <cpus>...`: threads and CPUs are numbers, ranges, `odd`,
/// `even` or `all`; with `auto:` the CPUs are dealt out one to a thread.
fn cpu_map(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "a thread set and a CPU set as arguments") else { return };
    let (auto, set) = word.text.strip_prefix("auto:").map_or((false, word.text.as_str()), |set| (true, set));
    let threads = set.split_once('/').map_or("all", |(_, threads)| threads);
    let most = crate::base::core_id::CORES_MAX;
    let group_ok = ["all", "odd", "even"].contains(&set.split('/').next().unwrap_or(""))
        || set.split('/').next().and_then(|group| ranges(group, 1, 64)).is_some();
    let Some(threads) = ranges(threads, 1, most).filter(|_| group_ok) else {
        let message = format!("'cpu-map' : cannot parse the thread set '{}'", word.text);
        loading.report.alert(word.span, message);
        return;
    };
    let mut cpus = Vec::new();
    if words.is_done() {
        loading.report.alert(words.span(), "'cpu-map' expects a CPU set after the thread set");
    }
    while let Some(word) = words.take_word() {
        for part in word.text.split(',') {
            match ranges(part, 0, CPUS_MAX) {
                Some(found) => cpus.extend(found),
                None => {
                    loading
                        .report
                        .alert(word.span, format!("'cpu-map' : cannot parse the CPU set '{}'", word.text));
                    return;
                }
            }
        }
    }
    if auto {
        let pairs = threads.into_iter().zip(cpus).map(|(thread, cpu)| (thread, vec![cpu]));
        global.global.cpu_map.extend(pairs);
    } else {
        global.global.cpu_map.extend(threads.into_iter().map(|thread| (thread, cpus.clone())));
    }
}

/// CPUs that a host may have.
const CPUS_MAX: usize = 1023;

/// `all`, `odd`, `even`, `<n>` or `<low>-[<high>]` within bounds.
pub(super) fn ranges(text: &str, low: usize, high: usize) -> Option<Vec<usize>> {
    let all = low..=high;
    match text {
        "all" => Some(all.collect()),
        "odd" => Some(all.filter(|n| n % 2 == 1).collect()),
        "even" => Some(all.filter(|n| n % 2 == 0).collect()),
        _ => {
            let (first, last) = match text.split_once('-') {
                Some((first, "")) => (first.parse().ok()?, high),
                Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
                None => {
                    let number: usize = text.parse().ok()?;
                    (number, number)
                }
            };
            let (first, last) = if first <= last { (first, last) } else { (last, first) };
            (first >= low && last <= high).then(|| (first..=last).collect())
        }
    }
}

/// Ends the section: sockets become listeners, limits are applied.
pub fn finish(mut draft: GlobalDraft, loading: &mut Loading<'_>) -> Global {
    let mut next_id = 1;
    for bind in draft.stats_sockets {
        if let Some(span) = bind.settings.tls.ssl {
            loading.report.alert(span, "'stats socket' : 'ssl' is not available for the runtime API");
        }
        draft.global.stats_sockets.extend(crate::config::finish::listeners(bind, None, &mut next_id));
    }
    draft.global.log = draft.log.into();
    if let (Some(limit), Some(threads)) = (draft.thread_hard_limit, draft.global.nbthread) {
        draft.global.nbthread = Some(threads.min(limit));
    }
    if draft.global.maxrewrite >= draft.global.bufsize {
        let message = format!(
            "invalid value for 'tune.maxrewrite' {}, max={}",
            draft.global.maxrewrite,
            draft.global.bufsize / 2
        );
        loading.report.warning(Span::NONE, message);
        draft.global.maxrewrite = draft.global.bufsize / 2;
    }
    if let Some(maxconn) = loading.settings.maxconn {
        draft.global.maxconn = Some(maxconn);
    }
    if loading.settings.master_worker {
        draft.global.master_worker = true;
    }
    if loading.settings.ipv4_only {
        draft.global.accept_family = AcceptFamily { v4: true, v6: false, auto: false };
    }
    if let Some(name) = &loading.settings.local_peer {
        draft.global.localpeer = Some(name.clone());
    }
    draft.global
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_numbers() {
        for (text, expected) in [
            ("3", Some(vec![3])),
            ("1-3", Some(vec![1, 2, 3])),
            ("3-1", Some(vec![1, 2, 3])),
            ("6-", Some(vec![6, 7, 8])),
            ("odd", Some(vec![1, 3, 5, 7])),
            ("0", None),
            ("9", None),
            ("x", None),
        ] {
            assert_eq!(ranges(text, 1, 8), expected, "{text}");
        }
    }
}
