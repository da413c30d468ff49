//! Runs a list of rules and does what rules ask for on the way: changes of maps, marks of packets, log lines.
//!
//! What ends a list, or has it wait, is the caller's to carry out.

use super::core::Core;
use super::{finish, packets};
use crate::base::clock;
use crate::model::Proxy;
use crate::net::Stream;
use crate::rules::run::run;
use crate::rules::{Effects, Rule, RuleSet, Run, Verdict};
use crate::sample::{SessionFacts, TransactionFacts};

/// What a list runs on.
pub(super) struct Subject<'a> {
    pub(super) core: &'a Core,
    pub(super) frontend: &'a Proxy,
    /// The client's connection.
    pub(super) client: &'a Stream,
    pub(super) session: &'a mut SessionFacts,
    pub(super) txn: &'a mut TransactionFacts,
    pub(super) effects: &'a mut Effects,
    /// Bytes that an edited head may reach.
    pub(super) head_max: usize,
}

impl Subject<'_> {
    /// Runs a list from number `from` on. The verdict is never [`Verdict::Log`].
    pub(super) fn run(&mut self, rules: &[Rule], mut from: usize, set: RuleSet) -> Verdict {
        let core = self.core;
        loop {
            let mut list = Run {
                set,
                session: self.session,
                txn: self.txn,
                process: &core.setup.process,
                now: clock::cached(),
                head_max: self.head_max,
                effects: self.effects,
            };
            let verdict = run(rules, from, &mut list);
            for order in self.effects.map_orders.drain(..) {
                (core.setup.map_orders)(order);
            }
            packets::mark_client(self.effects, self.client);
            match verdict {
                Verdict::Log { rule } => {
                    finish::log_meanwhile(core, self.frontend, self.session, self.txn);
                    from = rule;
                }
                verdict => return verdict,
            }
        }
    }
}
