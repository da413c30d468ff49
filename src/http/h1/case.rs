//! The case of header names, for peers that wrongly depend on it (manual, section 3.1
//! `h1-case-adjust`).
//!
//! Names go out as they came and ours in lower case; where a proxy's options ask for it, those that
//! the configuration lists are rewritten in the finished head. Only their case may differ, so a head
//! keeps its length.

use std::collections::HashMap;

/// The longest name that can be listed.
pub const NAME_MAX: usize = 256;

/// Names in the case that peers want, by their lower-case form.
#[derive(Clone, Debug, Default)]
pub struct HeaderCase {
    names: HashMap<Box<[u8]>, Box<[u8]>>,
}

impl HeaderCase {
    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
    /// Lists a name; says what is wrong with it if it cannot be.
    pub fn add(&mut self, from: &str, to: &str) -> Result<(), String> {
        if from.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("'{from}' contains uppercase characters, which is not allowed"));
        }
        if !from.eq_ignore_ascii_case(to) {
            return Err(format!("'{from}' and '{to}' must not differ except the case"));
        }
        if from.is_empty() || from.len() > NAME_MAX {
            return Err(format!("a name has between 1 and {NAME_MAX} bytes"));
        }
        if self.names.contains_key(from.as_bytes()) {
            return Err(format!("duplicate header '{from}'"));
        }
        self.names.insert(from.as_bytes().into(), to.as_bytes().into());
        Ok(())
    }
    /// Rewrites the names of an encoded head.
    pub fn apply(&self, head: &mut [u8]) {
        let mut lower = [0; NAME_MAX];
        let mut start = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
        while start < head.len() {
            let line = memchr::memchr(b'\n', &head[start..]).map_or(head.len(), |end| start + end + 1);
            let name = memchr::memchr(b':', &head[start..line]).map_or(0, |len| len);
            if (1..=NAME_MAX).contains(&name) {
                let key = &mut lower[..name];
                key.copy_from_slice(&head[start..start + name]);
                key.make_ascii_lowercase();
                if let Some(wanted) = self.names.get(&*key) {
                    head[start..start + name].copy_from_slice(wanted);
                }
            }
            start = line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_case_that_is_listed() {
        let mut case = HeaderCase::default();
        for (from, to, problem) in [
            ("content-length", "Content-Length", None),
            ("x-a", "X-a", None),
            ("x-a", "X-A", Some("duplicate header 'x-a'")),
            ("X-b", "x-B", Some("contains uppercase")),
            ("x-b", "x-c", Some("must not differ except the case")),
            ("", "", Some("between 1 and")),
        ] {
            let told = case.add(from, to).err();
            assert_eq!(told.is_some(), problem.is_some(), "{from} {told:?}");
            assert!(told.unwrap_or_default().contains(problem.unwrap_or_default()), "{from}");
        }
        let mut head = b"GET /x-a:1 HTTP/1.1\r\nhost: x-a: 1\r\nX-A: 1\r\ncontent-length: 0\r\n\r\n".to_vec();
        case.apply(&mut head);
        let expected = "GET /x-a:1 HTTP/1.1\r\nhost: x-a: 1\r\nX-a: 1\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&head), expected);
        let mut half = b"no line".to_vec();
        case.apply(&mut half);
        assert_eq!(half, b"no line");
    }
}
