//! `userlist` sections: users, their groups and their passwords (manual, section 12.2).
//!
//! Hashed passwords are slow to verify on purpose, and a browser sends its password with every
//! request. So each thread keeps what it verified lately, yes and no, in two small tables of fixed
//! size: guesses can drive out each other, but not users that are known. A table's key is a keyed hash
//! of the configured hash and the password, so nothing there is a password, and a list that is
//! configured anew finds the answers of what did not change in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::password::{Scheme, equals};

/// A list of users and the groups they are in.
#[derive(Clone, Debug, Default)]
pub struct UserList {
    /// Users by name.
    pub users: HashMap<Box<str>, User>,
    /// Every group that was declared.
    pub groups: Vec<Box<str>>,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The password.
    pub password: Password,
    /// The user's groups.
    pub groups: Vec<Box<str>>,
}

/// A password as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// `insecure-password`: the password itself.
    Plain(Box<str>),
    /// `password`: a hash in the form of crypt(3).
    Crypt(Scheme, Box<str>),
    /// None was given: no password matches.
    None,
}

impl UserList {
    /// The user of this name, if the password is theirs.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&User> {
        let user = self.users.get(std::str::from_utf8(name).ok()?)?;
        let is_theirs = match &user.password {
            Password::Plain(wanted) => equals(wanted.as_bytes(), password),
            Password::Crypt(scheme, hash) => {
                VERIFIED.with_borrow_mut(|cache| cache.verify(*scheme, hash, password))
            }
            Password::None => false,
        };
        is_theirs.then_some(user)
    }
}

/// How many answers of each kind a thread keeps.
const ANSWERS_MAX: usize = 256;
const _: () = assert!(ANSWERS_MAX.is_power_of_two());

/// A keyed hash of what was asked.
type Question = [u8; 32];

thread_local! {
    static VERIFIED: RefCell<Verified> = RefCell::new(Verified::new());
}

/// What a thread verified lately.
struct Verified {
    key: Question,
    yes: Box<[Question]>,
    no: Box<[Question]>,
    /// How often a hash was computed.
    computed: u64,
}

impl Verified {
    fn new() -> Verified {
        // The standard library's hasher is keyed with randomness of the system.
        let random = RandomState::new();
        let mut key = [0; 32];
        for (at, part) in key.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&random.hash_one(at).to_ne_bytes());
        }
        Verified { key, yes: Box::default(), no: Box::default(), computed: 0 }
    }

    fn verify(&mut self, scheme: Scheme, hash: &str, password: &[u8]) -> bool {
        if self.yes.is_empty() {
            // A thread that never meets a hashed password has no tables.
            self.yes = vec![[0; 32]; ANSWERS_MAX].into();
            self.no = self.yes.clone();
        }
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return scheme.verify(hash, password);
        };
        let question: Question =
            mac.chain_update(hash).chain_update([0]).chain_update(password).finalize().into_bytes().into();
        let place = usize::from(u16::from_ne_bytes([question[0], question[1]])) % ANSWERS_MAX;
        if equals(&self.yes[place], &question) {
            return true;
        }
        if equals(&self.no[place], &question) {
            return false;
        }
        self.computed += 1;
        let is_right = scheme.verify(hash, password);
        let table = if is_right { &mut self.yes } else { &mut self.no };
        table[place] = question;
        is_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(users: &[(&str, Password)]) -> UserList {
        let user = |password: &Password| User { password: password.clone(), groups: Vec::new() };
        UserList {
            users: users.iter().map(|(name, password)| ((*name).into(), user(password))).collect(),
            groups: Vec::new(),
        }
    }

    #[test]
    fn users_are_known_by_their_passwords() {
        let hash = "$5$rounds=1000$abcdefgh$XIppta5rT8zJUu4vAOKQXrwq9uY4Ijlz6VjyOmkx5i4";
        let list = list(&[
            ("plain", Password::Plain("pa:ss".into())),
            ("hashed", Password::Crypt(Scheme::of(hash).unwrap(), hash.into())),
            ("nobody", Password::None),
        ]);
        for (name, password, expected) in [
            ("plain", "pa:ss", true),
            ("plain", "pass", false),
            ("Plain", "pa:ss", false),
            ("hashed", "secret", true),
            ("hashed", hash, false),
            ("nobody", "", false),
            ("", "", false),
        ] {
            let known = list.authenticate(name.as_bytes(), password.as_bytes()).is_some();
            assert_eq!(known, expected, "{name} {password}");
        }
    }

    #[test]
    fn each_answer_is_computed_once() {
        let (hash, mut cache) = ("$1$ab$rn6aQS/o7141mj179E/zA.", Verified::new());
        for (password, expected, computed) in
            [("", true, 1), ("", true, 1), ("x", false, 2), ("x", false, 2), ("", true, 2)]
        {
            assert_eq!(cache.verify(Scheme::Md5, hash, password.as_bytes()), expected);
            assert_eq!(cache.computed, computed);
        }
        for guess in 0..3 * ANSWERS_MAX {
            cache.verify(Scheme::Des, "abNANd1rDfiNd", &guess.to_ne_bytes()[..1]);
        }
        let before = cache.computed;
        assert!(
            cache.verify(Scheme::Md5, hash, b"") && cache.computed == before,
            "guesses drive out guesses"
        );
    }
}
