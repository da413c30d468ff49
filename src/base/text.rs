//! Byte strings: header fields are not UTF-8.

/// Makes what `text` has from `start` on one line: control characters other than the tab, which would end
/// it or rewrite a terminal's, become `#` and their number, as in the fields of the known log formats.
pub fn one_line(text: &mut Vec<u8>, start: usize) {
    let is_control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    let Some(first) = text[start..].iter().position(|byte| is_control(*byte)) else { return };
    for byte in text.split_off(start + first) {
        match is_control(byte) {
            true => text.extend_from_slice(format!("#{byte:02X}").as_bytes()),
            false => text.push(byte),
        }
    }
}

/// Trims spaces and tabs on both sides (OWS, RFC 9110 section 5.6.3).
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The bytes as text, with what is not UTF-8 replaced; for messages only.
pub fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// What announces a byte that is not UTF-8 in text that must be a `str`: no configuration word can
/// hold a NUL, so nothing else looks like it.
pub const RAW_MARK: char = '\0';

/// Bytes without NUL as text that loses nothing: a byte that is not UTF-8 becomes [`RAW_MARK`] and
/// the character of its number. [`decode_raw`] is the way back.
pub fn encode_raw(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().flat_map(|byte| [RAW_MARK, char::from(*byte)]));
    }
    text
}

/// The bytes that [`encode_raw`] wrote as text.
pub fn decode_raw(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(RAW_MARK as u8, text) else { return text.into() };
    let mut bytes = text[..first].to_vec();
    let mut rest = &text[first..];
    loop {
        match rest {
            // The two bytes of a character from U+0080 to U+00FF.
            [0, lead @ (0xc2 | 0xc3), follow, tail @ ..] => {
                bytes.push((lead & 0x03) << 6 | (follow & 0x3f));
                rest = tail;
            }
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
            [] => return bytes.into(),
        }
    }
}

/// What the system says of an error, without the number that the standard library adds.
pub fn of_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_leaves_its_line() {
        for (text, expected) in [
            ("plain\ttext \u{e9}", "plain\ttext \u{e9}"),
            ("a\r\nforged", "a#0D#0Aforged"),
            ("\u{1b}[2J\u{7f}\0", "#1B[2J#7F#00"),
        ] {
            let mut line = format!("\n{text}").into_bytes();
            one_line(&mut line, 1);
            assert_eq!(String::from_utf8_lossy(&line[1..]), expected);
        }
    }

    #[test]
    fn any_bytes_survive_as_text() {
        let every: Vec<u8> = (1..=255).collect();
        for bytes in
            [&b"plain"[..], "h\u{e9}".as_bytes(), b"-\xe0-", b"\xff\xfe", b"\xc3", b"\xc3\xc3\xa9", &every]
        {
            let text = encode_raw(bytes);
            assert_eq!(&*decode_raw(text.as_bytes()), bytes, "{text:?}");
        }
        assert!(matches!(decode_raw(b"plain"), std::borrow::Cow::Borrowed(_)));
    }
}
