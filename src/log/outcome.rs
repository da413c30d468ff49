//! The two and four letters of `%ts` and `%tsc` (manual, section 8.5).
//!
//! Each outcome knows its own letter; here they come together: who ended the session, in which
//! phase, what the request's cookie was worth and what became of the response's.

use crate::sample::TransactionFacts;

/// `%ts`: who, and when.
pub fn letters2(txn: &TransactionFacts) -> [u8; 2] {
    [txn.ended.letter(), txn.ended_in.letter()]
}

/// `%tsc`: who, when, and the two of the cookie (`--` in TCP mode and without `cookie`).
pub fn letters4(txn: &TransactionFacts) -> [u8; 4] {
    let [who, when] = letters2(txn);
    [who, when, txn.cookie_request.letter(), txn.cookie_response.letter()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::facts::{CookieRequest, CookieResponse, Ended, EndedIn};

    #[test]
    fn letters_as_the_manual_has_them() {
        let mut txn = TransactionFacts::default();
        assert_eq!((letters2(&txn), letters4(&txn)), (*b"--", *b"----"));
        txn.cookie_request = CookieRequest::Invalid;
        txn.cookie_response = CookieResponse::Inserted;
        assert_eq!(letters4(&txn), *b"--II");
        (txn.ended, txn.ended_in) = (Ended::ServerTimeout, EndedIn::Headers);
        assert_eq!(letters4(&txn), *b"sHII");
        (txn.ended, txn.ended_in) = (Ended::Proxy, EndedIn::Tarpit);
        assert_eq!(letters2(&txn), *b"PT");
    }
}
