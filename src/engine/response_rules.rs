//! What rules make of a response.

use std::sync::Arc;

use super::exchange::{End, Exchange};
use super::idle::ServerConnection;
use super::response::{Received, Upload, observe_l7};
use crate::base::clock;
use crate::http::Method;
use crate::model::Proxy;
use crate::net::timer::Stop;
use crate::rules::{RuleSet, Verdict};
use crate::sample::facts::{Direction, Ended, EndedIn};
use crate::session::{cacheability, captures, cookie, sticking, tracking};
use crate::state::proxy::{be, fe};
use crate::state::server::counter;

impl Exchange<'_> {
    /// Runs the response rules of a set over both proxies.
    async fn response_rules(
        &mut self,
        set: RuleSet,
        connection: &mut ServerConnection,
        received: &mut Received,
        upload: &mut Upload,
    ) -> Result<(), End> {
        let backend = self.backend();
        let frontend = (!Arc::ptr_eq(backend, self.frontend)).then_some(self.frontend);
        for proxy in [Some(backend), frontend].into_iter().flatten() {
            let rules = match set {
                RuleSet::TcpResponse => &proxy.tcp_response,
                RuleSet::HttpResponse => &proxy.http_response,
                _ => &proxy.http_after_response,
            };
            let mut from = 0;
            while from < rules.len() {
                match self.run_rules(rules, from, set) {
                    Verdict::Continue | Verdict::Allow => break,
                    Verdict::WaitBody { rule, at_least, timeout_ms } => {
                        self.buffer_response(connection, received, upload, at_least, timeout_ms).await?;
                        from = rule;
                    }
                    Verdict::Pause { rule, time_ms } => {
                        let deadline = clock::cached().millis() + time_ms;
                        let waited = self.wait_on_server(connection, upload, deadline, false).await;
                        if let Err(Stop::Killed(kill)) = waited {
                            return Err(self.killed(kill, EndedIn::Headers));
                        }
                        from = rule;
                    }
                    Verdict::WaitData { rule } => {
                        self.txn.inspection_over = true;
                        from = rule;
                    }
                    Verdict::Respond(reply) => {
                        self.txn.ended = Ended::Local;
                        self.txn.ended_in = EndedIn::Headers;
                        self.txn.status = 0;
                        let page = self.effects.error_page;
                        let reply = if page { self.error_page(reply.status) } else { *reply };
                        return Err(End::answer(reply));
                    }
                    Verdict::Deny { status, reply } | Verdict::Tarpit { status, reply } => {
                        self.count_denied_response();
                        let end = self.error_end(status, Ended::Proxy, EndedIn::Headers);
                        return Err(end.with(reply));
                    }
                    Verdict::SilentDrop(rst_ttl) => {
                        self.count_denied_response();
                        (self.txn.ended, self.txn.ended_in) = (Ended::Proxy, EndedIn::Headers);
                        return Err(End::Silence { hop_limit: rst_ttl });
                    }
                    Verdict::Reject if set == RuleSet::TcpResponse => {
                        self.count_denied_response();
                        (self.txn.ended, self.txn.ended_in) = (Ended::Proxy, EndedIn::Data);
                        return Err(End::Close);
                    }
                    Verdict::Reject => {
                        self.count_denied_response();
                        let end = self.error_end(502, Ended::Proxy, EndedIn::Headers);
                        return Err(end);
                    }
                    Verdict::Service(_)
                    | Verdict::Unauthorized(_)
                    | Verdict::Invalid
                    | Verdict::BadRequest
                    | Verdict::SwitchToHttp
                    | Verdict::SendHints { .. }
                    | Verdict::Resolve { .. }
                    | Verdict::Log { .. } => {
                        return Err(self.error_end(500, Ended::Proxy, EndedIn::Headers));
                    }
                }
            }
        }
        if set == RuleSet::TcpResponse && self.effects.close_server {
            // `close` ends the server's connection: what it said goes no further.
            return Err(self.error_end(502, Ended::Server, EndedIn::Headers));
        }
        Ok(())
    }

    fn count_denied_response(&self) {
        self.frontend.state.frontend.add(fe::DENIED_RESPONSES, 1);
        self.backend().state.backend.add(be::DENIED_RESPONSES, 1);
        if let Some(assigned) = &self.reach.assigned {
            assigned.server().state.counters.add(counter::DENIED_RESPONSES, 1);
        }
    }

    /// Counts the response and runs the rules over it; whether it opens a tunnel.
    pub(super) async fn judge(
        &mut self,
        connection: &mut ServerConnection,
        received: &mut Received,
        upload: &mut Upload,
    ) -> Result<bool, End> {
        let backend = self.backend();
        self.txn.has_response = true;
        let status = self.txn.response.status;
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        connection.server.state.counters.add(counter::HRSP_1XX + class, 1);
        connection.server.state.counters.add(counter::REQUESTS, 1);
        observe_l7(connection, Ok(status));
        let counted = &self.core.setup.process.counted_statuses;
        tracking::response(&self.client.session, self.txn, counted, clock::cached().millis());
        captures::response(self.frontend, self.txn);
        // Variables of the request end with it (manual, section 2.8).
        self.txn.request_vars.clear();
        self.response_rules(RuleSet::TcpResponse, connection, received, upload).await?;
        self.store_server(backend);
        self.response_rules(RuleSet::HttpResponse, connection, received, upload).await?;
        let leaks =
            backend.options.checkcache && cacheability::leaks_cookie(&self.txn.as_sent(), &self.txn.response);
        if backend.cookie.is_some() {
            let direct = self.reach.persistence.assigned
                || (self.reach.cookie.server.is_some()
                    && self.reach.cookie.server == self.reach.assigned.as_ref().map(|a| a.index));
            let server = self.reach.assigned.as_ref().map(|assigned| &**assigned.server());
            let now = clock::cached();
            cookie::on_response(
                backend,
                server,
                &self.reach.cookie,
                direct,
                self.reach.persistence,
                self.txn,
                now,
            );
        }
        if leaks {
            self.count_denied_response();
            return Err(self.error_end(502, Ended::Proxy, EndedIn::Headers));
        }
        self.response_rules(RuleSet::HttpAfterResponse, connection, received, upload).await?;
        // Both sides must agree on it: a client that did not ask for a tunnel, or is told of something else,
        // gets what comes as a body.
        let status = self.txn.response.status;
        let asked = self.txn.as_sent();
        Ok(received.switches
            && (status == 101 || (asked.method == Method::Connect && (200..300).contains(&status))))
    }

    /// Has `stick` rules remember the server that answered.
    fn store_server(&mut self, backend: &Proxy) {
        if self.reach.stores.is_empty() && backend.stick_response.is_empty() {
            return;
        }
        let mut stores = std::mem::take(&mut self.reach.stores);
        if let Some(assigned) = &self.reach.assigned {
            sticking::on_response(
                backend,
                assigned.server(),
                &self.context(Direction::Response),
                &mut stores,
            );
        }
    }
}
