//! The statistics page as an HTTP service: what was asked for, what comes back.
//!
//! Pure: a request and its body in, a reply and orders for the control thread out. Options hang on
//! the configured URI behind semicolons (`;csv`, `;up`, `;norefresh`...), as HAProxy's do, so
//! bookmarks and scrapers keep working.

use std::sync::Arc;

use super::dump::{self, Dump};
use super::post::{self, Outcome, PageOrder};
use super::rows::Filter;
use super::{html, json, origin};
use crate::base::text;
use crate::http::reply::Reply;
use crate::http::{Method, Request};
use crate::model::proxy::StatsPage;
use crate::model::{Model, Proxy};

/// The longest `scope=` that is looked at.
const SCOPE_LEN_MAX: usize = 20;

/// What comes of a request for the page.
#[derive(Debug)]
pub struct PageOutcome {
    /// The answer, or its head.
    pub reply: Reply,
    /// The statistics that follow the head.
    pub dump: Option<Box<Dump>>,
    /// What the user ordered, for the control thread.
    pub orders: Vec<PageOrder>,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Form {
    #[default]
    Html,
    Csv,
    Typed,
    Json,
    JsonSchema,
}

/// What the target asks for behind the page's URI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The form.
    pub form: Form,
    /// `;norefresh`.
    pub no_refresh: bool,
    /// `;up`.
    pub hide_down: bool,
    /// `;no-maint`.
    pub hide_maintenance: bool,
    /// `scope=`.
    pub scope: String,
    /// `;st=`: how the last order ended.
    pub outcome: Option<Outcome>,
}

impl Asked {
    /// Reads the part of a target behind the page's URI; what is unknown is ignored.
    pub fn parse(rest: &[u8]) -> Asked {
        let mut asked = Asked::default();
        for word in rest.split(|byte| matches!(byte, b';' | b'?' | b'&')) {
            match word {
                b"csv" => asked.form = Form::Csv,
                b"typed" => asked.form = Form::Typed,
                b"json" => asked.form = Form::Json,
                b"json-schema" => asked.form = Form::JsonSchema,
                b"norefresh" => asked.no_refresh = true,
                b"up" => asked.hide_down = true,
                b"no-maint" => asked.hide_maintenance = true,
                _ => match (word.strip_prefix(b"scope="), word.strip_prefix(b"st=")) {
                    (Some(value), _) => {
                        let decoded = post::decode(value);
                        asked.scope = text::lossy(&decoded).chars().take(SCOPE_LEN_MAX).collect();
                    }
                    (_, Some(value)) => asked.outcome = Some(Outcome::parse(value)),
                    _ => {}
                },
            }
        }
        asked
    }
    /// The options as they stand in links, without the form and the outcome.
    pub fn suffix(&self) -> String {
        let mut suffix = String::new();
        for (on, word) in
            [(self.hide_down, ";up"), (self.hide_maintenance, ";no-maint"), (self.no_refresh, ";norefresh")]
        {
            if on {
                suffix.push_str(word);
            }
        }
        if !self.scope.is_empty() {
            suffix.push_str(";scope=");
            suffix.push_str(&post::encode(&self.scope));
        }
        suffix
    }
}

/// Answers a request for the page of `proxy`; [`crate::session::switching`] tells which is one, and for which users.
pub fn serve(
    request: &Request,
    body: &[u8],
    page: &StatsPage,
    proxy: &Arc<Proxy>,
    model: &Model,
    admin_allowed: bool,
) -> PageOutcome {
    let asked = Asked::parse(request.target().get(page.uri.len()..).unwrap_or_default());
    let names = scope_names(page, proxy);
    let answer = |reply: Reply, orders: Vec<PageOrder>| PageOutcome { reply, dump: None, orders };
    match request.method {
        Method::Get | Method::Head => {}
        Method::Post => {
            let (outcome, orders) = if admin_allowed && !origin::is_cross_site(request) {
                let is_whole = content_length(request).is_none_or(|length| length <= body.len() as u64);
                post::read(body, is_whole, model, &names)
            } else {
                (Outcome::Deny, Vec::new())
            };
            return answer(see_other(page, &asked, outcome), orders);
        }
        _ => return answer(see_other(page, &asked, Outcome::Ival), Vec::new()),
    }

    let filter = Filter {
        hide_maintenance: asked.hide_maintenance,
        hide_down: asked.hide_down,
        scope: asked.scope.clone(),
        names,
        ..Filter::default()
    };
    let (is_html, no_refresh) = (asked.form == Form::Html, asked.no_refresh);
    let (form, content_type): (_, &[u8]) = match asked.form {
        Form::Html => {
            let page = html::Page::new(proxy.clone(), asked, admin_allowed);
            (Some(dump::Form::Html(page)), b"text/html; charset=utf-8")
        }
        Form::Csv => (Some(dump::Form::Csv), b"text/plain"),
        Form::Typed => (Some(dump::Form::Typed { describe: false }), b"text/plain"),
        Form::Json => (Some(dump::Form::Json), b"application/json"),
        Form::JsonSchema => (None, b"application/json"),
    };
    let dump = form.map(|form| {
        let mut dump = Dump::new(form, filter);
        dump.legends = page.show_legends;
        Box::new(dump)
    });
    let body = if dump.is_none() { json::schema().into_bytes() } else { Vec::new() };
    let mut fields = vec![
        (b"Cache-Control".to_vec(), b"no-cache".to_vec()),
        (b"Content-Type".to_vec(), content_type.to_vec()),
    ];
    if is_html {
        // Names in the table come from the configuration, yet nothing else may ever run here.
        let policy =
            b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'self'";
        fields.push((b"Content-Security-Policy".to_vec(), policy.to_vec()));
    }
    if let Some(seconds) = page.refresh_s.filter(|seconds| *seconds > 0 && !no_refresh) {
        fields.push((b"Refresh".to_vec(), seconds.to_string().into_bytes()));
    }
    let reply = Reply { status: 200, fields, body, ..Reply::default() };
    PageOutcome { reply, dump, orders: Vec::new() }
}

/// The proxies `stats scope` allows; `.` is the page's own.
fn scope_names(page: &StatsPage, proxy: &Proxy) -> Vec<Box<str>> {
    let resolve = |name: &str| if name == "." { &proxy.name } else { name }.into();
    page.scope.iter().map(|name| resolve(name)).collect()
}

fn content_length(request: &Request) -> Option<u64> {
    std::str::from_utf8(request.fields.first(b"content-length")?).ok()?.trim().parse().ok()
}

/// Back to the page by GET, so that reloading it does not send the form again.
fn see_other(page: &StatsPage, asked: &Asked, outcome: Outcome) -> Reply {
    let location = format!("{};st={}{}", page.uri, outcome.word(), asked.suffix());
    Reply {
        status: 303,
        fields: vec![
            (b"Cache-Control".to_vec(), b"no-cache".to_vec()),
            (b"Content-Type".to_vec(), b"text/plain".to_vec()),
            (b"Location".to_vec(), location.into_bytes()),
        ],
        ..Reply::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Now;
    use crate::sample::facts::ProcessFacts;
    use crate::stats::info::{InfoFacts, Source};
    use crate::stats::{Parts as _, fixture};

    #[test]
    fn reads_options_behind_the_uri() {
        let plain = Asked::default();
        for (rest, expected) in [
            (&b""[..], plain.clone()),
            (b";csv;norefresh", Asked { form: Form::Csv, no_refresh: true, ..plain.clone() }),
            (b";json-schema", Asked { form: Form::JsonSchema, ..plain.clone() }),
            (b"?scope=we%62", Asked { scope: "web".into(), ..plain.clone() }),
            (
                b";up;no-maint;scope=a",
                Asked { hide_down: true, hide_maintenance: true, scope: "a".into(), ..plain.clone() },
            ),
            (b";st=DONE", Asked { outcome: Some(Outcome::Done), ..plain.clone() }),
            (b";jsonx", plain.clone()),
        ] {
            assert_eq!(Asked::parse(rest), expected, "{}", text::lossy(rest));
        }
        let asked = Asked::parse(b";norefresh;up?scope=a%20b;csv");
        assert_eq!(asked.suffix(), ";up;norefresh;scope=a%20b");
    }

    /// A model whose first proxy has a page.
    fn model() -> Model {
        let mut model = fixture::model();
        Arc::get_mut(&mut model.proxies[0]).unwrap().stats = Some(fixture::page().into());
        model
    }

    fn ask(model: &Model, method: &[u8], target: &str, body: &[u8], admin: bool) -> PageOutcome {
        let mut request = Request::default();
        request.set_method(method);
        request.set_target(target.as_bytes());
        serve(&request, body, &fixture::page(), &model.proxies[0], model, admin)
    }

    /// The body of an answer, made in parts of some `bytes_max` bytes; the longest of them.
    fn body(model: &Model, target: &str, bytes_max: usize) -> (String, usize) {
        let outcome = ask(model, b"GET", target, b"", true);
        assert_eq!(outcome.reply.status, 200);
        let process = ProcessFacts { pid: 42, ..ProcessFacts::default() };
        let info = InfoFacts::default();
        let now = Now { mono_us: 5_000_000, wall_us: 5_000_000 };
        let source = Source { info: &info, process: &process, model, now, float: false };
        let (mut whole, mut longest) = (outcome.reply.body, 0);
        let Some(mut dump) = outcome.dump else { return (String::from_utf8(whole).unwrap(), 0) };
        let mut part = Vec::new();
        loop {
            part.clear();
            let more = dump.fill(&source, &mut part, bytes_max);
            longest = longest.max(part.len());
            whole.extend_from_slice(&part);
            if !more {
                return (String::from_utf8(whole).unwrap(), longest);
            }
        }
    }

    #[test]
    fn serves_every_form() {
        let model = model();
        for (target, content_type, part) in [
            ("/stats", "text/html; charset=utf-8", "<h2>Statistics Report for pid 42</h2>"),
            ("/stats;csv", "text/plain", "\nbe,s1,"),
            ("/stats;json", "application/json", "\"objType\":\"Server\""),
            ("/stats;typed", "text/plain", "F.2.0.0.pxname.1:KNSV:str:fe"),
            ("/stats;json-schema", "application/json", "draft-04"),
            ("/stats?scope=fe", "text/html; charset=utf-8", "id=\"fe\""),
        ] {
            let outcome = ask(&model, b"GET", target, b"", false);
            assert_eq!(outcome.reply.fields[1].1, content_type.as_bytes(), "{target}");
            // Whatever the parts, the whole is the same.
            let (text, _) = body(&model, target, usize::MAX);
            assert!(text.contains(part), "{target}: {text}");
            assert_eq!(body(&model, target, 1).0, text, "{target}");
        }
        assert!(!body(&model, "/stats?scope=fe", 1000).0.contains("id=\"be\""));
    }

    #[test]
    fn ten_thousand_servers_come_in_small_parts() {
        let mut model = model();
        let registry = model.registry.clone();
        let mut proxy = fixture::proxy(&registry, "many", 10, 2);
        proxy.is_backend = true;
        let server = |number: u32| fixture::server(&registry, "many", &format!("s{number}"), number, false);
        proxy.servers = (1..=10_000).map(server).collect();
        model.proxies.push(Arc::new(proxy));
        for target in ["/stats", "/stats;csv", "/stats;typed", "/stats;json"] {
            let (text, longest) = body(&model, target, 32 * 1024);
            assert!(text.contains("s9999") && text.len() > 1 << 20, "{target}: {}", text.len());
            // The part, and the object that went over it.
            assert!(longest < 64 * 1024, "{target}: {longest} bytes ahead of the reader");
        }
    }

    #[test]
    fn forms_become_orders() {
        let model = model();
        for (method, body, admin, word, orders) in [
            (&b"POST"[..], &b"s=s1&action=drain&b=%233"[..], true, "DONE", 1),
            (b"POST", b"s=s1&s=s2&action=maint&b=be", true, "DONE", 2),
            (b"POST", b"s=s1&s=nope&action=maint&b=be", true, "PART", 1),
            (b"POST", b"s=nope&action=maint&b=be", true, "ERRP", 0),
            (b"POST", b"s=s1&action=explode&b=be", true, "ERRP", 0),
            (b"POST", b"s=s1&action=maint&b=%239", true, "ERRP", 0),
            (b"POST", b"s=s1&action=dhlth&b=be", true, "ERRP", 0),
            (b"POST", b"action=maint&b=be", true, "NONE", 0),
            (b"POST", b"s=s1&action=maint&b=be", false, "DENY", 0),
            (b"PUT", b"", true, "IVAL", 0),
        ] {
            let outcome = ask(&model, method, "/stats;up", body, admin);
            assert_eq!(outcome.reply.status, 303);
            let location = text::lossy(&outcome.reply.fields[2].1).into_owned();
            assert_eq!(location, format!("/stats;st={word};up"), "{}", text::lossy(body));
            assert_eq!(outcome.orders.len(), orders, "{}", text::lossy(body));
        }
    }

    #[test]
    fn forms_of_other_sites_change_nothing() {
        let model = model();
        for (origin, word) in [("http://lb:8404", "DONE"), ("http://evil", "DENY")] {
            let mut request = Request::default();
            request.set_method(b"POST");
            request.set_target(b"/stats");
            request.fields.append(b"Host", b"lb:8404");
            request.fields.append(b"Origin", origin.as_bytes());
            let body = b"s=s1&action=maint&b=be";
            let outcome = serve(&request, body, &fixture::page(), &model.proxies[0], &model, true);
            let location = text::lossy(&outcome.reply.fields[2].1).into_owned();
            assert_eq!(location, format!("/stats;st={word}"), "{origin}");
            assert_eq!(outcome.orders.is_empty(), word == "DENY", "{origin}");
        }
    }
}
