//! The Huffman code of HPACK (RFC 7541 section 5.2, appendix B).
//!
//! The code is canonical: codes of one length follow one another in the order of their symbols, and those of the next
//! length follow these. So the lengths say everything, and a code is read by comparing it with the last code of
//! each length. Nearly all of what heads hold has codes of five to eight bits, for which one look into a table is
//! enough.

use super::Error;

/// The lengths of the codes of all bytes, and of the end of the string, in bits.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const END: usize = 256;
const LONGEST: usize = 30;

/// What reading needs, made of the lengths.
struct Code {
    /// By the next eight bits: the byte and the length of its code; length 0 when the code is longer.
    short: [(u8, u8); 256],
    /// By length: the first code that is longer, its bits at the top of 32.
    limits: [u32; LONGEST + 1],
    /// By length: what to add to a code to have the place of its symbol in `symbols`.
    offsets: [i64; LONGEST + 1],
    /// The symbols in the order of their codes.
    symbols: [u16; 257],
    /// The code of each symbol.
    codes: [u32; 257],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut code = Code {
        short: [(0, 0); 256],
        limits: [0; LONGEST + 1],
        offsets: [0; LONGEST + 1],
        symbols: [0; 257],
        codes: [0; 257],
    };
    let (mut next, mut place, mut length) = (0u64, 0usize, 1usize);
    while length <= LONGEST {
        next <<= 1;
        code.offsets[length] = place as i64 - next as i64;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.symbols[place] = symbol as u16;
                code.codes[symbol] = next as u32;
                if length <= 8 {
                    let first = (next as usize) << (8 - length);
                    let mut at = first;
                    while at < first + (1 << (8 - length)) {
                        code.short[at] = (symbol as u8, length as u8);
                        at += 1;
                    }
                }
                next += 1;
                place += 1;
            }
            symbol += 1;
        }
        let limit = next << (32 - length);
        code.limits[length] = if limit > u32::MAX as u64 { u32::MAX } else { limit as u32 };
        length += 1;
    }
    code
}

/// Appends the decoded bytes of a coded string. At most 8/5 times as many as it has.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    out.reserve(coded.len() * 8 / 5);
    let (mut bits, mut held, mut rest) = (0u64, 0u32, coded);
    loop {
        // As many whole octets as there is room for, above those of before.
        while held <= 56 {
            let Some((&byte, tail)) = rest.split_first() else { break };
            rest = tail;
            bits |= u64::from(byte) << (56 - held);
            held += 8;
        }
        let (symbol, length) = CODE.short[(bits >> 56) as usize];
        if length != 0 && u32::from(length) <= held {
            out.push(symbol);
            bits <<= length;
            held -= u32::from(length);
            continue;
        }
        // Section 5.2: what is left at the end is the start of the longest code, and less than an octet of it.
        let top = (bits >> 32) as u32;
        if held < 8 && (held == 0 || top >> (32 - held) == (1 << held) - 1) {
            return Ok(());
        }
        let (symbol, length) = long(top).ok_or(Error::Huffman)?;
        if length > held || symbol == END {
            return Err(Error::Huffman);
        }
        out.push(symbol as u8);
        bits <<= length;
        held -= length;
    }
}

/// The symbol whose code of more than eight bits stands at the top, and the length of its code.
fn long(top: u32) -> Option<(usize, u32)> {
    let length = (9..=LONGEST).find(|length| top < CODE.limits[*length] || *length == LONGEST)?;
    let place = i64::from(top >> (32 - length)) + CODE.offsets[length];
    Some((usize::from(*CODE.symbols.get(usize::try_from(place).ok()?)?), length as u32))
}

/// Appends the code of a string. The encoder does not use it; what it writes shows that [`decode`] reads all there is.
#[cfg(test)]
pub(super) fn encode(plain: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u64, 0);
    for byte in plain {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        bits = bits << length | u64::from(CODE.codes[usize::from(*byte)]);
        held += length;
        while held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    if held > 0 {
        out.push((bits << (8 - held)) as u8 | (0xff >> held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn the_code_is_that_of_appendix_b() {
        for (symbol, code, length) in [
            (usize::from(b'0'), 0x0, 5),
            (usize::from(b'a'), 0x3, 5),
            (usize::from(b' '), 0x14, 6),
            (usize::from(b'Z'), 0xfd, 8),
            (usize::from(b'!'), 0x3f8, 10),
            (usize::from(b'\\'), 0x7fff0, 19),
            (0, 0x1ff8, 13),
            (10, 0x3fff_fffc, 30),
            (255, 0x3ff_ffee, 26),
            (END, 0x3fff_ffff, 30),
        ] {
            assert_eq!((CODE.codes[symbol], LENGTHS[symbol]), (code, length), "{symbol}");
        }
    }

    #[test]
    fn every_byte_is_read_back() {
        for first in 0..=255u8 {
            for second in [b'a', 0, 255, b'Z', first] {
                let plain = [first, second, first];
                let mut coded = Vec::new();
                encode(&plain, &mut coded);
                assert_eq!(decoded(&coded).as_deref(), Ok(&plain[..]));
            }
        }
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let plain: Vec<u8> = (0..rng.below(60)).map(|_| rng.next_u64() as u8).collect();
            let mut coded = Vec::new();
            encode(&plain, &mut coded);
            assert_eq!(decoded(&coded), Ok(plain));
        }
    }

    #[test]
    fn padding_is_the_start_of_the_end_and_short() {
        assert_eq!(decoded(b""), Ok(Vec::new()));
        for (coded, what) in [
            (&[0xff][..], "a whole octet of padding"),
            (&[0x1f, 0xff], "'a' and eleven bits of padding"),
            (&[0x18], "'a' and padding of zeros"),
            (&[0x1e], "'a' and padding that ends in zero"),
            (&[0xff, 0xff, 0xff, 0xff], "the end of the string, and padding"),
            (&[0xff, 0xff, 0xff, 0xfc], "the end of the string"),
            (&[0xfe], "half a code"),
            (&[0xff, 0xff, 0xfe], "most of a code"),
        ] {
            assert_eq!(decoded(coded), Err(Error::Huffman), "{what}");
        }
        assert_eq!(decoded(&[0x1f]).as_deref(), Ok(&b"a"[..]));
    }

    #[test]
    fn random_bits_do_not_outgrow_their_bound() {
        let mut rng = Rng::new(2);
        for _ in 0..20_000 {
            let coded: Vec<u8> = (0..rng.below(12)).map(|_| rng.next_u64() as u8).collect();
            if let Ok(plain) = decoded(&coded) {
                assert!(plain.len() <= coded.len() * 8 / 5);
                let mut again = Vec::new();
                encode(&plain, &mut again);
                assert_eq!(again, coded, "one string has one code");
            }
        }
    }
}
