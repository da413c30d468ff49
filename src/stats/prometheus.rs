//! Statistics for Prometheus: its text format, version 0.0.4, under the names of HAProxy's exporter.
//!
//! All samples of a metric must stand together, so the walk goes metric by metric over all proxies
//! and not proxy by proxy as the other forms do. That is long for ten thousand backends (some
//! hundred megabytes): a [`Scrape`] remembers where it is and fills one buffer at a time, and
//! between two buffers the thread serves others. What is added or removed meanwhile may show up in
//! a part of the metrics only.

pub mod asked;
pub mod metrics;

use std::rc::Rc;

use smallvec::SmallVec;

pub use asked::{Asked, Scope};

use self::metrics::{Check, Fact, Metric, OBJECTS, PROCESS, Shape, TABLES};
use super::Parts;
use super::field::{Kind, Value};
use super::info::{self, Source};
use super::rows;
use super::status::{self, is_active};
use super::subject::{Of, Shared, Subject, View, in_maintenance};
use crate::health::status::{Outcome, Status};
use crate::model::{Mode, Proxy};
use crate::resolvers::counters::ROWS;
use crate::state::ServerState;
use crate::state::server::{CheckReport, Operational, admin};

/// The type of the answer.
pub const CONTENT_TYPE: &[u8] = b"text/plain; version=0.0.4";

/// The most objects one part looks at: those that have nothing to say take their time as well.
const LOOKS_MAX: usize = 1024;

/// The states of a server in their order.
const SERVER_STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];
/// Those of a frontend or backend.
const PROXY_STATES: [&str; 2] = ["DOWN", "UP"];
/// Those of a listener.
const LISTENER_STATES: [&str; 3] = ["WAITING", "OPEN", "FULL"];

/// Names and values of a sample's labels: proxy, description, server, state at most.
type Labels<'l> = SmallVec<[(&'static str, &'l str); 4]>;

/// A scrape under way.
#[derive(Debug)]
pub struct Scrape {
    asked: Asked,
    at: Place,
    shared: Option<Rc<Shared>>,
    /// Objects that may still be looked at for the part under way.
    looks: usize,
    /// The metric whose `HELP` and `TYPE` were written last.
    announced: Option<(Scope, &'static str)>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    scope: usize,
    metric: usize,
    proxy: usize,
    /// The server or listener of that proxy.
    object: usize,
}

impl Place {
    fn next_proxy(&mut self) {
        (self.proxy, self.object) = (self.proxy + 1, 0);
    }
    fn next_metric(&mut self) {
        (self.metric, self.proxy, self.object) = (self.metric + 1, 0, 0);
    }
}

/// What a scrape looks at while it makes one part.
#[derive(Clone, Copy)]
struct Look<'a> {
    source: &'a Source<'a>,
    view: &'a View<'a>,
}

impl Parts for Scrape {
    fn fill(&mut self, source: &Source<'_>, out: &mut Vec<u8>, bytes_max: usize) -> bool {
        let shared = self.shared.get_or_insert_with(|| Shared::of(source.model, source.info.maxconn)).clone();
        let started_s = source.info.started.wall_us / 1_000_000;
        let view = View::new(source.model, source.now, started_s, source.info.maxconn, shared);
        let look = Look { source, view: &view };
        self.looks = LOOKS_MAX;
        while out.len() < bytes_max && self.looks > 0 {
            self.looks -= 1;
            let Some(&scope) = Scope::ALL.get(self.at.scope) else { return false };
            let is_over = !self.asked.wants(scope)
                || match scope {
                    Scope::Global => self.process(look, out),
                    Scope::Frontend => self.objects(look, scope, Kind::Frontend, out, bytes_max),
                    Scope::Listener => self.objects(look, scope, Kind::Listener, out, bytes_max),
                    Scope::Backend => self.objects(look, scope, Kind::Backend, out, bytes_max),
                    Scope::Server => self.objects(look, scope, Kind::Server, out, bytes_max),
                    Scope::StickTable => self.tables(look, out),
                    Scope::Resolver => self.nameservers(look, out),
                };
            if is_over {
                self.at = Place { scope: self.at.scope + 1, ..Place::default() };
            }
        }
        true
    }
}

impl Scrape {
    /// A scrape that begins.
    pub fn new(asked: Asked) -> Scrape {
        Scrape { asked, at: Place::default(), shared: None, looks: 0, announced: None }
    }

    /// The next metric of the process; true when there is none.
    fn process(&mut self, Look { source, .. }: Look<'_>, out: &mut Vec<u8>) -> bool {
        let Some(metric) = PROCESS.get(self.at.metric) else { return true };
        self.at.next_metric();
        if !self.asked.wants_metric(Scope::Global, metric.name) {
            return false;
        }
        let field = metric.field();
        let value = (field.read)(source);
        let description = source.model.global.description.as_deref();
        let mut labels = Labels::new();
        let number = match (metric.fact, &value) {
            (Fact::Number, _) => value.clone(),
            (Fact::Label(name), Value::Text(text)) => {
                labels.push((name, text));
                Value::U32(1)
            }
            (Fact::Version, _) => {
                labels.push(("version", info::VERSION));
                Value::U32(1)
            }
            (Fact::Description, Value::Empty) => return false,
            (Fact::Description | Fact::Label(_), _) => Value::U32(1),
        };
        if let Some(text) = description.filter(|_| metric.fact == Fact::Description || self.asked.describe) {
            labels.push(("desc", text));
        }
        let head = Head { scope: Scope::Global, name: metric.name, help: field.text, kind: metric.type_name };
        head.sample(&mut self.announced, &labels, &number, out);
        false
    }

    /// Some objects with the current metric of that kind; true when there are no more metrics.
    fn objects(
        &mut self,
        Look { view, .. }: Look<'_>,
        scope: Scope,
        kind: Kind,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> bool {
        let Some(metric) = OBJECTS.get(self.at.metric) else { return true };
        if !metric.is_on(kind) || !self.asked.wants_metric(scope, metric.name) {
            self.at.next_metric();
            return false;
        }
        let model = view.model;
        let Some(proxy) = model.proxies.get(self.at.proxy) else {
            self.at.next_metric();
            return false;
        };
        let has_side = match kind {
            Kind::Frontend => proxy.is_frontend,
            Kind::Listener => proxy.is_frontend && proxy.options.socket_stats,
            Kind::Backend | Kind::Server => proxy.is_backend,
        };
        if !has_side || proxy.disabled || (metric.http && proxy.mode != Mode::Http) {
            self.at.next_proxy();
            return false;
        }
        let (announced, describe) = (&mut self.announced, self.asked.describe);
        let mut write = |subject: &Subject<'_>, out: &mut Vec<u8>| {
            samples(scope, metric, subject, describe, announced, out);
        };
        match kind {
            Kind::Frontend => write(&Subject::frontend(view, proxy), out),
            Kind::Listener => {
                for bind in proxy.binds.iter().skip(self.at.object) {
                    if out.len() >= bytes_max || self.looks == 0 {
                        return false;
                    }
                    self.looks -= 1;
                    self.at.object += 1;
                    write(&Subject::listener(view, proxy, bind), out);
                }
            }
            Kind::Backend => {
                let live = proxy.state.servers.load();
                write(&Subject::backend(view, proxy, rows::servers(proxy, &live)), out);
            }
            Kind::Server => {
                let live = proxy.state.servers.load();
                while let Some((state, config)) = rows::server(proxy, &live, self.at.object) {
                    if out.len() >= bytes_max || self.looks == 0 {
                        return false;
                    }
                    self.looks -= 1;
                    self.at.object += 1;
                    if !(self.asked.hide_maintenance && in_maintenance(state)) {
                        write(&Subject::server(view, proxy, state, config), out);
                    }
                }
            }
        }
        self.at.next_proxy();
        false
    }

    /// The next stick table with the current metric; true when there are no more metrics.
    fn tables(&mut self, Look { source, .. }: Look<'_>, out: &mut Vec<u8>) -> bool {
        let Some(metric) = TABLES.get(self.at.metric) else { return true };
        let proxies = &source.model.proxies;
        if !self.asked.wants_metric(Scope::StickTable, metric.name) || self.at.proxy >= proxies.len() {
            self.at.next_metric();
            return false;
        }
        if let Some(table) = &proxies[self.at.proxy].table {
            let labels = Labels::from_slice(&[("name", &table.name), ("type", table.settings.key.name())]);
            let value = Value::U64((metric.read)(table) as u64);
            let head = Head { scope: Scope::StickTable, name: metric.name, help: metric.help, kind: "gauge" };
            head.sample(&mut self.announced, &labels, &value, out);
        }
        self.at.next_proxy();
        false
    }
}

impl Scrape {
    /// The name servers of the next section with the current metric; true when there are no more metrics.
    fn nameservers(&mut self, Look { source, .. }: Look<'_>, out: &mut Vec<u8>) -> bool {
        let Some(row) = ROWS.get(self.at.metric) else { return true };
        let sections = &source.model.resolvers;
        if !self.asked.wants_metric(Scope::Resolver, row.name) || self.at.proxy >= sections.len() {
            self.at.next_metric();
            return false;
        }
        let section = &sections[self.at.proxy];
        for nameserver in &section.nameservers {
            let labels =
                Labels::from_slice(&[("resolver", &*section.name), ("nameserver", &*nameserver.name)]);
            let value = Value::U64(nameserver.counters.get(row.counter));
            let head = Head { scope: Scope::Resolver, name: row.name, help: row.text, kind: "gauge" };
            head.sample(&mut self.announced, &labels, &value, out);
        }
        self.at.next_proxy();
        false
    }
}

/// What stands before the samples of a metric.
struct Head {
    scope: Scope,
    name: &'static str,
    help: &'static str,
    kind: &'static str,
}

impl Head {
    /// Appends a sample, and the lines before the first one of its metric.
    fn sample(
        &self,
        announced: &mut Option<(Scope, &'static str)>,
        labels: &[(&'static str, &str)],
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) {
        let name = [self.scope.prefix().as_bytes(), self.name.as_bytes()];
        if announced.replace((self.scope, self.name)) != Some((self.scope, self.name)) {
            for (word, text) in [("# HELP ", self.help), ("# TYPE ", self.kind)] {
                for part in [word.as_bytes(), name[0], name[1], b" ", text.as_bytes(), b"\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
        out.extend_from_slice(name[0]);
        out.extend_from_slice(name[1]);
        for (at, (label, text)) in labels.iter().enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            out.extend_from_slice(label.as_bytes());
            out.extend_from_slice(b"=\"");
            escape(text, out);
            out.push(b'"');
        }
        if !labels.is_empty() {
            out.push(b'}');
        }
        out.push(b' ');
        match value {
            // No number is known: the format has a word for it.
            Value::Empty | Value::Text(_) => out.extend_from_slice(b"NaN"),
            Value::Float(number) => out.extend_from_slice(format!("{number:.6}").as_bytes()),
            number => number.write_plain(out),
        }
        out.push(b'\n');
    }
}

/// Appends the value of a label: a backslash, a double quote and a line feed would end it early.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            other => out.push(other),
        }
    }
}

/// The samples of one metric of one object.
fn samples(
    scope: Scope,
    metric: &Metric,
    subject: &Subject<'_>,
    describe: bool,
    announced: &mut Option<(Scope, &'static str)>,
    out: &mut Vec<u8>,
) {
    let kind = subject.kind();
    let name = subject.name();
    let mut labels = Labels::from_slice(&[("proxy", &subject.proxy.name)]);
    if let Some(text) = subject.proxy.description.as_deref().filter(|_| describe) {
        labels.push(("desc", text));
    }
    match kind {
        Kind::Listener => labels.push(("listener", &name)),
        Kind::Server => labels.push(("server", &name)),
        Kind::Frontend | Kind::Backend => {}
    }
    let head = Head { scope, name: metric.name, help: metric.help(), kind: metric.type_name(kind) };
    let mut sample = |label: Option<(&'static str, &str)>, value: Value<'_>| match label {
        None => head.sample(announced, &labels, &value, out),
        Some(label) => {
            let labels: Labels<'_> = labels.iter().copied().chain([label]).collect();
            head.sample(announced, &labels, &value, out);
        }
    };
    match metric.shape {
        Shape::Plain => sample(None, metric.column().value(subject)),
        Shape::Seconds => match metric.column().value(subject) {
            Value::Empty => {}
            value => sample(None, Value::Float(value.number() as f64 / 1000.0)),
        },
        Shape::Code(code) => sample(Some(("code", code)), metric.column().value(subject)),
        Shape::Status => {
            let (states, now) = status_of(subject);
            for state in states {
                sample(Some(("state", state)), Value::U32(u32::from(*state == now)));
            }
        }
        Shape::CheckStatus(check) => {
            if let Some(report) = active(subject, check) {
                for result in Status::all().filter(|result| result.outcome() >= Outcome::Failed) {
                    let is_it = result as u8 == report.status;
                    sample(Some(("state", result.label())), Value::U32(u32::from(is_it)));
                }
            }
        }
        Shape::CheckCode(check) => {
            if active(subject, check).is_some() {
                let code = metric.column().value(subject).number();
                sample(None, Value::U64(code));
            }
        }
        Shape::ServersByStatus => {
            let mut counts = [0; SERVER_STATES.len()];
            each_server(subject.proxy, |state| {
                let now = server_status(state);
                for (count, _) in counts.iter_mut().zip(SERVER_STATES).filter(|(_, state)| *state == now) {
                    *count += 1;
                }
            });
            if counts.iter().sum::<u32>() > 0 {
                for (state, count) in SERVER_STATES.into_iter().zip(counts) {
                    sample(Some(("state", state)), Value::U32(count));
                }
            }
        }
        Shape::ServersByCheck => {
            let mut servers = 0;
            let mut counts = [0u32; 1 << u8::BITS];
            each_server(subject.proxy, |state| {
                servers += 1;
                let report = state.check.load();
                counts[usize::from(report.status)] += u32::from(is_active(&report));
            });
            for result in Status::all().filter(|result| servers > 0 && result.outcome() >= Outcome::Failed) {
                sample(Some(("state", result.label())), Value::U32(counts[result as usize]));
            }
        }
    }
}

/// The states an object may be in, and the one it is in.
fn status_of(subject: &Subject<'_>) -> (&'static [&'static str], &'static str) {
    let up = |is_up: bool| if is_up { "UP" } else { "DOWN" };
    match &subject.of {
        Of::Frontend => (&PROXY_STATES, up(status::frontend(subject.proxy) != "STOP")),
        Of::Backend(facts) => (&PROXY_STATES, up(facts.weight > 0 || facts.servers == 0)),
        Of::Listener(_) => (&LISTENER_STATES, status::listener(subject.proxy)),
        Of::Server(facts) => (&SERVER_STATES, server_status(facts.state)),
    }
}

/// The state of a server in one word, without what its checks are about to find.
fn server_status(state: &ServerState) -> &'static str {
    if in_maintenance(state) {
        return "MAINT";
    }
    match state.operational() {
        Operational::Running | Operational::Starting if state.admin() & admin::DRAIN != 0 => "DRAIN",
        Operational::Running | Operational::Starting => "UP",
        Operational::Stopping => "NOLB",
        Operational::Stopped => "DOWN",
    }
}

/// The report of a server's check, if that is active.
fn active<'s>(subject: &'s Subject<'_>, check: Check) -> Option<&'s CheckReport> {
    let facts = subject.as_server()?;
    let report = match check {
        Check::Health => &facts.check,
        Check::Agent => &facts.agent,
    };
    is_active(report).then_some(&**report)
}

fn each_server(proxy: &Proxy, mut each: impl FnMut(&ServerState)) {
    let live = proxy.state.servers.load();
    for (state, _) in rows::servers(proxy, &live) {
        each(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Now;
    use crate::model::Model;
    use crate::sample::facts::ProcessFacts;
    use crate::state::server::counter;
    use crate::stats::fixture;
    use crate::stats::info::InfoFacts;
    use std::sync::Arc;

    fn scrape_in(model: &Model, query: &str, bytes_max: usize) -> String {
        let asked = Asked::parse(format!("/metrics?{query}").as_bytes()).unwrap();
        let (info, process) = (InfoFacts::default(), ProcessFacts::default());
        let now = Now { mono_us: 50_000_000, wall_us: 1_000_050_000_000 };
        let source = Source { info: &info, process: &process, model, now, float: false };
        let mut scrape = Scrape::new(asked);
        let (mut all, mut part) = (Vec::new(), Vec::new());
        loop {
            part.clear();
            let more = scrape.fill(&source, &mut part, bytes_max);
            all.extend_from_slice(&part);
            if !more {
                return String::from_utf8(all).unwrap();
            }
        }
    }

    fn scrape(model: &Model, query: &str) -> String {
        scrape_in(model, query, 1 << 16)
    }

    fn proxy_mut(model: &mut Model, index: usize) -> &mut Proxy {
        Arc::get_mut(&mut model.proxies[index]).unwrap()
    }

    #[test]
    fn a_metric_is_announced_once_and_told_of_every_object() {
        let model = fixture::model();
        let state = &model.proxies[1].servers[0].state;
        state.counters.add(counter::SESSIONS, 7);
        state.counters.add(counter::HRSP_1XX + 1, 5);
        state.counters.raise(counter::RTIME_MAX, 1234);
        for (query, expected) in [
            (
                "metrics=haproxy_server_sessions_total",
                "# HELP haproxy_server_sessions_total Sessions so far\n\
                 # TYPE haproxy_server_sessions_total counter\n\
                 haproxy_server_sessions_total{proxy=\"be\",server=\"s1\"} 7\n\
                 haproxy_server_sessions_total{proxy=\"be\",server=\"s2\"} 0\n",
            ),
            (
                "metrics=haproxy_backend_status",
                "# HELP haproxy_backend_status Status: 1 for the state that holds, 0 for the others\n\
                 # TYPE haproxy_backend_status gauge\n\
                 haproxy_backend_status{proxy=\"be\",state=\"DOWN\"} 0\n\
                 haproxy_backend_status{proxy=\"be\",state=\"UP\"} 1\n",
            ),
            ("metrics=haproxy_sticktable_used,haproxy_process_description,haproxy_server_check_status", ""),
        ] {
            assert_eq!(scrape(&model, query), expected, "{query}");
        }
        let text = scrape(&model, "");
        for line in [
            "haproxy_server_http_responses_total{proxy=\"be\",server=\"s1\",code=\"2xx\"} 5\n",
            "haproxy_server_max_response_time_seconds{proxy=\"be\",server=\"s1\"} 1.234000\n",
            "haproxy_server_limit_sessions{proxy=\"be\",server=\"s1\"} NaN\n",
            "haproxy_server_backup{proxy=\"be\",server=\"s2\"} 1\n",
            "haproxy_backend_backup_servers{proxy=\"be\"} 1\n",
            "haproxy_backend_agg_server_status{proxy=\"be\",state=\"UP\"} 2\n",
            "haproxy_backend_agg_check_status{proxy=\"be\",state=\"L7STS\"} 0\n",
            "haproxy_server_last_session_seconds{proxy=\"be\",server=\"s1\"} -1\n",
            "haproxy_frontend_limit_sessions{proxy=\"fe\"} 200\n",
            "haproxy_process_build_info{version=\"3.5-dev5-haring\"} 1\n",
            "haproxy_process_current_zlib_memory NaN\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let announced = |word: &str| {
            let mut names: Vec<_> =
                text.lines().filter_map(|line| line.strip_prefix(word)?.split(' ').next()).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{word}");
            all
        };
        assert_eq!(announced("# HELP "), announced("# TYPE "));
    }

    #[test]
    fn parts_make_the_same_whole() {
        let mut model = fixture::model();
        proxy_mut(&mut model, 0).options.socket_stats = true;
        let whole = scrape(&model, "");
        for bytes_max in [1, 100, 4096] {
            assert_eq!(scrape_in(&model, "", bytes_max), whole, "{bytes_max}");
        }
    }

    #[test]
    fn states_of_servers_and_checks() {
        let model = fixture::model();
        let state = &model.proxies[1].servers[0].state;
        let check = CheckReport {
            configured: true,
            enabled: true,
            status: Status::L7Status as u8,
            code: Some(503),
            duration_ms: Some(2500),
            ..CheckReport::default()
        };
        state.check.store(Arc::new(check));
        for (operational, flags, expected) in [
            (Operational::Running, 0, "UP"),
            (Operational::Starting, 0, "UP"),
            (Operational::Running, admin::FDRAIN, "DRAIN"),
            (Operational::Stopping, 0, "NOLB"),
            (Operational::Stopped, 0, "DOWN"),
            (Operational::Stopped, admin::FMAINT, "MAINT"),
        ] {
            state.set_operational(operational);
            state.set_admin(flags);
            let text = scrape(&model, "metrics=haproxy_server_status");
            let of_s1 = text.lines().filter(|line| line.contains("server=\"s1\"") && line.ends_with(" 1"));
            let expected =
                format!("haproxy_server_status{{proxy=\"be\",server=\"s1\",state=\"{expected}\"}} 1");
            assert_eq!(of_s1.collect::<Vec<_>>(), [expected]);
        }
        let text = scrape(&model, "scope=server");
        for line in [
            "haproxy_server_check_status{proxy=\"be\",server=\"s1\",state=\"L7STS\"} 1\n",
            "haproxy_server_check_status{proxy=\"be\",server=\"s1\",state=\"L4OK\"} 0\n",
            "haproxy_server_check_code{proxy=\"be\",server=\"s1\"} 503\n",
            "haproxy_server_check_duration_seconds{proxy=\"be\",server=\"s1\"} 2.500000\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("haproxy_server_check_code{proxy=\"be\",server=\"s2\"}"), "no check");
        assert!(!text.contains("state=\"INI\""), "no result yet is no result");
        let text = scrape(&model, "scope=server&no-maint");
        assert!(!text.contains("\"s1\"") && text.contains("\"s2\""));
    }

    #[test]
    fn labels_are_escaped() {
        let mut model = fixture::model();
        proxy_mut(&mut model, 0).description = Some("a \"b\" \\ c\nd".into());
        let text = scrape(&model, "desc-labels&metrics=haproxy_frontend_bytes_in_total");
        let expected = r#"haproxy_frontend_bytes_in_total{proxy="fe",desc="a \"b\" \\ c\nd"} 0"#;
        assert_eq!(text.lines().last(), Some(expected));
        model.global.description = Some("all".into());
        for (query, expected) in [
            ("metrics=haproxy_process_description", "haproxy_process_description{desc=\"all\"} 1"),
            ("desc-labels&metrics=haproxy_process_nbproc", "haproxy_process_nbproc{desc=\"all\"} 1"),
        ] {
            assert_eq!(scrape(&model, query).lines().last(), Some(expected));
        }
    }

    #[test]
    fn a_proxy_in_tcp_mode_has_no_metrics_of_http() {
        let mut model = fixture::model();
        proxy_mut(&mut model, 1).mode = Mode::Tcp;
        let text = scrape(&model, "scope=backend&scope=server");
        assert!(!text.contains("_http_"), "{text}");
        assert!(text.contains("haproxy_backend_sessions_total{proxy=\"be\"} 0\n"));
        proxy_mut(&mut model, 1).disabled = true;
        assert_eq!(scrape(&model, "scope=backend&scope=server"), "", "nothing of a disabled proxy");
    }

    #[test]
    fn listeners_and_tables_when_there_are_any() {
        let mut model = fixture::model();
        assert_eq!(scrape(&model, "scope=listener&scope=sticktable"), "");
        proxy_mut(&mut model, 0).options.socket_stats = true;
        let settings = crate::state::table::testing::settings(crate::state::table::KeyType::Ip, 100, &[]);
        proxy_mut(&mut model, 1).table = Some(crate::state::Table::new("be", settings));
        let text = scrape(&model, "scope=listener&scope=sticktable");
        for line in [
            "haproxy_listener_status{proxy=\"fe\",listener=\"sock-1\",state=\"OPEN\"} 1\n",
            "haproxy_listener_status{proxy=\"fe\",listener=\"sock-1\",state=\"WAITING\"} 0\n",
            "haproxy_sticktable_size{name=\"be\",type=\"ip\"} 100\n",
            "haproxy_sticktable_used{name=\"be\",type=\"ip\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn ten_thousand_backends_come_in_small_parts() {
        let mut model = fixture::model();
        let registry = model.registry.clone();
        for number in 0..10_000u32 {
            let name = format!("be{number}");
            let mut proxy = fixture::proxy(&registry, &name, 10 + number, 2 + number);
            proxy.is_backend = true;
            proxy.servers = vec![fixture::server(&registry, &name, "s1", 1, false)];
            model.proxies.push(Arc::new(proxy));
        }
        let asked = Asked::parse(b"/?metrics=haproxy_server_status,haproxy_backend_weight").unwrap();
        let (info, process) = (InfoFacts::default(), ProcessFacts::default());
        let source =
            Source { info: &info, process: &process, model: &model, now: Now::default(), float: false };
        let mut scrape = Scrape::new(asked);
        let (mut part, mut lines) = (Vec::new(), 0);
        loop {
            part.clear();
            let more = scrape.fill(&source, &mut part, 16_384);
            assert!(part.len() < 20_000, "{}", part.len());
            lines += part.iter().filter(|byte| **byte == b'\n').count();
            if !more {
                break;
            }
        }
        assert_eq!(lines, 2 + 10_001 + 2 + 5 * 10_002);
    }
}
