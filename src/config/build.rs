//! Sections -> drafts: walks the sections, dispatches each line to its keyword's parser, and gives
//! each proxy the lines of its defaults first.

use std::collections::{HashMap, HashSet};

use super::draft::{Draft, Kind, RuleSpans};
use super::keyword::{Does, Keyword, Places};
use super::loading::{DefaultPath, Loading};
use super::read::SECTIONS;
use super::section::global::GlobalDraft;
use super::section::{self, ProxyParser, global};
use super::shape;
use super::syntax::{Line, Prefix, Section};
use super::words::Words;
use crate::diag::{Level, Span, closest};

/// A defaults section, kept as its lines.
struct Defaults<'s> {
    section: &'s Section,
    name: Option<&'s str>,
    parent: Option<usize>,
    /// Rules it has, its parents' included (a parent with rules is refused).
    rules: RuleSpans,
    /// It was named with `from`.
    explicit: Option<Span>,
    /// A proxy took it since it was the last one.
    implicit: bool,
    /// The kind of the first proxy that inherited rules from it.
    heir: Option<Kind>,
    /// An earlier section of the same name.
    previous: Option<Span>,
}

/// What came of the sections.
pub struct Built {
    /// `global`
    pub global: GlobalDraft,
    /// Proxies in order.
    pub proxies: Vec<Draft>,
}

struct Builder<'s, 'l, 'b> {
    loading: &'b mut Loading<'l>,
    global: GlobalDraft,
    proxies: Vec<Draft>,
    names: HashMap<&'s str, (Kind, Span)>,
    defaults: Vec<Defaults<'s>>,
    defaults_by_name: HashMap<&'s str, usize>,
    /// The defaults of proxies without `from`.
    last_defaults: Option<usize>,
}

/// Walks all sections.
pub fn build(sections: &[Section], loading: &mut Loading<'_>) -> Built {
    loading.lost_lines = loading.report.has_alerts();
    loading.lost_settings = loading.lost_lines;
    // Proxies refer to these wherever they stand, so they are read first.
    for section in sections {
        find_default_path(section, loading);
        loading.enter(section.head.span);
        section::sections::read(section, loading);
    }
    section::resolvers::add_default(loading);
    loading.default_path = DefaultPath::Current;
    section::stick::declare(sections, loading);
    let mut builder = Builder {
        loading,
        global: GlobalDraft::default(),
        proxies: Vec::new(),
        names: HashMap::new(),
        defaults: Vec::new(),
        defaults_by_name: HashMap::new(),
        last_defaults: None,
    };
    for section in sections {
        builder.loading.enter(section.head.span);
        match section.head.words[0].text.as_str() {
            "global" => builder.global(section),
            "defaults" => builder.defaults(section),
            "frontend" => builder.proxy(section, Kind::Frontend),
            "backend" => builder.proxy(section, Kind::Backend),
            "listen" => builder.proxy(section, Kind::Listen),
            _ => {}
        }
    }
    Built { global: builder.global, proxies: builder.proxies }
}

/// Notes the `default-path` lines of a global section, before it is read as a whole: sections that are read first
/// stand below it. Mistakes are told later.
fn find_default_path(section: &Section, loading: &mut Loading<'_>) {
    if section.head.words[0].text != "global" {
        return;
    }
    for line in section.lines.iter().filter(|line| line.words[0].text == "default-path") {
        let word = |at: usize| line.words.get(at).map(|word| word.text.as_str());
        loading.default_path = match (word(1), word(2)) {
            (Some("current"), _) => DefaultPath::Current,
            (Some("config"), _) => DefaultPath::Config,
            (Some("parent"), _) => DefaultPath::Parent,
            (Some("origin"), Some(path)) => DefaultPath::Origin(path.to_owned()),
            _ => continue,
        };
    }
}

impl<'s> Builder<'s, '_, '_> {
    fn global(&mut self, section: &'s Section) {
        if let Some(extra) = section.head.words.get(1) {
            let message = format!("'global' cannot handle unexpected argument '{}'", extra.text);
            self.loading.report.alert(extra.span, message);
        }
        let index = section::global_index();
        for line in &section.lines {
            let (name, taken) = name_of(line, global::FAMILIES);
            let Some(row) = index.get(&name) else {
                let near = index.closest(&name, Places::GLOBAL);
                unknown(line, &name, taken, "global", near, global::FAMILIES, self.loading);
                continue;
            };
            let mut words = Words::new(line, taken);
            match row.does {
                Does::Parse(parse) => parse(&mut self.global, &mut words, self.loading),
                Does::NoAction(_) => {
                    shape::read(row.name, row.args, &mut words, self.loading.report);
                    words.end(self.loading.report);
                }
                Does::Refused(why) => refuse(line, row.name, why, self.loading),
                Does::Removed(instead) => removed(line, row.name, instead, self.loading),
            }
        }
    }

    fn defaults(&mut self, section: &'s Section) {
        let words = &section.head.words;
        let text = |at: usize| words.get(at).map(|word| word.text.as_str());
        let (name, from) = match (text(1), text(2), text(3)) {
            (Some("from"), Some(parent), None) => (None, Some(parent)),
            (name, Some("from"), Some(parent)) => (name, Some(parent)),
            (name, None, _) => (name, None),
            (name, Some("from"), None) => {
                let message = "'from' expects the name of a defaults section";
                self.loading.report.alert(section.head.span, message);
                (name, None)
            }
            (name, Some(extra), _) => {
                let message = format!("'defaults' ignores the unexpected argument '{extra}'");
                self.loading.report.notice(section.head.span, message);
                (name, None)
            }
        };
        let span = section.head.span;
        if let Some(name) = name
            && let Some((kind, at)) = self.names.get(name)
        {
            let message = format!(
                "defaults '{name}' has the same name as {} '{name}' declared at {}. This is no longer supported \
                 as of 3.3. Please rename one or the other",
                kind.word(),
                self.loading.place(*at)
            );
            self.loading.report.alert(span, message);
        }
        let mut previous = None;
        if let Some(name) = name
            && let Some(&earlier) = self.defaults_by_name.get(name)
        {
            let earlier = &self.defaults[earlier];
            previous = Some(earlier.section.head.span);
            if earlier.explicit.is_some() {
                let message = format!(
                    "defaults '{name}' has the same name as another defaults section declared at {} which was \
                     explicitly referenced hence cannot be replaced. Please remove or rename one of the offending \
                     defaults section",
                    self.loading.place(earlier.section.head.span)
                );
                self.loading.report.alert(span, message);
            }
        }
        let parent = from.and_then(|from| {
            self.find_defaults(from, words.last().map_or(span, |w| w.span), "defaults", name.unwrap_or(""))
        });
        if let Some(parent) = parent
            && self.defaults[parent].rules.any.is_some()
        {
            let message = format!(
                "a defaults section cannot inherit from a defaults section defining TCP/HTTP rules (defaults \
                 section at {})",
                self.loading.place(self.defaults[parent].section.head.span)
            );
            self.loading.report.alert(span, message);
        }
        // Read once by itself, so that its mistakes are found even if no proxy uses it. What
        // replaying it finds again is dropped.
        let kind = Kind::Defaults { named: name.is_some() };
        let mut trial = Draft::new(kind, name.unwrap_or(""), span);
        if let Some(parent) = parent {
            self.replay(&mut trial, parent);
        }
        // Of a section that has a name, backends may be made while running, when no file is read.
        self.loading.keeps_files = name.is_some();
        lines(&mut trial, &section.lines, self.loading);
        self.loading.keeps_files = false;
        let index = self.defaults.len();
        self.defaults.push(Defaults {
            section,
            name,
            parent,
            rules: trial.rule_spans,
            explicit: None,
            implicit: false,
            heir: None,
            previous,
        });
        if let Some(name) = name {
            self.defaults_by_name.insert(name, index);
        }
        self.last_defaults = Some(index);
    }

    /// The defaults section called `name`, with the checks of a reference by name.
    fn find_defaults(&mut self, name: &str, span: Span, what: &str, whose: &str) -> Option<usize> {
        let Some(&index) = self.defaults_by_name.get(name) else {
            let message = format!("defaults section '{name}' not found for {what} '{whose}'");
            let help = self.loading.nearest(name, self.defaults_by_name.keys().copied());
            let found = self.loading.report.alert(span, message);
            if let Some(near) = help {
                found.help(format!("did you mean '{near}'?"));
            }
            return None;
        };
        let at = self.defaults[index].section.head.span;
        if let Some(previous) = self.defaults[index].previous {
            let message = format!(
                "ambiguous defaults section name '{name}' referenced by {what} '{whose}' exists at least at {} and {}",
                self.loading.place(at),
                self.loading.place(previous)
            );
            self.loading.report.alert(span, message);
        }
        if let Some(bad) = invalid_char(name) {
            let message = format!(
                "character '{bad}' is not permitted in defaults section name '{name}' when designated by its name \
                 (section found at {})",
                self.loading.place(at)
            );
            self.loading.report.alert(span, message);
        }
        self.defaults[index].explicit.get_or_insert(span);
        Some(index)
    }

    fn proxy(&mut self, section: &'s Section, kind: Kind) {
        let words = &section.head.words;
        let span = section.head.span;
        let Some(name) = words.get(1) else {
            let message = format!("'{}' expects an <id> argument", kind.section());
            self.loading.report.alert(span, message);
            return;
        };
        if let Some(bad) = invalid_char(&name.text) {
            let message =
                format!("character '{bad}' is not permitted in '{}' name '{}'", kind.section(), name.text);
            self.loading.report.alert(name.span, message);
        }
        self.check_name(&name.text, kind, name.span);
        let from = match (words.get(2), words.get(3), words.get(4)) {
            (None, ..) => None,
            (Some(from), Some(parent), None) if from.text == "from" => Some(parent),
            (Some(other), ..) if kind.is_frontend() => {
                let message = "please use the 'bind' keyword for listening addresses";
                let help = format!("write in the section: bind {}", other.text);
                self.loading.report.alert(other.span, message).help(help);
                None
            }
            (Some(other), ..) => {
                let message =
                    format!("'{}' ignores the unexpected argument '{}'", kind.section(), other.text);
                self.loading.report.notice(other.span, message);
                None
            }
        };
        let defaults = match from {
            Some(parent) => self.find_defaults(&parent.text, parent.span, kind.word(), &name.text),
            None => {
                if let Some(last) = self.last_defaults {
                    self.defaults[last].implicit = true;
                }
                self.last_defaults
            }
        };
        let mut draft = Draft::new(kind, &name.text, span);
        if let Some(index) = defaults {
            self.check_heir(index, kind, span);
            self.replay(&mut draft, index);
        }
        lines(&mut draft, &section.lines, self.loading);
        self.names.entry(&name.text).or_insert((kind, span));
        self.proxies.push(draft);
    }

    /// A name belongs to one proxy or defaults section only.
    fn check_name(&mut self, name: &str, kind: Kind, span: Span) {
        let other = self.names.get(name).map(|(other, at)| (other.word(), *at)).or_else(|| {
            let index = *self.defaults_by_name.get(name)?;
            Some(("defaults", self.defaults[index].section.head.span))
        });
        if let Some((word, at)) = other {
            let message = format!(
                "{} '{name}' has the same name as {word} '{name}' declared at {}",
                kind.word(),
                self.loading.place(at)
            );
            self.loading.report.alert(span, message);
        }
    }

    /// Whether a proxy of this kind may take these defaults.
    fn check_heir(&mut self, index: usize, kind: Kind, span: Span) {
        let defaults = &mut self.defaults[index];
        let at = defaults.section.head.span;
        let both = defaults.explicit.is_some() && defaults.implicit;
        let name = defaults.name.unwrap_or("");
        if both {
            let message = format!(
                "defaults section '{name}' (declared at {}) is explicitly referenced by another proxy and \
                 implicitly used here. To avoid any ambiguity don't mix both usage. Add a last defaults section \
                 not explicitly used or always use explicit references",
                self.loading.place(at)
            );
            self.loading.report.warning(span, message);
        }
        let rules = defaults.rules;
        if rules.any.is_none() {
            return;
        }
        let heir = *defaults.heir.get_or_insert(kind);
        let place = self.loading.place(at);
        let message = if kind == Kind::Listen {
            "a listen section cannot inherit from a defaults section defining TCP/HTTP rules".to_owned()
        } else if heir != kind {
            format!(
                "frontends and backends cannot inherit from the same defaults section if it defines TCP/HTTP rules \
                 (defaults section at {place})"
            )
        } else if kind == Kind::Backend && rules.connection.is_some() {
            format!(
                "a backend section cannot inherit from a defaults section defining 'tcp-request connection' or \
                 'tcp-request session' rules (defaults section at {place})"
            )
        } else if kind == Kind::Frontend && rules.tcp_response.is_some() {
            format!(
                "a frontend section cannot inherit from a defaults section defining 'tcp-response content' rules \
                 (defaults section at {place})"
            )
        } else {
            return;
        };
        self.loading.report.alert(span, message);
    }

    /// Gives a draft the lines of a defaults section, its parents' first.
    fn replay(&mut self, draft: &mut Draft, index: usize) {
        let mut chain = vec![index];
        while let Some(parent) = self.defaults[chain[chain.len() - 1]].parent {
            chain.push(parent);
        }
        let known = self.loading.report.diagnostics.len();
        draft.inheriting = true;
        for index in chain.into_iter().rev() {
            // ACLs are not inherited: those of a section serve its own rules only.
            draft.acls = Default::default();
            self.loading.enter(self.defaults[index].section.head.span);
            lines(draft, &self.defaults[index].section.lines, self.loading);
            draft.checks.inherited();
        }
        draft.inheriting = false;
        self.loading.enter(draft.span);
        draft.acls = Default::default();
        draft.rule_spans = RuleSpans::default();
        // All of it was reported when the section was read by itself.
        self.loading.report.diagnostics.truncate(known);
    }
}

/// The first character that a name may not have.
fn invalid_char(name: &str) -> Option<char> {
    name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.:".contains(*c))
}

/// The name under which a line's keyword has its row, and how many words it takes.
fn name_of(line: &Line, families: &[&str]) -> (String, usize) {
    let first = line.words[0].text.as_str();
    match line.words.get(1) {
        Some(second) if families.contains(&first) => {
            // `http-check set-var(...)`, `persist rdp-cookie(...)`: the name ends at the parenthesis.
            let second = second.text.split('(').next().unwrap_or("");
            (format!("{first} {second}"), 2)
        }
        _ => (first.to_owned(), 1),
    }
}

/// Applies lines to a draft.
fn lines(draft: &mut Draft, lines: &[Line], loading: &mut Loading<'_>) {
    let index = section::proxy_index();
    for line in lines {
        let (name, taken) = name_of(line, section::PROXY_FAMILIES);
        let Some(row) = index.get(&name) else {
            // Of a defaults section it was told already, with what may stand there.
            if !draft.inheriting {
                let near = index.closest(&name, draft.kind.places());
                let section = draft.kind.section();
                unknown(line, &name, taken, section, near, section::PROXY_FAMILIES, loading);
            }
            continue;
        };
        if !row.places.meets(draft.kind.places()) {
            if !draft.inheriting
                && let Does::Removed(instead) = row.does
            {
                removed(line, row.name, instead, loading);
            } else if !draft.inheriting {
                misplaced(draft, line, row.name, row.places, loading);
                read_misplaced(draft, line, taken, row, loading);
            }
            continue;
        }
        let mut words = Words::new(line, taken);
        match row.does {
            Does::Parse(parse) => parse(draft, &mut words, loading),
            Does::NoAction(_) => {
                shape::read(row.name, row.args, &mut words, loading.report);
                words.end(loading.report);
            }
            // Switching off what is not there is no mistake.
            Does::Refused(_) if line.prefix != Prefix::None => {}
            Does::Refused(why) => refuse(line, row.name, why, loading),
            Does::Removed(instead) => removed(line, row.name, instead, loading),
        }
    }
}

/// Keywords whose misplacement HAProxy refuses rather than warns of.
const STRICT: &[&str] = &[
    "server",
    "default-server",
    "server-template",
    "tcp-request connection",
    "tcp-request session",
    "tcp-response content",
    "tcp-response inspect-delay",
    "declare capture",
];

/// Keywords that HAProxy reads where they have no effect, without a word.
const SILENT: &[&str] = &["persist rdp-cookie", "hash-balance-factor"];

fn misplaced(draft: &Draft, line: &Line, name: &str, places: Places, loading: &mut Loading<'_>) {
    if SILENT.contains(&name) && !draft.kind.is_defaults() {
        let message = format!("'{name}' has no effect in a '{}' section", draft.kind.section());
        loading.report.push(Level::Diag, line.words[0].span, message);
        return;
    }
    let span = line.words[0].span;
    let option = name.strip_prefix("option ").unwrap_or(name);
    match draft.kind {
        Kind::Defaults { named: false } if places.meets(Places::NAMED_DEFAULTS) => {
            let message = format!("'{name}' not allowed in anonymous 'defaults' section");
            loading
                .report
                .alert(span, message)
                .help("give the section a name and let proxies take it with 'from'");
        }
        Kind::Defaults { .. } => {
            loading.report.alert(span, format!("'{name}' not allowed in 'defaults' section"));
        }
        kind => {
            let missing = if kind == Kind::Frontend { "no backend" } else { "no frontend" };
            let hint = match name {
                "maxconn" => " Maybe you want 'fullconn' instead ?",
                "fullconn" => " Maybe you want 'maxconn' instead ?",
                _ => "",
            };
            if STRICT.contains(&name) {
                let message =
                    format!("'{name}' not allowed because {} has {missing} capability", draft.title());
                loading.report.alert(span, message);
            } else if name.starts_with("timeout ") {
                let message =
                    format!("'{name}' will be ignored because {} has {missing} capability", draft.title());
                loading.report.warning(span, message);
            } else {
                let message =
                    format!("'{option}' ignored because {} has {missing} capability.{hint}", draft.title());
                loading.report.warning(span, message);
            }
        }
    }
}

/// Keywords that HAProxy does not read any further once it has found them misplaced.
const UNREAD: &[&str] =
    &["bind", "option httpchk", "option redispatch", "hash-balance-factor", "server-state-file-name"];

/// Reads a line that the section ignores, for its mistakes only.
fn read_misplaced(
    draft: &mut Draft,
    line: &Line,
    taken: usize,
    row: &Keyword<ProxyParser>,
    loading: &mut Loading<'_>,
) {
    if draft.kind.is_defaults() || UNREAD.contains(&row.name) || row.name.starts_with("stick ") {
        return;
    }
    let mut words = Words::new(line, taken);
    let known = loading.report.diagnostics.len();
    match row.does {
        Does::Parse(parse) => {
            // In a section that may have everything, and that is thrown away.
            let mut scratch = Draft::new(Kind::Listen, &draft.name, draft.span);
            scratch.acls = std::mem::take(&mut draft.acls);
            parse(&mut scratch, &mut words, loading);
            draft.acls = std::mem::take(&mut scratch.acls);
        }
        Does::NoAction(_) => {
            shape::read(row.name, row.args, &mut words, loading.report);
            words.end(loading.report);
        }
        Does::Refused(_) | Does::Removed(_) => {}
    }
    let mut index = 0;
    loading.report.diagnostics.retain(|found| {
        index += 1;
        index <= known || found.level == Level::Alert
    });
}

fn unknown(
    line: &Line,
    name: &str,
    taken: usize,
    section: &str,
    near: Option<&'static str>,
    families: &[&'static str],
    loading: &mut Loading<'_>,
) {
    loading.lost_settings = true;
    let first = line.words[0].text.as_str();
    let span = line.words[taken - 1].span;
    let near = match taken {
        // A section's mistyped head looks like a line of the section before it; a family's first word has no
        // row of its own.
        1 => closest(name, near.into_iter().chain(families.iter().copied()).chain(SECTIONS.iter().copied())),
        _ => near,
    };
    if near.is_some_and(|near| SECTIONS.contains(&near))
        && let Some(name) = line.words.get(1)
    {
        loading.lost_names.push(name.text.clone());
    }
    let elsewhere = elsewhere(name, section);
    // What follows the family's word, for the families that HAProxy words in their own way.
    let second = name.split_once(' ').map(|(_, second)| second);
    let near_second = near.and_then(|near| near.split_once(' ')).filter(|(family, _)| *family == first);
    let message = match (first, second) {
        ("option", Some(option)) => match near_second {
            Some((_, near)) => format!("unknown option '{option}'; did you mean '{near}' maybe ?"),
            None => format!("unknown option '{option}'"),
        },
        ("option", None) => "'option' expects an option name".to_owned(),
        ("timeout", second) => format!(
            "'timeout' supports 'client', 'server', 'connect', 'check', 'queue', 'handshake', 'http-keep-alive', \
             'http-request', 'tunnel', 'tarpit', 'client-fin' and 'server-fin' (got '{}')",
            second.unwrap_or("")
        ),
        ("stats", Some(second)) if section != "global" => {
            format!("unknown stats parameter '{second}', {}", section::stats::EXPECTED)
        }
        ("capture", _) => "'capture' expects 'cookie' or 'request header' or 'response header'".to_owned(),
        _ => match near {
            Some(near) => {
                format!("unknown keyword '{name}' in '{section}' section; did you mean '{near}' maybe ?")
            }
            None => format!("unknown keyword '{name}' in '{section}' section"),
        },
    };
    let says_so = message.contains("did you mean");
    let found = loading.report.alert(span, message);
    if let Some(text) = elsewhere.or_else(|| invisible(first).map(str::to_owned)) {
        found.help(text);
    } else if let (Some(near), false) = (near, says_so) {
        found.help(format!("did you mean '{near}'?"));
    }
}

/// Where a keyword belongs that its section does not know.
fn elsewhere(name: &str, section: &str) -> Option<String> {
    if section != "global" && section::global_index().get(name).is_some() {
        return Some(format!("'{name}' belongs in the 'global' section"));
    }
    let row = section::proxy_index().get(name).filter(|_| section == "global")?;
    let names: Vec<String> = row.places.names().iter().map(|name| format!("'{name}'")).collect();
    Some(format!("'{name}' belongs in these sections: {}", names.join(", ")))
}

/// What to do about characters that only look like blanks and quotes.
pub(super) fn invisible(word: &str) -> Option<&'static str> {
    if word.contains(['\u{a0}', '\u{202f}', '\u{2007}', '\u{200b}', '\u{feff}']) {
        return Some(
            "the word holds a blank that does not separate words (U+00A0 or the like): write a plain one",
        );
    }
    if word.contains(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{201e}', '\u{ab}', '\u{bb}']) {
        return Some("typographic quotes are ordinary characters here: write \" or '");
    }
    None
}

fn refuse(line: &Line, name: &str, why: &str, loading: &mut Loading<'_>) {
    loading.report.alert(line.words[0].span, format!("'{name}' cannot be obeyed: {why}"));
}

fn removed(line: &Line, name: &str, instead: &str, loading: &mut Loading<'_>) {
    let words: Vec<&str> = line.words.iter().map(|word| word.text.as_str()).collect();
    let message = format!("the '{name}' directive is not supported anymore; {instead}");
    let found = loading.report.alert(line.words[0].span, message);
    if let Some(modern) = super::modern::line(name, &words) {
        found.help(format!("write: {modern}"));
    }
}

/// Ids of `count` objects: the forced ones as they are, the others counted from `first`, skipping
/// what is taken.
pub fn number(forced: &[Option<u32>], first: u32) -> Vec<u32> {
    let taken: HashSet<u32> = forced.iter().copied().flatten().collect();
    let mut next = first;
    forced
        .iter()
        .map(|id| {
            id.unwrap_or_else(|| {
                while taken.contains(&next) {
                    next += 1;
                }
                next += 1;
                next - 1
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forced_ids_are_skipped() {
        for (forced, first, expected) in [
            (&[None, None][..], 2, &[2, 3][..]),
            (&[None, Some(2), None], 2, &[3, 2, 4]),
            (&[Some(9), None], 1, &[9, 1]),
        ] {
            assert_eq!(number(forced, first), expected);
        }
    }
}
