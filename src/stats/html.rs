//! The statistics page: a table per proxy, as operators know it, in plain HTML with its own style,
//! light and dark, without scripts and without anything loaded from elsewhere.

use std::fmt::Write as _;
use std::sync::Arc;

use super::columns::index;
use super::info::{BUILD, PRODUCT, Source, uptime};
use super::page::Asked;
use super::post::{ACTIONS, Outcome};
use super::rows::Step;
use super::status::{Standing, is_active, standing};
use super::subject::{Of, Subject, in_maintenance};
use super::{Kind, Value, columns::TABLE};
use crate::model::Proxy;
use crate::model::proxy::StatsPage;
use crate::sample::facts::ProcessFacts;

/// A group of columns: its title, and the titles, column names and hover texts of its members.
struct Group(&'static str, &'static [Cell]);

/// One column of the page.
struct Cell {
    title: &'static str,
    column: usize,
    form: CellForm,
}

/// How a number is written.
#[derive(Clone, Copy)]
enum CellForm {
    Number,
    Seconds,
    /// A number; `-` where there is no limit.
    Limit,
    Text,
    /// Written specially; see [`special`].
    Special(&'static str),
}

const fn cell(title: &'static str, name: &str) -> Cell {
    Cell { title, column: index(name), form: CellForm::Number }
}

const fn limit(name: &str) -> Cell {
    Cell { title: "Limit", column: index(name), form: CellForm::Limit }
}

const fn age(title: &'static str, name: &str) -> Cell {
    Cell { title, column: index(name), form: CellForm::Seconds }
}

const fn special_cell(title: &'static str, name: &'static str) -> Cell {
    Cell { title, column: index(name), form: CellForm::Special(name) }
}

/// The table's head, from left to right.
#[rustfmt::skip]
static GROUPS: &[Group] = &[
    Group("Queue", &[cell("Cur", "qcur"), cell("Max", "qmax"), limit("qlimit")]),
    Group("Session rate", &[special_cell("Cur", "rate"), special_cell("Max", "rate_max"), limit("rate_lim")]),
    Group("Sessions", &[cell("Cur", "scur"), cell("Max", "smax"), limit("slim"), special_cell("Total", "stot"), cell("LbTot", "lbtot"), age("Last", "lastsess")]),
    Group("Bytes", &[cell("In", "bin"), cell("Out", "bout")]),
    Group("Denied", &[special_cell("Req", "dreq"), cell("Resp", "dresp")]),
    Group("Errors", &[cell("Req", "ereq"), cell("Conn", "econ"), special_cell("Resp", "eresp")]),
    Group("Warnings", &[cell("Retr", "wretr"), cell("Redis", "wredis")]),
    Group("Server", &[
        special_cell("Status", "status"), special_cell("LastChk", "check_status"), special_cell("Wght", "weight"),
        special_cell("Act", "act"), special_cell("Bck", "bck"), special_cell("Chk", "chkfail"), cell("Dwn", "chkdown"),
        age("Dwntme", "downtime"),
        Cell { title: "Thrtle", column: index("throttle"), form: CellForm::Text },
    ]),
];

const STYLE: &str = include_str!("page.css");

/// Classes of rows with what they mean, for the legend.
const LEGEND: &[(&str, &str)] = &[
    ("active_up", "active UP"),
    ("backup_up", "backup UP"),
    ("active_going_down", "active UP, going down"),
    ("backup_going_down", "backup UP, going down"),
    ("active_going_up", "active DOWN, going up"),
    ("backup_going_up", "backup DOWN, going up"),
    ("active_down", "active or backup DOWN"),
    ("active_no_check", "not checked"),
    ("maintain", "active or backup DOWN for maintenance (MAINT)"),
    ("active_draining", "active or backup SOFT STOPPED for maintenance"),
];

/// The tables whose columns explain themselves.
const EXPLAINED_MAX: usize = 20;

/// The page, made piece by piece while [`super::dump::Dump`] walks the model.
#[derive(Debug)]
pub struct Page {
    /// The proxy whose page it is.
    pub proxy: Arc<Proxy>,
    /// What the request asks for.
    pub asked: Asked,
    /// Whether the user may change servers.
    pub admin_allowed: bool,
    /// Tables begun so far.
    tables: usize,
}

impl Page {
    /// The page of `proxy`, which has one.
    pub fn new(proxy: Arc<Proxy>, asked: Asked, admin_allowed: bool) -> Page {
        Page { proxy, asked, admin_allowed, tables: 0 }
    }

    /// What stands before the tables.
    pub fn begin(&self, source: &Source<'_>, out: &mut Vec<u8>) {
        let Some(page) = &self.proxy.stats else { return };
        let mut text = String::with_capacity(16 * 1024);
        head(&mut text, source, page);
        overview(&mut text, source, page, &self.asked);
        if let Some(outcome) = self.asked.outcome {
            message(&mut text, outcome, page, &self.asked);
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// One step of the walk.
    pub fn step(&mut self, step: Step<'_, '_>, out: &mut Vec<u8>) {
        let Some(page) = &self.proxy.stats else { return };
        let has_form = |proxy: &Proxy| self.admin_allowed && proxy.is_backend && !proxy.servers.is_empty();
        let mut text = String::new();
        match step {
            Step::Begin(proxy) => {
                // What a column means is told in the first tables only: ten thousand would double the page.
                let explains = self.tables < EXPLAINED_MAX;
                self.tables += 1;
                table_head(&mut text, proxy, page, &self.asked, has_form(proxy), explains);
            }
            Step::Object(subject) => row(&mut text, subject, has_form(subject.proxy)),
            Step::End(proxy) => table_end(&mut text, proxy, has_form(proxy)),
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// What stands behind the tables.
    pub fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</body></html>\n");
    }
}

fn head(out: &mut String, source: &Source<'_>, page: &StatsPage) {
    let process: &ProcessFacts = source.process;
    let version = if page.hide_version { String::new() } else { format!(" ({BUILD})") };
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n");
    let _ = write!(out, "<title>Statistics Report for {PRODUCT}");
    if let Some(node) = &page.show_node {
        let _ = write!(out, " on {}", escape(name_or(node, &process.node)));
    }
    let _ = write!(out, "</title>\n<style>\n{STYLE}</style></head><body>\n<h1>{PRODUCT}{version}</h1>\n");
    let _ = write!(out, "<h2>Statistics Report for pid {}", process.pid);
    if let Some(node) = &page.show_node {
        let _ = write!(out, " on {}", escape(name_or(node, &process.node)));
    }
    if let Some(description) = &page.show_description {
        let fallback = source.model.global.description.as_deref().unwrap_or("");
        let _ = write!(out, ": {}", escape(name_or(description, fallback)));
    }
    out.push_str("</h2>\n");
}

fn name_or<'a>(name: &'a str, fallback: &'a str) -> &'a str {
    if name.is_empty() { fallback } else { name }
}

/// What a reader needs of `show info`, the legend and the links.
fn overview(out: &mut String, source: &Source<'_>, page: &StatsPage, asked: &Asked) {
    let fact = |name: &str| {
        let field = super::info::TABLE.iter().find(|field| field.name == name);
        let mut bytes = Vec::new();
        if let Some(field) = field {
            (field.read)(source).write_plain(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let seconds = source.now.mono_us.saturating_sub(source.info.started.mono_us) / 1_000_000;
    out.push_str("<h3>General process information</h3>\n<div class=\"overview\"><p>\n");
    let _ = writeln!(
        out,
        "<b>pid = </b>{} (process #1, nbproc = 1, nbthread = {})<br>",
        source.process.pid, source.info.threads
    );
    let _ = writeln!(out, "<b>uptime = </b>{}; warnings = {}<br>", uptime(seconds), source.info.warnings);
    let _ = writeln!(
        out,
        "<b>system limits:</b> ulimit-n = {}; <b>maxconn = </b>{}<br>",
        source.info.descriptors_max, source.info.maxconn
    );
    let _ = writeln!(
        out,
        "current conns = {}; conn rate = {}/sec; requests = {}; dropped logs = {}",
        fact("CurrConns"),
        fact("ConnRate"),
        fact("CumReq"),
        fact("DroppedLogs")
    );
    if !source.info.driver.is_empty() {
        let _ = write!(out, "<br>\ndriver = {}", escape(&source.info.driver));
    }
    out.push_str("</p>\n<table class=\"lgd\">\n");
    for pair in LEGEND.chunks(2) {
        out.push_str("<tr>");
        for (class, meaning) in pair {
            let _ = write!(out, "<td class=\"{class} box\"></td><td>{meaning}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("<tr><td colspan=\"4\">Note: \"NOLB\"/\"DRAIN\" = UP with load-balancing disabled.</td></tr>\n</table>\n");
    links(out, page, asked);
    out.push_str("</div>\n");
}

fn links(out: &mut String, page: &StatsPage, asked: &Asked) {
    let uri = escape(&page.uri);
    let link = |out: &mut String, form: &str, asked: &Asked, text: &str| {
        let _ = writeln!(out, "<li><a href=\"{uri}{form}{}\">{text}</a></li>", escape(&asked.suffix()));
    };
    out.push_str("<div><b>Display option:</b><ul>\n");
    let _ = writeln!(
        out,
        "<li><form method=\"get\">Scope : <input value=\"{}\" name=\"scope\" size=\"8\" maxlength=\"20\" tabindex=\"1\"></form></li>",
        escape(&asked.scope)
    );
    let flipped = Asked { hide_down: !asked.hide_down, ..asked.clone() };
    link(out, "", &flipped, if asked.hide_down { "Show all servers" } else { "Hide 'DOWN' servers" });
    if page.refresh_s.is_some_and(|seconds| seconds > 0) {
        let flipped = Asked { no_refresh: !asked.no_refresh, ..asked.clone() };
        link(out, "", &flipped, if asked.no_refresh { "Enable refresh" } else { "Disable refresh" });
    }
    link(out, "", asked, "Refresh now");
    link(out, ";csv", asked, "CSV export");
    link(out, ";json", asked, "JSON export");
    let _ = writeln!(out, "<li><a href=\"{uri};json-schema\">JSON schema</a></li>\n</ul></div>");
}

fn message(out: &mut String, outcome: Outcome, page: &StatsPage, asked: &Asked) {
    let class = match outcome {
        Outcome::Done => "active_up",
        Outcome::None | Outcome::Part => "active_going_down",
        Outcome::Unkn => "active_no_check",
        Outcome::Errp | Outcome::Excd | Outcome::Deny | Outcome::Ival => "active_down",
    };
    let _ = writeln!(
        out,
        "<p class=\"{class} message\"><a href=\"{}{}\" title=\"Remove this message\">[X]</a> {}</p>",
        escape(&page.uri),
        escape(&asked.suffix()),
        outcome.message()
    );
}

fn table_head(
    out: &mut String,
    proxy: &Proxy,
    page: &StatsPage,
    asked: &Asked,
    has_form: bool,
    explains: bool,
) {
    let name = escape(&proxy.name);
    if has_form {
        let _ = writeln!(
            out,
            "<form method=\"post\" action=\"{}{}\">",
            escape(&page.uri),
            escape(&asked.suffix())
        );
    }
    let _ = write!(
        out,
        "<table class=\"tbl\"><caption><a class=\"px\" id=\"{name}\" href=\"#{name}\">{name}</a>"
    );
    if let Some(description) = proxy.description.as_deref() {
        let _ = write!(out, " <span>{}</span>", escape(description));
    }
    out.push_str("</caption>\n<thead><tr class=\"titre\">");
    if has_form {
        out.push_str("<th rowspan=\"2\"></th>");
    }
    out.push_str("<th rowspan=\"2\"></th>");
    for Group(title, cells) in GROUPS {
        let _ = write!(out, "<th colspan=\"{}\">{title}</th>", cells.len());
    }
    out.push_str("</tr>\n<tr class=\"titre\">");
    for Group(_, cells) in GROUPS {
        for cell in *cells {
            let text = if explains { TABLE[cell.column].text } else { "" };
            if text.is_empty() {
                let _ = write!(out, "<th>{}</th>", cell.title);
            } else {
                let _ = write!(out, "<th title=\"{}\">{}</th>", escape(text), cell.title);
            }
        }
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

fn table_end(out: &mut String, proxy: &Proxy, has_form: bool) {
    out.push_str("</tbody></table>\n");
    if has_form {
        out.push_str("Choose the action to perform on the checked servers : <select name=\"action\"><option value=\"\"></option>");
        for (_, word, title) in ACTIONS {
            let _ = write!(out, "<option value=\"{word}\">{title}</option>");
        }
        let _ = writeln!(
            out,
            "</select><input type=\"hidden\" name=\"b\" value=\"#{}\">&nbsp;<input type=\"submit\" value=\"Apply\"></form>",
            proxy.id
        );
    }
}

fn row(out: &mut String, subject: &Subject<'_>, has_form: bool) {
    let name = subject.name();
    let (name, proxy) = (escape(&name), escape(&subject.proxy.name));
    let title = match subject.kind() {
        Kind::Frontend => "Frontend",
        Kind::Backend => "Backend",
        Kind::Server | Kind::Listener => &name,
    };
    let _ = write!(out, "<tr class=\"{}\">", class(subject));
    if has_form {
        match subject.kind() {
            Kind::Server => {
                let _ = write!(out, "<td><input type=\"checkbox\" name=\"s\" value=\"{name}\"></td>");
            }
            _ => out.push_str("<td></td>"),
        }
    }
    let _ = write!(out, "<td class=\"ac\" id=\"{proxy}/{name}\">");
    let address = TABLE[index("addr")].value(subject);
    tipped(out, title, &identity(subject, &address));
    out.push_str("</td>");
    for Group(_, cells) in GROUPS {
        for cell in *cells {
            write_cell(out, subject, cell);
        }
    }
    out.push_str("</tr>\n");
}

/// What hovers over a name: address, cookie, mode, number.
fn identity(subject: &Subject<'_>, address: &Value<'_>) -> String {
    let mut tip = format!("id {}", if subject.number() == 0 { subject.proxy.id } else { subject.number() });
    for (label, value) in [
        ("address", address),
        ("cookie", &TABLE[index("cookie")].value(subject)),
        ("mode", &TABLE[index("mode")].value(subject)),
        ("balance", &TABLE[index("algo")].value(subject)),
        ("tracks", &TABLE[index("tracked")].value(subject)),
    ] {
        if let Value::Text(text) = value {
            let _ = write!(tip, "\n{label}: {text}");
        }
    }
    tip
}

/// The class of a row: what colour it has.
fn class(subject: &Subject<'_>) -> String {
    let facts = match &subject.of {
        Of::Frontend => return "frontend".into(),
        Of::Listener(_) => return "socket".into(),
        Of::Backend(_) => return "backend".into(),
        Of::Server(facts) => facts,
    };
    if in_maintenance(facts.state) {
        return "maintain".into();
    }
    let side = if facts.config.is_some_and(|server| server.backup) { "backup" } else { "active" };
    let state = match standing(facts) {
        Standing::Down | Standing::DownAgent => "down",
        Standing::GoingUp => "going_up",
        Standing::UpGoingDown => "going_down",
        Standing::Up => "up",
        Standing::NolbGoingDown => "nolb_going_down",
        Standing::Nolb => "nolb",
        Standing::DrainGoingDown | Standing::Drain | Standing::DrainAgent => "draining",
        Standing::NoCheck => "no_check",
    };
    format!("{side}_{state}")
}

fn write_cell(out: &mut String, subject: &Subject<'_>, cell: &Cell) {
    let value = TABLE[cell.column].value(subject);
    out.push_str("<td>");
    match (cell.form, &value) {
        (CellForm::Special(name), _) => special(out, subject, name, &value),
        (CellForm::Limit, value) if value.number() == 0 => {
            if has_limit(subject.kind(), TABLE[cell.column].name) {
                out.push('-');
            }
        }
        (_, Value::Empty) => {}
        (CellForm::Seconds, Value::S32(..0)) => out.push('?'),
        (CellForm::Seconds, value) => out.push_str(&duration(value.number())),
        (CellForm::Text, Value::U32(percent)) => {
            let _ = write!(out, "{percent} %");
        }
        (_, Value::Text(text)) => out.push_str(&escape(text)),
        (_, value) => out.push_str(&grouped(value.number())),
    }
    out.push_str("</td>");
}

/// Whether a kind of object may have this limit.
fn has_limit(kind: Kind, name: &str) -> bool {
    match name {
        "qlimit" => kind == Kind::Server,
        "rate_lim" => kind == Kind::Frontend,
        _ => true,
    }
}

/// The cells that say more than a number.
fn special(out: &mut String, subject: &Subject<'_>, name: &str, value: &Value<'_>) {
    let of = |name: &str| super::columns::position(name).map_or(Value::Empty, |at| TABLE[at].value(subject));
    let number = |name: &str| grouped(of(name).number());
    let is_server = subject.kind() == Kind::Server;
    match name {
        _ if value.is_empty() => {}
        "rate" | "rate_max" if subject.kind() == Kind::Frontend => {
            let tip = if name == "rate" {
                format!(
                    "connections: {}/s\nsessions: {}/s\nrequests: {}/s",
                    number("conn_rate"),
                    number("rate"),
                    number("req_rate")
                )
            } else {
                format!(
                    "connections: {}/s\nsessions: {}/s\nrequests: {}/s",
                    number("conn_rate_max"),
                    number("rate_max"),
                    number("req_rate_max")
                )
            };
            tipped(out, &grouped(value.number()), &tip);
        }
        "stot" => {
            let mut tip = format!("Cum. sessions: {}", grouped(value.number()));
            if !of("conn_tot").is_empty() {
                let _ = write!(tip, "\nCum. connections: {}", number("conn_tot"));
            }
            if !of("req_tot").is_empty() {
                let _ = write!(tip, "\nCum. HTTP requests: {}", number("req_tot"));
                for class in ["1xx", "2xx", "3xx", "4xx", "5xx", "other"] {
                    let _ = write!(tip, "\n- HTTP {class} responses: {}", number(&format!("hrsp_{class}")));
                }
                if subject.kind() == Kind::Frontend {
                    let _ = write!(tip, "\nIntercepted requests: {}", number("intercepted"));
                }
            }
            if !of("connect").is_empty() {
                let _ = write!(
                    tip,
                    "\nNew connections: {}\nReused connections: {}",
                    number("connect"),
                    number("reuse")
                );
            }
            if !of("qtime").is_empty() {
                tip.push_str("\nAverage (maximum) time in ms:");
                for (label, name) in
                    [("Queue", "qtime"), ("Connect", "ctime"), ("Response", "rtime"), ("Total", "ttime")]
                {
                    let _ = write!(tip, "\n- {label}: {} ({})", number(name), number(&format!("{name}_max")));
                }
            }
            tipped(out, &grouped(value.number()), &tip);
        }
        "dreq" if subject.kind() == Kind::Frontend => {
            let tip = format!("connections: {}\nsessions: {}", number("dcon"), number("dses"));
            tipped(out, &grouped(value.number()), &tip);
        }
        "eresp" => {
            let tip = format!(
                "Aborted by the client: {}\nAborted by the server: {}",
                number("cli_abrt"),
                number("srv_abrt")
            );
            tipped(out, &grouped(value.number()), &tip);
        }
        "status" => {
            if subject.kind() != Kind::Frontend && subject.kind() != Kind::Listener {
                out.push_str(&duration(of("lastchg").number()));
                out.push(' ');
            }
            if let Value::Text(text) = value {
                out.push_str(&escape(text));
            }
        }
        "check_status" => {
            let Value::Text(label) = value else { return };
            let mut shown = label.to_string();
            if let code @ Value::U32(1..) = of("check_code") {
                let _ = write!(shown, "/{}", code.number());
            }
            if !of("check_duration").is_empty() {
                let _ = write!(shown, " in {}ms", of("check_duration").number());
            }
            let mut tip = String::new();
            for name in ["check_desc", "last_chk"] {
                if let Value::Text(text) = of(name)
                    && !text.is_empty()
                {
                    let _ = write!(tip, "{}{text}", if tip.is_empty() { "" } else { ": " });
                }
            }
            if let Some(facts) = subject.as_server().filter(|facts| is_active(&facts.agent)) {
                let _ = write!(tip, "\nagent: {} {}", facts.agent.label, facts.agent.info);
            }
            tipped(out, &shown, &tip);
        }
        "weight" => {
            let _ = write!(out, "{}/{}", value.number(), of("uweight").number());
        }
        "act" | "bck" if is_server => out.push_str(if value.number() > 0 { "Y" } else { "-" }),
        "chkfail" => {
            let tip = format!(
                "Failed health checks{}",
                match of("hanafail") {
                    Value::Empty => String::new(),
                    seen => format!("\nSeen in traffic: {}", seen.number()),
                }
            );
            tipped(out, &grouped(value.number()), &tip);
        }
        _ => out.push_str(&grouped(value.number())),
    }
}

/// Text with details that show while the pointer is over it.
fn tipped(out: &mut String, text: &str, tip: &str) {
    let text = escape(text);
    if tip.is_empty() {
        out.push_str(&text);
    } else {
        let _ = write!(out, "<u>{text}<span class=\"tips\">{}</span></u>", escape(tip));
    }
}

/// `1234567` as `1 234 567`, with spaces that do not break.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The two greatest units of a time: `5s`, `1m5s`, `2h3m`, `3d4h`.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// Text that is safe in HTML and in quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers_and_times_for_people() {
        for (number, expected) in [(0, "0"), (999, "999"), (1234567, "1\u{202f}234\u{202f}567")] {
            assert_eq!(grouped(number), expected);
        }
        for (seconds, expected) in [(59, "59s"), (65, "1m5s"), (7380, "2h3m"), (273600, "3d4h")] {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn names_cannot_break_out() {
        assert_eq!(escape("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }
}
