//! What the rules of a proxy make of a request.

use std::sync::Arc;
use std::task::Poll;

use super::exchange::{End, Exchange};
use super::resolve::Asked;
use super::rule_list::Subject;
use super::wait;
use crate::base::clock;
use crate::http::Version;
use crate::model::Proxy;
use crate::model::proxy::RestrictNames;
use crate::net::timer::{NEVER, Stop};
use crate::rules::action::ResolveName;
use crate::rules::{Rule, RuleSet, Service, Verdict, reply};
use crate::sample::facts::{Direction, Ended, EndedIn};
use crate::session::switching;
use crate::state::proxy::{be, fe};
use crate::state::server::counter;
use crate::state::tracked::Event;
use crate::wire::dns::Name;

impl Exchange<'_> {
    /// Deletes or refuses header names that some servers would read as others (`X_Real_Ip`), as
    /// `option http-restrict-req-hdr-names` says.
    fn restrict_names(&mut self, proxy: &Proxy) -> Result<(), End> {
        let is_odd = |name: &[u8]| name.iter().any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
        let fields = &mut self.txn.request.fields;
        match proxy.options.http_restrict_names {
            RestrictNames::Preserve => Ok(()),
            RestrictNames::Delete => {
                fields.remove_where(|name, _| is_odd(name));
                Ok(())
            }
            RestrictNames::Reject if fields.iter().any(|(name, _)| is_odd(name)) => {
                self.count_denied(proxy);
                self.count_tracked(Event::ClientError);
                Err(self.error_end(403, Ended::Proxy, EndedIn::Request))
            }
            RestrictNames::Reject => Ok(()),
        }
    }

    /// Rules, the statistics page and redirections of one proxy.
    pub(super) async fn process_request(&mut self, proxy: &Arc<Proxy>) -> Result<(), End> {
        self.restrict_names(proxy)?;
        // A session that came from TCP mode has had its inspection there.
        if self.in_backend() || self.client.switched.is_none() {
            self.request_rules(proxy, &proxy.tcp_content, RuleSet::TcpContent).await?;
        }
        self.request_rules(proxy, &proxy.http_request, RuleSet::HttpRequest).await?;
        if let Some(page) = switching::stats_page(proxy, &self.txn.request) {
            if let Some(realm) = switching::stats_refusal(page, &self.txn.request) {
                self.count_tracked(Event::ClientError);
                return Err(self.local(reply::unauthorized(self.error_page(401), realm)));
            }
            // `stats http-request` rules may refuse what the password allows.
            let rules = Arc::clone(proxy);
            if let Some(page) = &rules.stats {
                self.request_rules(proxy, &page.rules, RuleSet::HttpRequest).await?;
            }
            return Err(self.statistics(proxy, page).await?);
        }
        for (redirect, condition) in &proxy.redirects {
            let context = self.context(Direction::Request);
            if condition.as_ref().is_none_or(|condition| condition.holds(&context))
                && let Some(reply) = redirect.reply(&context, &self.txn.request)
            {
                return Err(self.local(reply));
            }
        }
        Ok(())
    }

    /// Runs a list from number `from` on and counts what failed in it.
    pub(super) fn run_rules(&mut self, rules: &[Rule], from: usize, set: RuleSet) -> Verdict {
        let mut subject = Subject {
            core: self.core,
            frontend: self.frontend,
            client: &self.client.stream,
            session: &mut self.client.session,
            txn: self.txn,
            effects: &mut self.effects,
            head_max: self.snapshot.model.global.bufsize,
        };
        let verdict = subject.run(rules, from, set);
        self.count_failures(set, matches!(verdict, Verdict::Invalid));
        verdict
    }

    /// Runs a list and carries its verdict out. A request that is dropped, held or unusable has no time
    /// at which it was complete: that is how HAProxy logs it.
    async fn request_rules(&mut self, proxy: &Arc<Proxy>, rules: &[Rule], set: RuleSet) -> Result<(), End> {
        let mut from = 0;
        while from < rules.len() {
            match self.run_rules(rules, from, set) {
                Verdict::Continue | Verdict::Allow => return Ok(()),
                Verdict::WaitData { rule } => {
                    // A whole request is there: what is not known now will not be.
                    self.txn.inspection_over = true;
                    from = rule;
                }
                Verdict::WaitBody { rule, at_least, timeout_ms } => {
                    self.buffer_body(at_least, Some(timeout_ms)).await?;
                    from = rule;
                }
                Verdict::Pause { rule, time_ms } => {
                    self.pause(time_ms).await?;
                    from = rule;
                }
                Verdict::Resolve { rule, ask, name } => {
                    self.resolve(&ask, name).await?;
                    from = rule;
                }
                Verdict::SendHints { rule } => {
                    self.send_hints().await?;
                    from = rule;
                }
                Verdict::Respond(reply) => {
                    let reply = if self.effects.error_page { self.error_page(reply.status) } else { *reply };
                    return Err(self.local(reply));
                }
                Verdict::Unauthorized(realm) => {
                    return Err(self.local(reply::unauthorized(self.error_page(401), &realm)));
                }
                Verdict::Deny { status, reply } => {
                    self.count_denied(proxy);
                    self.count_tracked(Event::ClientError);
                    let end = self.error_end(status, Ended::Proxy, EndedIn::Request);
                    return Err(end.with(reply));
                }
                Verdict::Tarpit { status, reply } => {
                    self.txn.time.request_us = 0;
                    self.count_denied(proxy);
                    self.count_tracked(Event::ClientError);
                    self.tarpit(proxy).await?;
                    let end = self.error_end(status, Ended::Proxy, EndedIn::Tarpit);
                    return Err(end.with(reply));
                }
                Verdict::Reject => {
                    self.txn.time.request_us = 0;
                    self.count_denied(proxy);
                    self.txn.ended = Ended::Proxy;
                    self.txn.ended_in = EndedIn::Request;
                    return Err(End::Close);
                }
                Verdict::SilentDrop(rst_ttl) => {
                    self.txn.time.request_us = 0;
                    self.count_denied(proxy);
                    self.txn.ended = Ended::Proxy;
                    self.txn.ended_in = EndedIn::Request;
                    return Err(End::Silence { hop_limit: rst_ttl });
                }
                Verdict::BadRequest => {
                    self.txn.time.request_us = 0;
                    return Err(self.unusable());
                }
                // It is in HTTP mode already: the rule has nothing to do but to end its list.
                Verdict::SwitchToHttp => return Ok(()),
                Verdict::Service(Service::PrometheusExporter) => return Err(self.exporter()),
                Verdict::Log { .. } | Verdict::Invalid => {
                    return Err(self.error_end(500, Ended::Proxy, EndedIn::Request));
                }
            }
        }
        Ok(())
    }

    /// Counts the rewrites of a list that failed, and the list that one of them, or a fault, ended: for the
    /// proxies that have the request by now, and for the server whose response it is about.
    fn count_failures(&mut self, set: RuleSet, ended: bool) {
        let failed = std::mem::take(&mut self.effects.failed_rewrites);
        if failed == 0 && !ended {
            return;
        }
        // The page that tells an error runs into the same rules: that is no second error.
        let ended = u64::from(ended && !std::mem::replace(&mut self.effects.internal_error, ended));
        self.frontend.state.frontend.add(fe::FAILED_REWRITES, failed);
        self.frontend.state.frontend.add(fe::INTERNAL_ERRORS, ended);
        if self.in_backend() {
            self.backend().state.backend.add(be::FAILED_REWRITES, failed);
            self.backend().state.backend.add(be::INTERNAL_ERRORS, ended);
        }
        if let Some(assigned) =
            self.reach.assigned.as_ref().filter(|_| set.direction() == Direction::Response)
        {
            assigned.server().state.counters.add(counter::FAILED_REWRITES, failed);
            assigned.server().state.counters.add(counter::INTERNAL_ERRORS, ended);
        }
    }

    fn count_denied(&self, proxy: &Proxy) {
        if self.in_backend() {
            proxy.state.backend.add(be::DENIED_REQUESTS, 1);
        }
        self.frontend.state.frontend.add(fe::DENIED_REQUESTS, 1);
    }

    /// Holds the request for the tarpit's time, or until the client gives up.
    async fn tarpit(&mut self, proxy: &Proxy) -> Result<(), End> {
        let own = self.effects.tarpit_timeout_ms.or(proxy.timeouts.tarpit_ms);
        let timeout = own.or(proxy.timeouts.connect_ms).unwrap_or(0);
        let deadline = clock::cached().millis() + timeout;
        let ticket = self.client.entry.ticket.clone();
        let core = self.core;
        let gone = wait::until(core, &ticket, deadline, |context| match self.client_gone(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        // `%Tw` tells how long it was held (manual, section 8.5, "PT").
        self.txn.time.queued_us = clock::cached().mono_us;
        match gone {
            Err(Stop::Timeout) => Ok(()),
            Err(Stop::Killed(kill)) => Err(self.killed(kill, EndedIn::Tarpit)),
            Ok(()) => {
                self.txn.ended = Ended::Client;
                self.txn.ended_in = EndedIn::Tarpit;
                Err(End::Close)
            }
        }
    }

    /// Waits as a `pause` rule says; a client that gives up meanwhile ends the wait.
    async fn pause(&mut self, time_ms: u64) -> Result<(), End> {
        let deadline = clock::cached().millis() + time_ms;
        let ticket = self.client.entry.ticket.clone();
        let core = self.core;
        let abort_matters = self.abort_matters();
        let waited = wait::until(core, &ticket, deadline, |context| {
            if abort_matters && self.client_gone(context) { Poll::Ready(()) } else { Poll::Pending }
        });
        match waited.await {
            Ok(()) | Err(Stop::Timeout) => Ok(()),
            Err(Stop::Killed(kill)) => Err(self.killed(kill, EndedIn::Request)),
        }
    }

    /// Waits for the address of a name; the resolution ends by itself (`resolve_retries`), and a client that
    /// leaves ends it earlier.
    async fn resolve(&mut self, ask: &ResolveName, name: Name) -> Result<(), End> {
        let ticket = self.client.entry.ticket.clone();
        let core = self.core;
        let mut asked = Asked::ask(core, &ask.resolvers, name, ask.prefer);
        let waited = wait::until(core, &ticket, NEVER, |context| match asked.poll(context) {
            Poll::Ready(address) => Poll::Ready(Ok(address)),
            Poll::Pending if self.client_gone(context) => Poll::Ready(Err(())),
            Poll::Pending => Poll::Pending,
        })
        .await;
        match waited {
            Ok(Ok(address)) => {
                ask.keep(address, &self.context(Direction::Request));
                Ok(())
            }
            Ok(Err(())) => {
                self.txn.ended = Ended::Client;
                self.txn.ended_in = EndedIn::Request;
                Err(End::Close)
            }
            // There is no deadline.
            Err(Stop::Timeout) => Ok(()),
            Err(Stop::Killed(kill)) => Err(self.killed(kill, EndedIn::Request)),
        }
    }

    /// Sends the early hints that rules have put together (RFC 8297).
    async fn send_hints(&mut self) -> Result<(), End> {
        let mut hints = crate::http::Response { version: Version::Http11, ..Default::default() };
        // The fields first: the reason is kept where they are.
        std::mem::swap(&mut hints.fields, &mut self.effects.early_hints);
        hints.set_status(103, b"Early Hints");
        match self.send_interim(&hints).await {
            Ok(bytes) => {
                self.txn.bytes_to_client += bytes;
                Ok(())
            }
            Err(_) => {
                (self.txn.ended, self.txn.ended_in) = (Ended::Client, EndedIn::Request);
                Err(End::Close)
            }
        }
    }
}
