//! Statistics: `show info`, `show stat`, `show schema json`, `clear counters`.

use std::sync::atomic::Ordering::Relaxed;

use super::server::find_server_quietly;
use crate::base::clock;
use crate::base::rate::Rate;
use crate::control::Control;
use crate::control::admin::{Call, Command, Flow, PART_BYTES, Parts, Severity};
use crate::model::bind::CliLevel::{Admin, Operator, User};
use crate::state::proxy::{be, fe};
use crate::state::server::counter;
use crate::state::{ProxyState, ServerState};
use crate::stats::dump::{self, Dump};
use crate::stats::info::{self, Form, InfoFacts, Source};
use crate::stats::{Filter, Parts as _, json, resolvers};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "info"], arguments: "[desc|json|typed|float]*", text: "report facts of the process", level: User, run: show_info },
    Command { words: &["show", "resolvers"], arguments: "[id]", text: "report counters of name servers, of all resolvers sections or one", level: User, run: show_resolvers },
    Command { words: &["show", "stat"], arguments: "[domain resolvers|proxy] [desc|json|no-maint|typed|up]*", text: "report counters of each proxy and server", level: User, run: show_stat },
    Command { words: &["show", "schema", "json"], arguments: "", text: "report the schema of 'show info json' and 'show stat json'", level: User, run: |call| {
        call.print(json::schema());
        Flow::Done
    } },
    Command { words: &["clear", "counters"], arguments: "[all|server <bk>/<srv> [force]]", text: "clear max statistics counters (or all, or one server's)", level: Operator, run: clear_counters },
];

/// The facts `show info` and the statistics page show beside the model.
pub fn info_facts(control: &Control) -> InfoFacts {
    let model = control.model();
    let shared = &control.admin;
    InfoFacts {
        threads: control.threads,
        started: control.started,
        boot_ms: control.process.boot_ms.load(Relaxed),
        maxconn: control.maxconn.get(),
        maxconn_hard: model.global.maxconn.unwrap_or(0).max(control.maxconn.get()),
        descriptors_max: control.descriptors_max,
        driver: control.cores.accidents().driver(&control.driver, control.threads),
        logs_dropped: control.log.dropped(),
        memory_bytes: crate::sys::process::resident_bytes(),
        stopping: shared.stopping.get(),
        warnings: control.process.warnings.load(Relaxed),
        connection_rate_limit: shared.connection_rate_limit.get().unwrap_or(model.global.maxconnrate),
        session_rate_limit: shared.session_rate_limit.get().unwrap_or(model.global.maxsessrate),
        patterns_added: control.process.patterns_added.load(Relaxed),
        patterns_freed: control.process.patterns_freed.load(Relaxed),
    }
}

fn show_info(call: &mut Call<'_>) -> Flow {
    let (mut form, mut describe, mut float) = (Form::Lines, false, false);
    for index in 2..call.words.len() {
        match call.arg(index) {
            "typed" => form = Form::Typed,
            "json" => form = Form::Json,
            "desc" => describe = true,
            "float" => float = true,
            _ => {}
        }
    }
    let model = call.control.model();
    let info = info_facts(call.control);
    let source =
        Source { info: &info, process: &call.control.process, model: &model, now: clock::read(), float };
    info::render(&source, form, describe, call.out);
    Flow::Done
}

fn show_stat(call: &mut Call<'_>) -> Flow {
    let model = call.control.model();
    let mut filter = Filter::default();
    let mut at = 2;
    if call.arg(at) == "domain" {
        match call.arg(at + 1) {
            "proxy" => at += 2,
            "resolvers" => return show_resolvers_stat(call),
            _ => return call.error("Invalid statistics domain."),
        }
    }
    if call.words.len() >= at + 3 {
        let name = call.arg(at);
        let number = match model.proxies.iter().find(|proxy| &*proxy.name == name) {
            Some(proxy) => i64::from(proxy.id),
            None => integer(name),
        };
        if number == 0 {
            return call.error("No such proxy.");
        }
        // -1 is all, for each of the three.
        filter.proxy = u32::try_from(number).ok();
        filter.kinds = u32::try_from(integer(call.arg(at + 1))).ok();
        filter.number = u32::try_from(integer(call.arg(at + 2))).ok();
        at += 3;
    }
    let (mut form, mut describe) = (info::Form::Lines, false);
    for index in at..call.words.len() {
        match call.arg(index) {
            "typed" => form = info::Form::Typed,
            "json" => form = info::Form::Json,
            "desc" => describe = true,
            "no-maint" => filter.hide_maintenance = true,
            "up" => filter.hide_down = true,
            _ => {}
        }
    }
    let form = match form {
        info::Form::Lines => dump::Form::Csv,
        info::Form::Typed => dump::Form::Typed { describe },
        info::Form::Json => dump::Form::Json,
    };
    let mut dump = Dump::new(form, filter);
    dump.legends = call.session.socket_level >= Operator;
    let info = info_facts(call.control);
    let process = call.control.process.clone();
    let now = clock::read();
    Flow::Parts(Parts::new(move |out| {
        let source = Source { info: &info, process: &process, model: &model, now, float: false };
        dump.fill(&source, out, PART_BYTES)
    }))
}

/// `show stat domain resolvers`: selectors of proxies mean nothing there.
fn show_resolvers_stat(call: &mut Call<'_>) -> Flow {
    let model = call.control.model();
    let has = |word: &str| (4..call.words.len()).any(|index| call.arg(index) == word);
    let (is_typed, is_json, describe) = (has("typed"), has("json"), has("desc"));
    match (is_json, is_typed) {
        (true, _) => resolvers::json(&model, call.out),
        (false, true) => resolvers::typed(&model, describe, call.out),
        (false, false) => resolvers::csv(&model, call.out),
    }
    Flow::Done
}

fn show_resolvers(call: &mut Call<'_>) -> Flow {
    let model = call.control.model();
    if model.resolvers.is_empty() {
        call.print("No resolvers found\n");
        return Flow::Done;
    }
    let only = Some(call.arg(2).to_owned()).filter(|name| !name.is_empty());
    match resolvers::show(&model, only.as_deref(), call.out) {
        true => Flow::Done,
        false => call.error("Can't find that resolvers section"),
    }
}

/// The integer a word begins with; 0 if with none.
pub fn integer(word: &str) -> i64 {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<i64>().map_or(0, |number| sign * number)
}

/// Maxima of a frontend, which `clear counters` sets to zero.
const FRONTEND_MAXIMA: &[usize] = &[fe::SESSIONS_MAX];
/// Maxima of a backend.
const BACKEND_MAXIMA: &[usize] =
    &[be::SESSIONS_MAX, be::QUEUE_MAX, be::QTIME_MAX, be::CTIME_MAX, be::RTIME_MAX, be::TTIME_MAX];
/// Maxima of a server.
const SERVER_MAXIMA: &[usize] = &[
    counter::SESSIONS_MAX,
    counter::QUEUE_MAX,
    counter::QTIME_MAX,
    counter::CTIME_MAX,
    counter::RTIME_MAX,
    counter::TTIME_MAX,
];

fn clear_counters(call: &mut Call<'_>) -> Flow {
    if call.arg(2) == "server" {
        if !call.may(Admin) {
            return Flow::Done;
        }
        // `force` overrides counters shared with other processes; these are never shared.
        return match find_server_quietly(call, 3) {
            Ok((_, state)) => {
                clear_server(&state, true);
                call.say(Severity::Notice, "Server counters cleared.")
            }
            Err(text) => call.error(text),
        };
    }
    let all = call.arg(2) == "all";
    if all && !call.may(Admin) {
        return Flow::Done;
    }
    for proxy in &call.control.model().proxies {
        clear_proxy(&proxy.state, all);
        proxy.state.servers.load().iter().for_each(|state| clear_server(state, all));
    }
    if all {
        let model = call.control.model();
        let nameservers = model.resolvers.iter().flat_map(|resolvers| &resolvers.nameservers);
        nameservers.for_each(|nameserver| nameserver.counters.clear());
    }
    Flow::Done
}

fn clear_proxy(state: &ProxyState, all: bool) {
    let rates: [&Rate; 4] = [
        &state.frontend_session_rate,
        &state.frontend_connection_rate,
        &state.frontend_request_rate,
        &state.backend_session_rate,
    ];
    rates.iter().for_each(|rate| rate.clear_max());
    if all {
        (0..fe::COUNT).for_each(|field| state.frontend.clear(field));
        (0..be::COUNT).for_each(|field| state.backend.clear(field));
        state.down_transitions.store(0, Relaxed);
        state.last_session_s.store(-1, Relaxed);
        state.last_change_s.store(clock::read().wall_secs(), Relaxed);
    } else {
        FRONTEND_MAXIMA.iter().for_each(|field| state.frontend.clear(*field));
        BACKEND_MAXIMA.iter().for_each(|field| state.backend.clear(*field));
    }
}

fn clear_server(state: &ServerState, all: bool) {
    state.session_rate.clear_max();
    if all {
        (0..counter::COUNT).for_each(|field| state.counters.clear(field));
        state.failed_checks.store(0, Relaxed);
        state.failed_hana.store(0, Relaxed);
        state.down_transitions.store(0, Relaxed);
        state.last_session_s.store(-1, Relaxed);
        state.last_change_s.store(clock::read().wall_secs(), Relaxed);
    } else {
        SERVER_MAXIMA.iter().for_each(|field| state.counters.clear(*field));
    }
}

#[cfg(test)]
mod tests {
    use crate::control::mock::{ask, control};
    use crate::model::bind::CliLevel;
    use crate::state::server::counter;

    #[test]
    fn info_has_the_known_lines() {
        let control = control();
        let text = ask(&control, CliLevel::User, "show info");
        assert!(text.starts_with("Name: HAProxy\nVersion: 3."), "{text}");
        assert!(text.contains("\nNbthread: 2\nNbproc: 1\nProcess_num: 1\nPid: 4242\nUptime: 0d 0h"));
        let typed = ask(&control, CliLevel::User, "show info typed");
        assert!(typed.contains("\n6.Pid.1:SGPV:u32:4242\n"), "{typed}");
        let json = ask(&control, CliLevel::User, "show info json");
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap().as_array().unwrap().len() > 60);
        assert!(ask(&control, CliLevel::User, "show info desc").contains(":\"Process id\"\n"));
    }

    #[test]
    fn stat_filters_by_name_kind_and_number() {
        let control = control();
        for (line, expected) in [
            ("show stat", &["fe,FRONTEND", "be,s1", "be,s2", "be,BACKEND"][..]),
            ("show stat be 4 -1", &["be,s1", "be,s2"]),
            ("show stat 3 4 2", &["be,s2"]),
            ("show stat -1 2 -1", &["be,BACKEND"]),
            ("show stat domain proxy fe 1 -1", &["fe,FRONTEND"]),
        ] {
            let text = ask(&control, CliLevel::User, line);
            let name = |row: &str| row.splitn(3, ',').take(2).collect::<Vec<_>>().join(",");
            let rows: Vec<String> = text.lines().skip(1).map(name).collect();
            assert_eq!(rows, expected, "{line}");
        }
        assert_eq!(ask(&control, CliLevel::User, "show stat nope 4 -1"), "No such proxy.\n");
    }

    #[test]
    fn counters_are_cleared_by_extent() {
        let control = control();
        let model = control.model();
        let [s1, s2] = [0, 1].map(|index| model.proxies[1].servers[index].state.clone());
        for state in [&s1, &s2] {
            state.counters.add(counter::SESSIONS, 3);
            state.counters.raise(counter::SESSIONS_MAX, 2);
        }
        let figures =
            || [&s1, &s2].map(|s| (s.counters.sum(counter::SESSIONS), s.counters.max(counter::SESSIONS_MAX)));
        for (level, line, answer, after) in [
            (CliLevel::User, "clear counters", "Permission denied\n", [(3, 2), (3, 2)]),
            (CliLevel::Operator, "clear counters all", "Permission denied\n", [(3, 2), (3, 2)]),
            (CliLevel::Operator, "clear counters server be/s1", "Permission denied\n", [(3, 2), (3, 2)]),
            (CliLevel::Admin, "clear counters server be/no", "No such server.\n", [(3, 2), (3, 2)]),
            (CliLevel::Admin, "clear counters server no/s1", "No such backend.\n", [(3, 2), (3, 2)]),
            (CliLevel::Admin, "clear counters server be/s1", "Server counters cleared.\n", [(0, 0), (3, 2)]),
            (CliLevel::Operator, "clear counters", "", [(0, 0), (3, 0)]),
            (CliLevel::Admin, "clear counters all", "", [(0, 0), (0, 0)]),
        ] {
            assert_eq!(ask(&control, level, line), answer, "{line}");
            assert_eq!(figures(), after, "{line}");
        }
    }
}
