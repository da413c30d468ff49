//! Numbers with a prefix of some bits (RFC 7541 section 5.1).

use super::Error;

/// No number of a block that is worth reading is larger: lengths and sizes are bounded far below.
const VALUE_MAX: u32 = 1 << 24;

/// Reads a number whose prefix is the low `bits` of the first byte; moves `rest` behind it.
#[inline]
pub(super) fn read(rest: &mut &[u8], bits: u32) -> Result<usize, Error> {
    let (&first, tail) = rest.split_first().ok_or(Error::Truncated)?;
    *rest = tail;
    let mask = (1u32 << bits) - 1;
    let value = u32::from(first) & mask;
    if value < mask { Ok(value as usize) } else { read_more(rest, value) }
}

/// The octets behind a full prefix. Four of them hold every value that is taken; more are either too much or zeros
/// that say nothing.
fn read_more(rest: &mut &[u8], mut value: u32) -> Result<usize, Error> {
    for shift in [0, 7, 14, 21] {
        let (&byte, tail) = rest.split_first().ok_or(Error::Truncated)?;
        *rest = tail;
        value += u32::from(byte & 0x7f) << shift;
        if value > VALUE_MAX {
            return Err(Error::Integer);
        }
        if byte & 0x80 == 0 {
            return Ok(value as usize);
        }
    }
    Err(Error::Integer)
}

/// Appends `value` behind the bits of `pattern` above its prefix of `bits`.
pub(super) fn write(pattern: u8, bits: u32, value: usize, out: &mut Vec<u8>) {
    let mask = (1usize << bits) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut left = value - mask;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appendix_c_1() {
        for (value, bits, expected) in
            [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a]), (31, 5, &[0x1f, 0])]
        {
            let mut out = Vec::new();
            write(0, bits, value, &mut out);
            assert_eq!(out, expected);
            let mut rest = &out[..];
            assert_eq!(read(&mut rest, bits), Ok(value));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn every_prefix_reads_what_it_writes() {
        for bits in 4..=8 {
            for value in (0..70_000).step_by(7).chain([VALUE_MAX as usize]) {
                let mut out = Vec::new();
                write(0, bits, value, &mut out);
                assert_eq!(read(&mut &out[..], bits), Ok(value), "{bits} bits");
            }
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for (bytes, expected) in [
            (&[][..], Error::Truncated),
            (&[0x1f], Error::Truncated),
            (&[0x1f, 0x80], Error::Truncated),
            (&[0x1f, 0xff, 0xff, 0xff, 0xff, 0x0f], Error::Integer),
            (&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], Error::Integer),
            (&[0x1f, 0xff, 0xff, 0xff, 0x7f], Error::Integer),
        ] {
            assert_eq!(read(&mut &bytes[..], 5), Err(expected), "{bytes:x?}");
        }
    }
}
