//! `$1$`: a thousand rounds of MD5 over password and salt, as FreeBSD brought it to crypt(3).

use md5::{Digest, Md5};

use super::ALPHABET;

const PREFIX: &str = "$1$";
/// Longest salt.
const SALT_MAX: usize = 8;
const ROUNDS: usize = 1000;

/// The hash of `password` with the salt that `setting` names.
pub(super) fn crypt(password: &[u8], setting: &str) -> String {
    let salt = setting.strip_prefix(PREFIX).unwrap_or(setting).split('$').next().unwrap_or_default();
    let salt = &salt.as_bytes()[..salt.len().min(SALT_MAX)];
    let both = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = Md5::new().chain_update(password).chain_update(PREFIX).chain_update(salt);
    for at in (0..password.len()).step_by(both.len()) {
        first.update(&both[..both.len().min(password.len() - at)]);
    }
    // For each bit of the length, from the lowest: a zero byte, or the password's first.
    let mut length = password.len();
    while length > 0 {
        first.update(if length & 1 == 1 { &[0][..] } else { &password[..1] });
        length >>= 1;
    }
    let mut hash = first.finalize();
    for round in 0..ROUNDS {
        let mut next = Md5::new();
        let (odd, even): (&[u8], &[u8]) = (password, hash.as_slice());
        next.update(if round % 2 == 1 { odd } else { even });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round % 2 == 1 { even } else { odd });
        hash = next.finalize();
    }
    let mut text = [PREFIX.as_bytes(), salt, b"$"].concat();
    let mut put = |mut bits: u32, digits: usize| {
        for _ in 0..digits {
            text.push(ALPHABET[bits as usize & 63]);
            bits >>= 6;
        }
    };
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        put(u32::from(hash[a]) << 16 | u32::from(hash[b]) << 8 | u32::from(hash[c]), 4);
    }
    put(u32::from(hash[11]), 2);
    String::from_utf8(text).unwrap_or_default()
}
