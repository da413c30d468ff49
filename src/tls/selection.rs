//! Which certificate answers a client: by the name it asks for, then by the signatures it can verify.
//!
//! An exact name wins over a wildcard, which stands for one label, and a wildcard over the default. A filter
//! may take names out of its own line's wildcard (`!name`).

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::material::KeyKind;
use rustls::SignatureScheme;

/// The longest name that is looked for (RFC 1035 section 3.1, in text).
const NAME_MAX: usize = 255;

/// The names of one candidate, from the filters of a line or from its certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// What it is for: names, wildcards (`*.example.com`), or `*` for clients that find nothing else.
    pub wanted: Vec<Box<str>>,
    /// What it is not for, although a wildcard of it is.
    pub excluded: Vec<Box<str>>,
}

impl Names {
    /// The names in filters of a `crt-list` line; none if there are no filters.
    pub fn of_filters<'t>(filters: impl IntoIterator<Item = &'t str>) -> Option<Names> {
        let mut names = Names::default();
        let mut any = false;
        for filter in filters {
            any = true;
            match filter.strip_prefix('!') {
                // A wildcard cannot be excluded; the filter only says that the certificate's names do not count.
                Some(name) if name.starts_with('*') => {}
                Some(name) => names.excluded.push(name.to_ascii_lowercase().into()),
                None => names.wanted.push(filter.to_ascii_lowercase().into()),
            }
        }
        any.then_some(names)
    }
}

type Places = SmallVec<[u32; 2]>;

/// An index of candidates by their place in a list.
#[derive(Debug, Default)]
pub struct Selection {
    exact: FxHashMap<Box<str>, Places>,
    /// By what stands behind the first label, with its dot.
    wildcard: FxHashMap<Box<str>, Places>,
    default: Places,
    kinds: Vec<KeyKind>,
    excluded: FxHashMap<u32, Vec<Box<str>>>,
}

/// Whom a client's name has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A candidate for that name.
    Named(u32),
    /// The default, since nothing is for that name, or the client told none.
    Default(u32),
    /// Nothing at all.
    Nothing,
}

impl Selection {
    /// Adds a candidate; how many there were before is its place.
    pub fn add(&mut self, kind: KeyKind, names: &Names) -> u32 {
        let place = self.kinds.len() as u32;
        self.kinds.push(kind);
        for name in &names.wanted {
            if &**name == "*" {
                self.default.push(place);
            } else if let Some(suffix) = name.strip_prefix('*') {
                self.wildcard.entry(suffix.into()).or_default().push(place);
            } else {
                self.exact.entry(name.clone()).or_default().push(place);
            }
        }
        if !names.excluded.is_empty() {
            self.excluded.insert(place, names.excluded.clone());
        }
        place
    }
    /// Makes a candidate one of those that serve clients that find nothing else.
    pub fn add_default(&mut self, place: u32) {
        if !self.default.contains(&place) {
            self.default.push(place);
        }
    }
    /// Whether there is a default.
    pub fn has_default(&self) -> bool {
        !self.default.is_empty()
    }
    /// Whether there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The candidate for a client that asks for `name` and takes these signatures.
    pub fn find(&self, name: Option<&[u8]>, schemes: &[SignatureScheme]) -> Found {
        let name = name.filter(|name| name.len() <= NAME_MAX).and_then(|name| std::str::from_utf8(name).ok());
        if let Some(name) = name {
            let name = name.to_ascii_lowercase();
            let name = name.strip_suffix('.').unwrap_or(&name);
            if let Some(place) = self.exact.get(name).and_then(|places| self.best(places, schemes, name)) {
                return Found::Named(place);
            }
            let suffix = name.find('.').map(|dot| &name[dot..]);
            if let Some(place) = suffix
                .and_then(|suffix| self.wildcard.get(suffix))
                .and_then(|places| self.best(places, schemes, name))
            {
                return Found::Named(place);
            }
        }
        self.best(&self.default, schemes, "").map_or(Found::Nothing, Found::Default)
    }

    /// Of several, one that the client can verify, with elliptic curves if it can; else the first one.
    fn best(&self, places: &[u32], schemes: &[SignatureScheme], name: &str) -> Option<u32> {
        let allowed = |place: &&u32| match self.excluded.get(place) {
            Some(excluded) => !excluded.iter().any(|one| **one == *name),
            None => true,
        };
        let mut places = places.iter().filter(allowed).peekable();
        let first = **places.peek()?;
        let mut chosen = None;
        for place in places {
            let kind = self.kinds[*place as usize];
            if kind.fits(schemes) {
                if kind == KeyKind::Ecdsa {
                    return Some(*place);
                }
                chosen = chosen.or(Some(*place));
            }
        }
        Some(chosen.unwrap_or(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[SignatureScheme] =
        &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256];
    const RSA: &[SignatureScheme] = &[SignatureScheme::RSA_PKCS1_SHA256];

    fn filters(text: &str) -> Names {
        Names::of_filters(text.split_whitespace()).unwrap()
    }

    #[test]
    fn names_wildcards_and_defaults() {
        let mut selection = Selection::default();
        assert_eq!(selection.find(None, BOTH), Found::Nothing);
        let rsa = selection.add(KeyKind::Rsa, &filters("www.a.com *.a.com !no.a.com"));
        let ecdsa = selection.add(KeyKind::Ecdsa, &filters("www.a.com"));
        let other = selection.add(KeyKind::Rsa, &filters("!*"));
        let b = selection.add(KeyKind::Rsa, &filters("*.B.com"));
        assert!(!selection.has_default());
        selection.add_default(other);
        for (name, schemes, expected) in [
            (Some("www.a.com"), BOTH, Found::Named(ecdsa)),
            (Some("WWW.A.com."), BOTH, Found::Named(ecdsa)),
            (Some("www.a.com"), RSA, Found::Named(rsa)),
            (Some("x.a.com"), BOTH, Found::Named(rsa)),
            (Some("no.a.com"), BOTH, Found::Default(other)),
            (Some("x.y.a.com"), BOTH, Found::Default(other)),
            (Some("a.com"), BOTH, Found::Default(other)),
            (Some("x.b.com"), &[], Found::Named(b)),
            (None, BOTH, Found::Default(other)),
        ] {
            assert_eq!(selection.find(name.map(str::as_bytes), schemes), expected, "{name:?}");
        }
        assert_eq!(selection.find(Some(&[0xff; 3]), BOTH), Found::Default(other));
        assert_eq!(selection.find(Some(&[b'a'; 300]), BOTH), Found::Default(other));
    }

    #[test]
    fn filters_of_a_line() {
        assert_eq!(Names::of_filters([]), None, "the certificate's own names count then");
        assert_eq!(filters("!*"), Names::default(), "none count");
        let star = filters("*");
        let mut selection = Selection::default();
        selection.add(KeyKind::Rsa, &star);
        assert!(selection.has_default());
    }
}
