//! The two and four letters of `%ts` and `%tsc` (manual, section 8.5).
//!
//! The one place where outcomes become letters: who ended the session, in which phase, what the
//! request's cookie was worth and what became of the response's.

use crate::sample::TransactionFacts;
use crate::sample::facts::{CookieRequest, CookieResponse, Ended, EndedIn};

/// The letter of who ended it.
pub fn ended(ended: Ended) -> u8 {
    match ended {
        Ended::Normally => b'-',
        Ended::Client => b'C',
        Ended::Server => b'S',
        Ended::Proxy => b'P',
        Ended::Local => b'L',
        Ended::Resource => b'R',
        Ended::Internal => b'I',
        Ended::Down => b'D',
        Ended::Up => b'U',
        Ended::Killed => b'K',
        Ended::ClientTimeout => b'c',
        Ended::ServerTimeout => b's',
    }
}

/// The letter of the phase in which it ended.
pub fn ended_in(phase: EndedIn) -> u8 {
    match phase {
        EndedIn::Nothing => b'-',
        EndedIn::Request => b'R',
        EndedIn::Queue => b'Q',
        EndedIn::Connect => b'C',
        EndedIn::Headers => b'H',
        EndedIn::Data => b'D',
        EndedIn::Last => b'L',
        EndedIn::Tarpit => b'T',
    }
}

/// The letter of the request's persistence cookie.
pub fn cookie_request(cookie: CookieRequest) -> u8 {
    match cookie {
        CookieRequest::NotApplicable => b'-',
        CookieRequest::None => b'N',
        CookieRequest::Invalid => b'I',
        CookieRequest::Down => b'D',
        CookieRequest::Valid => b'V',
        CookieRequest::Expired => b'E',
        CookieRequest::Old => b'O',
        CookieRequest::Unused => b'U',
    }
}

/// The letter of the response's persistence cookie.
pub fn cookie_response(cookie: CookieResponse) -> u8 {
    match cookie {
        CookieResponse::NotApplicable => b'-',
        CookieResponse::None => b'N',
        CookieResponse::Inserted => b'I',
        CookieResponse::Updated => b'U',
        CookieResponse::Passive => b'P',
        CookieResponse::Rewritten => b'R',
        CookieResponse::Deleted => b'D',
    }
}

/// `%ts`: who, and when.
pub fn letters2(txn: &TransactionFacts) -> [u8; 2] {
    [ended(txn.ended), ended_in(txn.ended_in)]
}

/// `%tsc`: who, when, and the two of the cookie (`--` in TCP mode and without `cookie`).
pub fn letters4(txn: &TransactionFacts) -> [u8; 4] {
    let [who, when] = letters2(txn);
    [who, when, cookie_request(txn.cookie_request), cookie_response(txn.cookie_response)]
}

#[cfg(test)]
mod tests {
    use super::*;

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
