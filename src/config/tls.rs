//! What TLS options name: certificates, lists of them and keys are read, checked and put together when
//! everything else of the configuration is known.
//!
//! A certificate is read once however many lines name it. What is wrong with a file is told at the line that
//! names it, with the file's name and what to do about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keyword::Does;
use super::loading::Loading;
use super::section::bind::BindSettings;
use super::section::bind_tls::{PER_CERTIFICATE, TlsSettings};
use super::section::server_tls::ServerTls;
use super::syntax::{Line as TextLine, Prefix, Word};
use super::words::Words;
use crate::base::clock;
use crate::diag::{Report, Span};
use crate::sample::expr::Files;
use crate::state::Registry;
use crate::tls::certificate::Certificate;
use crate::tls::connector::{Connector, Settings, Verification};
use crate::tls::material::{Beside, Material};
use crate::tls::options::{Options, Verify};
use crate::tls::pem::{self, File};
use crate::tls::selection::Names;
use crate::tls::store::{ListLine, Source, Store};
use crate::tls::terminator::{Entry, LIFETIME_S, Line, SESSIONS, Terminator};
use crate::tls::tickets::TicketKeys;
use crate::tls::verify::verifier::ClientVerifier;
use crate::tls::verify::{ErrorSet, Policy, Purpose, Trust};

/// The kinds of keys that a bundle may have, by the end of their files' names.
const BUNDLE: &[&str] = &[".rsa", ".ecdsa", ".dsa"];
/// Files in a directory of certificates that belong to others.
const BESIDE: &[&str] = &[".issuer", ".ocsp", ".sctl", ".key"];
/// How long before its end a certificate is warned of, in seconds.
const EXPIRY_WARNING_S: i64 = 14 * 24 * 3600;

/// What `global` says about TLS, and what was read so far.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct TlsLoading {
    pub crt_base: Option<String>,
    pub key_base: Option<String>,
    pub ca_base: Option<String>,
    /// `ssl-default-bind-*`
    pub bind: TlsSettings,
    /// `ssl-default-server-*`
    pub server: Options,
    pub server_tickets: Option<bool>,
    /// `ssl-load-extra-del-ext`
    pub replaces_extension: bool,
    /// `ssl-load-extra-files`
    pub extra: ExtraFiles,
    pub lifetime_s: u32,
    pub sessions_max: usize,
    /// `ssl-server-verify none`
    pub servers_unverified: bool,
    materials: BTreeMap<String, Option<Arc<Material>>>,
    authorities: BTreeMap<String, Option<Vec<Arc<Certificate>>>>,
    verifiers: BTreeMap<String, Arc<ClientVerifier>>,
    /// What the runtime API finds.
    pub store: Arc<Store>,
    /// The load is over: certificates are those of the store.
    is_over: bool,
}

impl TlsLoading {
    /// The same for what is added while running.
    pub fn while_running(&self) -> TlsLoading {
        let of_load = self.clone();
        TlsLoading { is_over: true, materials: BTreeMap::new(), authorities: BTreeMap::new(), ..of_load }
    }
}

/// Which files beside certificates are read (`ssl-load-extra-files`).
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct ExtraFiles {
    pub bundle: bool,
    pub ocsp: bool,
    pub issuer: bool,
    pub key: bool,
}

impl Default for TlsLoading {
    fn default() -> Self {
        TlsLoading {
            crt_base: None,
            key_base: None,
            ca_base: None,
            bind: TlsSettings::default(),
            server: Options::default(),
            server_tickets: None,
            replaces_extension: false,
            extra: ExtraFiles { bundle: true, ocsp: true, issuer: true, key: true },
            lifetime_s: LIFETIME_S,
            sessions_max: SESSIONS,
            servers_unverified: false,
            materials: BTreeMap::new(),
            authorities: BTreeMap::new(),
            verifiers: BTreeMap::new(),
            store: Arc::default(),
            is_over: false,
        }
    }
}

/// A path below a base directory, unless it is absolute or a name of another kind (`@system-ca`).
fn below(base: Option<&String>, path: &str) -> String {
    match base {
        Some(base) if !path.starts_with('/') && !path.starts_with('@') => format!("{base}/{path}"),
        _ => path.to_owned(),
    }
}

/// Puts the certificates of a line together; nothing if something is wrong, which is told.
pub fn terminator(
    settings: &TlsSettings,
    keyword: &str,
    is_http: bool,
    shared: &[Entry],
    loading: &mut Loading<'_>,
) -> Option<Arc<Terminator>> {
    let span = settings.ssl?;
    let known = loading.report.diagnostics.len();
    let settings = settings.over(&loading.tls.bind);
    let mut entries = Vec::new();
    for name in &settings.certificates {
        let materials = certificates(&name.path, name.span, loading);
        entries.extend(materials.into_iter().map(|material| Entry {
            material,
            filters: None,
            options: Options::default(),
            is_default: name.is_default,
            verifier: None,
        }));
    }
    let mut lists = Vec::new();
    for (path, span) in &settings.lists {
        let lines = list(path, *span, loading);
        entries.extend(lines.0.iter().map(|line| line.entry.clone()));
        lists.push((path.trim_end_matches('/').to_owned(), lines));
    }
    entries.extend(shared.iter().cloned());
    let ticket_keys =
        settings.ticket_keys.as_ref().and_then(|(path, span)| read_ticket_keys(path, *span, loading));
    if loading.report.diagnostics[known..].iter().any(|found| found.level == crate::diag::Level::Alert) {
        return None;
    }
    if entries.is_empty() && settings.strict != Some(true) {
        let message = format!("'{keyword}' : 'ssl' needs a certificate");
        loading
            .report
            .alert(span, message)
            .help("name one with 'crt <file>', a directory of them, or a 'crt-list'");
        return None;
    }
    for entry in &mut entries {
        let options = entry.options.over(&settings.options);
        entry.verifier = client_verifier(&options, &settings, span, loading).ok()?;
    }
    let line = Line {
        options: settings.options,
        strict: settings.strict.unwrap_or(false),
        tickets: settings.tickets.unwrap_or(true),
        prefers_client: settings.prefers_client.unwrap_or(false),
        is_http,
        lifetime_s: loading.tls.lifetime_s,
        sessions_max: loading.tls.sessions_max,
        ticket_keys,
    };
    match Terminator::new(line, entries) {
        Ok(terminator) => {
            let terminator = Arc::new(terminator);
            loading.tls.store.add_terminator(&terminator);
            for (name, lines) in &lists {
                loading.tls.store.add_list(name, lines, &terminator);
            }
            Some(terminator)
        }
        Err(message) => {
            loading.report.alert(span, format!("'{keyword}' : {message}"));
            None
        }
    }
}

/// Reads the files of a line without `ssl`, which have no effect there: what is wrong with them is told all the
/// same, as it would be on the day when `ssl` is added.
pub fn look_at_files(settings: &TlsSettings, span: Span, loading: &mut Loading<'_>) {
    let known = loading.report.diagnostics.len();
    let mut named = None;
    for name in &settings.certificates {
        named = named.or(Some(name.span));
        certificates(&name.path, name.span, loading);
    }
    for (path, span) in &settings.lists {
        named = named.or(Some(*span));
        list(path, *span, loading);
    }
    if let Some((path, span)) = &settings.ticket_keys {
        read_ticket_keys(path, *span, loading);
    }
    look_at_authorities(&settings.options, span, loading);
    if let Some(span) = named.filter(|_| loading.report.diagnostics.len() == known) {
        let message = "a certificate was specified but SSL was not enabled on this line";
        loading.report.warning(span, message.to_owned()).help("add 'ssl'");
    }
}

/// The same of the files that say whom to trust, of a `bind` or `server` line without `ssl`.
pub fn look_at_authorities(options: &Options, span: Span, loading: &mut Loading<'_>) {
    for path in [&options.authorities, &options.more_authorities].into_iter().flatten() {
        let _ = authorities(path, span, loading); // what is wrong was told
    }
    let _ = trust(Vec::new(), options, span, loading); // the same
}

/// How clients' certificates are verified, if they are; an error was told.
fn client_verifier(
    options: &Options,
    settings: &TlsSettings,
    span: Span,
    loading: &mut Loading<'_>,
) -> Result<Option<Arc<ClientVerifier>>, ()> {
    let verify = options.verify.unwrap_or_default();
    if verify == Verify::None {
        return Ok(None);
    }
    if options.authorities.is_none() && options.more_authorities.is_none() {
        let message = "'verify' is enabled, but nothing says who signs clients' certificates";
        loading.report.alert(span, message).help("name them with 'ca-file <file>'");
        return Err(());
    }
    let key = format!("{options:?} {:?} {:?}", settings.ignored, settings.ignored_above);
    if let Some(known) = loading.tls.verifiers.get(&key) {
        return Ok(Some(known.clone()));
    }
    let named = options.authorities.as_ref().map(|path| authorities(path, span, loading)).transpose()?;
    let named = named.unwrap_or_default();
    let mut all = named.clone();
    if let Some(path) = &options.more_authorities {
        all.extend(authorities(path, span, loading)?);
    }
    let policy = Policy {
        purpose: Purpose::Client,
        trust: trust(all, options, span, loading)?,
        ignored_of_leaf: ignored(settings.ignored.as_deref(), "crt-ignore-err", span, loading)?,
        ignored_of_authorities: ignored(settings.ignored_above.as_deref(), "ca-ignore-err", span, loading)?,
    };
    let told = if options.hides_authorities == Some(true) { &[][..] } else { &named[..] };
    let verifier = Arc::new(ClientVerifier::new(policy, verify == Verify::Required, told));
    loading.tls.verifiers.insert(key, verifier.clone());
    Ok(Some(verifier))
}

fn ignored(text: Option<&str>, keyword: &str, span: Span, loading: &mut Loading<'_>) -> Result<ErrorSet, ()> {
    let Some(text) = text else { return Ok(ErrorSet::EMPTY) };
    ErrorSet::parse(text).map_err(|message| {
        loading.report.alert(span, format!("'{keyword}' : {message}"));
    })
}

/// Roots, with the lists of what they revoked.
fn trust(
    authorities: Vec<Arc<Certificate>>,
    options: &Options,
    span: Span,
    loading: &mut Loading<'_>,
) -> Result<Arc<Trust>, ()> {
    let Some(path) = &options.revoked else { return Ok(Arc::new(Trust::new(authorities, Vec::new()))) };
    let path = below(loading.tls.ca_base.as_ref(), path);
    let lists = loading
        .file(&path)
        .and_then(|bytes| pem::lists(File { path: &path, bytes: &bytes }).map_err(|error| error.to_string()));
    match lists {
        Ok(lists) => Ok(Arc::new(Trust::new(authorities, lists).checking_revocation())),
        Err(message) => {
            loading.report.alert(span, format!("'crl-file' : unable to use '{path}' : {message}"));
            Err(())
        }
    }
}

/// Where systems keep the authorities that everybody trusts.
const SYSTEM_AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The certificates of a `ca-file`: a file, a directory of them, or `@system-ca`.
fn authorities(path: &str, span: Span, loading: &mut Loading<'_>) -> Result<Vec<Arc<Certificate>>, ()> {
    let path = below(loading.tls.ca_base.as_ref(), path);
    if loading.tls.is_over {
        let known = loading.tls.store.authorities(&path);
        if known.is_none() {
            loading.report.alert(span, format!("'ca-file' : unable to load '{path}'")).help(
                "make it known with 'new ssl ca-file', 'set ssl ca-file' and 'commit ssl ca-file' first",
            );
        }
        return known.map(|known| known.to_vec()).ok_or(());
    }
    if let Some(known) = loading.tls.authorities.get(&path) {
        return known.clone().ok_or(());
    }
    let files = if path == "@system-ca" {
        SYSTEM_AUTHORITIES.iter().find(|file| loading.file(file).is_ok()).map(|file| vec![(*file).to_owned()])
    } else if let Some(names) = loading.world.directory(&path) {
        let mut names: Vec<String> = names.into_iter().filter(|name| !name.starts_with('.')).collect();
        names.sort_unstable();
        Some(names.into_iter().map(|name| format!("{path}/{name}")).collect())
    } else {
        Some(vec![path.clone()])
    };
    let read =
        files.ok_or_else(|| "this system has no file of authorities where they usually are".to_owned());
    let read = read.and_then(|files| {
        let mut found = Vec::new();
        for file in files {
            let bytes = loading.file(&file)?;
            found.extend(
                pem::authorities(File { path: &file, bytes: &bytes }).map_err(|error| error.to_string())?,
            );
        }
        Ok(found)
    });
    let found = match read {
        Ok(found) => Some(found),
        Err(message) => {
            loading.report.alert(span, format!("'ca-file' : unable to load '{path}' : {message}"));
            None
        }
    };
    if let Some(found) = &found {
        loading.tls.store.add_authorities(&path, found);
    }
    loading.tls.authorities.insert(path, found.clone());
    found.ok_or(())
}

fn read_ticket_keys(path: &str, span: Span, loading: &mut Loading<'_>) -> Option<Arc<TicketKeys>> {
    let read = loading.file(path).and_then(|text| TicketKeys::of_file(&text));
    match read {
        Ok(keys) => Some(Arc::new(keys)),
        Err(error) => {
            loading.report.alert(span, format!("'tls-ticket-keys' : '{path}' {error}"));
            None
        }
    }
}

/// The certificates that a word names: a file, a bundle of files, or a directory.
pub fn certificates(path: &str, span: Span, loading: &mut Loading<'_>) -> Vec<Arc<Material>> {
    let path = below(loading.tls.crt_base.as_ref(), path);
    let Some(mut names) = loading.world.directory(&path) else {
        return bundle(&path, span, loading);
    };
    names.retain(|name| !name.starts_with('.') && !BESIDE.iter().any(|end| name.ends_with(end)));
    names.sort_unstable();
    if names.is_empty() {
        loading.report.alert(span, format!("'crt' : the directory '{path}' holds no certificate"));
    }
    names.iter().filter_map(|name| material(&format!("{path}/{name}"), span, loading)).collect()
}

/// A file, or those of a bundle if there is none of that name.
fn bundle(path: &str, span: Span, loading: &mut Loading<'_>) -> Vec<Arc<Material>> {
    let is_file = loading.tls.materials.contains_key(path) || loading.file(path).is_ok();
    if is_file || !loading.tls.extra.bundle {
        return material(path, span, loading).into_iter().collect();
    }
    let parts: Vec<String> =
        BUNDLE.iter().map(|end| format!("{path}{end}")).filter(|part| loading.file(part).is_ok()).collect();
    if parts.is_empty() {
        return material(path, span, loading).into_iter().collect(); // which tells why it cannot be read
    }
    parts.iter().filter_map(|part| material(part, span, loading)).collect()
}

/// The certificate in a file, with what stands beside it.
fn material(path: &str, span: Span, loading: &mut Loading<'_>) -> Option<Arc<Material>> {
    if let Some(known) = loading.tls.materials.get(path) {
        return known.clone();
    }
    if loading.tls.is_over {
        let known = loading.tls.store.get(path).and_then(|stored| stored.material);
        if known.is_none() {
            let message =
                format!("'crt' : unable to load '{path}' : it is not among the certificates in use");
            loading.report.alert(span, message).help("load it with 'new ssl cert' and 'set ssl cert' first");
        }
        return known;
    }
    let stem = match loading.tls.replaces_extension {
        true => path.strip_suffix(".crt").unwrap_or(path),
        false => path,
    };
    let beside = |end: &str, loading: &mut Loading<'_>| loading.file(&format!("{stem}{end}")).ok();
    let extra = loading.tls.extra;
    let key = extra.key.then(|| beside(".key", loading)).flatten();
    let issuer = extra.issuer.then(|| beside(".issuer", loading)).flatten();
    let ocsp = extra.ocsp.then(|| beside(".ocsp", loading)).flatten();
    let paths = (format!("{stem}.key"), format!("{stem}.issuer"));
    let beside = Beside {
        key: key.as_deref().map(|bytes| File { path: &paths.0, bytes }),
        issuer: issuer.as_deref().map(|bytes| File { path: &paths.1, bytes }),
        ocsp: ocsp.as_deref(),
    };
    let read = match loading.file(path) {
        Ok(text) => {
            let parts = [Some(&text[..]), key.as_deref(), issuer.as_deref(), ocsp.as_deref()];
            Material::load(path, &text, beside).map(|material| (material, source_of(parts)))
        }
        Err(error) => Err(format!("unable to read the certificate '{path}' : {error}")),
    };
    let loaded = match read {
        Ok((material, source)) => {
            let material = Arc::new(material);
            for notice in &material.notices {
                loading.report.notice(span, format!("'crt' : {notice}"));
            }
            tell_validity(&material, span, loading);
            loading.tls.store.add(material.clone(), source);
            Some(material)
        }
        Err(message) => {
            loading.report.alert(span, format!("'crt' : {message}"));
            None
        }
    };
    loading.tls.materials.insert(path.to_owned(), loaded.clone());
    loaded
}

/// Tells whether files are what they were at another load.
fn source_of<const N: usize>(parts: [Option<&[u8]>; N]) -> Source {
    parts.iter().fold(0, |seed, part| {
        let seed = seed + u64::from(part.is_some());
        crate::base::hash::xxh64(part.unwrap_or_default(), seed)
    })
}

fn tell_validity(material: &Material, span: Span, loading: &mut Loading<'_>) {
    let now = clock::read().wall_secs() as i64;
    let name = &material.name;
    if material.not_after < now {
        let message = format!("'crt' : the certificate '{name}' has expired; clients will refuse it");
        loading.report.notice(span, message).help("renew it, and load it with 'set ssl cert' or a restart");
    } else if material.not_before > now {
        let message = format!("'crt' : the certificate '{name}' is not valid yet; is the clock right?");
        loading.report.notice(span, message);
    } else if material.not_after - now < EXPIRY_WARNING_S {
        let days = (material.not_after - now) / (24 * 3600);
        let message = format!("'crt' : the certificate '{name}' expires in {days} days");
        loading.report.notice(span, message).help("renew it");
    }
}

/// How a server is spoken to by TLS, for traffic and for checks; nothing if it is not, or if something is wrong,
/// which is told.
pub fn connector(
    settings: &ServerTls,
    owner: &str,
    is_http: bool,
    span: Span,
    loading: &mut Loading<'_>,
) -> Option<Arc<Connector>> {
    let known = loading.report.diagnostics.len();
    let options = settings.options.over(&loading.tls.server);
    let certificate = settings.certificate.as_ref().and_then(|(path, span)| {
        let path = below(loading.tls.crt_base.as_ref(), path);
        material(&path, *span, loading)
    });
    // What is named must be there, though nothing is verified.
    if options.verify == Some(Verify::None)
        && let Some(path) = &options.authorities
    {
        let _ = authorities(path, span, loading); // what is wrong was told
    }
    let unverified = match options.verify {
        Some(verify) => verify == Verify::None,
        None => loading.tls.servers_unverified,
    };
    let verification = match unverified {
        true => Verification::None,
        false => server_verification(settings, &options, owner, span, loading)?,
    };
    if loading.report.diagnostics[known..].iter().any(|found| found.level == crate::diag::Level::Alert) {
        return None;
    }
    let ca_base = loading.tls.ca_base.clone();
    let named = options.authorities.as_ref().map(|path| below(ca_base.as_ref(), path).into());
    let settings = Settings {
        options: Options { authorities: named, ..options },
        verification,
        certificate,
        never_resumes: settings.never_resumes,
        no_tickets: settings.tickets.or(loading.tls.server_tickets) == Some(false),
        is_http,
        cores: loading.registry.cores(),
    };
    match Connector::new(settings) {
        Ok(connector) => {
            let connector = Arc::new(connector);
            loading.tls.store.add_connector(&connector);
            Some(connector)
        }
        Err(message) => {
            loading.report.alert(span, format!("'{owner}' : {message}"));
            None
        }
    }
}

fn server_verification(
    settings: &ServerTls,
    options: &Options,
    owner: &str,
    span: Span,
    loading: &mut Loading<'_>,
) -> Option<Verification> {
    if options.authorities.is_none() {
        let message = format!(
            "'{owner}' : the server's certificate is to be verified, which is the default, but nothing says who signs it"
        );
        loading.report.alert(span, message).help(
            "name who signs it with 'ca-file <file>' ('ca-file @system-ca' for public ones); or write 'verify none', \
             if nobody can come between",
        );
        return None;
    }
    let path = options.authorities.clone()?;
    let found = authorities(&path, span, loading).ok()?;
    let policy = Policy {
        purpose: Purpose::Server,
        trust: trust(found, options, span, loading).ok()?,
        ignored_of_leaf: ErrorSet::EMPTY,
        ignored_of_authorities: ErrorSet::EMPTY,
    };
    Some(Verification::Required(policy, settings.verify_host.clone()))
}

/// The certificates of a `crt-list` file (manual, section 5.1 `crt-list`): a file, options in brackets, filters.
fn list(path: &str, span: Span, loading: &mut Loading<'_>) -> (Vec<ListLine>, Source) {
    let text = match loading.file(path) {
        Ok(text) => text,
        Err(error) => {
            loading.report.alert(span, format!("'crt-list' : unable to open '{path}' : {error}"));
            return (Vec::new(), 0);
        }
    };
    let mut entries = Vec::new();
    for (at, line) in String::from_utf8_lossy(&text).lines().enumerate() {
        let place = format!("{path}:{}", at + 1);
        match list_line(line) {
            Ok(Some(words)) => {
                let known = loading.report.diagnostics.len();
                let made = list_entries(&words, &place, span, loading);
                for told in &mut loading.report.diagnostics[known..] {
                    if !told.message.starts_with("'crt-list'") {
                        told.message = format!("'crt-list' : {place} : {}", told.message);
                    }
                }
                entries.extend(made.into_iter().map(|entry| ListLine {
                    certificate: entry.material.name.to_string(),
                    rest: words.rest(),
                    number: at + 1,
                    entry,
                }));
            }
            Ok(None) => {}
            Err(message) => {
                loading.report.alert(span, format!("'crt-list' : {place} : {message}"));
            }
        }
    }
    (entries, source_of([Some(&text)]))
}

/// A line of a `crt-list`.
#[derive(Debug, PartialEq, Eq)]
struct ListWords<'t> {
    path: &'t str,
    options: Vec<&'t str>,
    filters: Vec<&'t str>,
}

impl ListWords<'_> {
    /// What stands behind the file.
    fn rest(&self) -> String {
        let mut rest = String::new();
        if !self.options.is_empty() {
            rest = format!("[{}]", self.options.join(" "));
        }
        for filter in &self.filters {
            if !rest.is_empty() {
                rest.push(' ');
            }
            rest.push_str(filter);
        }
        rest
    }
}

/// Reads a line that is added to a list at run time. It may name only what is known already: no file is read.
///
/// # Errors
/// What is wrong with it.
pub fn line_at_run_time(text: &str, store: &Store) -> Result<ListLine, String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let Some(words) = list_line(lines.next().unwrap_or_default())? else {
        return Err("the line names no certificate".to_owned());
    };
    let more = lines.count();
    if more > 0 {
        return Err(format!("one line can be added at a time, and {more} more follow it: nothing was added"));
    }
    let name = store.resolve(words.path);
    let stored = store.get(&name).ok_or_else(|| format!("certificate '{name}' does not exist!"))?;
    let material = stored.material.ok_or_else(|| format!("certificate '{name}' is empty!"))?;
    let (registry, settings, world) = (Registry::new(1), super::Settings::default(), Sealed);
    let mut report = Report::default();
    let environment = super::environment::Environment::bare(&world);
    let mut loading = Loading::new(&settings, &registry, &world, &environment, &mut report);
    let options = per_certificate(&words.options, "the line", Span::NONE, &mut loading);
    let options = match options {
        Some(options) if options.verify.unwrap_or_default() == Verify::None && options.names_no_file() => {
            options
        }
        Some(options) => {
            let file = options.authorities.or(options.more_authorities).or(options.revoked);
            return Err(match file {
                Some(file) => format!("unable to load {file}: no file is read while the process runs"),
                None => "clients' certificates cannot be verified by a line that is added".to_owned(),
            });
        }
        None => {
            let told = report.diagnostics.first().map(|found| found.message.clone());
            return Err(told.unwrap_or_else(|| "its options cannot be read".to_owned()));
        }
    };
    let filters = Names::of_filters(words.filters.iter().copied());
    let entry = Entry { material, filters, options, is_default: false, verifier: None };
    let rest = words.rest();
    Ok(ListLine { certificate: name, rest, number: 0, entry })
}

/// A world without files.
#[derive(Debug)]
struct Sealed;

impl Files for Sealed {
    fn read(&self, _: &str) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

impl super::World for Sealed {
    fn resolve(&self, _: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

fn list_line(line: &str) -> Result<Option<ListWords<'_>>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (path, rest) = line.split_once([' ', '\t', '[']).unwrap_or((line, ""));
    let rest = line[path.len()..].trim_start_matches([' ', '\t']).get(..).unwrap_or(rest);
    let (options, filters) = match rest.strip_prefix('[') {
        Some(inside) => {
            let (options, filters) =
                inside.split_once(']').ok_or("the options' bracket is not closed by ']'")?;
            (options, filters)
        }
        None => ("", rest),
    };
    let filters: Vec<&str> = filters.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
    if let Some(stray) = filters.iter().find(|word| word.contains(['[', ']'])) {
        return Err(format!("'{stray}' is no filter; options stand in brackets right behind the file"));
    }
    if let Some(empty) = filters.iter().find(|word| matches!(**word, "!" | "!!")) {
        return Err(format!("'{empty}' names nothing that could be left out; write '!<name>'"));
    }
    Ok(Some(ListWords { path, options: options.split_whitespace().collect(), filters }))
}

fn list_entries(line: &ListWords<'_>, place: &str, span: Span, loading: &mut Loading<'_>) -> Vec<Entry> {
    let Some(options) = per_certificate(&line.options, place, span, loading) else { return Vec::new() };
    let filters = Names::of_filters(line.filters.iter().copied());
    certificates(line.path, span, loading)
        .into_iter()
        .map(|material| Entry {
            material,
            filters: filters.clone(),
            options: options.clone(),
            is_default: false,
            verifier: None,
        })
        .collect()
}

/// Reads options that a certificate may have of its own; nothing if something is wrong, which is told.
fn per_certificate(options: &[&str], place: &str, span: Span, loading: &mut Loading<'_>) -> Option<Options> {
    if options.is_empty() {
        return Some(Options::default());
    }
    let words = options.iter().map(|text| Word { text: (*text).to_owned(), span }).collect();
    let line = TextLine { words, span, prefix: Prefix::None };
    let mut words = Words::new(&line, 0);
    let mut settings = BindSettings::default();
    let known = loading.report.diagnostics.len();
    let index = super::section::bind_index();
    while let Some(word) = words.take_word() {
        let row = index.get(&word.text).filter(|row| PER_CERTIFICATE.contains(&row.name));
        match row.map(|row| (row, row.does)) {
            Some((_, Does::Parse(parse))) => parse(&mut settings, &mut words, loading),
            Some((row, Does::NoAction(_))) => {
                super::shape::read_option(row.name, row.args, &mut words, loading.report);
            }
            Some((row, Does::Refused(why) | Does::Removed(why))) => {
                loading.report.alert(span, format!("'crt-list' : {place} : '{}' : {why}", row.name));
                return None;
            }
            None => {
                let message = format!("'crt-list' : {place} : '{}' is no option of a certificate", word.text);
                let help = format!("known are {}", PER_CERTIFICATE.join(", "));
                loading.report.alert(span, message).help(help);
                return None;
            }
        }
    }
    let wrong =
        loading.report.diagnostics[known..].iter().any(|found| found.level == crate::diag::Level::Alert);
    (!wrong).then_some(settings.tls.options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_lists() {
        let parse = |text| list_line(text).map(|line| line.map(|l| (l.path, l.options, l.filters)));
        for text in ["", "  ", "# a comment"] {
            assert_eq!(parse(text), Ok(None));
        }
        for (text, path, options, filters) in [
            ("a.pem", "a.pem", &[][..], &[][..]),
            ("a.pem *.a.com !x.a.com # why", "a.pem", &[], &["*.a.com", "!x.a.com"]),
            ("a.pem [alpn h2] b.com", "a.pem", &["alpn", "h2"], &["b.com"]),
            ("a.pem[verify none]", "a.pem", &["verify", "none"], &[]),
            ("  a.pem\t[ ] ", "a.pem", &[], &[]),
        ] {
            assert_eq!(parse(text), Ok(Some((path, options.to_vec(), filters.to_vec()))), "{text}");
        }
        assert!(parse("a.pem [alpn h2").is_err());
        assert!(parse("a.pem b.com [alpn h2]").is_err());
        for filters in ["!", "a.com !", "! a.com"] {
            let error = list_line(&format!("a.pem {filters}")).unwrap_err();
            assert!(error.starts_with("'!' names nothing"), "{error}");
        }
    }
}
