//! Non-cryptographic hashes, the same numbers as HAProxy's: balancing, converters and `base32`
//! must send a key where HAProxy sent it.
//!
//! What is hashed and what the number chooses is not known here; see [`crate::balance`].

/// Spreads a hash over all 32 bits, so that neighbours land far apart: Bob Jenkins' integer mix and
/// a multiplication by a prime near 3/4 of the range (`hash-type ... avalanche`).
#[inline]
pub fn avalanche(hash: u32) -> u32 {
    let mut a = hash;
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = a ^ 0xc761_c23c ^ (a >> 19);
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    a = a ^ 0xb55a_4f09 ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}

/// The hash of the sdbm database library: `hash-type`'s default.
pub fn sdbm(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |hash: u32, &byte| hash.wrapping_mul(65599).wrapping_add(u32::from(byte)))
}

/// Bernstein's hash times 33.
pub fn djb2(bytes: &[u8]) -> u32 {
    bytes.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

/// wt6: two words rotated by amounts that depend on what came before.
pub fn wt6(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut turn_b, mut turn_a) = (6, 18);
    for &byte in bytes {
        a = !(a ^ u32::from(byte));
        b = !b.wrapping_add(u32::from(byte));
        (a, b) = (b.rotate_left(turn_b), a.rotate_left(turn_a));
        let mix = ((a >> 16) ^ b) & 0xffff;
        (turn_b, turn_a) = (mix & 0x1f, mix >> 11);
    }
    a ^ b
}

/// The CRC of Ethernet, gzip and PNG (reversed polynomial edb88320).
pub fn crc32(bytes: &[u8]) -> u32 {
    crc(&CRC32, bytes)
}

/// The CRC of SCTP and iSCSI (RFC 9260 appendix A, reversed polynomial 82f63b78).
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc(&CRC32C, bytes)
}

/// xxHash, 32 bits.
pub fn xxh32(bytes: &[u8], seed: u32) -> u32 {
    twox_hash::XxHash32::oneshot(seed, bytes)
}

/// xxHash, 64 bits.
pub fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    twox_hash::XxHash64::oneshot(seed, bytes)
}

/// XXH3, 64 bits.
pub fn xxh3(bytes: &[u8], seed: u64) -> u64 {
    twox_hash::XxHash3_64::oneshot_with_seed(seed, bytes)
}

/// The words of an address in network order, xored: what `balance source` hashes. An IPv4 address
/// is its own hash; bytes after the last whole word do not count.
pub fn words(bytes: &[u8]) -> u32 {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().fold(0, |hash, word| hash ^ u32::from_be_bytes(*word))
}

/// [`words`] of an IP address (HAProxy does not unmap IPv4-mapped IPv6 addresses either).
pub fn address(address: std::net::IpAddr) -> u32 {
    match address {
        std::net::IpAddr::V4(v4) => words(&v4.octets()),
        std::net::IpAddr::V6(v6) => words(&v6.octets()),
    }
}

fn crc(table: &[u32; 256], bytes: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| (crc >> 8) ^ table[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(!0, step)
}

const fn crc_table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (if crc & 1 == 1 { polynomial } else { 0 });
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

static CRC32: [u32; 256] = crc_table(0xedb8_8320);
static CRC32C: [u32; 256] = crc_table(0x82f6_3b78);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // The check values of the CRC catalogue and of the xxHash specification; the others were
        // computed by an independent program.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(xxh32(b"", 0), 0x02cc_5d05);
        assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
        assert_eq!(xxh3(b"", 0), 0x2d06_8005_38d3_94c2);
        for (text, expected) in KNOWN {
            let bytes = text.as_bytes();
            let found = [sdbm(bytes), djb2(bytes), wt6(bytes), avalanche(sdbm(bytes))];
            assert_eq!(found, *expected, "{text:?}");
        }
    }

    #[test]
    fn addresses_are_xored_words() {
        assert_eq!(address("10.0.0.1".parse().unwrap()), 0x0a00_0001);
        assert_eq!(address("2001:db8::1".parse().unwrap()), 0x2001_0db8 ^ 1);
        assert_eq!(words(b"abcdXY"), u32::from_be_bytes(*b"abcd"));
    }

    const KNOWN: &[(&str, [u32; 4])] = &[
        ("", [0x00000000, 0x00001505, 0xf99a0360, 0xab4ed927]),
        ("a", [0x00000061, 0x0002b606, 0x714bf225, 0x6d1eff97]),
        ("example.com", [0x6d69457d, 0xd9c617be, 0x344b8203, 0x2263bb3f]),
        ("/img/logo.png?v=42", [0xfc46edc3, 0x87662ddc, 0xd0aa33fb, 0xc72626c1]),
        ("0123456789abcdef0123456789ABCDEF", [0x965c0290, 0xd3f47749, 0x8a53889f, 0x06a35353]),
    ];
}
