//! Session tickets: what a client brings back to resume its session, sealed with a key that only we know.
//!
//! A ticket proves that its session passed the checks of the listener that made it. So every listener, and every
//! policy of verification on it, seals under a fingerprint of its own: a ticket of one is nothing to another,
//! even with the same keys.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

use crate::base::clock;

/// Bytes of a key's name, which tickets begin with.
const NAME: usize = 16;
/// How long a key that we made ourselves seals, and how long it opens after that, in seconds.
const ROTATION_S: u64 = 6 * 3600;

/// A key.
struct Key {
    name: [u8; NAME],
    key: Arc<LessSafeKey>,
}

/// Keys in order of age, the newest one last.
struct Keys {
    list: Vec<Key>,
    /// Which one seals.
    sealing: usize,
    /// When the keys were made; none for keys of a file, which do not change by themselves.
    made_s: Option<u64>,
}

/// The keys of a listener.
pub struct TicketKeys(ArcSwap<Keys>);

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys")
    }
}

impl Key {
    /// The key that 48 (AES-128) or 80 bytes (AES-256) make: name, a half that is unused here, and the key.
    fn of(bytes: &[u8]) -> Option<Key> {
        let (algorithm, from) = match bytes.len() {
            48 => (&AES_128_GCM, 32),
            80 => (&AES_256_GCM, 48),
            _ => return None,
        };
        let key = Arc::new(LessSafeKey::new(UnboundKey::new(algorithm, &bytes[from..]).ok()?));
        Some(Key { name: bytes[..NAME].try_into().ok()?, key })
    }
    fn random() -> Option<Key> {
        let mut bytes = [0; 80];
        rand::fill(&mut bytes).ok()?;
        Key::of(&bytes)
    }
}

impl TicketKeys {
    /// Keys of our own, which are replaced from time to time.
    pub fn random() -> TicketKeys {
        let list = Key::random().into_iter().collect();
        let made_s = Some(clock::cached().wall_secs());
        TicketKeys(ArcSwap::from_pointee(Keys { list, sealing: 0, made_s }))
    }
    /// The keys of a `tls-ticket-keys` file: lines of base64. The last but one seals, so that other machines know
    /// the last one before it is used; all of them open.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn of_file(text: &[u8]) -> Result<TicketKeys, String> {
        use base64::Engine as _;
        let mut list = Vec::new();
        let text = String::from_utf8_lossy(text);
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let bytes = base64::engine::general_purpose::STANDARD.decode(line.trim());
            let key = bytes.ok().and_then(|bytes| Key::of(&bytes));
            list.push(key.ok_or_else(|| {
                format!("line {} is no key: it must be 48 or 80 bytes in base64 (openssl rand 80 | openssl base64 -A)", at + 1)
            })?);
        }
        if list.len() < 3 {
            return Err(format!("holds {} keys, and at least 3 are needed", list.len()));
        }
        let sealing = list.len() - 2;
        Ok(TicketKeys(ArcSwap::from_pointee(Keys { list, sealing, made_s: None })))
    }

    /// The keys to seal with now: our own are renewed when their time is over.
    fn current(&self) -> Arc<Keys> {
        let keys = self.0.load_full();
        let now = clock::cached().wall_secs();
        match keys.made_s {
            Some(made_s) if now.saturating_sub(made_s) >= ROTATION_S => {}
            _ => return keys,
        }
        let Some(fresh) = Key::random() else { return keys };
        let old = keys.list.iter().next_back();
        let old = old.map(|old| Key { name: old.name, key: old.key.clone() });
        let list: Vec<Key> = old.into_iter().chain([fresh]).collect();
        let renewed = Arc::new(Keys { sealing: list.len() - 1, list, made_s: Some(now) });
        // The thread that comes second at the same moment uses the first one's keys.
        let before = self.0.compare_and_swap(&keys, renewed);
        if Arc::ptr_eq(&before, &keys) { self.0.load_full() } else { Arc::clone(&before) }
    }
}

/// The tickets of one policy of a listener.
#[derive(Debug)]
pub struct Tickets {
    /// The listener's keys.
    pub keys: Arc<TicketKeys>,
    /// What sets the policy apart from others that might have the same keys.
    pub policy: [u8; 32],
    /// How long a ticket is good, in seconds.
    pub lifetime_s: u32,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }
    fn lifetime(&self) -> u32 {
        self.lifetime_s
    }
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.current();
        let key = keys.list.get(keys.sealing)?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + 8 + plain.len() + 16);
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        let mut sealed = clock::cached().wall_secs().to_be_bytes().to_vec();
        sealed.extend_from_slice(plain);
        let aad = Aad::from(self.policy);
        key.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }
    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys.0.load();
        let key = keys.list.iter().find(|key| key.name == name)?;
        let mut plain = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = key.key.open_in_place(nonce, Aad::from(self.policy), &mut plain).ok()?;
        let (made_s, session) = opened.split_first_chunk::<8>()?;
        let age_s = clock::cached().wall_secs().checked_sub(u64::from_be_bytes(*made_s))?;
        (age_s <= u64::from(self.lifetime_s)).then(|| session.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(keys: &Arc<TicketKeys>, policy: u8, lifetime_s: u32) -> Tickets {
        Tickets { keys: keys.clone(), policy: [policy; 32], lifetime_s }
    }

    #[test]
    fn a_ticket_opens_under_its_own_policy_only() {
        let keys = Arc::new(TicketKeys::random());
        let ours = tickets(&keys, 1, 300);
        let ticket = ours.encrypt(b"session").unwrap();
        assert_ne!(ours.encrypt(b"session").unwrap(), ticket, "no two are alike");
        assert_eq!(ours.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets(&keys, 2, 300).decrypt(&ticket), None, "another policy");
        assert_eq!(tickets(&Arc::new(TicketKeys::random()), 1, 300).decrypt(&ticket), None, "other keys");
        for at in 0..ticket.len() {
            let mut broken = ticket.clone();
            broken[at] ^= 1;
            assert_eq!(ours.decrypt(&broken), None, "byte {at}");
            assert_eq!(ours.decrypt(&ticket[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn keys_of_a_file() {
        use base64::Engine as _;
        let line = |seed: u8, len: usize| base64::engine::general_purpose::STANDARD.encode(vec![seed; len]);
        let file = |keys: &[(u8, usize)]| {
            let lines: Vec<String> = keys.iter().map(|(seed, len)| line(*seed, *len)).collect();
            TicketKeys::of_file(lines.join("\n").as_bytes())
        };
        let first = tickets(&Arc::new(file(&[(1, 80), (2, 80), (3, 80)]).unwrap()), 1, 300);
        let ticket = first.encrypt(b"s").unwrap();
        assert_eq!(ticket[..NAME], [2; NAME], "the last but one seals");
        let next = tickets(&Arc::new(file(&[(2, 80), (3, 80), (4, 48)]).unwrap()), 1, 300);
        assert_eq!(next.decrypt(&ticket).as_deref(), Some(&b"s"[..]));
        assert!(file(&[(1, 80), (2, 80)]).unwrap_err().contains("at least 3"));
        assert!(file(&[(1, 80), (2, 81), (3, 80)]).unwrap_err().contains("line 2"));
    }
}
