//! Addresses that rules changed for one transaction only.

use crate::sample::{SessionFacts, TransactionFacts};

/// Gives the session the addresses back that it had before `tcp-request content` or `http-request`
/// rules of this transaction changed them; to be called at its end, before it is reset for the
/// next request of the connection.
pub fn restore(session: &mut SessionFacts, txn: &mut TransactionFacts) {
    if let Some((source, destination)) = txn.session_addresses.take() {
        session.source = source;
        session.destination = destination;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;

    #[test]
    fn the_next_request_starts_from_the_sessions_own() {
        let (mut session, mut txn) = (testing::session(), TransactionFacts::default());
        let own = (session.source, session.destination);
        txn.session_addresses = Some(own);
        session.source = Some(([10, 0, 0, 1], 1).into());
        restore(&mut session, &mut txn);
        assert_eq!((session.source, session.destination), own);
        session.source = None;
        restore(&mut session, &mut txn);
        assert_eq!(session.source, None, "nothing was changed, nothing is given back");
    }
}
