//! `capture request|response header` and `capture cookie`: what logs keep of messages (manual,
//! section 4.2 `capture`).
//!
//! The slots are the frontend's. Those that name a field are filled here; the others belong to
//! `http-request capture` and its kin ([`crate::rules`]), which find the sizes of slots in the
//! transaction.

use super::cookie_items::{items, set_cookie};
use crate::http::Fields;
use crate::model::Proxy;
use crate::model::proxy::{Capture, CookieCapture};
use crate::sample::TransactionFacts;

/// Makes the frontend's slots, all empty; to be called before the first rule of a transaction.
pub fn prepare(frontend: &Proxy, txn: &mut TransactionFacts) {
    fn slots(captures: &[Capture], values: &mut Vec<Option<Box<[u8]>>>, sizes: &mut Vec<usize>) {
        values.clear();
        values.resize(captures.len(), None);
        sizes.clear();
        sizes.extend(captures.iter().map(|capture| capture.len));
    }
    slots(&frontend.request_captures, &mut txn.request_captures, &mut txn.request_capture_sizes);
    slots(&frontend.response_captures, &mut txn.response_captures, &mut txn.response_capture_sizes);
}

/// Captures from a request head as it came in.
pub fn request(frontend: &Proxy, txn: &mut TransactionFacts) {
    txn.settle_captures();
    fill(&frontend.request_captures, &txn.request.fields, &mut txn.request_captures);
    if let Some(cookie) = &frontend.cookie_capture {
        let values = txn.request.fields.all(b"cookie");
        txn.request_cookie = values.flat_map(items).find_map(|item| {
            let value = item.value?;
            captured(cookie, item.name, value)
        });
    }
}

/// Captures from a response head as the server sent it.
pub fn response(frontend: &Proxy, txn: &mut TransactionFacts) {
    txn.settle_captures();
    fill(&frontend.response_captures, &txn.response.fields, &mut txn.response_captures);
    if let Some(cookie) = &frontend.cookie_capture {
        let values = txn.response.fields.all(b"set-cookie");
        txn.response_cookie = values.filter_map(set_cookie).find_map(|item| {
            let value = item.value?;
            captured(cookie, item.name, value)
        });
    }
}

/// Puts the last value of each named field into its slot.
fn fill(captures: &[Capture], fields: &Fields, slots: &mut [Option<Box<[u8]>>]) {
    if captures.iter().all(|capture| capture.name.is_none()) {
        return;
    }
    for (name, value) in fields.iter() {
        for (capture, slot) in captures.iter().zip(slots.iter_mut()) {
            let is_it =
                capture.name.as_ref().is_some_and(|wanted| wanted.as_bytes().eq_ignore_ascii_case(name));
            if is_it {
                *slot = Some(value[..value.len().min(capture.len)].into());
            }
        }
    }
}

/// `name=value`, cut, if it is the wanted cookie.
fn captured(wanted: &CookieCapture, name: &[u8], value: &[u8]) -> Option<Box<[u8]>> {
    let matches = match wanted.is_prefix {
        true => name.starts_with(wanted.name.as_bytes()),
        false => name == wanted.name.as_bytes(),
    };
    let mut text = matches.then(|| [name, b"=", value].concat())?;
    text.truncate(wanted.len);
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;

    #[test]
    fn keeps_what_logs_want() {
        let mut frontend = testing::proxy("fe");
        let named = |name: Option<&str>, len| Capture { name: name.map(Into::into), len };
        frontend.request_captures = vec![named(Some("Host"), 4), named(None, 9), named(Some("X-A"), 9)];
        frontend.response_captures = vec![named(Some("Server"), 9)];
        frontend.cookie_capture = Some(CookieCapture { name: "sess".into(), is_prefix: true, len: 8 });
        let mut txn = TransactionFacts::default();
        for (name, value) in
            [("host", "example.com"), ("x-a", "1"), ("X-A", "2"), ("cookie", "a=1; sess2=abc")]
        {
            txn.request.fields.append(name.as_bytes(), value.as_bytes());
        }
        txn.response.fields.append(b"set-cookie", b"other=1");
        txn.response.fields.append(b"set-cookie", b"session = long; path=/");
        prepare(&frontend, &mut txn);
        request(&frontend, &mut txn);
        response(&frontend, &mut txn);
        let kept: Vec<_> = txn.request_captures.iter().map(|slot| slot.as_deref()).collect();
        assert_eq!(kept, [Some(&b"exam"[..]), None, Some(b"2")]);
        assert_eq!(txn.response_captures, [None]);
        assert_eq!(txn.request_cookie.as_deref(), Some(&b"sess2=ab"[..]));
        assert_eq!(txn.response_cookie.as_deref(), Some(&b"session="[..]));
        assert_eq!(txn.request_capture_sizes, [4, 9, 9]);
    }
}
