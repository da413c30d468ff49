//! What the runtime API adds while running (management guide, `add server` and `add backend`): the words are read
//! by the parsers that read the files, with what the load knew.
//!
//! Files are not read and names not resolved: certificates and authorities must be known from the configuration
//! or the runtime API.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::address;
use super::draft::{Draft, Kind};
use super::environment::Environment;
use super::finish::{BackendBase, Bases};
use super::keyword::{Does, Places};
use super::loading::{KeptFiles, Loading};
use super::section::server::{InitAddr, ServerDraft, ServerSettings, is_name};
use super::section::{self, server_proxy_protocol};
use super::syntax::{Line, Prefix, Section, Word};
use super::tls::TlsLoading;
use super::words::Words;
use super::{Settings, World, audit, build, finish, finish_server, shape};
use crate::base::clock;
use crate::diag::{Level, Report, Source, Span};
use crate::model::maker::{Made, Maker, NewBackend};
use crate::model::{Model, Proxy, Server};
use crate::sample::expr::{Files, Named};
use crate::state::ServerState;

/// Options that servers in the files may have only, as in HAProxy.
const NOT_WHILE_RUNNING: &[&str] = &[
    "check-sni-auto",
    "enabled",
    "init-addr",
    "log-bufsize",
    "log-proto",
    "max-reuse",
    "namespace",
    "no-agent-check",
    "no-check",
    "no-check-reuse-pool",
    "no-check-send-proxy",
    "no-check-ssl",
    "no-send-proxy-v2-ssl",
    "no-send-proxy-v2-ssl-cn",
    "no-ssl",
    "no-verifyhost",
    "non-stick",
    "redir",
    "resolve-net",
    "resolve-opts",
    "resolve-prefer",
    "resolvers",
    "sni-auto",
    "socks4",
    "ssl-reuse",
    "stick",
];

/// What a load leaves to those who add something later.
#[derive(Debug)]
pub struct Later {
    settings: Settings,
    named: Named,
    tls: TlsLoading,
    unix_prefix: String,
    backends: Bases,
    /// Named defaults sections as they are written, and what was read for them.
    defaults: Vec<Section>,
    files: KeptFiles,
    /// GUIDs of what is no server.
    guids: HashSet<String>,
    /// The names of the files, for places in messages.
    sources: Vec<String>,
}

/// No file, no name.
struct Nowhere;

impl Files for Nowhere {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::Error::other("it was not read at the start, and no file is read while running"))
    }
}

impl World for Nowhere {
    fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("no name is resolved here while running"))
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

/// The name of a defaults section.
fn name_of(section: &Section) -> Option<&str> {
    let words = &section.head.words;
    let name = words.get(1).map(|word| word.text.as_str())?;
    (words[0].text == "defaults" && (name != "from" || words.len() == 2)).then_some(name)
}

/// The defaults section that a section names behind `from`.
fn parent_of(section: &Section) -> Option<&str> {
    let words = &section.head.words;
    let at = words.iter().position(|word| word.text == "from")?;
    words.get(at + 1).map(|word| word.text.as_str())
}

impl Later {
    /// Keeps what a load has come to know. To be called at its end.
    pub fn keep(sections: &[Section], model: &Model, backends: Bases, loading: &mut Loading<'_>) -> Later {
        let mut named = std::mem::take(&mut loading.named);
        named.userlists.clone_from(&model.userlists);
        let servers = model.proxies.iter().flat_map(|proxy| &proxy.servers);
        let of_servers: HashSet<&str> = servers.filter_map(|server| server.guid.as_deref()).collect();
        let guids = loading.guids().filter(|guid| !of_servers.contains(guid)).map(str::to_owned).collect();
        Later {
            settings: loading.settings.clone(),
            named,
            tls: std::mem::take(&mut loading.tls),
            unix_prefix: std::mem::take(&mut loading.unix_prefix),
            backends,
            defaults: sections.iter().filter(|section| name_of(section).is_some()).cloned().collect(),
            files: loading.take_kept_files(),
            guids,
            sources: loading.report.sources.iter().map(|source| source.name.clone()).collect(),
        }
    }

    /// Reads something as a load would.
    fn read<T>(&self, model: &Model, act: impl FnOnce(&mut Loading<'_>) -> Option<T>) -> (Option<T>, Report) {
        clock::refresh();
        let source = |name: &String| Source { name: name.clone(), lines: Vec::new() };
        let mut report = Report::default();
        report.sources.extend(self.sources.iter().map(source));
        let stage = model.registry.stage();
        let environment = Environment::bare(&Nowhere);
        let mut loading = Loading::new(&self.settings, &stage, &Nowhere, &environment, &mut report);
        loading.named = self.named.share();
        loading.tls = self.tls.while_running();
        loading.unix_prefix.clone_from(&self.unix_prefix);
        loading.http_errors.clone_from(&model.http_errors);
        loading.take_files(&self.files);
        let made = act(&mut loading);
        let made = made.filter(|_| !loading.report.has_alerts());
        if made.is_some() {
            stage.commit();
        }
        (made, report)
    }

    /// The base of a backend; one that was added while running brings its own.
    fn base<'b>(&'b self, backend: &'b Proxy) -> Option<&'b BackendBase> {
        backend
            .base
            .as_deref()
            .and_then(|base| base.downcast_ref())
            .or_else(|| self.backends.get(&*backend.name))
    }

    /// The options that `from` names.
    fn from(&self, model: &Model, backend: &Proxy, origin: &str) -> Result<ServerSettings, String> {
        let find = |name: &str| {
            let proxy =
                if name.is_empty() { Some(backend) } else { model.backend(name).map(|found| &**found) };
            proxy.and_then(|proxy| self.base(proxy))
        };
        if origin == "none" {
            return Ok(ServerSettings::default());
        }
        if let Some(name) = origin.strip_prefix("be:") {
            let base = find(name).ok_or_else(|| format!("from: unknown backend instance '{name}'."))?;
            return Ok(base.default_server.clone());
        }
        let Some(name) = origin.strip_prefix("srv:") else {
            return Err(format!("invalid '{origin}' value for 'from' keyword."));
        };
        let (proxy, server) = name.split_once('/').unwrap_or(("", name));
        let base = find(proxy).ok_or_else(|| format!("from: unknown backend '{proxy}'."))?;
        let owner = if proxy.is_empty() { &*backend.name } else { proxy };
        let known = base.servers.get(server).or_else(|| base.named.get(server));
        known.cloned().ok_or_else(|| format!("from: unknown server '{server}' in backend '{owner}'."))
    }

    fn server_in(
        &self,
        (model, backend, name): (&Model, &Proxy, &str),
        words: &mut Words<'_>,
        loading: &mut Loading<'_>,
    ) -> Option<Server> {
        let base = self.base(backend)?;
        let Some(place) = words.take_word() else {
            let message = "'server' expects <name> and <addr>[:<port>] as arguments.";
            loading.report.alert(Span::NONE, message);
            return None;
        };
        let name = Word { text: name.to_owned(), span: Span::NONE };
        if !is_name(&name, "server", loading) {
            return None;
        }
        let owner = format!("server {}/{}", backend.name, name.text);
        let address = match address::parse_server(&place.text, &loading.scope()) {
            Ok(address) => address,
            Err(error) => {
                loading.address_error("", Span::NONE, error);
                return None;
            }
        };
        let mut settings = ServerSettings::default();
        if words.take("from") {
            let Some(origin) = words.take_word() else {
                loading.report.alert(Span::NONE, "from: missing value.");
                return None;
            };
            match self.from(model, backend, &origin.text) {
                Ok(found) => settings = ServerSettings { id: None, guid: None, ..found },
                Err(message) => {
                    loading.report.alert(Span::NONE, message);
                    return None;
                }
            }
            if words.peek() == Some("from") {
                loading.report.alert(Span::NONE, "'from' keyword can only be specified once.");
                return None;
            }
        }
        options(&mut settings, words, &owner, loading);
        // A name stays without an address until somebody tells one.
        settings.resolve = Default::default();
        settings.init_addr = vec![InitAddr::None];
        // Checks speak as traffic does only where it is said.
        settings.tls.plain_checks = true;
        let line = ServerDraft { name: name.text.as_str().into(), span: Span::NONE, address, settings };
        self.finish(model, backend, base, line, loading)
    }

    /// Makes a server of its line.
    fn finish(
        &self,
        model: &Model,
        backend: &Proxy,
        base: &BackendBase,
        mut line: ServerDraft,
        loading: &mut Loading<'_>,
    ) -> Option<Server> {
        let mut draft = Draft::new(Kind::Backend, &backend.name, base.span);
        draft.mode = backend.mode;
        draft.timeouts = base.timeouts.clone();
        let id = number(backend, line.settings.id, loading)?;
        self.check_guid(model, line.settings.guid.as_deref(), loading);
        audit::checks(&draft, &line, &base.script, loading);
        let track = track(model, backend, &line, loading);
        let send_proxy = line.settings.check.send_proxy;
        let never_local = model.global.pp2_never_send_local;
        let settings = &mut line.settings;
        let proxy_header =
            server_proxy_protocol::finish(&settings.proxy, &mut settings.check, never_local, &draft, loading);
        settings.check.send_proxy = send_proxy;
        let tls = finish_server::tls(&line, &draft, loading);
        line.settings.check.tls =
            finish_server::check_tls(&line, tls.as_ref(), &draft, &base.script, loading);
        if line.settings.cookie.is_some() && backend.mode != crate::model::Mode::Http {
            loading.report.warning(Span::NONE, "Ignoring cookie as HTTP mode is disabled.");
        }
        if loading.report.has_alerts() {
            return None;
        }
        let state = Arc::new(ServerState::new(&backend.name, &line.name, loading.registry.cores()));
        let parts =
            finish_server::ServerParts { id, state, track, resolution: None, proxy_header, tls, added: true };
        Some(finish_server::server(line, parts, &draft, &base.script))
    }

    fn check_guid(&self, model: &Model, guid: Option<&str>, loading: &mut Loading<'_>) {
        let Some(guid) = guid else { return };
        let mut servers =
            model.proxies.iter().flat_map(|proxy| proxy.servers.iter().map(move |s| (proxy, s)));
        let holder = servers.find(|(_, server)| server.guid.as_deref() == Some(guid));
        let holder = holder.map(|(proxy, server)| format!("server {}/{}", proxy.name, server.name));
        let holder = holder.or_else(|| {
            let mut proxies = model.proxies.iter().filter(|proxy| proxy.guid.as_deref() == Some(guid));
            proxies.next().map(|proxy| format!("backend {}", proxy.name))
        });
        let holder =
            holder.or_else(|| self.guids.contains(guid).then(|| "an object of the files".to_owned()));
        if let Some(holder) = holder {
            loading.report.alert(Span::NONE, format!("'guid': duplicate entry with {holder}"));
        }
    }
}

/// The number of a server: its own, or the first that is free.
fn number(backend: &Proxy, wanted: Option<u32>, loading: &mut Loading<'_>) -> Option<u32> {
    let taken: HashMap<u32, &Arc<Server>> =
        backend.servers.iter().map(|server| (server.id, server)).collect();
    let Some(id) = wanted else { return (1..).find(|id| !taken.contains_key(id)) };
    let Some(other) = taken.get(&id) else { return Some(id) };
    let message = format!(
        "'id' : custom id {id} already used at {} ('server {}')",
        loading.place(other.span),
        other.name
    );
    loading.report.alert(Span::NONE, message);
    None
}

/// Reads the options up to the line's end.
fn options(settings: &mut ServerSettings, words: &mut Words<'_>, owner: &str, loading: &mut Loading<'_>) {
    let index = section::server_index();
    while let Some(word) = words.take_word() {
        let called = || index.get(word.text.split('(').next()?).filter(|row| row.args.starts_with('('));
        let Some(row) = index.get(&word.text).or_else(called) else {
            let message = match index.closest(&word.text, Places::SERVER) {
                Some(near) => format!("unknown keyword '{}'; did you mean '{near}' maybe ?", word.text),
                None => format!("unknown keyword '{}'.", word.text),
            };
            loading.report.alert(Span::NONE, message);
            return;
        };
        if NOT_WHILE_RUNNING.contains(&row.name) {
            let message = format!("'{}' option is not accepted for dynamic server", word.text);
            loading.report.alert(Span::NONE, message);
            return;
        }
        match row.does {
            Does::Parse(parse) => parse(settings, words, loading),
            Does::NoAction(_) => shape::read_option(row.name, row.args, words, loading.report),
            Does::Refused(why) | Does::Removed(why) => {
                loading.report.alert(Span::NONE, format!("'{owner}' : '{}' : {why}", row.name));
                return;
            }
        }
        if loading.report.has_alerts() {
            return;
        }
    }
}

/// The server that a new one tracks.
fn track(
    model: &Model,
    backend: &Proxy,
    line: &ServerDraft,
    loading: &mut Loading<'_>,
) -> Option<Arc<ServerState>> {
    let (name, _) = line.settings.track.as_ref()?;
    let found = tracked(model, backend, name);
    if line.settings.init_state != crate::state::server::InitState::None {
        loading.report.alert(Span::NONE, "unable to set init-state and tracking at the same time!");
    }
    match found {
        Ok(state) => Some(state),
        Err(message) => {
            loading.report.alert(Span::NONE, message);
            None
        }
    }
}

fn tracked(model: &Model, backend: &Proxy, name: &str) -> Result<Arc<ServerState>, String> {
    let (proxy, name) = match name.rsplit_once('/') {
        Some((proxy, name)) => {
            let missing = || format!("unable to find required proxy '{proxy}' for tracking.");
            (&**model.backend(proxy).ok_or_else(missing)?, name)
        }
        None => (backend, name),
    };
    let server = proxy.servers.iter().find(|server| *server.name == *name);
    let server = server.ok_or_else(|| format!("unable to find required server '{name}' for tracking."))?;
    let unable = format!("unable to use {}/{} for tracking", proxy.name, server.name);
    if server.configured.added {
        return Err(format!("{unable} as it is a dynamic server."));
    }
    if server.check.is_none() && server.agent.is_none() && server.track.is_none() {
        return Err(format!("{unable} as it does not have any check nor agent enabled."));
    }
    Ok(server.state.clone())
}

/// What there is to say, without naming the server, which the asker has named.
fn told(report: &Report, owner: &str) -> Vec<String> {
    let prefix = format!("'{owner}' : ");
    let mut found: Vec<_> = report.diagnostics.iter().collect();
    found.sort_by_key(|found| found.level != Level::Alert);
    let lines = found.into_iter().map(|found| {
        let text = found.message.strip_prefix(&prefix).unwrap_or(&found.message);
        let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
        match &found.help {
            Some(help) => format!("{text}{end} Help: {help}."),
            None => format!("{text}{end}"),
        }
    });
    lines.collect()
}

fn line_of(texts: impl IntoIterator<Item = String>) -> Line {
    let words = texts.into_iter().map(|text| Word { text, span: Span::NONE }).collect();
    Line { words, span: Span::NONE, prefix: Prefix::None }
}

impl Maker for Later {
    fn server(&self, model: &Model, backend: &Proxy, name: &str, words: &[String]) -> Made<Server> {
        let line = line_of(std::iter::once("server".to_owned()).chain(words.iter().cloned()));
        let mut words = Words::new(&line, 1);
        let (thing, report) =
            self.read(model, |loading| self.server_in((model, backend, name), &mut words, loading));
        Made { thing, told: told(&report, &format!("server {}/{name}", backend.name)) }
    }

    fn backend(&self, model: &Model, order: &NewBackend<'_>) -> Made<Proxy> {
        let mut chain = Vec::new();
        let mut wanted = Some(order.from);
        // The last section of a name is the one that counts; a chain never has one twice.
        while let Some(name) = wanted.filter(|_| chain.len() <= self.defaults.len()) {
            let found = self.defaults.iter().rev().find(|section| name_of(section) == Some(name));
            let Some(section) = found else {
                return Made::nothing(format!("Cannot find default proxy '{name}'."));
            };
            chain.push(section.clone());
            wanted = parent_of(section);
        }
        let has_mode = |section: &Section| section.lines.iter().any(|line| line.words[0].text == "mode");
        if order.mode.is_none() && !chain.iter().any(has_mode) {
            let message =
                format!("Mode is required as '{}' default proxy does not explicitly defines it.", order.from);
            return Made::nothing(message);
        }
        chain.reverse();
        let mode = order.mode.map(|mode| line_of(["mode".to_owned(), mode.to_owned()]));
        let guid = order.guid.map(|guid| line_of(["guid".to_owned(), guid.to_owned()]));
        let head = ["backend", order.name, "from", order.from].map(str::to_owned);
        chain.push(Section { head: line_of(head), lines: mode.into_iter().chain(guid).collect() });
        let (made, report) = self.read(model, |loading| {
            self.check_guid(model, order.guid, loading);
            let draft = build::build(&chain, loading).proxies.into_iter().next()?;
            Some(finish::added(draft, (order.index, order.id), model, loading))
        });
        let thing = made.map(|(mut proxy, base)| {
            proxy.base = base.map(|base| Arc::new(base) as Arc<_>);
            proxy
        });
        let told = match &thing {
            Some(_) => Vec::new(),
            None => {
                let why = told(&report, "").into_iter().next().unwrap_or_default();
                vec![format!("Error during backend creation : {why}")]
            }
        };
        Made { thing, told }
    }

    fn defaults(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.defaults.iter().filter_map(name_of).collect();
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(*name));
        names
    }

    fn default_servers(&self, backend: &Proxy) -> Vec<String> {
        let Some(base) = self.base(backend) else { return Vec::new() };
        let mut names: Vec<String> = base.named.keys().map(|name| name.to_string()).collect();
        names.sort_unstable();
        if base.has_default_server {
            names.insert(0, String::new());
        }
        names
    }

    fn options(&self) -> Vec<&'static str> {
        section::server_options().filter(|name| !NOT_WHILE_RUNNING.contains(name)).collect()
    }
}
