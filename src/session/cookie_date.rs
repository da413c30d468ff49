//! Dates inside a persistence cookie: five base64 digits, in units of four seconds.
//!
//! With `maxidle` or `maxlife` the value is `SERVER|LAST[|FIRST]`. Several proxies of either make
//! may share the cookie, so the digits are HAProxy's: the 30-bit count of four-second steps since
//! the Unix epoch, most significant digit first, in the standard alphabet without padding.

/// Digits of a date.
pub(super) const DATE_LEN: usize = 5;
/// Seconds in one step.
const STEP_S: u64 = 4;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The digits of a moment, rounded up to the next step so that a fresh cookie is not stale at once.
pub(super) fn encode(seconds: u64) -> [u8; DATE_LEN] {
    digits(seconds.div_ceil(STEP_S))
}

/// The digits of a date that came from a cookie, unchanged.
pub(super) fn encode_exact(seconds: u64) -> [u8; DATE_LEN] {
    digits(seconds / STEP_S)
}

fn digits(steps: u64) -> [u8; DATE_LEN] {
    std::array::from_fn(|i| ALPHABET[(steps >> (6 * (DATE_LEN - 1 - i)) & 0x3f) as usize])
}

/// The moment that the first five bytes name; `None` if they are not digits or name the epoch
/// itself, which stands for "no date".
pub(super) fn decode(bytes: &[u8]) -> Option<u64> {
    let mut steps = 0u64;
    for byte in bytes.get(..DATE_LEN)? {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        steps = steps << 6 | u64::from(digit);
    }
    (steps > 0).then_some(steps * STEP_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_back() {
        for (seconds, text, back) in
            [(4, "AAAAB", Some(4)), (5, "AAAAC", Some(8)), (1_700_000_000, "ZVPxA", Some(1_700_000_000))]
        {
            let digits = encode(seconds);
            assert_eq!(std::str::from_utf8(&digits), Ok(text), "{seconds}");
            assert_eq!(decode(&digits), back, "{seconds}");
        }
        for wrong in [&b"AAAA"[..], b"AAAAA", b"AA AA", b"AAA=="] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
        assert_eq!(encode_exact(7), *b"AAAAB");
    }
}
