//! The ClientHello of `option ssl-hello-chk`: an SSLv3 greeting that any TLS server answers, if only
//! with an alert (RFC 6101 section 5.6.1.2).

/// What stands in place of random bytes, so that a server's log names the sender.
const RANDOM: &[u8; 28] = b"HAPROXYSSLCHK\nHAPROXYSSLCHK\n";

/// The cipher suites offered: the ones every old server knows.
const SUITES: &[std::ops::RangeInclusive<u16>] = &[0x0001..=0x001b, 0x002f..=0x003a];

/// A greeting at the given time (seconds since the epoch).
pub fn client_hello(now_s: u32) -> Vec<u8> {
    let mut suites = Vec::new();
    for suite in SUITES.iter().cloned().flatten() {
        suites.extend_from_slice(&suite.to_be_bytes());
    }
    let mut body = vec![0x03, 0x00];
    body.extend_from_slice(&now_s.to_be_bytes());
    body.extend_from_slice(RANDOM);
    body.push(0); // no session to resume
    body.extend_from_slice(&(suites.len() as u16).to_be_bytes());
    body.extend_from_slice(&suites);
    body.extend_from_slice(&[1, 0]); // one compression method: none
    let mut message = vec![1, 0];
    message.extend_from_slice(&(body.len() as u16).to_be_bytes());
    message.extend_from_slice(&body);
    let mut record = vec![0x16, 0x03, 0x00];
    record.extend_from_slice(&(message.len() as u16).to_be_bytes());
    record.extend_from_slice(&message);
    record
}

#[cfg(test)]
mod tests {
    #[test]
    fn has_the_lengths_it_announces() {
        let hello = super::client_hello(0x0102_0304);
        assert_eq!(hello.len(), 5 + 0x79);
        assert_eq!(&hello[..15], b"\x16\x03\x00\x00\x79\x01\x00\x00\x75\x03\x00\x01\x02\x03\x04");
        assert_eq!(&hello[43..48], b"\x00\x00\x4e\x00\x01");
        assert!(hello.ends_with(b"\x00\x3a\x01\x00"));
    }
}
