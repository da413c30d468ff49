//! A proxy while its lines are being read.
//!
//! A defaults section is not copied into proxies: its lines are *replayed* into each proxy's draft
//! before the proxy's own lines. So inheritance has no rules of its own (a later line overrides an
//! earlier one, lists grow), and a rule of a named defaults section naturally runs before the
//! proxy's own.

use std::collections::HashMap;
use std::sync::Arc;

use super::keyword::Places;
use super::loading::Loading;
use super::section::bind::BindDraft;
use super::section::server::{ServerDraft, ServerSettings};
use super::words::Words;
use crate::balance;
use crate::config::section::proxy::SourceLine;
use crate::diag::Span;
use crate::health::config::CheckDirectives;
use crate::log::target::Target;
use crate::model::proxy::*;
use crate::rules::Rule;
use crate::rules::redirect::Redirect;
use crate::sample::acl::AclSet;
use crate::sample::expr::Phase;
use crate::sample::{Condition, LogFormat};

/// A mistake that was reported: the line is dropped and reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported;

/// What kind of section a draft is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `defaults`; the flag tells whether it has a name.
    Defaults {
        /// It has a name.
        named: bool,
    },
    /// `frontend`
    Frontend,
    /// `backend`
    Backend,
    /// `listen`
    Listen,
}

impl Kind {
    /// The word HAProxy's messages use.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Defaults { .. } => "defaults",
            Kind::Frontend => "frontend",
            Kind::Backend => "backend",
            Kind::Listen => "proxy",
        }
    }
    /// The section's own keyword.
    pub fn section(self) -> &'static str {
        match self {
            Kind::Listen => "listen",
            other => other.word(),
        }
    }
    /// Where its lines stand.
    pub fn places(self) -> Places {
        match self {
            Kind::Defaults { named: false } => Places::DEFAULTS,
            Kind::Defaults { named: true } => Places(Places::DEFAULTS.0 | Places::NAMED_DEFAULTS.0),
            Kind::Frontend => Places::FRONTEND,
            Kind::Backend => Places::BACKEND,
            Kind::Listen => Places::PROXIES,
        }
    }
    /// It accepts connections.
    pub fn is_frontend(self) -> bool {
        matches!(self, Kind::Frontend | Kind::Listen)
    }
    /// It has servers.
    pub fn is_backend(self) -> bool {
        matches!(self, Kind::Backend | Kind::Listen)
    }
    /// It is a defaults section, which exists to be inherited from.
    pub fn is_defaults(self) -> bool {
        matches!(self, Kind::Defaults { .. })
    }
}

/// A format string whose compilation waits for the end of the section.
#[derive(Clone, Debug)]
pub struct FormatText {
    /// The text.
    pub text: Arc<str>,
    /// Where it stands.
    pub span: Span,
    /// The `option` it came from, if it did not come from a text.
    pub option: Option<&'static str>,
}

/// A `log` line.
#[derive(Clone, Debug)]
pub enum LogLine {
    /// `log global`
    Global,
    /// A target.
    Target(Arc<Target>),
}

/// A line that says how an error is answered; a later one overrides an earlier one.
#[derive(Clone, Debug)]
pub enum ErrorLine {
    /// With this page.
    Page(u16, Arc<ErrorPage>),
    /// With the pages of an `http-errors` section: its name and the statuses taken (empty: all).
    Section(Box<str>, Vec<u16>, Span),
    /// As if nothing had been configured.
    BuiltIn(u16),
}

/// A target by name, found when all proxies are known.
#[derive(Debug)]
pub enum TargetName {
    /// The name as written.
    Static(Box<str>),
    /// A format that yields it.
    Dynamic(LogFormat),
}

/// `use_backend` or `use-server`, its target not looked up yet.
#[derive(Debug)]
pub struct UseLine {
    /// What to use.
    pub target: TargetName,
    /// When.
    pub condition: Option<Condition>,
    /// Where it stands.
    pub span: Span,
}

/// `stats` lines.
#[derive(Debug, Default)]
pub struct StatsDraft {
    /// Any of them was given.
    pub enabled: bool,
    /// They come from a defaults section: the first own one drops them.
    pub inherited: bool,
    /// `uri`
    pub uri: Option<Box<str>>,
    /// `realm`
    pub realm: Option<Box<str>>,
    /// `auth`
    pub users: Vec<(Box<str>, Box<str>)>,
    /// `refresh`
    pub refresh_s: Option<u64>,
    /// `show-version`
    pub show_version: bool,
    /// `show-legends`
    pub show_legends: bool,
    /// `show-modules`
    pub show_modules: bool,
    /// `show-node`; an empty one takes the global `node`.
    pub show_node: Option<Box<str>>,
    /// `show-desc`; an empty one takes the global `description`.
    pub show_description: Option<Box<str>>,
    /// `scope`
    pub scope: Vec<Box<str>>,
    /// `admin`
    pub admin: Vec<Condition>,
    /// `http-request`
    pub rules: Vec<Rule>,
}

/// `balance`, not checked against the mode yet.
#[derive(Debug)]
pub struct BalanceDraft {
    /// The algorithm.
    pub algorithm: balance::Algorithm,
    /// What a hashing one hashes.
    pub key: BalanceKey,
    /// Its name for statistics.
    pub name: &'static str,
    /// It looks at HTTP.
    pub needs_http: bool,
}

/// A proxy while its lines are being read; fields are those of [`Proxy`] unless they say otherwise.
#[allow(missing_docs)]
pub struct Draft {
    pub kind: Kind,
    pub name: Arc<str>,
    pub span: Span,
    /// Lines of a defaults section are being replayed.
    pub inheriting: bool,
    /// `guid`
    pub guid: Option<Box<str>>,
    /// `be-unpublished`
    pub is_unpublished: bool,
    /// There is a `default-server` line without a name.
    pub has_default_server: bool,
    /// `force-be-switch`
    pub force_switch: Vec<Condition>,
    /// The ACLs that conditions of the section being read may name.
    pub acls: AclSet,
    /// Tcp and http rules were met (in a defaults section they restrict which proxies may inherit).
    pub rule_spans: RuleSpans,
    /// Kinds of own rules met, as bits by [`Step`].
    steps: u32,
    pub id: Option<u32>,
    pub mode: Mode,
    pub disabled: bool,
    pub description: Option<String>,
    pub timeouts: Timeouts,
    pub options: Options,
    /// `option abortonclose`; its default depends on the mode.
    pub abortonclose: Option<bool>,
    /// Options that want HTTP mode and were switched on.
    pub http_options: Vec<&'static str>,
    pub maxconn: u32,
    pub fullconn: Option<u32>,
    pub backlog: Option<u32>,
    pub rate_limit_sessions: u32,
    pub binds: Vec<BindDraft>,
    /// A `bind` line was met, right or wrong.
    pub has_bind_line: bool,
    pub default_backend: Option<(Box<str>, Span)>,
    pub use_backend: Vec<UseLine>,
    pub use_server: Vec<UseLine>,
    pub tcp_connection: Vec<Rule>,
    pub tcp_session: Vec<Rule>,
    pub tcp_content: Vec<Rule>,
    pub tcp_inspect_delay_ms: Option<u64>,
    pub tcp_response: Vec<Rule>,
    pub tcp_response_inspect_delay_ms: Option<u64>,
    pub http_request: Vec<Rule>,
    pub http_response: Vec<Rule>,
    pub http_after_response: Vec<Rule>,
    pub redirects: Vec<(Redirect, Option<Condition>)>,
    pub balance: Option<BalanceDraft>,
    pub hash: balance::HashType,
    pub hash_balance_factor: u32,
    pub all_backups: bool,
    pub default_server: ServerSettings,
    /// `default-server name`
    pub named_default_servers: HashMap<Box<str>, ServerSettings>,
    pub servers: Vec<ServerDraft>,
    /// Server names, for duplicates.
    pub server_names: HashMap<Box<str>, Span>,
    pub cookie: Option<Cookie>,
    pub cookie_dynamic: bool,
    pub dynamic_cookie_key: Option<Box<str>>,
    pub persist_rdp_cookie: Option<Box<str>>,
    pub force_persist: Vec<Condition>,
    pub ignore_persist: Vec<Condition>,
    pub retries: u32,
    pub redispatch_after: i32,
    pub retry_on: RetryOn,
    pub http_reuse: HttpReuse,
    pub log: Vec<LogLine>,
    pub log_tag: Option<Arc<str>>,
    pub log_format: Option<FormatText>,
    pub log_format_sd: Option<FormatText>,
    pub error_log_format: Option<FormatText>,
    pub unique_id_format: Option<FormatText>,
    pub unique_id_header: Option<Box<str>>,
    pub request_captures: Vec<Capture>,
    pub response_captures: Vec<Capture>,
    pub cookie_capture: Option<CookieCapture>,
    pub monitor_uri: Option<Box<str>>,
    pub monitor_fail: Vec<Condition>,
    pub stats: StatsDraft,
    pub error_lines: Vec<ErrorLine>,
    pub source: SourceLine,
    /// `http-send-name-header`.
    pub send_name_header: Option<Box<str>>,
    pub saved_state: SavedState,
    pub state_file: Option<Box<str>>,
    pub checks: CheckDirectives,
    pub hash_preserve_affinity: crate::balance::Affinity,
    pub stick_request: Vec<StickRule>,
    pub stick_response: Vec<StickRule>,
    pub table: Option<Arc<crate::state::Table>>,
}

/// The order in which kinds of rules run, whatever the order of their lines; the last three have
/// orders of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    TcpConnection,
    TcpSession,
    TcpContent,
    MonitorFail,
    HttpRequest,
    Redirect,
    UseBackend,
    UseServer,
    TcpResponse,
    HttpResponse,
    HttpAfterResponse,
}

impl Step {
    /// The kinds in order, with the words of their lines.
    const NAMES: &[&str] = &[
        "tcp-request connection",
        "tcp-request session",
        "tcp-request content",
        "monitor fail",
        "http-request",
        "redirect",
        "use_backend",
        "use-server",
        "tcp-response content",
        "http-response",
        "http-after-response",
    ];
    /// The kinds that run after this one, nearest first.
    fn later(self) -> std::ops::Range<usize> {
        let at = self as usize;
        match self {
            // `use_backend` and `use-server` are never in each other's way: one is the frontend's.
            Step::UseBackend | Step::UseServer | Step::HttpResponse | Step::HttpAfterResponse => at..at,
            Step::TcpResponse => at + 1..at + 2,
            _ => at + 1..Step::UseServer as usize + 1,
        }
    }
}

/// Where rules of a draft stand first, by what they ask of a proxy that inherits them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuleSpans {
    /// Any tcp or http rule.
    pub any: Option<Span>,
    /// `tcp-request connection` or `session`.
    pub connection: Option<Span>,
    /// `tcp-response content`.
    pub tcp_response: Option<Span>,
}

impl Draft {
    /// A section without lines.
    pub fn new(kind: Kind, name: &str, span: Span) -> Self {
        Draft {
            kind,
            name: name.into(),
            span,
            inheriting: false,
            guid: None,
            is_unpublished: false,
            has_default_server: false,
            force_switch: Vec::new(),
            acls: AclSet::default(),
            rule_spans: RuleSpans::default(),
            steps: 0,
            id: None,
            mode: Mode::default(),
            disabled: false,
            description: None,
            timeouts: Timeouts::default(),
            options: Options::default(),
            abortonclose: None,
            http_options: Vec::new(),
            maxconn: 0,
            fullconn: None,
            backlog: None,
            rate_limit_sessions: 0,
            binds: Vec::new(),
            has_bind_line: false,
            default_backend: None,
            use_backend: Vec::new(),
            use_server: Vec::new(),
            tcp_connection: Vec::new(),
            tcp_session: Vec::new(),
            tcp_content: Vec::new(),
            tcp_inspect_delay_ms: None,
            tcp_response: Vec::new(),
            tcp_response_inspect_delay_ms: None,
            http_request: Vec::new(),
            http_response: Vec::new(),
            http_after_response: Vec::new(),
            redirects: Vec::new(),
            balance: None,
            hash: balance::HashType::default(),
            hash_balance_factor: 0,
            all_backups: false,
            default_server: ServerSettings::default(),
            named_default_servers: HashMap::new(),
            servers: Vec::new(),
            server_names: HashMap::new(),
            cookie: None,
            cookie_dynamic: false,
            dynamic_cookie_key: None,
            persist_rdp_cookie: None,
            force_persist: Vec::new(),
            ignore_persist: Vec::new(),
            retries: 3,
            redispatch_after: 0,
            retry_on: RetryOn::default(),
            http_reuse: HttpReuse::default(),
            log: Vec::new(),
            log_tag: None,
            log_format: None,
            log_format_sd: None,
            error_log_format: None,
            unique_id_format: None,
            unique_id_header: None,
            request_captures: Vec::new(),
            response_captures: Vec::new(),
            cookie_capture: None,
            monitor_uri: None,
            monitor_fail: Vec::new(),
            stats: StatsDraft::default(),
            error_lines: Vec::new(),
            source: SourceLine::default(),
            send_name_header: None,
            saved_state: SavedState::None,
            state_file: None,
            checks: CheckDirectives::default(),
            hash_preserve_affinity: Default::default(),
            stick_request: Vec::new(),
            stick_response: Vec::new(),
            table: None,
        }
    }

    /// Notes a rule, and warns if one that runs later stands before it: the order of the lines
    /// then says something else than what happens.
    pub fn place(&mut self, step: Step, words: &Words<'_>, loading: &mut Loading<'_>) {
        if self.inheriting {
            return;
        }
        if let Some(later) = step.later().find(|later| self.steps & 1 << later != 0) {
            let article = if Step::NAMES[later].starts_with("http") { "an" } else { "a" };
            let message = format!(
                "a '{}' rule placed after {article} '{}' rule will still be processed before",
                words.keyword(),
                Step::NAMES[later]
            );
            loading.report.warning(words.span(), message);
        }
        self.steps |= 1 << step as usize;
    }

    /// `frontend 'www'`, as messages say it.
    pub fn title(&self) -> String {
        format!("{} '{}'", self.kind.word(), self.name)
    }

    /// Parses what is left of a line as an optional condition.
    pub fn condition(
        &self,
        words: &mut Words<'_>,
        phase: Phase,
        loading: &mut Loading<'_>,
    ) -> Result<Option<Condition>, Reported> {
        match words.peek() {
            None => Ok(None),
            Some("if" | "unless") => {
                let span = words.rest_span();
                let rest = words.take_rest();
                let mut context = loading.context(phase, Some(&self.name), &self.acls);
                Condition::parse(&rest, span, &mut context).map(Some).ok_or(Reported)
            }
            Some(other) => {
                let message = format!(
                    "unexpected keyword '{other}' after '{}', only 'if' and 'unless' are allowed",
                    words.keyword()
                );
                words.take_word();
                loading.report.alert(words.last_span(), message);
                Err(Reported)
            }
        }
    }

    /// As [`Draft::condition`], but one must be there.
    pub fn required_condition(
        &self,
        words: &mut Words<'_>,
        phase: Phase,
        loading: &mut Loading<'_>,
    ) -> Option<Condition> {
        if !matches!(words.peek(), Some("if" | "unless")) {
            let message =
                format!("'{}' requires either 'if' or 'unless' followed by a condition", words.keyword());
            loading.report.alert(words.span(), message);
            return None;
        }
        self.condition(words, phase, loading).ok().flatten()
    }
}
