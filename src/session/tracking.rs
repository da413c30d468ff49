//! What is counted of a transaction in the entries of stick tables that it tracks, where that takes
//! a decision (manual, section 7.3.3, `sc_http_err_cnt` and kin).
//!
//! Most events are counted where they happen, by [`count_tracked`] alone. A session that tracks
//! nothing costs two tests.

use crate::base::clock::Millis;
use crate::http::status_set::CountedStatuses;
use crate::sample::facts::count_tracked;
use crate::sample::{SessionFacts, TransactionFacts};
use crate::state::tracked::Event;

/// Counts a server's response by its status, as the server sent it: what rules make of it is no
/// error of the client.
pub fn response(session: &SessionFacts, txn: &TransactionFacts, counted: &CountedStatuses, now: Millis) {
    let status = txn.response.status;
    if counted.errors.contains(status) {
        count_tracked(session, txn, Event::ClientError, now);
    }
    if counted.failures.contains(status) {
        count_tracked(session, txn, Event::ServerFailure, now);
    }
}

/// Counts the bytes of a transaction that ended.
pub fn finish(session: &SessionFacts, txn: &TransactionFacts, now: Millis) {
    for event in [Event::BytesIn(txn.bytes_from_client), Event::BytesOut(txn.bytes_to_client)] {
        if !matches!(event, Event::BytesIn(0) | Event::BytesOut(0)) {
            count_tracked(session, txn, event, now);
        }
    }
}
