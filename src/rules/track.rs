//! Actions on stick tables: what a session or a transaction tracks, and the general purpose
//! counters and tags of what it tracks (manual, section 4.4, `track-sc0`, `sc-inc-gpc` and kin).

use std::rc::Rc;
use std::sync::Arc;

use super::action::Action;
use super::arguments::{Arguments, Mistake};
use super::parse::Parsed;
use super::{RuleSet, Run, Verdict};
use crate::diag::closest;
use crate::sample::counters;
use crate::sample::facts;
use crate::sample::table_key::{fits, key_of};
use crate::sample::{Expr, ParseContext};
use crate::state::Table;
use crate::state::table::{Data, Entry};
use crate::state::tracked::{self, Event};

/// `track-sc<number> <key> [table <name>]`
#[derive(Debug)]
pub struct Track {
    number: u8,
    pub(super) key: Expr,
    table: Arc<Table>,
}

impl Track {
    /// Tracks the entry of the key, unless something is tracked under the number already.
    pub(super) fn run(&self, rule: usize, run: &mut Run<'_>) -> Option<Verdict> {
        if facts::tracked(run.session, run.txn, self.number).is_some() {
            return None;
        }
        let now = run.now.millis();
        let entry = {
            let context = run.context();
            let value = self.key.eval(&context);
            let waits = run.set == RuleSet::TcpContent && !run.txn.inspection_over;
            if waits && self.key.may_change(&context, value.is_some()) {
                return Some(Verdict::WaitData { rule });
            }
            self.table.find_or_create(&key_of(&self.table, &value?)?, now)?
        };
        if matches!(run.set, RuleSet::TcpConnection | RuleSet::TcpSession) {
            // Nobody else has them before the session begins.
            if let Some(tracked) = Rc::get_mut(run.session.tracked.get_or_insert_default()) {
                tracked.begin(self.number, entry, now);
            }
            return None;
        }
        count_late(&entry, run);
        run.txn.tracked.begin(self.number, entry, now);
        None
    }
}

/// Counts what has happened in a transaction before it tracked an entry: its request, and of its
/// response whether it is an error or a failure.
fn count_late(entry: &Entry, run: &Run<'_>) {
    let now = run.now.millis();
    if run.txn.has_request {
        tracked::count(entry, Event::Request, now);
    }
    if run.set == RuleSet::HttpResponse {
        let (status, counted) = (run.txn.response.status, &run.process.counted_statuses);
        if counted.errors.contains(status) {
            tracked::count(entry, Event::ClientError, now);
        }
        if counted.failures.contains(status) {
            tracked::count(entry, Event::ServerFailure, now);
        }
    }
}

/// `track-sc0`, `track-sc1`, ...
pub fn track(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let action = arguments.action;
    let digits = action.strip_prefix("track-sc").unwrap_or_default();
    let number = match digits.parse::<u64>() {
        Ok(number) if digits.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => return Mistake::says(format!("Wrong track-sc number '{digits}'")),
    };
    let number = below_limit(number, action, context)?;
    let key = arguments.take_expr("missing key: an expression that tells what to track", context)?;
    let named = match arguments.take_if("table") {
        true if arguments.is_over() => return Mistake::says("missing table name"),
        true => Some(arguments.take("missing table name")?),
        false => None,
    };
    let name = named.or(context.proxy).unwrap_or_default();
    let Some(table) = context.named.tables.get(name) else {
        let message = format!("unable to find table '{name}' referenced by {action}");
        let help = match named {
            Some(name) => closest(name, context.named.tables.keys().map(String::as_str))
                .map(|near| format!("did you mean '{near}'?")),
            None => Some("declare a 'stick-table' here, or name one with 'table <name>'".to_owned()),
        };
        return Err(Mistake::Says(message, help));
    };
    if !fits(key.output(), table.settings.key) {
        return Mistake::says(format!(
            "stick-table '{name}' uses a type incompatible with the '{action}' rule"
        ));
    }
    Ok(Action::Track(Box::new(Track { number, key, table: table.clone() })))
}

/// The number under which an entry is tracked, if the settings allow it.
fn below_limit(number: u64, action: &str, context: &ParseContext<'_>) -> Result<u8, Mistake> {
    let limit = context.named.stick_counters();
    match u8::try_from(number) {
        Ok(number) if number < limit => Ok(number),
        _ if limit == 0 => {
            Mistake::says(format!("'{action}' cannot be used: 'tune.stick-counters 0' disables tracking"))
        }
        _ => {
            let message =
                format!("{number} track-sc number exceeding {} (tune.stick-counters-1) value", limit - 1);
            let help = format!("set 'tune.stick-counters {}' or more in 'global'", number.saturating_add(1));
            Err(Mistake::Says(message, Some(help)))
        }
    }
}

/// What to do with a counter or a tag of a tracked entry.
#[derive(Debug)]
pub enum CounterChange {
    /// `sc-inc-gpc(<element>,...)`
    IncrementGpc(u8),
    /// `sc-inc-gpc0` and `sc-inc-gpc1`, by their last digit.
    Increment(u8),
    /// `sc-add-gpc(<element>,...)`
    AddGpc(u8, Amount),
    /// `sc-set-gpt(<element>,...)`
    SetGpt(u8, Amount),
    /// `sc-set-gpt0`
    SetGpt0(Amount),
}

/// A number, or the expression that yields it.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Amount {
    Number(u32),
    Expr(Box<Expr>),
}

impl Amount {
    fn parse(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Result<Amount, Mistake> {
        const PROBLEM: &str = "expects a number or an expression as argument";
        if arguments.is_over() {
            return Mistake::says(PROBLEM);
        }
        let text = arguments.peek().unwrap_or_default();
        if let Ok(number) = text.parse::<i64>() {
            let number = u32::try_from(number);
            arguments.take(PROBLEM)?;
            return number
                .map(Amount::Number)
                .map_err(|_| format!("'{text}' is not a number from 0 to {}", u32::MAX).into());
        }
        Ok(Amount::Expr(Box::new(arguments.take_expr(PROBLEM, context)?)))
    }
    /// What it amounts to: 32 bits of whatever the expression yields.
    fn value(&self, run: &Run<'_>) -> Option<u64> {
        match self {
            Amount::Number(number) => Some(u64::from(*number)),
            Amount::Expr(expr) => Some(u64::from(run.value(expr)?.as_int()? as u32)),
        }
    }
}

impl CounterChange {
    /// Changes the entry tracked under a number; without one, or if its table does not store
    /// what is to change, nothing happens.
    pub(super) fn run(&self, number: u8, run: &mut Run<'_>) {
        let Some(entry) = facts::tracked(run.session, run.txn, number) else { return };
        let now = run.now.millis();
        // Expressions may look at the same entry: they are evaluated before it is locked.
        let amount = match self {
            CounterChange::AddGpc(_, amount)
            | CounterChange::SetGpt(_, amount)
            | CounterChange::SetGpt0(amount) => match amount.value(run) {
                Some(amount) => amount,
                None => return,
            },
            CounterChange::IncrementGpc(_) | CounterChange::Increment(_) => 1,
        };
        let changed = entry.with(now, |cells| match self {
            CounterChange::IncrementGpc(at) | CounterChange::AddGpc(at, _) => {
                counters::add_gpc(cells, usize::from(*at), amount).is_some()
            }
            CounterChange::Increment(which) => counters::increment(cells, usize::from(*which)).is_some(),
            CounterChange::SetGpt(at, _) => cells.set(Data::Gpt, usize::from(*at), amount).is_some(),
            CounterChange::SetGpt0(_) => {
                cells.set(Data::Gpt0, 0, amount).or_else(|| cells.set(Data::Gpt, 0, amount)).is_some()
            }
        });
        if changed {
            entry.touch(now);
        }
    }
}

/// The last element that an array of a table can have (manual, section 11.1, `store`).
const ELEMENT_MAX: u64 = 99;

/// `sc-add-gpc`, `sc-inc-gpc`, `sc-inc-gpc0`, `sc-inc-gpc1`, `sc-set-gpt`, `sc-set-gpt0`.
pub fn change_counter(arguments: &mut Arguments<'_>, context: &mut ParseContext<'_>) -> Parsed {
    let action = arguments.action;
    let name = action.split('(').next().unwrap_or_default();
    let is_array = !name.ends_with(['0', '1']);
    let expected = if is_array { "<element>,<tracked>" } else { "<tracked>" };
    let wrong = || format!("invalid number in '{action}'. Expects {name}({expected})");
    let inner = match (action.contains('('), arguments.parenthesised()) {
        // Without a number it is the first one that is meant.
        (false, _) if !is_array => "0",
        (true, Some(inner)) => inner,
        _ => return Mistake::says(wrong()),
    };
    let numbers: Option<Vec<u64>> = inner.split(',').map(|number| number.trim().parse().ok()).collect();
    let (element, number) = match (is_array, numbers.as_deref()) {
        (true, Some([element, number])) => (*element, *number),
        (false, Some([number])) => (0, *number),
        _ => return Mistake::says(wrong()),
    };
    let Some(element) = u8::try_from(element).ok().filter(|_| element <= ELEMENT_MAX) else {
        return Mistake::says(format!("element {element} in '{action}' is beyond {ELEMENT_MAX}"));
    };
    let number = below_limit(number, action, context)?;
    let change = match name {
        "sc-inc-gpc" => CounterChange::IncrementGpc(element),
        "sc-inc-gpc0" => CounterChange::Increment(0),
        "sc-inc-gpc1" => CounterChange::Increment(1),
        "sc-add-gpc" => CounterChange::AddGpc(element, Amount::parse(arguments, context)?),
        "sc-set-gpt" => CounterChange::SetGpt(element, Amount::parse(arguments, context)?),
        _ => CounterChange::SetGpt0(Amount::parse(arguments, context)?),
    };
    Ok(Action::ChangeCounter(number, change))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{self, Bench};
    use RuleSet::*;

    /// The data of an address in a table as `name=value`, those that are not 0.
    fn data(table: &str, address: [u8; 4]) -> String {
        let tables = testing::tables();
        let Some(entry) = tables.tables[table].find(&address, 0) else { return "none".to_owned() };
        let mut told = Vec::new();
        for stored in &tables.tables[table].settings.stored {
            for at in 0..usize::from(stored.count) {
                let value = entry.get(stored.data, at, 0).unwrap();
                let place = if stored.count > 1 { format!("[{at}]") } else { String::new() };
                if value != 0 {
                    told.push(format!("{}{place}={value}", stored.data.name()));
                }
            }
        }
        told.sort();
        told.join(" ")
    }

    const CLIENT: [u8; 4] = [192, 0, 2, 1];

    fn check(set: RuleSet, rules: &[&str], expected: &str) {
        // Every test has tables of its own: they belong to the thread.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut bench = Bench::get("/", &[]).respond(404, &[]);
                if matches!(set, TcpConnection | TcpSession) {
                    bench.txn.has_request = false;
                }
                bench.run(set, rules);
                assert_eq!(data("web", CLIENT), expected, "{set:?} {rules:?}");
                drop(bench);
                assert!(!data("web", CLIENT).contains("conn_cur"), "{set:?} {rules:?}");
            });
        });
    }

    #[test]
    fn what_is_tracked_is_counted() {
        check(TcpConnection, &["track-sc0 src"], "conn_cnt=1 conn_cur=1");
        check(TcpSession, &["track-sc2 src table web"], "conn_cnt=1 conn_cur=1");
        check(HttpRequest, &["track-sc1 src"], "conn_cnt=1 conn_cur=1 http_req_cnt=1");
        check(HttpResponse, &["track-sc1 src"], "conn_cnt=1 conn_cur=1 http_err_cnt=1 http_req_cnt=1");
        check(HttpRequest, &["track-sc0 src if { path /x }"], "none");
        check(HttpRequest, &["track-sc0 src table other"], "none");
        check(HttpRequest, &["track-sc0 hdr(x-forwarded-for)"], "none");
        check(HttpRequest, &["track-sc0 src", "track-sc0 src"], "conn_cnt=1 conn_cur=1 http_req_cnt=1");
        check(HttpRequest, &["track-sc0 src", "auth"], "conn_cnt=1 conn_cur=1 http_err_cnt=1 http_req_cnt=1");
    }

    #[test]
    fn counters_of_tracked_entries_change() {
        for (rules, expected) in [
            (&["sc-inc-gpc0"][..], "gpc0=1"),
            (
                &["sc-inc-gpc0(0)", "sc-inc-gpc1(0)", "sc-inc-gpc1"],
                "gpc0=1 gpc1=2 gpc_rate[0]=1 gpc_rate[1]=2",
            ),
            (&["sc-inc-gpc(2,0)", "sc-inc-gpc(2,0)"], "gpc[2]=2 gpc_rate[2]=2"),
            (&["sc-add-gpc(1,0) 5", "sc-add-gpc(1,0) int(2),add(1)"], "gpc[1]=8 gpc_rate[1]=8"),
            (&["sc-set-gpt(1,0) 77"], "gpt[1]=77"),
            (&["sc-set-gpt0(0) 4294967295"], "gpt[0]=4294967295"),
            (&["sc-set-gpt0(0) sc0_conn_cnt,add(9)"], "gpt[0]=10"),
            (&["sc-set-gpt0(0) var(sess.absent)"], ""),
            (&["sc-inc-gpc(9,0)", "sc-inc-gpc0(1)", "sc-set-gpt(9,0) 1"], ""),
        ] {
            let expected: Vec<_> = expected.split(' ').filter(|text| !text.is_empty()).collect();
            // The rate of gpc0 stands in the array, since the table has none of its own.
            let extra = if rules == ["sc-inc-gpc0"] { vec!["gpc_rate[0]=1"] } else { Vec::new() };
            let mut all = [&["conn_cnt=1", "conn_cur=1"][..], &expected, &extra].concat();
            all.sort_unstable();
            let rules = [&["track-sc0 src"], rules].concat();
            check(TcpSession, &rules, &all.join(" "));
        }
    }

    #[test]
    fn the_session_and_the_transaction_share_the_numbers() {
        let mut bench = Bench::get("/", &[]);
        bench.run(TcpConnection, &["track-sc0 src"]);
        bench.run(HttpRequest, &["track-sc0 src table other", "track-sc1 src table other"]);
        assert_eq!(data("other", CLIENT), "conn_cnt=1 conn_cur=1 http_req_cnt=1");
        bench.run(HttpAfterResponse, &["sc-inc-gpc0(0)", "sc-inc-gpc0(1)", "sc-inc-gpc0(1)"]);
        assert_eq!(data("web", CLIENT), "conn_cnt=1 conn_cur=1 gpc0=1 gpc_rate[0]=1");
        bench.txn.reset();
        bench.txn.has_request = true;
        assert_eq!(data("other", CLIENT), "conn_cnt=1 gpc0=2 gpc_rate[0]=2 http_req_cnt=1");
        bench.run(HttpRequest, &["track-sc1 src table other"]);
        assert_eq!(data("other", CLIENT), "conn_cnt=2 conn_cur=1 gpc0=2 gpc_rate[0]=2 http_req_cnt=2");
    }

    #[test]
    fn keys_of_contents_are_waited_for() {
        let rules = [testing::rule(TcpContent, "track-sc0 req.payload(0,4),hex", 1)];
        let mut bench = Bench::get("/", &[]);
        bench.txn.has_request = false;
        assert!(matches!(bench.run_from(TcpContent, &rules, 0), Verdict::WaitData { rule: 0 }));
        assert!(bench.txn.last_rule.is_none());
        bench.txn.inspection_over = true;
        assert!(matches!(bench.run_from(TcpContent, &rules, 0), Verdict::Continue));
        assert!(bench.txn.tracked.is_empty());
    }

    #[test]
    fn mistakes_are_told() {
        for (rule, expected) in [
            ("track-sc0", "missing key"),
            ("track-sc0 src table", "missing table name"),
            ("track-sc0 src table if { path / }", "missing table name"),
            (
                "track-sc0 src table oter",
                "unable to find table 'oter' referenced by track-sc0 (did you mean 'other'?)",
            ),
            ("track-sc src", "Wrong track-sc number ''"),
            ("track-sc+1 src", "Wrong track-sc number '+1'"),
            ("track-sc3 src", "3 track-sc number exceeding 2 (tune.stick-counters-1) value"),
            ("track-sc0 bool(true)", "stick-table 'web' uses a type incompatible with the 'track-sc0' rule"),
            ("sc-inc-gpc(0)", "Expects sc-inc-gpc(<element>,<tracked>)"),
            ("sc-inc-gpc", "Expects sc-inc-gpc(<element>,<tracked>)"),
            ("sc-inc-gpc0()", "Expects sc-inc-gpc0(<tracked>)"),
            ("sc-inc-gpc0(x)", "Expects sc-inc-gpc0(<tracked>)"),
            ("sc-inc-gpc1(3)", "exceeding 2 (tune.stick-counters-1)"),
            ("sc-inc-gpc(100,0)", "element 100 in 'sc-inc-gpc(100,0)' is beyond 99"),
            ("sc-add-gpc(0,0)", "expects a number or an expression"),
            ("sc-set-gpt0(0) -1", "'-1' is not a number from 0 to 4294967295"),
            ("sc-set-gpt0(0) nonsense", "unknown fetch method 'nonsense'"),
        ] {
            let told = testing::told(HttpRequest, rule);
            assert!(told.iter().any(|told| told.contains(expected)), "{rule}: {told:?}");
        }
    }
}
