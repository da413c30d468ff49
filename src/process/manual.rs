//! The manual, made from the tables of keywords: `haring doc --reference` and `--compatibility`.
//!
//! Both pages are Markdown and stand in `docs/`; a test holds them to what the tables say.

use super::absent::{ABSENT, PARTLY, Partly};
use crate::base::doc::{DocEntry, Support};
use crate::config::doc as registry;
use crate::control::admin::cmd;

/// A page of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Every keyword.
    Reference,
    /// What becomes of HAProxy's keywords.
    Compatibility,
}

impl Page {
    /// The page as Markdown.
    pub fn text(self) -> String {
        match self {
            Page::Reference => reference(),
            Page::Compatibility => compatibility(),
        }
    }
}

/// Everything that is documented: the configuration's keywords and the runtime API's commands.
pub fn all() -> Vec<DocEntry> {
    let mut entries = registry::all();
    entries.extend(cmd::documentation());
    entries
}

/// The entries that `keyword` names: the exact ones if there are any, else those that start with it, else what it
/// means where it is written: an option behind `server` or `bind`, an action behind its rule set, an alias behind
/// `%`, a criterion with its suffix, an algorithm of `balance`.
pub fn lookup(keyword: &str) -> Vec<DocEntry> {
    let entries = all();
    let named = |name: &str, wanted: &dyn Fn(&DocEntry) -> bool| -> Vec<DocEntry> {
        let mut found: Vec<_> =
            entries.iter().filter(|entry| entry.answers_to(name) && wanted(entry)).cloned().collect();
        if found.iter().any(|entry| entry.name == name) {
            found.retain(|entry| entry.name == name);
        }
        found
    };
    let mut found = named(keyword, &|_| true);
    if found.is_empty()
        && let Some((place, name)) = keyword.split_once(' ')
    {
        let kind = format!("{place} option");
        let name = name.trim();
        found = named(name, &|entry| {
            entry.kind == kind || (entry.kind == "action" && entry.sections.contains(&place))
        });
    }
    if found.is_empty()
        && let Some(name) = keyword.strip_prefix('%')
    {
        found = named(name, &|entry| entry.kind == "log alias");
    }
    if found.is_empty()
        && let Some((fetch, kind)) = crate::sample::acl::criterion(keyword)
    {
        found.push(DocEntry {
            name: keyword.to_owned().into(),
            kind: "acl",
            signature: format!("{keyword} <pattern>*"),
            sections: Vec::new(),
            text: format!("A criterion of ACLs: '{fetch}', compared as '-m {}' does.", kind.name()),
            support: Support::Full,
        });
        found.extend(named(fetch, &|entry| entry.kind == "fetch"));
    }
    if found.is_empty()
        && let Some((name, text)) =
            crate::config::section::balance::ALGORITHMS.iter().find(|(name, _)| *name == keyword)
    {
        found.push(DocEntry {
            name: (*name).into(),
            kind: "algorithm of 'balance'",
            signature: format!("balance {name}"),
            sections: Vec::new(),
            text: (*text).to_owned(),
            support: Support::Full,
        });
    }
    found
}

/// Chapters by kind of keyword, in the order of reading.
const CHAPTERS: &[(&str, &str)] = &[
    ("section", "Sections"),
    ("preprocessor directive", "Preprocessor directives"),
    ("predicate", "Predicates of conditions"),
    ("directive", "Directives"),
    ("bind option", "Options of `bind`"),
    ("server option", "Options of `server`"),
    ("stick-table data", "What stick tables store"),
    ("action", "Actions of rules"),
    ("fetch", "Sample fetches"),
    ("converter", "Converters"),
    ("acl", "ACLs"),
    ("log alias", "Aliases of log formats"),
    ("command", "Commands of the runtime API"),
];

/// The entries of a chapter by name.
fn chapter(kind: &str, entries: &[DocEntry]) -> Vec<DocEntry> {
    let mut found: Vec<_> = entries.iter().filter(|entry| entry.kind == kind).cloned().collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// One page with every keyword.
fn reference() -> String {
    let entries = all();
    let mut out = String::from(
        "# Reference\n\n\
         Every keyword that Haring knows, as its own tables say it; `haring doc KEYWORD` shows an entry. \
         This page is made by `haring doc --reference`.\n\n",
    );
    for (kind, title) in CHAPTERS {
        out.push_str(&format!("- [{title}](#{})\n", anchor(title)));
        debug_assert!(entries.iter().any(|entry| entry.kind == *kind), "chapter '{title}' is empty");
    }
    for (kind, title) in CHAPTERS {
        out.push_str(&format!("\n## {title}\n\n"));
        for entry in chapter(kind, &entries) {
            out.push_str(&format!("**`{}`**", entry.signature));
            if !entry.sections.is_empty() {
                out.push_str(&format!(" *({})*", entry.sections.join(", ")));
            }
            out.push_str(&format!("  \n{}", plain(&entry.text)));
            let support = entry.support.sentence();
            if !support.is_empty() {
                out.push_str(&format!(" **{}**", plain(&support)));
            }
            out.push_str("\n\n");
        }
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

/// What works, what is accepted without effect and why, what is refused, what was removed.
fn compatibility() -> String {
    let entries = all();
    let count = |kind: &str, of: fn(Support) -> bool| {
        entries.iter().filter(|entry| entry.kind == kind && of(entry.support)).count()
    };
    let mut out = String::from(
        "# Compatibility\n\n\
         What becomes of HAProxy's keywords, as Haring's own tables say it. \
         This page is made by `haring doc --compatibility`.\n\n\
         | | work | accepted without effect | refused | removed by HAProxy |\n|---|--:|--:|--:|--:|\n",
    );
    for (kind, title) in CHAPTERS {
        out.push_str(&format!(
            "| {title} | {} | {} | {} | {} |\n",
            count(kind, |support| support == Support::Full),
            count(kind, |support| matches!(support, Support::NoAction(_))),
            count(kind, |support| matches!(support, Support::Refused(_))),
            count(kind, |support| matches!(support, Support::Removed(_))),
        ));
    }
    out.push_str(
        "\nA refused keyword stops the load with a diagnostic that names it: nothing is half obeyed. \
         Every keyword that works is in the [reference](reference.md).\n",
    );
    type Why = fn(Support) -> Option<&'static str>;
    let lists: [(&str, &str, Why); 3] = [
        ("Refused", "why", |support| match support {
            Support::Refused(why) => Some(why),
            _ => None,
        }),
        ("Accepted without effect", "why nothing needs to be done", |support| match support {
            Support::NoAction(why) => Some(why),
            _ => None,
        }),
        ("Removed by HAProxy", "what to write instead", |support| match support {
            Support::Removed(instead) => Some(instead),
            _ => None,
        }),
    ];
    for (title, column, why) in lists {
        out.push_str(&format!("\n## {title}\n\n| keyword | kind | {column} |\n|---|---|---|\n"));
        for (kind, _) in CHAPTERS {
            for entry in chapter(kind, &entries) {
                if let Some(why) = why(entry.support) {
                    out.push_str(&format!(
                        "| `{}` | {kind} | {} |\n",
                        entry.name,
                        plain(why).replace('|', "\\|")
                    ));
                }
            }
        }
    }
    out.push_str(
        "\n## Refused in part\n\nThese keywords work, but not with these values.\n\n\
         | keyword | value | why |\n|---|---|---|\n",
    );
    for Partly { keyword, value, why, .. } in PARTLY {
        out.push_str(&format!("| `{keyword}` | `{value}` | {} |\n", plain(why)));
    }
    out.push_str(
        "\n## Unknown\n\nNames of HAProxy 3.5 that no table here knows: a configuration, a script or a \
         command line that uses one gets an error.\n\n| kind | names | why |\n|---|---|---|\n",
    );
    for group in ABSENT {
        let names: Vec<String> = group.names.iter().map(|name| format!("`{name}`")).collect();
        out.push_str(&format!("| {} | {} | {} |\n", group.kind, names.join(", "), plain(group.why)));
    }
    out
}

/// The anchor that Markdown readers give a heading.
fn anchor(title: &str) -> String {
    let kept = title.to_ascii_lowercase().replace('`', "");
    kept.replace(' ', "-")
}

/// A text without what Markdown would take for markup: quoted words become code.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\'') {
        // An apostrophe stands behind a letter, a quotation does not.
        let is_apostrophe = rest[..start].ends_with(|letter: char| letter.is_alphanumeric());
        let end = rest[start + 1..].find('\'');
        match end {
            Some(end) if !is_apostrophe => {
                out.push_str(&escaped(&rest[..start]));
                out.push_str(&format!("`{}`", &rest[start + 1..start + 1 + end]));
                rest = &rest[start + end + 2..];
            }
            _ => {
                out.push_str(&escaped(&rest[..=start]));
                rest = &rest[start + 1..];
            }
        }
    }
    out + &escaped(rest)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '*' | '_' | '<' | '\\' | '`' | '[') {
            out.push('\\');
        }
        out.push(if letter == '\n' { ' ' } else { letter });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::absent::is_absent;

    #[test]
    fn texts_are_plain_markdown() {
        for (text, expected) in [
            ("a server's <name>", "a server's \\<name>"),
            ("use 'timeout client' *", "use `timeout client` \\*"),
            ("the client's 'a' and 'b_c'", "the client's `a` and `b_c`"),
            ("it's 'x", "it's 'x"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    /// Every name of HAProxy 3.5 and its kind.
    fn haproxys() -> impl Iterator<Item = (&'static str, &'static str)> {
        include_str!("../../tests/names/haproxy-3.5.tsv").lines().filter_map(|line| line.split_once('\t'))
    }

    /// Whether a table knows the name, with whatever support.
    fn is_known(entries: &[DocEntry], kind: &str, name: &str) -> bool {
        match kind {
            "acl" => crate::sample::acl::is_criterion(name),
            "fetch" => crate::sample::fetch::find(name).is_some(),
            "converter" => crate::sample::conv::find(name).is_some(),
            "flag" => crate::process::args::is_flag(name),
            _ => entries.iter().any(|entry| entry.kind == kind && entry.answers_to(name)),
        }
    }

    #[test]
    fn every_name_of_haproxy_is_accounted_for() {
        let entries = all();
        let mut unaccounted = Vec::new();
        for (kind, name) in haproxys() {
            match (is_known(&entries, kind, name), is_absent(kind, name)) {
                (false, false) => {
                    unaccounted.push(format!("{kind} '{name}' is neither known nor listed as absent"))
                }
                (true, true) => unaccounted.push(format!("{kind} '{name}' is known, but listed as absent")),
                _ => {}
            }
        }
        assert!(unaccounted.is_empty(), "{}", unaccounted.join("\n"));
        assert!(haproxys().count() > 1500, "the list is whole");
        let invented: Vec<_> = ABSENT
            .iter()
            .flat_map(|group| group.names.iter().map(|name| (group.kind, *name)))
            .filter(|absent| !haproxys().any(|name| name == *absent))
            .collect();
        assert!(invented.is_empty(), "HAProxy does not have these: {invented:?}");
    }

    #[test]
    fn what_is_refused_in_part_is_refused() {
        use crate::config::{Input, Settings, load, testing::Memory};
        for Partly { keyword, value, example, .. } in PARTLY {
            let bytes = format!("defaults d\nmode http\n{example}\n").into_bytes();
            let input = Input { name: "x.cfg".into(), bytes };
            let mut report = crate::diag::Report::default();
            let registry = crate::state::Registry::new(1);
            let model = load(&[input], &Settings::default(), &registry, &Memory::default(), &mut report);
            assert!(model.is_none(), "'{keyword}' takes '{value}': take it off the list");
            let last = example.lines().count() as u32 + 2;
            let told = report.diagnostics.iter().any(|found| found.span.line == last);
            assert!(told, "{example}: {:?}", report.diagnostics);
        }
    }

    #[test]
    fn every_kind_has_a_chapter() {
        for entry in all() {
            assert!(CHAPTERS.iter().any(|(kind, _)| *kind == entry.kind), "{}: {}", entry.name, entry.kind);
            assert!(entry.text.len() > 3, "{} has no text", entry.name);
        }
    }
}
