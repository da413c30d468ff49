//! The parsers behind the rows of [`super::keyword::TABLE`]: from the words after an action to an
//! [`Action`].

pub(super) use super::header_list::parse as header_list;
pub(super) use super::normalize::parse as normalize_uri;

use std::sync::Arc;

use super::action::{
    Action, Delay, NameMatch, Number, PacketField, ResolveName, Side, Slot, TargetPart, TimeoutKind,
};
use super::arguments::{Arguments, Mistake};
use super::redirect::Redirect;
use super::reply::ReplySpec;
pub(super) use super::track::{change_counter, track};
use super::{MapChange, RuleSet, Service};
use crate::base::text::decode_raw;
use crate::base::units::{self, TimeUnit};
use crate::diag::{Span, did_you_mean};
use crate::pattern::Regex;
use crate::resolvers::options::Prefer;
use crate::sample::value::Type;
use crate::sample::vars::{Scope, SetCondition, VarName};
use crate::sample::{LogFormat, ParseContext};

/// What a parser returns.
pub(super) type Parsed = Result<Action, Mistake>;

/// Whether a byte may stand in a field's name (RFC 9110 section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `accept`, `allow`.
pub(super) fn allow(_arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    Ok(Action::Allow)
}

/// `reject`.
pub(super) fn reject(_arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    Ok(Action::Reject)
}

/// `close`.
pub(super) fn close(_arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    Ok(Action::CloseServer)
}

/// `silent-drop`.
pub(super) fn silent_drop(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    if !arguments.take_if("rst-ttl") {
        return Ok(Action::SilentDrop(None));
    }
    let text = arguments.take("'rst-ttl' expects exactly 1 argument")?;
    match text.parse() {
        Ok(ttl @ 1..) => Ok(Action::SilentDrop(Some(ttl))),
        _ => Mistake::says(format!("'rst-ttl' expects a value between 1 and 255, not '{text}'")),
    }
}

/// `deny`, `tarpit`.
pub(super) fn deny(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let is_tarpit = arguments.action == "tarpit";
    let default_status = match arguments.set {
        RuleSet::HttpRequest if is_tarpit => 500,
        RuleSet::HttpRequest => 403,
        _ => 502,
    };
    // Nothing, or a status in the old form alone, means the page of that status; more is a reply.
    let is_page = arguments.is_over()
        || arguments.peek() == Some("deny_status")
            && matches!(arguments.rest().get(2), None | Some(&("if" | "unless")));
    let mut spec = ReplySpec::parse(default_status, arguments, context)?;
    if is_page {
        if !super::reply::PAGE_STATUSES.contains(&spec.status) {
            return Mistake::says(format!(
                "status code '{}' not handled by default with 'default-errorfiles' argument",
                spec.status
            ));
        }
        spec = ReplySpec::error_page(spec.status);
    }
    Ok(if is_tarpit { Action::Tarpit(Box::new(spec)) } else { Action::Deny(Box::new(spec)) })
}

/// `return`.
pub(super) fn reply(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    ReplySpec::parse(200, arguments, context).map(|spec| Action::Return(Box::new(spec)))
}

/// `redirect`.
pub(super) fn redirect(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    Redirect::parse(arguments, context, true).map(|redirect| Action::Redirect(Box::new(redirect)))
}

/// `auth`.
pub(super) fn auth(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let realm = match arguments.take_if("realm") {
        true => arguments.take("missing realm value")?,
        false => context.proxy.unwrap_or("haproxy"),
    };
    Ok(Action::Auth(realm.into()))
}

/// `add-header`, `set-header`, `early-hint`.
pub(super) fn set_header(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    const PROBLEM: &str = "expects exactly 2 arguments";
    let name = arguments.take(PROBLEM)?;
    let value = arguments.take_format(PROBLEM, context)?;
    if let Some(byte) = name.bytes().find(|byte| !is_token_byte(*byte)) {
        let byte = char::from(byte);
        let message = format!("header name '{name}' contains forbidden character '{byte}'");
        context.report.warning(arguments.span, message);
    }
    let name = decode_raw(name.as_bytes()).into();
    Ok(match arguments.action {
        "add-header" => Action::AddHeader(name, value),
        "early-hint" => Action::EarlyHint(name, value),
        _ => Action::SetHeader(name, value),
    })
}

/// `del-header`.
pub(super) fn del_header(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let name = arguments.take("expects at least 1 argument")?;
    if !arguments.take_if("-m") {
        return Ok(Action::DelHeader(NameMatch::Exact(decode_raw(name.as_bytes()).into())));
    }
    let method = arguments.take("-m flag expects exactly 1 argument")?;
    let text = || decode_raw(name.as_bytes()).into();
    Ok(Action::DelHeader(match method {
        "str" => NameMatch::Exact(text()),
        "beg" => NameMatch::Prefix(text()),
        "end" => NameMatch::Suffix(text()),
        "sub" => NameMatch::Contains(text()),
        "reg" => NameMatch::Regex(regex(name, arguments.span, context)?),
        other => {
            let message = format!("-m with unsupported matching method '{other}'");
            let help = did_you_mean(other, ["str", "beg", "end", "sub", "reg"]);
            return Err(Mistake::Says(message, help));
        }
    }))
}

/// `replace-header`, `replace-value`.
pub(super) fn replace_header(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    const PROBLEM: &str = "expects exactly 3 arguments";
    let name = decode_raw(arguments.take(PROBLEM)?.as_bytes()).into();
    let regex = regex(arguments.take(PROBLEM)?, arguments.span, context)?;
    let format = arguments.take_format(PROBLEM, context)?;
    Ok(match arguments.action {
        "replace-header" => Action::ReplaceHeader(name, regex, format),
        _ => Action::ReplaceValue(name, regex, format),
    })
}

fn target_part(action: &str) -> TargetPart {
    match action.split_once('-').map_or("", |(_, part)| part) {
        "method" => TargetPart::Method,
        "path" => TargetPart::Path,
        "pathq" => TargetPart::PathAndQuery,
        "query" => TargetPart::Query,
        _ => TargetPart::Uri,
    }
}

/// `set-method`, `set-path`, `set-pathq`, `set-query`, `set-uri`.
pub(super) fn set_target(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let format = arguments.take_format("expects exactly 1 argument <format>", context)?;
    Ok(Action::SetTarget(target_part(arguments.action), format))
}

/// `replace-path`, `replace-pathq`, `replace-uri`.
pub(super) fn replace_target(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    const PROBLEM: &str = "expects exactly 2 arguments <match-regex> and <replace-format>";
    let regex = regex(arguments.take(PROBLEM)?, arguments.span, context)?;
    let format = arguments.take_format(PROBLEM, context)?;
    Ok(Action::ReplaceTarget(target_part(arguments.action), regex, format))
}

/// `set-status`.
pub(super) fn set_status(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    let text = arguments.take("expects 1 argument: <status>; or 3 arguments: <status> reason <fmt>")?;
    let status = text.parse().ok().filter(|status| (100..=999).contains(status));
    let status = status.ok_or_else(|| "expects an integer status code between 100 and 999".to_owned())?;
    let reason = match arguments.take_if("reason") {
        true => Some(arguments.take("'reason' expects a text as argument")?.into()),
        false => None,
    };
    Ok(Action::SetStatus(status, reason))
}

/// `set-var(...)`.
pub(super) fn set_var(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let (name, tests) = variable(arguments)?;
    let expr = arguments.take_expr("missing fetch method", context)?;
    Ok(Action::SetVar(name, tests, expr))
}

/// `set-var-fmt(...)`.
pub(super) fn set_var_format(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let (name, tests) = variable(arguments)?;
    let format = arguments.take_format("missing format", context)?;
    Ok(Action::SetVarFormat(name, tests, format))
}

/// `unset-var(...)`.
pub(super) fn unset_var(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    Ok(Action::UnsetVar(variable(arguments)?.0))
}

/// The most conditions of one `set-var`.
const VAR_TESTS_MAX: usize = 4;

/// The variable between the parentheses of an action, and its conditions.
fn variable(arguments: &Arguments<'_>) -> Result<(VarName, Box<[SetCondition]>), Mistake> {
    let Some(inner) = arguments.parenthesised() else {
        let name = arguments.action.split('(').next().unwrap_or_default();
        let message =
            format!("invalid or incomplete action '{}'. Expects '{name}(<var-name>)'", arguments.action);
        return Mistake::says(message);
    };
    let mut parts = inner.split(',').map(str::trim);
    let name = VarName::parse(parts.next().unwrap_or_default())?;
    let sees_contents = !matches!(arguments.set, RuleSet::TcpConnection | RuleSet::TcpSession);
    if !sees_contents && !matches!(name.scope, Scope::Proc | Scope::Sess) {
        let message = format!(
            "variable '{}' cannot be used here: only scopes 'proc' and 'sess' exist before the first request",
            name.text()
        );
        return Err(Mistake::Says(message, Some("use a variable of scope 'sess'".to_owned())));
    }
    let tests: Vec<_> = parts.map(condition).collect::<Result<_, _>>()?;
    if tests.len() > VAR_TESTS_MAX {
        return Mistake::says(format!("at most {VAR_TESTS_MAX} conditions are supported"));
    }
    Ok((name, tests.into()))
}

fn condition(word: &str) -> Result<SetCondition, Mistake> {
    SetCondition::find(word.as_bytes()).ok_or_else(|| {
        let help = did_you_mean(word, SetCondition::NAMES.iter().map(|(name, _)| *name));
        Mistake::Says(format!("invalid condition '{word}' for a variable"), help)
    })
}

/// `do-resolve(<variable>,<resolvers>[,ipv4|ipv6])`.
pub(super) fn do_resolve(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let action = arguments.action;
    let usage = || {
        format!(
            "Can't parse '{action}'. Expects 'do-resolve(<varname>,<resolvers>[,<options>]) <expr>'. Available \
             options are 'ipv4' and 'ipv6'"
        )
    };
    let inner = arguments.parenthesised().ok_or_else(usage)?;
    let mut parts = inner.split(',').map(str::trim);
    let (Some(variable), Some(section)) = (parts.next(), parts.next()) else { return Mistake::says(usage()) };
    let variable = VarName::parse(variable)?;
    let mut prefer = Prefer::V6;
    for option in parts {
        prefer = match option {
            "ipv4" => Prefer::V4,
            "ipv6" => Prefer::V6,
            _ => return Mistake::says(usage()),
        };
    }
    let Some(resolvers) = context.named.resolvers.get(section).cloned() else {
        let message = format!("Can't find resolvers section '{section}' for do-resolve action");
        return Err(Mistake::Says(
            message,
            did_you_mean(section, context.named.resolvers.keys().map(String::as_str)),
        ));
    };
    let name = arguments.take_expr(&usage(), context)?;
    Ok(Action::Resolve(Arc::new(ResolveName { variable, resolvers, prefer, name })))
}

/// `capture`.
pub(super) fn capture(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let is_response = matches!(arguments.set, RuleSet::HttpResponse | RuleSet::HttpAfterResponse);
    let problem = match arguments.set {
        RuleSet::HttpRequest => "expects <expression> [ 'len' <length> | id <idx> ]",
        RuleSet::TcpContent => "expects <expression> 'len' <length>",
        _ => "expects <expression> id <idx>",
    };
    let expr = arguments.take_expr(problem, context)?;
    let word = arguments.take(problem)?;
    let text = arguments.take(problem)?;
    let slot = match word {
        "len" if !is_response => {
            let len = text.parse().ok().filter(|len| *len > 0);
            let len = len.ok_or_else(|| "length must be > 0".to_owned())?;
            Slot::New { len, number: None }
        }
        "id" => Slot::Declared(text.parse().map_err(|_| format!("cannot parse id '{text}'"))?),
        other => return Mistake::says(format!("{problem}, found '{other}'")),
    };
    Ok(Action::Capture(expr, slot))
}

/// Syslog's levels by number.
const LOG_LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// `set-log-level`.
pub(super) fn set_log_level(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    const PROBLEM: &str = "expects exactly 1 argument (log level name or 'silent')";
    let word = arguments.take(PROBLEM)?;
    if word == "silent" {
        return Ok(Action::SetLogLevel(None));
    }
    match LOG_LEVELS.iter().position(|name| *name == word) {
        Some(level) => Ok(Action::SetLogLevel(Some(level as u8))),
        None => Err(Mistake::Says(PROBLEM.to_owned(), did_you_mean(word, LOG_LEVELS))),
    }
}

/// `set-src`, `set-src-port`, `set-dst`, `set-dst-port`.
pub(super) fn set_address(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let expr = arguments.take_expr("missing fetch method", context)?;
    Ok(match arguments.action {
        "set-src" => Action::SetSource(expr),
        "set-src-port" => Action::SetSourcePort(expr),
        "set-dst" => Action::SetDestination(expr),
        _ => Action::SetDestinationPort(expr),
    })
}

/// `set-timeout`.
pub(super) fn set_timeout(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    const KINDS: [(&str, TimeoutKind); 6] = [
        ("client", TimeoutKind::Client),
        ("connect", TimeoutKind::Connect),
        ("queue", TimeoutKind::Queue),
        ("server", TimeoutKind::Server),
        ("tarpit", TimeoutKind::Tarpit),
        ("tunnel", TimeoutKind::Tunnel),
    ];
    if arguments.is_over() {
        return Mistake::says("expects exactly 2 arguments");
    }
    let problem = "'set-timeout' rule supports 'client'/'connect'/'queue'/'server'/'tarpit'/'tunnel'";
    let kind = arguments.take_choice(problem, &KINDS)?;
    delay(arguments, "set-timeout", "expects exactly 2 arguments", context)
        .map(|delay| Action::SetTimeout(kind, delay))
}

/// A time or an expression that yields milliseconds.
fn delay(
    arguments: &mut Arguments<'_>,
    action: &str,
    problem: &str,
    context: &mut ParseContext<'_>,
) -> Result<Delay, Mistake> {
    let text = arguments.peek().ok_or_else(|| problem.to_owned())?;
    // What starts with a digit is meant as a time; anything else is an expression.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return arguments.take_expr(problem, context).map(Delay::Expr);
    }
    arguments.take(problem)?;
    match time_ms(text)? {
        0 => Mistake::says(format!("null value is not valid for a '{action}' rule")),
        time => Ok(Delay::Millis(time)),
    }
}

/// `pause`.
pub(super) fn pause(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    delay(arguments, "pause", "expects a timeout or an expression", context).map(Action::Pause)
}

/// A number in decimal or hexadecimal (`0x...`) form, or an expression.
fn number(
    arguments: &mut Arguments<'_>,
    max: u32,
    problem: &str,
    context: &mut ParseContext<'_>,
) -> Result<Number, Mistake> {
    let text = arguments.peek().filter(|_| !arguments.is_over()).ok_or_else(|| problem.to_owned())?;
    if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        let expr = arguments.take_expr(problem, context)?;
        if !expr.output().casts_to(Type::Int) {
            return Mistake::says("expects an expression that yields a number");
        }
        return Ok(Number::Expr(expr));
    }
    arguments.take(problem)?;
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match parsed {
        Ok(number) if number <= max => Ok(Number::Fixed(number)),
        _ => Mistake::says(format!("invalid value '{text}': expects a number between 0 and {max}")),
    }
}

/// `set-fc-mark`, `set-fc-tos`, `set-bc-mark`, `set-bc-tos`, `set-mark`, `set-tos`.
pub(super) fn packet_field(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let side = if arguments.action.starts_with("set-bc") { Side::Server } else { Side::Client };
    let (field, max) = match arguments.action.ends_with("tos") {
        true => (PacketField::Tos, u8::MAX.into()),
        false => (PacketField::Mark, u32::MAX),
    };
    let problem = "expects 1 argument (a number or an expression)";
    number(arguments, max, problem, context).map(|number| Action::SetPacketField(side, field, number))
}

/// `set-retries`.
pub(super) fn set_retries(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let problem = "expects 1 argument (a number or an expression)";
    number(arguments, super::run::RETRIES_MAX, problem, context).map(Action::SetRetries)
}

/// `set-priority-class`, `set-priority-offset`.
pub(super) fn set_priority(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let expr = arguments.take_expr("missing fetch method", context)?;
    if !expr.output().casts_to(Type::Int) {
        return Mistake::says("expects an expression that yields a number");
    }
    Ok(match arguments.action {
        "set-priority-class" => Action::SetPriorityClass(expr),
        _ => Action::SetPriorityOffset(expr),
    })
}

/// `do-log`.
pub(super) fn do_log(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    if arguments.take_if("profile") {
        arguments.take("'profile' expects a log profile's name")?;
        return Mistake::says(
            "'profile' is not available here; without it the frontend's own format is used",
        );
    }
    Ok(Action::Log)
}

/// `switch-mode`.
pub(super) fn switch_mode(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    arguments.take_choice("expects the mode 'http'", &[("http", ())])?;
    if arguments.take_if("proto") {
        let name = arguments.take("'proto' expects the name of a protocol")?;
        if name != "h1" {
            return Mistake::says(format!("protocol '{name}' is not available here, only 'h1' is"));
        }
    }
    Ok(Action::SwitchToHttp)
}

/// `wait-for-handshake`.
pub(super) fn wait_for_handshake(_arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    Ok(Action::WaitForHandshake)
}

/// `disable-l7-retry`.
pub(super) fn disable_retry(_arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    Ok(Action::DisableRetry)
}

/// `strict-mode`.
pub(super) fn strict_mode(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    let problem = "Unexpected value. Only 'on' and 'off' are supported";
    let choices = [("on", true), ("off", false)];
    arguments.take_choice(problem, &choices).map(Action::StrictMode)
}

/// `wait-for-body`.
pub(super) fn wait_for_body(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    const PROBLEM: &str = "expects time <time> [ at-least <bytes> ]";
    let (mut time, mut at_least) = (None, 0);
    loop {
        if arguments.take_if("time") {
            time = Some(time_ms(arguments.take("missing argument for 'time'")?)?);
        } else if arguments.take_if("at-least") {
            at_least = size(arguments.take("missing argument for 'at-least'")?)?;
        } else {
            break;
        }
    }
    match time {
        None => Mistake::says(PROBLEM),
        Some(time_ms) => Ok(Action::WaitForBody { time_ms, at_least }),
    }
}

/// `set-map(...)`, `del-map(...)`, `add-acl(...)`, `del-acl(...)`.
pub(super) fn change_map(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let word = arguments.action.split('(').next().unwrap_or_default();
    let Some(file) = arguments.parenthesised() else {
        return Mistake::says(format!("expects a file name: '{word}(<file-name>)'"));
    };
    // The identifier of a file in the runtime API is its name without these.
    let file = ["file@", "opt@"].iter().find_map(|kind| file.strip_prefix(kind)).unwrap_or(file);
    let (change, problem) = match word {
        "set-map" => (MapChange::Set, "expects exactly 2 arguments"),
        "del-map" => (MapChange::DeleteKey, "expects exactly 1 argument"),
        "add-acl" => (MapChange::Add, "expects exactly 1 argument"),
        _ => (MapChange::DeletePattern, "expects exactly 1 argument"),
    };
    let key = arguments.take_format(problem, context)?;
    let value: Option<LogFormat> = match change {
        MapChange::Set => Some(arguments.take_format(problem, context)?),
        _ => None,
    };
    Ok(Action::ChangeMap(file.into(), change, key, value))
}

/// `set-nice`.
pub(super) fn set_nice(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    let text = arguments.take("expects exactly 1 argument (integer value)")?;
    match text.parse::<i32>() {
        Ok(_) => Ok(Action::SetNice),
        Err(_) => Mistake::says(format!("invalid value '{text}': an integer is expected")),
    }
}

/// `expect-proxy`.
pub(super) fn expect_proxy(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    const EXPECTED: &str = "only takes 'layer4' as an argument";
    match arguments.take(EXPECTED)? {
        "layer4" => Ok(Action::ExpectProxy),
        other => Mistake::says(format!("{EXPECTED}, got '{other}'")),
    }
}

/// `use-service`.
pub(super) fn use_service(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    const EXPORTER: &str = "prometheus-exporter";
    let name = arguments.take("'use-service' expects a service name")?;
    match name {
        EXPORTER if arguments.set == RuleSet::HttpRequest => {
            Ok(Action::UseService(Service::PrometheusExporter))
        }
        EXPORTER => Mistake::says("the Prometheus exporter is only available in 'http-request' rules"),
        _ => Err(Mistake::Says(format!("unknown service name '{name}'"), did_you_mean(name, [EXPORTER]))),
    }
}

/// Actions that HAProxy has and that are still to come.
pub(super) fn not_yet(arguments: &mut Arguments<'_>, _context: &mut ParseContext<'_>) -> Parsed {
    let name = arguments.action.split('(').next().unwrap_or_default();
    arguments.take_rest();
    Mistake::says(format!("action '{name}' is not available yet"))
}

/// A regular expression over bytes.
fn regex(pattern: &str, span: Span, context: &mut ParseContext<'_>) -> Result<Regex, Mistake> {
    context.regex(pattern, false, span).map_err(Mistake::from)
}

/// A duration in milliseconds, the unit when none is given.
fn time_ms(text: &str) -> Result<u64, Mistake> {
    units::parse_time(text, TimeUnit::Millisecond).map_err(|error| format!("{error} in time '{text}'").into())
}

/// A size in bytes with an optional unit.
fn size(text: &str) -> Result<u64, Mistake> {
    units::parse_size(text).map_err(|error| format!("{error} in size '{text}'").into())
}
