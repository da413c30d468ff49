//! The static table (RFC 7541 appendix A).

/// Names and values; the first entry has index 1.
pub(super) const ENTRIES: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Slots of the hash table of names: a power of two, well above the 52 names.
const SLOTS: usize = 256;

/// By hash: the first index with that name, 0 for none. Collisions go to the next slot.
static NAMES: [u8; SLOTS] = names();

const fn names() -> [u8; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut index = 1;
    while index <= ENTRIES.len() {
        let name = ENTRIES[index - 1].0.as_bytes();
        let mut slot = hash(name);
        // Entries of one name follow one another, and only the first is to be found.
        while slots[slot] != 0 && !same(ENTRIES[slots[slot] as usize - 1].0.as_bytes(), name) {
            slot = (slot + 1) % SLOTS;
        }
        if slots[slot] == 0 {
            slots[slot] = index as u8;
        }
        index += 1;
    }
    slots
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Of a name that is not empty, in lower case.
const fn hash(name: &[u8]) -> usize {
    let (first, last) = (name[0] as usize, name[name.len() - 1] as usize);
    let middle = name[name.len() / 2] as usize;
    (name.len() * 37 + first * 7 + middle * 3 + last) % SLOTS
}

/// The first index with that name, which is in lower case.
pub(super) fn index_of_name(name: &[u8]) -> Option<usize> {
    if name.is_empty() {
        return None;
    }
    let mut slot = hash(name);
    while let index @ 1.. = usize::from(NAMES[slot]) {
        if ENTRIES[index - 1].0.as_bytes() == name {
            return Some(index);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// The index with that name and value, looked for from `first` on, the first index of the name.
pub(super) fn index_of_field(first: usize, value: &[u8]) -> Option<usize> {
    let name = ENTRIES[first - 1].0;
    let same_name = ENTRIES[first - 1..].iter().take_while(|entry| entry.0 == name);
    same_name
        .zip(first..)
        .find(|(entry, _)| !entry.1.is_empty() && entry.1.as_bytes() == value)
        .map(|(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_are_found() {
        for (at, (name, value)) in ENTRIES.iter().enumerate() {
            let first = ENTRIES.iter().position(|entry| entry.0 == *name).unwrap() + 1;
            assert_eq!(index_of_name(name.as_bytes()), Some(first), "{name}");
            let expected = (!value.is_empty()).then_some(at + 1);
            assert_eq!(index_of_field(first, value.as_bytes()), expected, "{name}: {value}");
            assert_eq!(index_of_field(first, b"something else"), None);
            assert_eq!(index_of_name(format!("{name}x").as_bytes()), None);
        }
        assert_eq!(index_of_name(b""), None);
        assert_eq!(index_of_name(b"x-forwarded-for"), None);
    }
}
