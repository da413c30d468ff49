//! Verdicts that were found before: clients with certificates come back, and checking a chain costs
//! several signatures.
//!
//! The cache is the thread's own, so that no lock is taken. A verdict is found again by the policy's number
//! and a hash of all certificates sent, until the first second at which a certificate or a list may come to
//! or lose its validity.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use aws_lc_rs::digest::{Context, SHA256};

use super::{Policy, Verdict, check};

/// Verdicts kept by a thread; each has some 300 bytes and shares its top certificate.
pub const VERDICTS_MAX: usize = 1024;
/// The longest time for which a verdict is taken, in seconds.
const AGE_MAX: i64 = 300;

type Key = [u8; 32];

#[derive(Default)]
struct Cache {
    verdicts: HashMap<Key, (Rc<Verdict>, i64)>,
    /// In the order in which they came in.
    order: VecDeque<Key>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::new(Cache::default());
}

/// As [`check`], from this thread's cache if it can be. `number` is the policy's own: policies that may judge
/// differently have different ones.
pub fn check_cached(number: u64, policy: &Policy, leaf: &[u8], others: &[&[u8]], now: i64) -> Rc<Verdict> {
    let key = key(number, leaf, others);
    CACHE.with(|cache| {
        if let Some((verdict, checked)) = cache.borrow().verdicts.get(&key)
            && (*checked..verdict.until.min(checked + AGE_MAX)).contains(&now)
        {
            return Rc::clone(verdict);
        }
        let verdict = Rc::new(check(policy, leaf, others, now));
        let mut cache = cache.borrow_mut();
        if cache.verdicts.insert(key, (Rc::clone(&verdict), now)).is_none() {
            cache.order.push_back(key);
            if cache.order.len() > VERDICTS_MAX
                && let Some(oldest) = cache.order.pop_front()
            {
                cache.verdicts.remove(&oldest);
            }
        }
        verdict
    })
}

fn key(number: u64, leaf: &[u8], others: &[&[u8]]) -> Key {
    let mut hash = Context::new(&SHA256);
    hash.update(&number.to_be_bytes());
    for part in std::iter::once(&leaf).chain(others) {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::tls::verify::{ErrorSet, Purpose, Trust, VerifyError};

    #[test]
    fn verdicts_are_kept_while_they_hold() {
        let mut params = CertificateParams::new(vec!["a.example".into()]).expect("a name");
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 2);
        let der =
            params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().to_vec();
        let certificate = Arc::new(crate::tls::certificate::Certificate::parse(&der).expect("a certificate"));
        let end = certificate.expires().expect("a time");
        let policy = |trusted: bool| Policy {
            purpose: Purpose::Server,
            trust: Arc::new(Trust::new(
                if trusted { vec![Arc::clone(&certificate)] } else { Vec::new() },
                Vec::new(),
            )),
            ignored_of_leaf: ErrorSet::EMPTY,
            ignored_of_authorities: ErrorSet::EMPTY,
        };
        let good = policy(true);
        let ask = |now| check_cached(1, &good, &der, &[], now);
        let first = ask(end - 10);
        assert_eq!((first.refused, first.until), (None, end));
        assert!(Rc::ptr_eq(&first, &ask(end - 5)) && Rc::ptr_eq(&first, &ask(end - 1)));
        let later = ask(end);
        assert_eq!(later.last, Some(VerifyError::CERT_HAS_EXPIRED));
        // The clock went back: a verdict is none for the time before it.
        assert_eq!(ask(end - 20).last, None);
        let other = check_cached(2, &policy(false), &der, &[], end - 5);
        assert_eq!(other.last, Some(VerifyError::DEPTH_ZERO_SELF_SIGNED_CERT));
        for number in 10..10 + 2 * VERDICTS_MAX as u64 {
            check_cached(number, &policy(false), &der, &[], end);
        }
        CACHE.with(|cache| {
            let cache = cache.borrow();
            assert_eq!((cache.verdicts.len(), cache.order.len()), (VERDICTS_MAX, VERDICTS_MAX));
        });
    }
}
