//! Walks the model step by step and hands every object to a renderer, in the order users know: a
//! proxy's frontend, its listeners, its servers, its backend.

use std::sync::Arc;

use super::Kind;
use super::status::is_enabled;
use super::subject::{Subject, View, in_maintenance};
use crate::model::{Model, Proxy, Server};
use crate::state::ServerState;
use crate::state::server::Operational;

/// Which objects are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One proxy by its number; `None` is all.
    pub proxy: Option<u32>,
    /// Kinds by the bit of their number (`1 << kind`); `None` is all.
    pub kinds: Option<u32>,
    /// One server or listener by its number; `None` is all.
    pub number: Option<u32>,
    /// Leave out servers in maintenance (`no-maint`).
    pub hide_maintenance: bool,
    /// Leave out servers that are down and not on their way up (`up`).
    pub hide_down: bool,
    /// Only proxies whose name holds this, case aside (`scope=`).
    pub scope: String,
    /// Only proxies of these names (`stats scope`); empty is all.
    pub names: Vec<Box<str>>,
}

impl Filter {
    fn wants(&self, kind: Kind) -> bool {
        self.kinds.is_none_or(|kinds| kinds & (1 << kind as u32) != 0)
    }
    fn wants_number(&self, number: u32) -> bool {
        self.number.is_none_or(|wanted| wanted == number)
    }
    /// Whether the proxy is wanted at all.
    pub fn wants_proxy(&self, proxy: &Proxy) -> bool {
        let name = proxy.name.to_ascii_lowercase();
        (proxy.is_frontend || proxy.is_backend)
            && self.proxy.is_none_or(|id| id == proxy.id)
            && (self.scope.is_empty() || name.contains(&self.scope.to_ascii_lowercase()))
            && (self.names.is_empty() || self.names.iter().any(|wanted| **wanted == *proxy.name))
    }
    fn hides(&self, view: &View<'_>, state: &Arc<ServerState>) -> bool {
        if (self.hide_maintenance || self.hide_down) && in_maintenance(state) {
            return true;
        }
        if !self.hide_down || state.operational() != Operational::Stopped {
            return false;
        }
        let deciding = view.checked(state);
        let (check, agent) = (deciding.check.load(), deciding.agent.load());
        let is_checked = is_enabled(&check) || is_enabled(&agent);
        !is_checked || (is_enabled(&agent) && agent.health == 0) || (is_enabled(&check) && check.health == 0)
    }
}

/// The servers of a proxy with their `server` lines: those of the model in order, then those added
/// at run time.
pub fn servers<'a>(
    proxy: &'a Proxy,
    live: &'a [Arc<ServerState>],
) -> impl Iterator<Item = (&'a Arc<ServerState>, Option<&'a Server>)> {
    let known = proxy.servers.iter().map(|server| (&server.state, Some(&**server)));
    let added = live.iter().enumerate().filter(|(index, state)| {
        // The list follows the model's order, so nearly every look hits the same place.
        let is_same = |server: &Arc<Server>| Arc::ptr_eq(&server.state, state);
        !proxy.servers.get(*index).is_some_and(is_same) && !proxy.servers.iter().any(is_same)
    });
    known.chain(added.map(|(_, state)| (state, None)))
}

/// The server at a place of [`servers`].
pub fn server<'a>(
    proxy: &'a Proxy,
    live: &'a [Arc<ServerState>],
    at: usize,
) -> Option<(&'a Arc<ServerState>, Option<&'a Server>)> {
    match proxy.servers.get(at) {
        Some(server) => Some((&server.state, Some(server))),
        None => servers(proxy, live).nth(at),
    }
}

/// A walk over the wanted objects of a model that stops anywhere and goes on from there.
///
/// Nothing is held between two steps: what is added or removed meanwhile shows up if the walk has not passed it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    proxy: usize,
    stage: Stage,
}

/// What of a proxy comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Begin,
    Frontend,
    Listener(usize),
    Server(usize),
    Backend,
    End,
}

/// What a step of a walk comes to.
pub enum Step<'s, 'a> {
    /// A wanted proxy begins.
    Begin(&'s Proxy),
    /// One of its objects.
    Object(&'s Subject<'a>),
    /// It is over.
    End(&'s Proxy),
}

impl Walk {
    /// Takes one step, which shows one thing or passes over one that is not wanted; false at the end.
    pub fn step(&mut self, view: &View<'_>, filter: &Filter, each: impl FnOnce(Step<'_, '_>)) -> bool {
        let model: &Model = view.model;
        let Some(proxy) = model.proxies.get(self.proxy) else { return false };
        self.stage = match self.stage {
            Stage::Begin if !filter.wants_proxy(proxy) => {
                self.proxy += 1;
                return true;
            }
            Stage::Begin => {
                each(Step::Begin(proxy));
                Stage::Frontend
            }
            Stage::Frontend => {
                if proxy.is_frontend && filter.wants(Kind::Frontend) {
                    each(Step::Object(&Subject::frontend(view, proxy)));
                }
                Stage::Listener(0)
            }
            Stage::Listener(at) => {
                let shows = proxy.is_frontend && proxy.options.socket_stats && filter.wants(Kind::Listener);
                match proxy.binds.get(at).filter(|_| shows) {
                    Some(bind) => {
                        if filter.wants_number(bind.id) {
                            each(Step::Object(&Subject::listener(view, proxy, bind)));
                        }
                        Stage::Listener(at + 1)
                    }
                    None => Stage::Server(0),
                }
            }
            Stage::Server(at) => {
                let shows = proxy.is_backend && filter.wants(Kind::Server);
                let live = proxy.state.servers.load();
                match server(proxy, &live, at).filter(|_| shows) {
                    Some((state, config)) => {
                        if filter.wants_number(state.id.load(std::sync::atomic::Ordering::Relaxed))
                            && !filter.hides(view, state)
                        {
                            each(Step::Object(&Subject::server(view, proxy, state, config)));
                        }
                        Stage::Server(at + 1)
                    }
                    None => Stage::Backend,
                }
            }
            Stage::Backend => {
                if proxy.is_backend && filter.wants(Kind::Backend) {
                    let live = proxy.state.servers.load();
                    each(Step::Object(&Subject::backend(view, proxy, servers(proxy, &live))));
                }
                Stage::End
            }
            Stage::End => {
                each(Step::End(proxy));
                self.proxy += 1;
                Stage::Begin
            }
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Now;
    use crate::sample::facts::ProcessFacts;
    use crate::state::server::{CheckReport, admin, counter};
    use crate::stats::dump::{Dump, Form, whole};
    use crate::stats::fixture;
    use crate::stats::info::{InfoFacts, Source};

    fn now() -> Now {
        Now { mono_us: 50_000_000, wall_us: 1_000_050_000_000 }
    }

    fn table(model: &Model, filter: &Filter) -> Vec<Vec<String>> {
        let mut dump = Dump::new(Form::Csv, filter.clone());
        dump.legends = true;
        let text = rendered(model, &mut dump);
        text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }

    fn rendered(model: &Model, dump: &mut Dump) -> String {
        let started = Now { mono_us: 0, wall_us: 1_000_000_000_000 };
        let info = InfoFacts { started, maxconn: 1000, ..InfoFacts::default() };
        let process = ProcessFacts::default();
        let source = Source { info: &info, process: &process, model, now: now(), float: false };
        String::from_utf8(whole(dump, &source)).unwrap()
    }

    fn names(rows: &[Vec<String>]) -> Vec<String> {
        rows.iter().map(|row| format!("{}/{}", row[0], row[1])).collect()
    }

    fn of<'a>(row: &'a [String], name: &str) -> &'a str {
        &row[crate::stats::columns::position(name).unwrap()]
    }

    #[test]
    fn rows_stand_in_order_and_obey_filters() {
        let model = fixture::model();
        for (filter, expected) in [
            (Filter::default(), &["fe/FRONTEND", "be/s1", "be/s2", "be/BACKEND"][..]),
            (Filter { proxy: Some(3), kinds: Some(4), ..Filter::default() }, &["be/s1", "be/s2"]),
            (Filter { kinds: Some(4), number: Some(2), ..Filter::default() }, &["be/s2"]),
            (Filter { kinds: Some(3), ..Filter::default() }, &["fe/FRONTEND", "be/BACKEND"]),
            (Filter { scope: "FE".into(), ..Filter::default() }, &["fe/FRONTEND"]),
            (Filter { names: vec!["be".into()], kinds: Some(2), ..Filter::default() }, &["be/BACKEND"]),
        ] {
            assert_eq!(names(&table(&model, &filter)), expected, "{filter:?}");
        }
    }

    #[test]
    fn figures_come_from_the_state() {
        let model = fixture::model();
        let state = &model.proxies[1].servers[0].state;
        state.counters.add(counter::SESSIONS, 7);
        state.counters.add(counter::HRSP_1XX + 1, 5);
        state.set_user_weight(3);
        let rows = table(&model, &Filter::default());
        for (row, name, expected) in [
            (0, "status", "OPEN"),
            (0, "slim", "200"),
            (0, "type", "0"),
            (1, "stot", "7"),
            (1, "hrsp_2xx", "5"),
            (1, "status", "no check"),
            (1, "weight", "3"),
            (1, "act", "1"),
            (1, "lastsess", "-1"),
            (1, "lastchg", "50"),
            (1, "addr", "127.0.0.1:8001"),
            (1, "slim", ""),
            (2, "bck", "1"),
            (3, "slim", "20"),
            (3, "act", "1"),
            (3, "bck", "1"),
            (3, "weight", "3"),
            (3, "algo", "roundrobin"),
        ] {
            assert_eq!(of(&rows[row], name), expected, "{name} of row {row}");
        }
        assert!(rows.iter().all(|row| row.len() == 121 && row[119] == "-"), "119 columns, the mark, the end");
    }

    #[test]
    fn statuses_in_known_words() {
        let checked = |health| CheckReport {
            configured: true,
            enabled: true,
            rise: 2,
            fall: 3,
            health,
            status: 6,
            label: "L4OK",
            ..CheckReport::default()
        };
        for (operational, flags, check, expected) in [
            (Operational::Running, 0, checked(4), "UP"),
            (Operational::Running, 0, checked(3), "UP 2/3"),
            (Operational::Stopped, 0, checked(1), "DOWN 1/2"),
            (Operational::Stopped, 0, checked(0), "DOWN"),
            (Operational::Stopping, 0, checked(4), "NOLB"),
            (Operational::Stopping, 0, checked(3), "NOLB 2/3"),
            (Operational::Running, admin::FDRAIN, checked(4), "DRAIN"),
            (Operational::Running, admin::FDRAIN, checked(2), "DRAIN 1/3"),
            (Operational::Stopped, admin::FMAINT, checked(4), "MAINT"),
            (Operational::Stopped, admin::RMAINT, checked(4), "MAINT (resolution)"),
            (Operational::Running, 0, CheckReport::default(), "no check"),
            (Operational::Stopped, 0, CheckReport::default(), "DOWN"),
        ] {
            let model = fixture::model();
            let state = &model.proxies[1].servers[0].state;
            state.set_operational(operational);
            state.set_admin(flags);
            state.check.store(Arc::new(check));
            let rows = table(&model, &Filter::default());
            assert_eq!(of(&rows[1], "status"), expected);
        }
    }

    #[test]
    fn hidden_servers_are_left_out() {
        let model = fixture::model();
        let state = &model.proxies[1].servers[1].state;
        state.set_operational(Operational::Stopped);
        let up = Filter { hide_down: true, kinds: Some(4), ..Filter::default() };
        assert_eq!(names(&table(&model, &up)), ["be/s1"]);
        state.set_operational(Operational::Running);
        assert_eq!(names(&table(&model, &up)), ["be/s1", "be/s2"]);
        state.set_admin(admin::FMAINT);
        let no_maint = Filter { hide_maintenance: true, kinds: Some(4), ..Filter::default() };
        assert_eq!(names(&table(&model, &no_maint)), ["be/s1"]);
    }

    #[test]
    fn typed_and_json_tell_the_same() {
        let model = fixture::model();
        model.proxies[0].state.frontend.add(crate::state::proxy::fe::BYTES_IN, 123);
        let text = rendered(&model, &mut Dump::new(Form::Typed { describe: false }, Filter::default()));
        for line in [
            "F.2.0.0.pxname.1:KNSV:str:fe\n",
            "F.2.0.8.bin.1:MCPP:u64:123\n",
            "S.3.1.17.status.1:SGPV:str:no check\n",
            "B.3.0.19.act.1:MGPV:u32:1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let text = rendered(&model, &mut Dump::new(Form::Json, Filter::default()));
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed.as_array().map(Vec::len), Some(4));
        assert_eq!(parsed[0][0]["objType"], "Frontend");
        assert_eq!(parsed[0][0]["field"]["name"], "pxname");
        assert_eq!(parsed[0][0]["value"]["value"], "fe");
    }
}
