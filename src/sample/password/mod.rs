//! Password hashes in the forms of crypt(3): which of them are known, and whether a password is the
//! one that was hashed.
//!
//! Not here: the users (`userlist`). Nothing here remembers anything, so that each answer
//! costs what the hash's author wanted it to cost; [`super::userlist`] asks once and keeps the answer.

mod des;
mod md5;

use sha_crypt::ShaCrypt;
use yescrypt::{PasswordVerifier, Yescrypt};

/// A form of hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Two characters of salt and eleven of hash: the first crypt(3), by DES.
    Des,
    /// `$1$`
    Md5,
    /// `$2a$`, `$2b$`, `$2y$`
    Bcrypt,
    /// `$5$` and `$6$`
    Sha,
    /// `$y$`
    Yescrypt,
}

/// The characters of crypt(3)'s own Base64, by value.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn digit(byte: u8) -> Option<u32> {
    ALPHABET.iter().position(|known| *known == byte).map(|at| at as u32)
}

/// Why a hash cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its scheme is none of those above, though crypt(3) may have it.
    UnknownScheme,
    /// No password can ever give it.
    Malformed(&'static str),
}

impl Scheme {
    /// The scheme of a hash, or what is wrong with it.
    pub fn of(hash: &str) -> Result<Scheme, Unusable> {
        const PARTS: Unusable = Unusable::Malformed("its parts are not those of its scheme");
        const NO_HASH: Unusable = Unusable::Malformed("it is no hash of crypt(3)");
        let is_base64 = |text: &str| text.bytes().all(|byte| digit(byte).is_some());
        let mut parts = hash.split('$').skip(1);
        let mut next = || parts.next().unwrap_or_default();
        if !hash.starts_with('$') {
            let fits = hash.len() == 13 && is_base64(hash);
            return if fits { Ok(Scheme::Des) } else { Err(NO_HASH) };
        }
        let scheme = match next() {
            "1" => (Scheme::Md5, next().len() <= 8 && next().len() == 22),
            "2a" | "2b" | "2y" => {
                let cost = next();
                let rest = next();
                let in_range =
                    cost.len() == 2 && cost.parse().is_ok_and(|cost: u32| (4..=31).contains(&cost));
                (Scheme::Bcrypt, in_range && rest.len() == 53 && is_base64(rest))
            }
            id @ ("5" | "6") => {
                let mut salt = next();
                let mut counts = true;
                if let Some(rounds) = salt.strip_prefix("rounds=") {
                    counts = rounds.parse().is_ok_and(|rounds: u32| (1000..=999_999_999).contains(&rounds));
                    salt = next();
                }
                let len = if id == "5" { 43 } else { 86 };
                (Scheme::Sha, counts && salt.len() <= 16 && next().len() == len)
            }
            "y" => (Scheme::Yescrypt, !next().is_empty() && !next().is_empty() && next().len() == 43),
            _ => return Err(Unusable::UnknownScheme),
        };
        match scheme {
            (scheme, true) if parts.next().is_none() => Ok(scheme),
            _ => Err(PARTS),
        }
    }

    /// Whether `password` gives `hash`. Slow on purpose.
    pub fn verify(self, hash: &str, password: &[u8]) -> bool {
        match self {
            Scheme::Des => equals(des::crypt(password, hash).as_bytes(), hash.as_bytes()),
            Scheme::Md5 => equals(md5::crypt(password, hash).as_bytes(), hash.as_bytes()),
            Scheme::Bcrypt => bcrypt::verify(password, hash).unwrap_or(false),
            Scheme::Sha => ShaCrypt::default().verify_password(password, hash).is_ok(),
            Scheme::Yescrypt => Yescrypt::default().verify_password(password, hash).is_ok(),
        }
    }
}

/// Compares without telling by its time where the difference is.
pub fn equals(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_the_c_library_are_known() {
        // Made by crypt(3) of the C library from the words on the right.
        for (hash, password) in [
            ("abNANd1rDfiNc", "secret"),
            ("zZO7u0HfQST3A", ""),
            ("./Una9Fi.seRo", ""),
            ("zZ/Dc0K.bMxrQ", "a"),
            ("./xT2u5QYaHcU", "a"),
            ("zZDDIZ0NOlPzw", "password"),
            ("zZTmz5tm4KJnQ", "longerthaneight"),
            ("./haKoGjqSo/Y", "longerth"),
            ("$1$saltsalt$9xy1btjgzLYfb7hivXtC//", "secret"),
            ("$1$ab$rn6aQS/o7141mj179E/zA.", ""),
            ("$1$ab$3dlD9ililLYqQaIkMdY0g/", "longerthaneight"),
            ("$5$rounds=1000$abcdefgh$XIppta5rT8zJUu4vAOKQXrwq9uY4Ijlz6VjyOmkx5i4", "secret"),
            (
                "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
                "secret",
            ),
            ("$y$j9T$abcdefghijklmnop$3dL1LkYnZM.OVXuVdnnaKVDlLYT92dRwOzDZ5XiVCe.", "secret"),
            ("$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret"),
            ("$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "secret"),
        ] {
            let scheme = Scheme::of(hash).unwrap_or_else(|error| panic!("{hash}: {error:?}"));
            assert!(scheme.verify(hash, password.as_bytes()), "{hash} {password}");
            assert!(!scheme.verify(hash, b"wrong"), "{hash}");
        }
    }

    #[test]
    fn what_is_no_hash_is_told_at_once() {
        for (hash, problem) in [
            ("", "Malformed(\"it is no hash of crypt(3)\")"),
            ("secret", "Malformed(\"it is no hash of crypt(3)\")"),
            ("ab*ANd1rDfiNc", "Malformed(\"it is no hash of crypt(3)\")"),
            ("$6$salt$short", "Malformed(\"its parts are not those of its scheme\")"),
            ("$6$x", "Malformed(\"its parts are not those of its scheme\")"),
            (
                "$5$rounds=x$abcdefgh$XIppta5rT8zJUu4vAOKQXrwq9uY4Ijlz6VjyOmkx5i4",
                "Malformed(\"its parts are not those of its scheme\")",
            ),
            (
                "$2b$99$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
                "Malformed(\"its parts are not those of its scheme\")",
            ),
            ("$7$x", "UnknownScheme"),
            ("$$x", "UnknownScheme"),
        ] {
            let told = Scheme::of(hash).map_err(|error| format!("{error:?}"));
            assert_eq!(told, Err(problem.to_owned()), "{hash}");
        }
    }
}
