//! The end of an exchange: outcome, counters, log line.

use std::sync::atomic::Ordering::Relaxed;

use super::Core;
use super::exchange::Exchange;
use super::tunnel::Established;
use crate::base::clock;
use crate::log::queue::Line;
use crate::model::Proxy;
use crate::sample::connection::ConnectionError;
use crate::sample::facts::{ConnectionCounts, Context, Direction, Ended, ProcessFacts};
use crate::sample::{SessionFacts, TransactionFacts, write_accept_date};
use crate::session::tracking;
use crate::state::proxy::{be, fe};
use crate::state::server::counter;

/// Syslog level of traffic (`info`).
const LEVEL_TRAFFIC: u8 = 6;
/// Syslog level of failed sessions under `option log-separate-errors` (`err`).
const LEVEL_ERROR: u8 = 3;

impl Exchange<'_> {
    /// Ends an exchange that became a tunnel, once the tunnel has ended.
    pub(super) fn finish_tunnel(&mut self, established: Box<Established>) {
        self.reach.backend = Some(self.snapshot.proxy(established.backend.index));
        self.txn.time.end_us = clock::cached().mono_us;
        drop(established); // the slot goes back before the line tells how many are taken
        self.finish();
    }

    /// Counts the exchange and logs it.
    pub(super) fn finish(&mut self) {
        if self.txn.time.end_us == 0 {
            self.txn.time.end_us = clock::cached().mono_us;
        }
        let frontend = &self.frontend.state.frontend;
        frontend.add(fe::BYTES_IN, self.txn.bytes_from_client);
        frontend.add(fe::BYTES_OUT, self.txn.bytes_to_client);
        frontend.add(fe::REQ_BYTES_OUT, self.txn.bytes_to_server);
        frontend.add(fe::RES_BYTES_IN, self.txn.bytes_from_server);
        if self.txn.status != 0 {
            self.count_response();
        }
        if self.in_backend() {
            finish_backend(self.backend(), self.txn);
        }
        tracking::finish(&self.client.session, self.txn, clock::cached().millis());
        // The line tells how many others are left, as HAProxy's does.
        self.client.backend_place = None;
        self.client.session.bytes_in += self.txn.bytes_from_client;
        self.client.session.bytes_out += self.txn.bytes_to_client;
        // `option logasap` has written it already, if it came as far as the response.
        if !self.txn.logged_early {
            self.write_log(false);
        }
        crate::session::addresses::restore(&mut self.client.session, self.txn);
        let (count, bytes_in, bytes_out) = self.client.entry.ended.get();
        let (from, to) = (self.txn.bytes_from_client, self.txn.bytes_to_client);
        self.client.entry.ended.set((count + 1, bytes_in + from, bytes_out + to));
        self.client.entry.serves.set(None);
    }

    /// Sends the log line of the exchange, if the frontend has one.
    pub(super) fn write_log(&mut self, early: bool) {
        log(self.core, self.frontend, &self.client.session, self.txn, early);
    }
}

/// Writes a log line of a session that goes on: its time is counted until now.
pub(super) fn log_meanwhile(
    core: &Core,
    frontend: &Proxy,
    session: &SessionFacts,
    txn: &mut TransactionFacts,
) {
    let end_us = std::mem::replace(&mut txn.time.end_us, clock::cached().mono_us);
    log(core, frontend, session, txn, false);
    txn.time.end_us = end_us;
}

/// Counts what a backend and its server want to know of a session that ended.
pub(super) fn finish_backend(backend: &Proxy, txn: &TransactionFacts) {
    let counters = &backend.state.backend;
    counters.add(be::BYTES_IN, txn.bytes_from_client);
    counters.add(be::BYTES_OUT, txn.bytes_to_client);
    counters.add(be::REQ_BYTES_OUT, txn.bytes_to_server);
    counters.add(be::RES_BYTES_IN, txn.bytes_from_server);
    if let Some(server) = &txn.server {
        server.counters.add(counter::BYTES_IN, txn.bytes_from_client);
        server.counters.add(counter::BYTES_OUT, txn.bytes_to_client);
        server.counters.add(counter::REQ_BYTES_OUT, txn.bytes_to_server);
        server.counters.add(counter::RES_BYTES_IN, txn.bytes_from_server);
    }
    let time = &txn.time;
    let span = |from: u64, to: u64| if from == 0 || to < from { 0 } else { (to - from) / 1000 };
    let queue = span(time.request_us.max(time.first_byte_us), time.queued_us);
    let connect = span(time.queued_us, time.connected_us);
    let response = span(time.connected_us, time.response_us);
    let total = span(time.first_byte_us, time.end_us);
    let sums = [
        (be::QTIME_SUM, be::QTIME_MAX, counter::QTIME_SUM, counter::QTIME_MAX, queue),
        (be::CTIME_SUM, be::CTIME_MAX, counter::CTIME_SUM, counter::CTIME_MAX, connect),
        (be::RTIME_SUM, be::RTIME_MAX, counter::RTIME_SUM, counter::RTIME_MAX, response),
        (be::TTIME_SUM, be::TTIME_MAX, counter::TTIME_SUM, counter::TTIME_MAX, total),
    ];
    for (sum, max, server_sum, server_max, value) in sums {
        if value == 0 {
            continue; // nothing to add, and nothing to fetch from memory for it
        }
        counters.add(sum, value);
        counters.raise(max, value);
        if let Some(server) = &txn.server {
            server.counters.add(server_sum, value);
            server.counters.raise(server_max, value);
        }
    }
}

/// Formats and queues the log line of a session or transaction.
pub(super) fn log(
    core: &Core,
    frontend: &Proxy,
    session: &SessionFacts,
    txn: &mut TransactionFacts,
    early: bool,
) {
    if frontend.log.is_empty() {
        return;
    }
    let failed = txn.ended != Ended::Normally && txn.ended != Ended::Local
        || txn.retries > 0
        || (500..600).contains(&txn.status);
    if frontend.options.dontlog_normal && !failed {
        return;
    }
    let level = match txn.log_level {
        Some(None) => return,
        Some(Some(level)) => level,
        None if failed && frontend.options.log_separate_errors => LEVEL_ERROR,
        None => LEVEL_TRAFFIC,
    };
    let format = match (&frontend.error_log_format, failed) {
        (Some(format), true) => Some(format),
        _ => frontend.log_format.as_ref(),
    };
    txn.conn_counts = ConnectionCounts {
        process: core.setup.process.connections.load(Relaxed),
        frontend: frontend.state.frontend_current.load(Relaxed),
        backend: txn.backend.as_ref().map_or(0, |backend| backend.backend_current.load(Relaxed)),
        server: txn.server.as_ref().map_or(0, |server| server.sessions()),
    };
    txn.logged_early = early;
    let process: &ProcessFacts = &core.setup.process;
    let now = clock::cached();
    let context = Context {
        session: Some(session),
        txn,
        direction: Direction::Request,
        now,
        process,
        check_vars: None,
    };
    let mut message = Vec::with_capacity(256);
    match format {
        Some(format) => format.write_line(&context, &mut message),
        None => connect_message(frontend, session, &mut message),
    }
    let structured_data = frontend.log_format_sd.as_ref().map(|format| {
        let mut data = Vec::new();
        format.write_line(&context, &mut data);
        data
    });
    frontend.state.log_count.fetch_add(1, Relaxed);
    let tag = frontend.log_tag.clone().unwrap_or_else(|| core.tag());
    core.setup.log.send(Line {
        targets: frontend.log.clone(),
        level,
        wall_us: now.wall_us,
        tag,
        message,
        structured_data,
    });
}

/// Logs a connection that failed before its session began (manual, section 8.2.5): by
/// `error-log-format`, or in a short form of its own.
pub(super) fn log_embryonic(core: &Core, frontend: &Proxy, session: &SessionFacts, error: ConnectionError) {
    let logs = frontend.log_format.is_some() || frontend.error_log_format.is_some();
    if frontend.log.is_empty() || !logs || (error.is_silence() && frontend.options.dontlognull) {
        return;
    }
    let now = clock::cached();
    let mut message = Vec::with_capacity(128);
    match &frontend.error_log_format {
        Some(format) => {
            let mut txn = core.take_transaction();
            txn.time.first_byte_wall_us = session.accepted.wall_us;
            txn.time.end_us = now.mono_us;
            let context = Context {
                session: Some(session),
                txn: &txn,
                direction: Direction::Request,
                now,
                process: &core.setup.process,
                check_vars: None,
            };
            format.write_line(&context, &mut message);
            core.return_transaction(txn);
        }
        None => embryonic_message(frontend, session, error, &mut message),
    }
    core.setup.log.send(Line {
        targets: frontend.log.clone(),
        level: if frontend.options.log_separate_errors { LEVEL_ERROR } else { LEVEL_TRAFFIC },
        wall_us: now.wall_us,
        tag: frontend.log_tag.clone().unwrap_or_else(|| core.tag()),
        message,
        structured_data: None,
    });
}

/// Sends a line of its own, which is no session's, to the log targets of a proxy.
pub(super) fn log_event(core: &Core, proxy: &Proxy, level: u8, message: String) {
    if proxy.log.is_empty() {
        return;
    }
    core.setup.log.send(Line {
        targets: proxy.log.clone(),
        level,
        wall_us: clock::cached().wall_us,
        tag: proxy.log_tag.clone().unwrap_or_else(|| core.tag()),
        message: message.into_bytes(),
        structured_data: None,
    });
}

/// `127.0.0.1:56059 [03/Dec/2012:17:35:10.380] frontend/listener: what went wrong`.
fn embryonic_message(frontend: &Proxy, session: &SessionFacts, error: ConnectionError, out: &mut Vec<u8>) {
    let source = match session.source {
        Some(address) => format!("{}:{}", address.ip(), address.port()),
        None => format!("unix:{}", session.listener_id),
    };
    out.extend_from_slice(source.as_bytes());
    out.extend_from_slice(b" [");
    write_accept_date(session.accepted.wall_us, out);
    let listener = match &session.listener_name {
        Some(name) => name.to_string(),
        None => session.listener_id.to_string(),
    };
    out.extend_from_slice(format!("] {}/{listener}: {}", frontend.name, error.message()).as_bytes());
    if let Some(failure) = session.connection.as_ref().and_then(|own| own.failure.as_ref()) {
        out.extend_from_slice(format!(" ({failure})").as_bytes());
    }
}

/// What is logged without any log format (manual, section 8.2.1).
fn connect_message(frontend: &Proxy, session: &SessionFacts, out: &mut Vec<u8>) {
    let address = |address: Option<std::net::SocketAddr>| match address {
        Some(address) => format!("{}:{}", address.ip(), address.port()),
        None => "unix:0".to_owned(),
    };
    let mode = if session.is_http { "HTTP" } else { "TCP" };
    let text = format!(
        "Connect from {} to {} ({}/{mode})",
        address(session.source),
        address(session.destination),
        frontend.name
    );
    out.extend_from_slice(text.as_bytes());
}
