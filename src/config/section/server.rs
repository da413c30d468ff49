//! `server`, `default-server` and `server-template` lines and the options that change something
//! (manual, section 5.2). Options that are read over or refused are in [`super::server_other`].

use std::net::{IpAddr, SocketAddr};

use super::ProxyParser;
use super::bind::{number, text, time, value};
use super::proxy::SourceLine;
use super::server_proxy_protocol::ProxySettings;
use super::server_resolve::ResolveSettings;
use super::server_tls::ServerTls;
use crate::config::address::{self, ServerAddress};
use crate::config::draft::Draft;
use crate::config::keyword::{Does, Places, keywords};
use crate::config::loading::Loading;
use crate::config::shape;
use crate::config::words::Words;
use crate::diag::{Level, Span};
use crate::health::ServerCheck;
use crate::model::server::{Observe, OnError};
use crate::state::server::{Endpoint, InitState};

/// Reads an option of a `server` line.
pub type ServerParser = fn(&mut ServerSettings, &mut Words<'_>, &mut Loading<'_>);

keywords! {
    /// The lines.
    pub LINES: ProxyParser, "4.2";
    "server" "<name> <address>[:port] [from <origin>] [param*]" BACKEND => Parse(server), "A server.";
    "default-server" "[name <name>] [from <origin>] [param*]" BACK => Parse(default_server), "Options of the servers that follow.";
    "server-template" "<prefix> <num | range> <fqdn>[:<port>] [from <origin>] [param*]" BACKEND => Parse(server_template), "Servers that differ in their numbers only.";
}

keywords! {
    /// Options of servers.
    pub TABLE: ServerParser, "5.2";
    "addr" "<ipv4|ipv6>" SERVER => Parse(check_addr), "Where health checks go.";
    "agent-check" "" SERVER => Parse(|s, _, _| s.agent_check = true), "Asks an agent for the server's state and weight.";
    "agent-send" "<string>" SERVER => Parse(|s, w, l| s.agent.agent_send = text(w, l).map(String::into_bytes)), "What is sent to the agent first.";
    "agent-inter" "<delay>" SERVER => Parse(|s, w, l| if let Some(ms) = delay(w, l) { s.agent.inter_ms = ms }), "The time between questions to the agent.";
    "agent-addr" "<addr>" SERVER => Parse(agent_addr), "Where the agent is.";
    "agent-port" "<port>" SERVER => Parse(|s, w, l| if let Some(port) = port(w, l) { s.agent.port = Some(port) }), "The agent's port.";
    "strict-maxconn" "" SERVER => Parse(|s, _, _| s.strict_maxconn = true), "Counts idle connections in 'maxconn' too: there are never more connections than that.";
    "backup" "" SERVER => Parse(|s, _, _| s.backup = true), "Used when no other server is left.";
    "check" "" SERVER => Parse(|s, _, _| s.checked = true), "Checks the server's health.";
    "cookie" "<value>" SERVER => Parse(|s, w, l| s.cookie = text(w, l).map(Into::into)), "The server's name in the persistence cookie.";
    "disabled" "" SERVER => Parse(|s, _, _| s.disabled = true), "Starts in maintenance.";
    "enabled" "" SERVER => Parse(|s, _, _| s.disabled = false), "Starts although 'disabled' was inherited.";
    "error-limit" "<count>" SERVER => Parse(error_limit), "How many errors make 'on-error' act.";
    "fall" "<count>" SERVER => Parse(|s, w, l| if let Some(n) = checks(w, l) { s.check.fall = n }), "How many checks must fail to take the server down.";
    "fastinter" "<delay>" SERVER => Parse(|s, w, l| if let Some(ms) = delay(w, l) { s.check.fastinter_ms = Some(ms) }), "The time between checks while the state is changing.";
    "downinter" "<delay>" SERVER => Parse(|s, w, l| if let Some(ms) = delay(w, l) { s.check.downinter_ms = Some(ms) }), "The time between checks of a server that is down.";
    "guid" "<string>" SERVER => Parse(|s, w, l| s.guid = super::bind::value(w, l).and_then(|word| l.guid("guid", word)).map(Into::into)), "A name that is unique in all servers, for 'hash-key guid'.";
    "hash-key" "<key>" SERVER => Parse(hash_key), "What places the server on a consistent ring: 'id', 'id32', 'addr', 'addr-port' or 'guid'.";
    "id" "<value>" SERVER => Parse(id), "A fixed number for statistics and hashes.";
    "init-state" "{ fully-up | up | down | fully-down | none }" SERVER => Parse(init_state), "The state before the first check, and when maintenance is left.";
    "init-addr" "{last | libc | none | <ip>},[...]*" SERVER => Parse(init_addr), "Where the first address of a host name comes from.";
    "inter" "<delay>" SERVER => Parse(|s, w, l| if let Some(ms) = delay(w, l) { s.check.inter_ms = ms }), "The time between checks.";
    "max-reuse" "<count>" SERVER => Parse(|s, w, l| if let Some(n) = number(w, l, -1..=i64::from(i32::MAX)) { s.max_reuse = n }), "How often a connection is used again.";
    "maxconn" "<maxconn>" SERVER => Parse(|s, w, l| if let Some(n) = count(w, l) { s.maxconn = n }), "How many connections at most; more requests wait.";
    "maxqueue" "<maxqueue>" SERVER => Parse(|s, w, l| if let Some(n) = count(w, l) { s.maxqueue = n }), "How many requests may wait.";
    "minconn" "<minconn>" SERVER => Parse(|s, w, l| if let Some(n) = count(w, l) { s.minconn = n }), "The limit on connections while the backend has little to do.";
    "no-agent-check" "" SERVER => Parse(|s, _, _| s.agent_check = false), "Undoes 'agent-check'.";
    "no-backup" "" SERVER => Parse(|s, _, _| s.backup = false), "Undoes 'backup'.";
    "no-check" "" SERVER => Parse(|s, _, _| s.checked = false), "Undoes 'check'.";
    "no-tfo" "" SERVER => Parse(|s, _, _| s.tcp_fast_open = false), "Undoes 'tfo'.";
    "non-stick" "" SERVER => Parse(|s, _, _| s.non_stick = true), "Clients are not remembered for it.";
    "stick" "" SERVER => Parse(|s, _, _| s.non_stick = false), "Undoes 'non-stick'.";
    "observe" "<mode>" SERVER => Parse(observe), "Judges health by traffic too.";
    "on-error" "<mode>" SERVER => Parse(on_error), "What to do when 'observe' saw too many errors.";
    "on-marked-down" "<action>" SERVER => Parse(on_marked_down), "What to do with sessions when the server goes down.";
    "on-marked-up" "<action>" SERVER => Parse(on_marked_up), "What to do with backup sessions when the server comes up.";
    "pool-max-conn" "<max>" SERVER => Parse(|s, w, l| if let Some(n) = number(w, l, -1..=i64::from(i32::MAX)) { s.pool_max_conn = n }), "How many idle connections are kept.";
    "pool-low-conn" "<max>" SERVER => Parse(|s, w, l| if let Some(n) = number(w, l, 0..=i64::from(u32::MAX)) { s.pool_low_conn = n as u32 }), "How many idle connections there must be before one core takes another's.";
    "pool-purge-delay" "<delay>" SERVER => Parse(|s, w, l| if let Some(ms) = time(w, l) { s.pool_purge_delay_ms = ms }), "How often idle connections that nobody needs are closed.";
    "port" "<port>" SERVER => Parse(|s, w, l| if let Some(port) = port(w, l) { s.check.port = Some(port) }), "The port of health checks.";
    "redir" "<prefix>" SERVER => Parse(|s, w, l| s.redirect_prefix = text(w, l).map(Into::into)), "GET and HEAD requests are redirected there rather than forwarded.";
    "rise" "<count>" SERVER => Parse(|s, w, l| if let Some(n) = checks(w, l) { s.check.rise = n }), "How many checks must pass to bring the server up.";
    "slowstart" "<start_time_in_ms>" SERVER => Parse(|s, w, l| if let Some(ms) = time(w, l) { s.slowstart_ms = ms }), "How long a server that came up takes to get its full weight.";
    "source" "<addr>[:<port>[-<port>]] [usesrc ...] [interface <name>]" SERVER => Parse(source), "The address that connections to the server come from.";
    "tcp-ut" "<delay>" SERVER => Parse(|s, w, l| s.tcp_user_timeout_ms = time(w, l)), "How long data may stay unacknowledged.";
    "tfo" "" SERVER => Parse(|s, _, _| s.tcp_fast_open = true), "TCP fast open.";
    "track" "[<backend>/]<server>" SERVER => Parse(track), "Takes its state from another server.";
    "weight" "<weight>" SERVER => Parse(|s, w, l| if let Some(n) = number(w, l, 0..=256) { s.weight = n as u32 }), "The server's share of the load.";
}

/// A method of `init-addr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitAddr {
    /// The address in the state file, or the one the server has now (a reload).
    Last,
    /// Resolve the name.
    Libc,
    /// Start without an address.
    None,
    /// This one.
    Address(IpAddr),
}

/// What the options of a line say.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ServerSettings {
    pub id: Option<u32>,
    pub weight: u32,
    pub backup: bool,
    pub disabled: bool,
    pub cookie: Option<Box<str>>,
    pub maxconn: u32,
    pub minconn: u32,
    pub maxqueue: u32,
    pub slowstart_ms: u64,
    pub source: SourceLine,
    pub redirect_prefix: Option<Box<str>>,
    pub checked: bool,
    pub check: ServerCheck,
    pub agent_check: bool,
    pub agent: ServerCheck,
    pub proxy: ProxySettings,
    pub tls: ServerTls,
    pub track: Option<(Box<str>, Span)>,
    pub observe: Observe,
    pub error_limit: u32,
    pub on_error: OnError,
    pub shutdown_sessions_on_down: bool,
    pub shutdown_backup_sessions_on_up: bool,
    pub pool_max_conn: i64,
    pub pool_low_conn: u32,
    pub strict_maxconn: bool,
    pub pool_purge_delay_ms: u64,
    pub max_reuse: i64,
    pub tcp_fast_open: bool,
    pub non_stick: bool,
    pub tcp_user_timeout_ms: Option<u64>,
    pub hash_key: HashKey,
    pub guid: Option<Box<str>>,
    pub init_addr: Vec<InitAddr>,
    pub resolve: ResolveSettings,
    pub init_state: InitState,
}

/// `hash-key`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HashKey {
    #[default]
    Id,
    Id32,
    Addr,
    AddrPort,
    Guid,
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            id: None,
            weight: 1,
            backup: false,
            disabled: false,
            cookie: None,
            maxconn: 0,
            minconn: 0,
            maxqueue: 0,
            slowstart_ms: 0,
            source: SourceLine::default(),
            redirect_prefix: None,
            checked: false,
            check: ServerCheck::default(),
            agent_check: false,
            agent: ServerCheck { rise: 1, fall: 1, ..ServerCheck::default() },
            proxy: ProxySettings::default(),
            tls: ServerTls::default(),
            track: None,
            observe: Observe::default(),
            error_limit: 10,
            on_error: OnError::default(),
            shutdown_sessions_on_down: false,
            shutdown_backup_sessions_on_up: false,
            pool_max_conn: -1,
            pool_low_conn: 0,
            strict_maxconn: false,
            pool_purge_delay_ms: 5000,
            max_reuse: -1,
            tcp_fast_open: false,
            non_stick: false,
            tcp_user_timeout_ms: None,
            hash_key: HashKey::default(),
            guid: None,
            init_addr: Vec::new(),
            resolve: ResolveSettings::default(),
            init_state: InitState::None,
        }
    }
}

/// A server as its line describes it.
#[derive(Clone, Debug)]
pub struct ServerDraft {
    /// Its name.
    pub name: Box<str>,
    /// Its line.
    pub span: Span,
    /// Where it is.
    pub address: ServerAddress,
    /// The rest.
    pub settings: ServerSettings,
}

fn server(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let (Some(name), Some(place)) = (words.take_word(), words.take_word()) else {
        let message = "'server' expects <name> and <addr>[:<port>] as arguments";
        loading.report.alert(words.span(), message);
        return;
    };
    if !is_name(name, "server", loading) {
        return;
    }
    let mut settings = draft.default_server.clone();
    let known = loading.report.diagnostics.len();
    let owner = format!("server {}/{}", draft.name, name.text);
    options(&mut settings, draft, words, &owner, loading);
    // Refused options such as 'resolvers' may be what finds the address.
    if loading.report.diagnostics[known..].iter().any(|found| found.level == Level::Alert) {
        settings.init_addr = vec![InitAddr::None];
    }
    if let Some(address) = resolve(&place.text, place.span, &settings, &draft.name, &name.text, loading) {
        add(draft, &name.text, words.span(), address, settings, loading);
    }
}

fn default_server(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.take("name") {
        let Some(name) = words.expect(loading.report, "'name' <name>") else { return };
        let known = draft.named_default_servers.get(name.text.as_str());
        let mut settings = known.cloned().unwrap_or_default();
        options(&mut settings, draft, words, "default-server", loading);
        draft.named_default_servers.insert(name.text.as_str().into(), settings);
        return;
    }
    let mut settings = draft.default_server.clone();
    options(&mut settings, draft, words, "default-server", loading);
    if settings.id.take().is_some() {
        loading
            .report
            .alert(words.span(), "'default-server' : 'id' option is not accepted in default-server sections");
    }
    draft.default_server = settings;
    draft.has_default_server = true;
}

/// The most servers a template may make: enough for any backend, too few to fill the memory by a slip.
const TEMPLATE_MAX: u32 = 100_000;

fn server_template(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let (Some(prefix), Some(range), Some(place)) = (words.take_word(), words.take_word(), words.take_word())
    else {
        let message = "'server-template' expects <prefix> <nb | range> <addr>[:<port>] as arguments";
        loading.report.alert(words.span(), message);
        return;
    };
    if !is_name(prefix, "server-template", loading) {
        return;
    }
    let bounds: Option<(u32, u32)> = match range.text.split_once('-') {
        Some((low, high)) => low.parse().ok().zip(high.parse().ok()),
        None => range.text.parse().ok().map(|count| (1, count)),
    };
    let Some((low, high)) =
        bounds.filter(|(low, high)| low <= high && *high >= 1 && high - low < TEMPLATE_MAX)
    else {
        let message = format!("wrong server number or range '{}' in 'server-template'", range.text);
        loading.report.alert(range.span, message);
        return;
    };
    let mut settings = draft.default_server.clone();
    options(&mut settings, draft, words, "server-template", loading);
    let first_id = settings.id.take();
    let Some(address) = resolve(&place.text, place.span, &settings, &draft.name, &prefix.text, loading)
    else {
        return;
    };
    for (index, number) in (low..=high).enumerate() {
        let mut one = settings.clone();
        one.id = first_id.map(|id| id + index as u32);
        let name = format!("{}{number}", prefix.text);
        add(draft, &name, words.span(), address.clone(), one, loading);
    }
}

pub(in crate::config) fn is_name(
    word: &crate::config::syntax::Word,
    keyword: &str,
    loading: &mut Loading<'_>,
) -> bool {
    let bad = word.text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.:".contains(*c));
    if let Some(bad) = bad {
        let message = format!("character '{bad}' is not permitted in {keyword} name '{}'", word.text);
        loading.report.alert(word.span, message);
    }
    bad.is_none()
}

fn add(
    draft: &mut Draft,
    name: &str,
    span: Span,
    address: ServerAddress,
    settings: ServerSettings,
    loading: &mut Loading<'_>,
) {
    if let Some(first) = draft.server_names.insert(name.into(), span) {
        let message = format!(
            "'server {}/{name}' : another server named '{name}' was already defined at line {}, please use a \
             distinct name",
            draft.name, first.line
        );
        loading.report.alert(span, message);
        return;
    }
    draft.servers.push(ServerDraft { name: name.into(), span, address, settings });
}

/// Reads an address and, as `init-addr` says, finds the first IP address of a name.
fn resolve(
    text: &str,
    span: Span,
    settings: &ServerSettings,
    backend: &str,
    name: &str,
    loading: &mut Loading<'_>,
) -> Option<ServerAddress> {
    let prefix = format!("'server {backend}/{name}' : ");
    let mut address = match address::parse_server(text, &loading.scope()) {
        Ok(address) => address,
        Err(error) => {
            loading.address_error(&prefix, span, error);
            return None;
        }
    };
    if address.hostname.is_none() {
        return Some(address);
    }
    // The system's resolver does not know services.
    let is_service = address.is_service();
    let methods = match (&*settings.init_addr, settings.resolve.resolvers.is_some()) {
        ([], false) => &[InitAddr::Last, InitAddr::Libc][..],
        // A server that is resolved while running does not depend on the start.
        ([], true) => &[InitAddr::Last, InitAddr::Libc, InitAddr::None],
        (given, _) => given,
    };
    let mut failure = None;
    for method in methods {
        match method {
            // The live server's address, if a reload finds it there, is kept later on.
            InitAddr::Last => {}
            InitAddr::Libc if is_service => {}
            InitAddr::Libc => match address.resolve(&loading.scope()) {
                Ok(()) => return Some(address),
                Err(error) => failure = Some(error),
            },
            InitAddr::None => {
                if failure.is_some() {
                    let host = address.hostname.as_deref().unwrap_or(text);
                    let message = format!("{prefix}could not resolve address '{host}', disabling server");
                    loading.report.notice(span, message);
                }
                return Some(address);
            }
            InitAddr::Address(ip) => {
                let socket = SocketAddr::new(*ip, address.port);
                address.endpoint = Endpoint::Inet { address: socket, port_offset: address.port_offset };
                return Some(address);
            }
        }
    }
    match failure {
        // `-dr`
        _ if loading.settings.no_resolve => return Some(address),
        Some(error) => loading.address_error(&prefix, span, error),
        None => {
            let host = address.hostname.as_deref().unwrap_or(text);
            let message = format!("{prefix}no method found to resolve address '{host}'");
            let help = match is_service {
                true => "a service is resolved while running: add 'resolvers <section>' and 'init-addr none'",
                false => "no method of 'init-addr' gives an address; add 'libc' or 'none'",
            };
            loading.report.alert(span, message).help(help);
        }
    }
    None
}

/// Reads the options up to the line's end.
pub(super) fn options(
    settings: &mut ServerSettings,
    draft: &Draft,
    words: &mut Words<'_>,
    keyword: &str,
    loading: &mut Loading<'_>,
) {
    let index = super::server_index();
    if words.take("from") {
        from(settings, draft, words, loading);
    }
    while let Some(word) = words.take_word() {
        // `set-proxy-v2-tlv-fmt(<id>)` takes its first argument in parentheses.
        let called = || index.get(word.text.split('(').next()?).filter(|row| row.args.starts_with('('));
        let Some(row) = index.get(&word.text).or_else(called) else {
            let message = format!("'{keyword}' : unknown keyword '{}'", word.text);
            let near = index.closest(&word.text, Places::SERVER);
            let found = loading.report.alert(word.span, message);
            if let Some(near) = near {
                found.help(format!("did you mean '{near}' maybe ?"));
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

/// `from none | be: | srv:<name>`: where the settings start.
fn from(settings: &mut ServerSettings, draft: &Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.take_word() else {
        loading.report.alert(words.last_span(), "from: missing value");
        return;
    };
    let of_this = |name: &str| name.is_empty() || name == &*draft.name;
    let found = match word.text.split_once(':') {
        None if word.text == "none" => Some(ServerSettings::default()),
        Some(("be", backend)) if of_this(backend) => Some(draft.default_server.clone()),
        Some(("srv", name)) => {
            let name = name.strip_prefix(&format!("{}/", draft.name)).unwrap_or(name);
            let server = draft.servers.iter().find(|server| &*server.name == name);
            server.map(|server| &server.settings).or_else(|| draft.named_default_servers.get(name)).cloned()
        }
        _ => None,
    };
    match found {
        Some(found) => *settings = ServerSettings { id: None, ..found },
        None => {
            let message = format!("from: no server or default-server '{}' to take settings from", word.text);
            loading.report.alert(word.span, message).help(
                "write 'none', 'be:', 'srv:<server>' or 'srv:<name of a default-server>' of the same backend",
            );
        }
    }
}

/// A number of checks: one at least.
fn checks(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<u32> {
    let option = words.last().map_or("", |word| word.text.as_str());
    let count = count(words, loading)?;
    if count == 0 {
        loading.report.alert(words.last_span(), format!("'{option}' has to be > 0"));
        return None;
    }
    Some(count)
}

/// A number that is not negative.
fn count(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<u32> {
    number(words, loading, 0..=i64::from(i32::MAX)).map(|n| n as u32)
}

fn port(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<u16> {
    number(words, loading, 0..=65535).map(|n| n as u16)
}

/// A time between checks: zero would be a busy loop.
fn delay(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<u64> {
    let option = words.last().map_or("", |word| word.text.as_str());
    let ms = time(words, loading)?;
    if ms == 0 {
        loading.report.alert(words.last_span(), format!("invalid value 0 for argument '{option}'"));
        return None;
    }
    Some(ms)
}

fn host(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<IpAddr> {
    let word = value(words, loading)?;
    let text = match word.text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => host,
        _ => &word.text,
    };
    match address::parse_host(text, &loading.scope()) {
        Ok(address) => Some(address),
        Err(error) => {
            loading.address_error("'server' : ", word.span, error);
            None
        }
    }
}

fn check_addr(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    settings.check.addr = host(words, loading);
    // A port behind the address counts where none is given.
    let port = words.last().and_then(|word| word.text.rsplit_once(':')?.1.parse().ok());
    if settings.check.addr.is_some_and(|address| address.is_ipv4()) {
        settings.check.port = settings.check.port.or(port);
    }
}

fn agent_addr(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    settings.agent.addr = host(words, loading);
}

fn error_limit(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(limit) = number(words, loading, 1..=i64::from(i32::MAX)) {
        settings.error_limit = limit as u32;
    }
}

fn id(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    settings.id = number(words, loading, 1..=i64::from(i32::MAX)).map(|id| id as u32);
}

fn hash_key(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.hash_key = match word.text.as_str() {
        "id" => HashKey::Id,
        "addr" => HashKey::Addr,
        "addr-port" => HashKey::AddrPort,
        "guid" => HashKey::Guid,
        "id32" => HashKey::Id32,
        other => {
            let message =
                format!("'hash-key' expects 'id', 'id32', 'addr', 'addr-port' or 'guid' but got '{other}'");
            loading.report.alert(word.span, message);
            return;
        }
    };
}

fn init_addr(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    let mut methods = Vec::new();
    for method in word.text.split(',') {
        methods.push(match method {
            "last" => InitAddr::Last,
            "libc" => InitAddr::Libc,
            "none" => InitAddr::None,
            other => match other.parse() {
                Ok(address) => InitAddr::Address(address),
                Err(_) => {
                    let message = format!(
                        "'init-addr' : unknown init-addr method '{other}', supported methods are 'libc', 'last', 'none'"
                    );
                    loading.report.alert(word.span, message);
                    return;
                }
            },
        });
    }
    settings.init_addr = methods;
}

fn init_state(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    const STATES: [(&str, InitState); 5] = [
        ("fully-up", InitState::FullyUp),
        ("up", InitState::Up),
        ("down", InitState::Down),
        ("fully-down", InitState::FullyDown),
        ("none", InitState::None),
    ];
    let Some(word) = super::bind::value(words, loading) else { return };
    match STATES.iter().find(|(name, _)| *name == word.text) {
        Some((_, state)) => settings.init_state = *state,
        None => {
            let help = crate::diag::did_you_mean(&word.text, STATES.map(|(name, _)| name));
            let message = format!(
                "'init-state' expects one of 'none', 'fully-up', 'up', 'down', or 'fully-down', got '{}'",
                word.text
            );
            loading.report.alert(word.span, message).help = help;
        }
    }
}

fn observe(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.observe = match word.text.as_str() {
        "none" => Observe::None,
        "layer4" => Observe::Layer4,
        "layer7" => Observe::Layer7,
        other => {
            let message = format!("'observe' expects one of 'none', 'layer4', 'layer7' but got '{other}'");
            loading.report.alert(word.span, message);
            return;
        }
    };
}

fn on_error(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.on_error = match word.text.as_str() {
        "fastinter" => OnError::FastInter,
        "fail-check" => OnError::FailCheck,
        "sudden-death" => OnError::SuddenDeath,
        "mark-down" => OnError::MarkDown,
        other => {
            let message = format!(
                "'on-error' expects one of 'fastinter', 'fail-check', 'sudden-death' or 'mark-down' but got '{other}'"
            );
            loading.report.alert(word.span, message);
            return;
        }
    };
}

fn on_marked_down(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    if word.text == "shutdown-sessions" {
        settings.shutdown_sessions_on_down = true;
    } else {
        let message = format!("'on-marked-down' expects 'shutdown-sessions' but got '{}'", word.text);
        loading.report.alert(word.span, message);
    }
}

fn on_marked_up(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    if word.text == "shutdown-backup-sessions" {
        settings.shutdown_backup_sessions_on_up = true;
    } else {
        let message = format!("'on-marked-up' expects 'shutdown-backup-sessions' but got '{}'", word.text);
        loading.report.alert(word.span, message);
    }
}

fn source(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(source) = super::proxy::source_line(words, loading) {
        settings.source = source;
    }
}

fn track(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(word) = value(words, loading) {
        settings.track = Some((word.text.as_str().into(), word.span));
    }
}
