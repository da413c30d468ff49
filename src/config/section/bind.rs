//! `bind` lines and `stats socket` lines: addresses and their options (manual, section 5.1).

use super::bind_tls::TlsSettings;
use crate::base::core_id;
use crate::config::address;
use crate::config::draft::Draft;
use crate::config::keyword::{Does, Places, keywords};
use crate::config::loading::Loading;
use crate::config::shape;
use crate::config::words::{self, Words};
use crate::diag::Span;
use crate::model::bind::{BindAddress, CliLevel, Protocol};

/// Reads an option of a `bind` line.
pub type BindParser = fn(&mut BindSettings, &mut Words<'_>, &mut Loading<'_>);

keywords! {
    /// Options of listeners.
    pub TABLE: BindParser, "5.1";
    "accept-netscaler-cip" "<magic number>" BIND => Refused("the NetScaler client address protocol is not available"), "Takes the client's address from a NetScaler.";
    "accept-proxy" "" BIND => Parse(|b, _, _| b.accept_proxy = true), "Takes the client's address from a PROXY protocol header.";
    "backlog" "<backlog>" BIND => Parse(|b, w, l| b.backlog = number(w, l, 1..=i64::from(i32::MAX)).map(|n| n as u32)), "How many connections may wait for being accepted.";
    "cc" "<algo>" BIND => Refused("choosing the congestion control of connections is not available yet"), "The congestion control of connections.";
    "defer-accept" "" BIND => Parse(|b, _, _| b.defer_accept = true), "Accepts connections only once there are data.";
    "expose-fd" "listeners" BIND => Parse(expose_fd), "Lets another process take the listening sockets over.";
    "gid" "<gid>" BIND => Parse(|b, w, l| b.unix_gid = number(w, l, 0..=i64::from(u32::MAX)).map(|n| n as u32)), "The group of a Unix socket.";
    "group" "<group>" BIND => Parse(group), "The group of a Unix socket.";
    "guid-prefix" "<string>" BIND => Parse(guid_prefix), "Names for listeners that are unique. Accepted without effect: listeners are known by their addresses over reloads.";
    "id" "<id>" BIND => Parse(id), "A fixed number for statistics.";
    "idle-ping" "<delay>" BIND => Parse(|b, w, l| b.idle_ping_ms = time(w, l)), "Asks idle HTTP/2 clients whether they are there, and closes on those that do not answer.";
    "interface" "<interface>" BIND => Parse(|b, w, l| b.interface = text(w, l)), "Listens on one network interface.";
    "label" "<label>" BIND => NoAction("it groups listeners in HAProxy's statistics only"), "Names a group of listeners.";
    "level" "<level>" BIND => Parse(level), "The rights of connections to a stats socket.";
    "maxconn" "<maxconn>" BIND => Parse(|b, w, l| b.maxconn = number(w, l, 0..=i64::from(i32::MAX)).unwrap_or(0) as u32), "How many connections at most.";
    "mode" "<mode>" BIND => Parse(mode), "The permissions of a Unix socket.";
    "mss" "<maxseg>" BIND => Parse(mss), "The largest TCP segment.";
    "name" "<name>" BIND => Parse(|b, w, l| b.name = text(w, l)), "A name for statistics.";
    "namespace" "<name>" BIND => Refused("network name spaces are not available yet"), "Listens in a network name space.";
    "nbconn" "<nbconn>" BIND => Refused("reverse HTTP is not available"), "Connections of reverse HTTP.";
    "nice" "<-1024..1024>" BIND => NoAction("all sessions are served alike"), "The priority of sessions.";
    "proto" "<name>" BIND => Parse(proto), "The protocol without negotiation.";
    "quic-cc-algo" "<algo>" BIND => Refused("QUIC is not available yet"), "The congestion control of QUIC.";
    "quic-force-retry" "" BIND => Refused("QUIC is not available yet"), "Answers first QUIC packets with a retry.";
    "quic-socket" "{ connection | listener }" BIND => Refused("QUIC is not available yet"), "Sockets per QUIC connection.";
    "severity-output" "<format>" BIND => Refused("'severity-output' is not available yet"), "How the severity of runtime API messages is shown.";
    "shards" "{ <number> | by-thread | by-group }" BIND => NoAction("every data thread has a socket of its own"), "How many sockets share the address.";
    "process" "<set>" BIND => Removed("there is a single process; remove the option"), "The process or thread that serves a listener.";
    "tcp-md5sig" "<password>" BIND => Refused("TCP MD5 signatures are not available yet"), "Signs segments.";
    "tcp-ss" "<mode>" BIND => Refused("saving SYN packets is not available yet"), "Keeps SYN packets for rules.";
    "tcp-ut" "<delay>" BIND => Parse(|b, w, l| b.tcp_user_timeout_ms = time(w, l)), "How long data may stay unacknowledged.";
    "tfo" "" BIND => Parse(|b, _, _| b.tcp_fast_open = true), "TCP fast open.";
    "thread" "[<thread-group>/]<thread-set>" BIND => Parse(thread), "The threads that serve a listener.";
    "transparent" "" BIND => Parse(|b, _, _| b.transparent = true), "Listens on an address that the host does not have.";
    "uid" "<uid>" BIND => Parse(|b, w, l| b.unix_uid = number(w, l, 0..=i64::from(u32::MAX)).map(|n| n as u32)), "The owner of a Unix socket.";
    "user" "<user>" BIND => Parse(user), "The owner of a Unix socket.";
    "v4v6" "" BIND => Parse(|b, _, _| b.v6only = Some(false)), "Listens for IPv4 too.";
    "v6only" "" BIND => Parse(|b, _, _| b.v6only = Some(true)), "Listens for IPv6 only.";
}

/// What the options of one line say about each of its addresses.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct BindSettings {
    pub name: Option<String>,
    pub id: Option<u32>,
    pub maxconn: u32,
    pub accept_proxy: bool,
    pub backlog: Option<u32>,
    pub v6only: Option<bool>,
    pub transparent: bool,
    pub interface: Option<String>,
    pub tcp_fast_open: bool,
    pub defer_accept: bool,
    pub tcp_user_timeout_ms: Option<u64>,
    pub mss: Option<i32>,
    pub protocol: Option<Protocol>,
    pub idle_ping_ms: Option<u64>,
    pub unix_mode: Option<u32>,
    pub unix_uid: Option<u32>,
    pub unix_gid: Option<u32>,
    pub level: CliLevel,
    pub expose_fd: bool,
    pub threads: Vec<usize>,
    pub tls: TlsSettings,
}

/// One line: its addresses and options.
#[derive(Clone, Debug)]
pub struct BindDraft {
    /// Where.
    pub addresses: Vec<BindAddress>,
    /// How.
    pub settings: BindSettings,
    /// The line.
    pub span: Span,
}

pub(super) fn line(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.has_bind_line = true;
    if words.is_done() {
        let message = "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments";
        loading.report.alert(words.span(), message);
        return;
    }
    let Some(bind) = parse(words, "bind", loading) else { return };
    let same = |other: &&BindDraft| other.settings.id == bind.settings.id;
    if let (Some(id), Some(other)) = (bind.settings.id, draft.binds.iter().find(same)) {
        let message = format!("'bind' : custom id {id} already used at {}", loading.place(other.span));
        loading.report.alert(words.span(), message);
    }
    draft.binds.push(bind);
}

/// An address list and the options after it; all mistakes of the options are reported even if the
/// addresses are wrong.
pub fn parse(words: &mut Words<'_>, keyword: &str, loading: &mut Loading<'_>) -> Option<BindDraft> {
    let word = words.take_word()?;
    let addresses = match address::parse_bind(&word.text, &loading.scope()) {
        Ok(addresses) => Some(addresses),
        Err(error) => {
            loading.address_error(&format!("'{keyword}' : "), word.span, error);
            None
        }
    };
    let mut settings = BindSettings {
        unix_mode: loading.unix_bind.unix_mode,
        unix_uid: loading.unix_bind.unix_uid,
        unix_gid: loading.unix_bind.unix_gid,
        ..BindSettings::default()
    };
    options(&mut settings, words, keyword, loading);
    let addresses = addresses?;
    if settings.id.is_some() && addresses.len() > 1 {
        let message = format!("'{keyword} {}' : 'id' can only be used with a single socket", word.text);
        loading.report.alert(words.span(), message);
    }
    Some(BindDraft { addresses, settings, span: words.span() })
}

/// The options up to the line's end.
pub fn options(settings: &mut BindSettings, words: &mut Words<'_>, keyword: &str, loading: &mut Loading<'_>) {
    let index = super::bind_index();
    while let Some(word) = words.take_word() {
        let Some(row) = index.get(&word.text) else {
            let address = words.line.words.get(keyword.split(' ').count()).map_or("", |word| &word.text);
            let message = format!("'{keyword} {address}' : unknown keyword '{}'", word.text);
            let help =
                index.closest(&word.text, Places::BIND).map(|name| format!("did you mean '{name}' maybe ?"));
            let found = loading.report.alert(word.span, message);
            if let Some(help) = help {
                found.help(help);
            }
            return;
        };
        match row.does {
            Does::Parse(parse) => parse(settings, words, loading),
            Does::NoAction(_) => shape::read_option(row.name, row.args, words, loading.report),
            Does::Refused(why) | Does::Removed(why) => {
                loading.report.alert(word.span, format!("'{keyword} {}' : {why}", row.name));
                // Arguments follow for some: they must not be taken for keywords.
                while words.peek().is_some_and(|next| index.get(next).is_none()) {
                    words.take_word();
                }
            }
        }
    }
}

/// The value after an option, or an alert.
pub(super) fn value<'a>(
    words: &mut Words<'a>,
    loading: &mut Loading<'_>,
) -> Option<&'a crate::config::syntax::Word> {
    let option = words.last().map_or("", |word| word.text.as_str());
    let word = words.take_word();
    if word.is_none() {
        loading.report.alert(words.last_span(), format!("'{option}' : missing argument"));
    }
    word
}

pub(super) fn text(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<String> {
    value(words, loading).map(|word| word.text.clone())
}

pub(super) fn number(
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    bounds: std::ops::RangeInclusive<i64>,
) -> Option<i64> {
    let option = words.last().map_or("", |word| word.text.as_str());
    let word = value(words, loading)?;
    words::within(word, option, bounds, loading.report)
}

pub(super) fn time(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<u64> {
    let option = words.last().map_or("", |word| word.text.as_str());
    let word = value(words, loading)?;
    words::time_ms(word, option, loading.report)
}

fn id(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let earlier = settings.id;
    settings.id = number(words, loading, 1..=i64::from(i32::MAX)).map(|id| id as u32);
    if let Some(earlier) = earlier {
        loading
            .report
            .alert(words.last_span(), format!("'id' : the line has the custom id {earlier} already"));
    }
}

fn guid_prefix(_: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    if let Err(problem) = words::check_guid(&word.text) {
        loading.report.alert(word.span, format!("'guid-prefix' : {problem}"));
    }
}

/// `[<thread-group>/]<thread-set>`: there is one group, so that its number says nothing.
fn thread(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    let set = word.text.split_once('/').map_or(word.text.as_str(), |(_, set)| set);
    let parts: Option<Vec<_>> =
        set.split(',').map(|part| super::global::ranges(part, 1, core_id::CORES_MAX)).collect();
    match parts {
        Some(parts) => settings.threads.extend(parts.into_iter().flatten()),
        None => {
            let message = format!("'thread' : cannot parse the thread set '{}'", word.text);
            let help =
                format!("write 'all', 'odd', 'even', or numbers from 1 to {}: 1-4,7", core_id::CORES_MAX);
            loading.report.alert(word.span, message).help(help);
        }
    }
}

fn mss(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    settings.mss = number(words, loading, -65535..=65535).map(|size| size as i32);
    if settings.mss == Some(0) {
        let message = "'mss' : expects an MSS with an absolute value between 1 and 65535";
        loading.report.alert(words.last_span(), message);
    }
}

fn mode(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    match u32::from_str_radix(&word.text, 8) {
        Ok(mode) if mode <= 0o7777 => settings.unix_mode = Some(mode),
        _ => {
            loading.report.alert(
                word.span,
                format!("'mode' : missing or invalid mode '{}' (octal integer expected)", word.text),
            );
        }
    }
}

fn user(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    match loading.id_in("/etc/passwd", &word.text) {
        Some(uid) => settings.unix_uid = Some(uid),
        None => {
            loading.report.alert(word.span, format!("'user' : '{}' : unknown user name", word.text));
        }
    }
}

fn group(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    match loading.id_in("/etc/group", &word.text) {
        Some(gid) => settings.unix_gid = Some(gid),
        None => {
            loading.report.alert(word.span, format!("'group' : '{}' : unknown group name", word.text));
        }
    }
}

fn level(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.level = match word.text.as_str() {
        "user" => CliLevel::User,
        "operator" => CliLevel::Operator,
        "admin" => CliLevel::Admin,
        other => {
            let message = format!("'level' only supports 'user', 'operator', and 'admin' (got '{other}')");
            loading.report.alert(word.span, message);
            return;
        }
    };
}

fn expose_fd(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    if word.text == "listeners" {
        settings.expose_fd = true;
    } else {
        loading
            .report
            .alert(word.span, format!("'expose-fd' only supports 'listeners' (got '{}')", word.text));
    }
}

fn proto(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    match word.text.as_str() {
        "h1" => settings.protocol = Some(Protocol::H1),
        "h2" => settings.protocol = Some(Protocol::H2),
        "none" => {}
        other => {
            let message = format!("'proto' : unknown MUX protocol '{other}'");
            loading.report.alert(word.span, message).help("'h1' and 'h2' are available");
        }
    }
}
