//! The statistics page as an HTTP service: what was asked for, what comes back.
//!
//! Pure: a request and its body in, a reply and orders for the control thread out. Options hang on
//! the configured URI behind semicolons (`;csv`, `;up`, `;norefresh`...), as HAProxy's do, so
//! bookmarks and scrapers keep working.

use super::info::{InfoFacts, Source};
use super::post::{self, Outcome, PageOrder};
use super::rows::Filter;
use super::subject::View;
use super::{csv, html, json, origin, typed};
use crate::base::clock::Now;
use crate::base::text;
use crate::http::reply::Reply;
use crate::http::{Method, Request};
use crate::model::proxy::StatsPage;
use crate::model::{Model, Proxy};
use crate::sample::facts::ProcessFacts;

/// The longest `scope=` that is looked at.
const SCOPE_LEN_MAX: usize = 20;

/// What comes of a request for the page.
#[derive(Debug)]
pub struct PageOutcome {
    /// The answer.
    pub reply: Reply,
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

/// Answers a request for the page; [`crate::session::switching`] tells which is one, and who may ask.
pub fn serve(
    request: &Request,
    body: &[u8],
    page: &StatsPage,
    proxy: &Proxy,
    model: &Model,
    process: &ProcessFacts,
    admin_allowed: bool,
    now: Now,
    info: &InfoFacts,
) -> PageOutcome {
    let asked = Asked::parse(request.target().get(page.uri.len()..).unwrap_or_default());
    let names = scope_names(page, proxy);
    match request.method {
        Method::Get | Method::Head => {}
        Method::Post => {
            let (outcome, orders) = if admin_allowed && !origin::is_cross_site(request) {
                let is_whole = content_length(request).is_none_or(|length| length <= body.len() as u64);
                post::read(body, is_whole, model, &names)
            } else {
                (Outcome::Deny, Vec::new())
            };
            return PageOutcome { reply: see_other(page, &asked, outcome), orders };
        }
        _ => return PageOutcome { reply: see_other(page, &asked, Outcome::Ival), orders: Vec::new() },
    }

    let mut view = View::new(model, now, info.started.wall_us / 1_000_000, info.maxconn);
    view.legends = page.show_legends;
    view.count_servers = asked.hide_down || asked.hide_maintenance;
    let filter = Filter {
        hide_maintenance: asked.hide_maintenance,
        hide_down: asked.hide_down,
        scope: asked.scope.clone(),
        names,
        ..Filter::default()
    };
    let mut out = Vec::with_capacity(64 * 1024);
    let content_type: &[u8] = match asked.form {
        Form::Html => {
            let source = Source { info, process, model, now, float: false };
            html::render(&view, &source, &filter, page, &asked, admin_allowed, &mut out);
            b"text/html; charset=utf-8"
        }
        Form::Csv => {
            csv::render(&view, &filter, &mut out);
            b"text/plain"
        }
        Form::Typed => {
            typed::render(&view, &filter, false, &mut out);
            b"text/plain"
        }
        Form::Json => {
            json::render(&view, &filter, &mut out);
            b"application/json"
        }
        Form::JsonSchema => {
            out.extend_from_slice(json::schema().as_bytes());
            b"application/json"
        }
    };
    let mut fields = vec![
        (b"Cache-Control".to_vec(), b"no-cache".to_vec()),
        (b"Content-Type".to_vec(), content_type.to_vec()),
    ];
    if asked.form == Form::Html {
        // Names in the table come from the configuration, yet nothing else may ever run here.
        let policy =
            b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'self'";
        fields.push((b"Content-Security-Policy".to_vec(), policy.to_vec()));
    }
    if let Some(seconds) = page.refresh_s.filter(|seconds| *seconds > 0 && !asked.no_refresh) {
        fields.push((b"Refresh".to_vec(), seconds.to_string().into_bytes()));
    }
    PageOutcome { reply: Reply { status: 200, fields, body: out, ..Reply::default() }, orders: Vec::new() }
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

    fn ask(method: &[u8], target: &str, body: &[u8], page: &StatsPage, admin: bool) -> PageOutcome {
        let model = crate::stats::fixture::model();
        let mut request = Request::default();
        request.set_method(method);
        request.set_target(target.as_bytes());
        let process = ProcessFacts { pid: 42, ..ProcessFacts::default() };
        let info = InfoFacts::default();
        let now = Now { mono_us: 5_000_000, wall_us: 5_000_000 };
        serve(&request, body, page, &model.proxies[0], &model, &process, admin, now, &info)
    }

    #[test]
    fn serves_every_form() {
        let page = crate::stats::fixture::page();
        for (target, content_type, part) in [
            ("/stats", "text/html; charset=utf-8", "<h2>Statistics Report for pid 42</h2>"),
            ("/stats;csv", "text/plain", "\nbe,s1,"),
            ("/stats;json", "application/json", "\"objType\":\"Server\""),
            ("/stats;typed", "text/plain", "F.2.0.0.pxname.1:KNSV:str:fe"),
            ("/stats;json-schema", "application/json", "draft-04"),
            ("/stats?scope=fe", "text/html; charset=utf-8", "id=\"fe\""),
        ] {
            let outcome = ask(b"GET", target, b"", &page, false);
            let body = text::lossy(&outcome.reply.body).into_owned();
            assert_eq!(outcome.reply.status, 200);
            assert_eq!(outcome.reply.fields[1].1, content_type.as_bytes(), "{target}");
            assert!(body.contains(part), "{target}: {body}");
        }
        let scoped = ask(b"GET", "/stats?scope=fe", b"", &page, false);
        assert!(!text::lossy(&scoped.reply.body).contains("id=\"be\""));
    }

    #[test]
    fn ten_thousand_backends_are_shown() {
        let mut model = crate::stats::fixture::model();
        let registry = model.registry.clone();
        for number in 0..10_000u32 {
            let name = format!("be{number}");
            let mut proxy = crate::stats::fixture::proxy(&registry, &name, 10 + number, 2 + number);
            proxy.is_backend = true;
            proxy.servers = vec![crate::stats::fixture::server(&registry, &name, "s1", 1, false)];
            model.proxies.push(std::sync::Arc::new(proxy));
        }
        let info = InfoFacts::default();
        let now = Now { mono_us: 5_000_000, wall_us: 5_000_000 };
        let process = ProcessFacts::default();
        let page = crate::stats::fixture::page();
        for (target, bytes_max) in [("/stats", 40 << 20), ("/stats;csv", 8 << 20)] {
            let mut request = Request::default();
            request.set_method(b"GET");
            request.set_target(target.as_bytes());
            let outcome = serve(&request, b"", &page, &model.proxies[0], &model, &process, true, now, &info);
            assert!(outcome.reply.body.len() < bytes_max, "{target}: {}", outcome.reply.body.len());
            assert!(text::lossy(&outcome.reply.body).contains("be9999"));
        }
    }

    #[test]
    fn forms_become_orders() {
        let page = crate::stats::fixture::page();
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
            let outcome = ask(method, "/stats;up", body, &page, admin);
            assert_eq!(outcome.reply.status, 303);
            let location = text::lossy(&outcome.reply.fields[2].1).into_owned();
            assert_eq!(location, format!("/stats;st={word};up"), "{}", text::lossy(body));
            assert_eq!(outcome.orders.len(), orders, "{}", text::lossy(body));
        }
    }

    #[test]
    fn forms_of_other_sites_change_nothing() {
        let page = crate::stats::fixture::page();
        let model = crate::stats::fixture::model();
        let (process, info) = (ProcessFacts::default(), InfoFacts::default());
        for (origin, word) in [("http://lb:8404", "DONE"), ("http://evil", "DENY")] {
            let mut request = Request::default();
            request.set_method(b"POST");
            request.set_target(b"/stats");
            request.fields.append(b"Host", b"lb:8404");
            request.fields.append(b"Origin", origin.as_bytes());
            let body = b"s=s1&action=maint&b=be";
            let now = Now::default();
            let outcome = serve(&request, body, &page, &model.proxies[0], &model, &process, true, now, &info);
            let location = text::lossy(&outcome.reply.fields[2].1).into_owned();
            assert_eq!(location, format!("/stats;st={word}"), "{origin}");
            assert_eq!(outcome.orders.is_empty(), word == "DENY", "{origin}");
        }
    }
}
