//! "Did you mean": the known name nearest to a mistyped one.

/// Longer names are no slip of a known one, and comparing them would keep a thread busy for seconds:
/// the runtime API asks this about whatever a client sends.
const NAME_LEN_MAX: usize = 128;

/// The candidate nearest to `name`, if one is near enough to be a likely slip.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_LEN_MAX {
        return None;
    }
    let limit = 1 + name.chars().count() / 3;
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name && candidate.len() <= NAME_LEN_MAX)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= limit || (name.len() >= 4 && shares_words(name, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A help line naming the nearest candidate.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(name, candidates).map(|candidate| format!("did you mean '{candidate}'?"))
}

/// Whether the names share a whole word, as `backend_servers` and `flask_servers` do.
fn shares_words(a: &str, b: &str) -> bool {
    let words = |s: &'_ str| -> Vec<String> {
        s.split(['_', '-', '.']).filter(|w| w.len() >= 4).map(str::to_ascii_lowercase).collect()
    };
    let of_b = words(b);
    words(a).iter().any(|word| of_b.contains(word))
}

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`.
pub fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(!a[i - 1].eq_ignore_ascii_case(&b[j - 1]));
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_likely_slip_only() {
        for (name, candidates, expected) in [
            ("defualt_backend", &["default_backend", "use_backend"][..], Some("default_backend")),
            ("backend_servers", &["flask_servers", "stats"], Some("flask_servers")),
            ("req.hrd", &["req.hdr", "req.ver"], Some("req.hdr")),
            ("zzz", &["mode", "bind"], None),
        ] {
            assert_eq!(closest(name, candidates.iter().copied()), expected, "{name}");
        }
    }
}
