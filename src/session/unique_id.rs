//! `unique-id-format` and `unique-id-header`: one id per request, made once (manual, section 4.2).

use crate::model::Proxy;
use crate::sample::{Context, TransactionFacts};

/// The id of the transaction from the frontend's format, if it has one and none was made yet.
///
/// The `unique-id` fetch and `%ID` read what [`keep`] stored; a rule may have caused that earlier.
pub fn make(frontend: &Proxy, context: &Context<'_>) -> Option<Box<[u8]>> {
    if context.txn.unique_id.is_some() {
        return None;
    }
    let format = frontend.unique_id_format.as_ref()?;
    let mut id = Vec::new();
    format.write(context, false, &mut id);
    Some(id.into())
}

/// Stores the id that [`make`] made and adds the frontend's header to the request.
pub fn keep(frontend: &Proxy, id: Option<Box<[u8]>>, txn: &mut TransactionFacts) {
    if id.is_some() {
        txn.unique_id = id;
    }
    if let (Some(header), Some(id)) = (&frontend.unique_id_header, &txn.unique_id) {
        txn.request.fields.append(header.as_bytes(), id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;

    #[test]
    fn the_header_carries_the_kept_id() {
        let mut frontend = testing::proxy("fe");
        frontend.unique_id_header = Some("X-Id".into());
        let mut txn = TransactionFacts::default();
        keep(&frontend, None, &mut txn);
        assert!(!txn.request.fields.contains(b"x-id"), "no format, no id, no header");
        keep(&frontend, Some(Box::from(&b"abc"[..])), &mut txn);
        assert_eq!(txn.request.fields.first(b"x-id"), Some(&b"abc"[..]));
        assert_eq!(txn.unique_id.as_deref(), Some(&b"abc"[..]));
    }

    #[test]
    fn an_id_is_made_once() {
        use crate::sample::facts::{Direction, ProcessFacts};
        let mut frontend = testing::proxy("fe");
        frontend.unique_id_format = Some(testing::format("TEST-%[req.hdr(in)]"));
        let mut txn = TransactionFacts { has_request: true, ..TransactionFacts::default() };
        txn.request.fields.append(b"in", b"123");
        let (session, process) = (testing::session(), ProcessFacts::default());
        let made = |txn: &TransactionFacts| {
            make(
                &frontend,
                &Context {
                    session: Some(&session),
                    txn,
                    direction: Direction::Request,
                    now: Default::default(),
                    process: &process,
                    check_vars: None,
                },
            )
        };
        let id = made(&txn);
        assert_eq!(id.as_deref(), Some(&b"TEST-123"[..]));
        keep(&frontend, id, &mut txn);
        assert_eq!(made(&txn), None);
    }
}
