//! Configuration files -> sections of lines.
//!
//! The reader walks line by line, because a `setenv` or an `.if` decides what the next lines mean:
//! lexer, preprocessor and environment take turns here. What the lines mean is the model builder's
//! business; the reader knows the section keywords and the prefixes `no` and `default` only.

use super::environment::Environment;
use super::lexer::{self, LexError, LexErrorKind, Lexed, Place};
use super::preprocess::{Outcome, Preprocessor};
use super::syntax::{Line, Prefix, Section};
use super::{Input, Settings, World};
use crate::diag::{FileId, Level, Report, Source, Span, did_you_mean};

/// Words that start a section wherever they stand first in a line (manual, section 2.1).
pub const SECTIONS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "resolvers",
    "userlist",
    "mailers",
    "cache",
    "ring",
    "log-forward",
    "log-profile",
    "http-errors",
    "fcgi-app",
    "crt-store",
    "acme",
    "traces",
    "namespace_list",
    "healthcheck",
];

/// Keywords that take `no` or `default` before them.
pub const PREFIXABLE: &[&str] = &[
    "option",
    "log",
    "busy-polling",
    "set-dumpable",
    "strict-limits",
    "insecure-fork-wanted",
    "numa-cpu-mapping",
];

/// Errors after which a file is given up: what follows is noise.
const ALERTS_MAX: usize = 50;

/// Everything that was read.
#[derive(Debug)]
pub struct Reading<'a> {
    /// In order of the files.
    pub sections: Vec<Section>,
    /// The environment after the last line.
    pub environment: Environment<'a>,
}

/// Reads the inputs; mistakes go to `report`.
pub fn sections(
    inputs: &[Input],
    settings: &Settings,
    world: &dyn World,
    report: &mut Report,
) -> Vec<Section> {
    read(inputs, settings, world, report).sections
}

/// As [`sections`], and tells what the environment has become.
pub fn read<'a>(
    inputs: &[Input],
    settings: &Settings,
    world: &'a dyn World,
    report: &mut Report,
) -> Reading<'a> {
    let mut reader = Reader {
        environment: Environment::new(world, settings, inputs),
        settings,
        report,
        sections: Vec::new(),
        other_than_global: false,
        counted: 0,
        alerts: 0,
    };
    for input in inputs {
        if !reader.file(input) {
            break;
        }
    }
    Reading { sections: reader.sections, environment: reader.environment }
}

struct Reader<'a, 'b> {
    environment: Environment<'a>,
    settings: &'b Settings,
    report: &'b mut Report,
    sections: Vec<Section>,
    /// A section other than `global` came already.
    other_than_global: bool,
    /// Diagnostics looked at by [`Self::alerts`], and the alerts among them.
    counted: usize,
    alerts: usize,
}

impl Reader<'_, '_> {
    /// Reads one file; `false` when reading must stop altogether (`.alert`).
    fn file(&mut self, input: &Input) -> bool {
        let file = self.report.sources.len() as FileId;
        let lines: Vec<&[u8]> = split_lines(&input.bytes);
        self.report.sources.push(Source {
            name: input.name.clone(),
            lines: lines
                .iter()
                .map(|line| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
                .collect(),
        });
        let mut preprocessor = Preprocessor::default();
        // Each file must start with a section of its own (manual, section 2.1, rule 7).
        let first_section = self.sections.len();
        let mut section_name: Option<String> = None;
        let alerts_before = self.alerts();
        for (index, text) in lines.iter().enumerate() {
            let place = Place {
                file,
                file_name: &input.name,
                line: index as u32 + 1,
                section: section_name.as_deref(),
            };
            let text = match text.strip_prefix(b"\xef\xbb\xbf") {
                Some(rest) if index == 0 => {
                    let message = "the file begins with a byte order mark";
                    self.report.alert(place.span(0, 3), message).help("save it as UTF-8 without one");
                    rest
                }
                _ => *text,
            };
            if let Some(nul) = memchr::memchr(0, text) {
                self.report
                    .alert(place.span(nul, nul + 1), format!("Stray NUL character at position {}", nul + 1));
                break;
            }
            let alerts = self.alerts() - alerts_before;
            if alerts >= ALERTS_MAX {
                self.report
                    .alert(place.span(0, 0), format!("too many fatal errors ({alerts}), stopping now"));
                break;
            }
            if text.trim_ascii_start().first() == Some(&b'[') {
                self.scope(text, &place);
                continue;
            }
            let lexed = match lexer::line(text, &place, &self.environment) {
                Ok(lexed) => lexed,
                Err(error) => {
                    error.report(&place, text.len(), self.report);
                    continue;
                }
            };
            if lexed.words.is_empty() {
                continue;
            }
            // A line whose first word is empty is an empty line: `"$OPTIONAL" ...` relies on it.
            if lexed.words[0].text.is_empty() {
                continue;
            }
            if let Some(word) = lexer::raw_words(&lexed.words) {
                let error = LexError { kind: LexErrorKind::NotUtf8, position: word.span.start as usize };
                error.report(&place, text.len(), self.report);
                continue;
            }
            match preprocessor.line(&lexed, &self.environment, &self.settings.switches, self.report) {
                Outcome::Keep => {}
                Outcome::Drop => continue,
                Outcome::Stop => return false,
            }
            if self.has_empty_word(&lexed, &place) {
                continue;
            }
            let Some(line) = self.prefixed(lexed, &place) else { continue };
            let keyword = line.words[0].text.as_str();
            if line.prefix == Prefix::None && SECTIONS.contains(&keyword) {
                self.section_position(keyword, line.span);
                section_name = Some(line.words.get(1).unwrap_or(&line.words[0]).text.clone());
                self.sections.push(Section { head: line, lines: Vec::new() });
            } else if self.sections.len() == first_section {
                let help = did_you_mean(keyword, SECTIONS.iter().copied());
                let message = format!("unknown keyword '{keyword}' out of section");
                self.report.alert(line.words[0].span, message).help = help;
            } else if let Some(section) = self.sections.last_mut() {
                if section.head.words[0].text == "global" {
                    self.environment.obey(&line, self.report);
                }
                section.lines.push(line);
            }
        }
        if let Some(last) = lines.last()
            && !input.bytes.ends_with(b"\n")
            && !last.contains(&0)
        {
            let place = Place { file, file_name: "", line: lines.len() as u32, section: None };
            self.report
                .alert(
                    place.span(last.len(), last.len() + 1),
                    format!(
                        "Missing LF on last line, file might have been truncated at position {}",
                        last.len() + 1
                    ),
                )
                .help("end the file with a line feed");
        }
        preprocessor.end(self.report);
        true
    }

    /// Alerts in the report, each counted once however often this is asked.
    fn alerts(&mut self) -> usize {
        let fresh = &self.report.diagnostics[self.counted..];
        self.alerts += fresh.iter().filter(|d| d.level == Level::Alert).count();
        self.counted = self.report.diagnostics.len();
        self.alerts
    }

    /// A line `[name]`: its form is checked; nothing here is bound to a scope.
    fn scope(&mut self, text: &[u8], place: &Place<'_>) {
        let from = text.iter().position(|b| *b == b'[').unwrap_or(0);
        let rest = &text[from + 1..];
        let Some(end) = rest.iter().position(|b| *b == b']').filter(|end| *end > 0) else {
            self.report.alert(place.span(from, text.len()), "empty scope name is forbidden");
            return;
        };
        let bad = |b: &u8| !(b.is_ascii_alphanumeric() || b"_-.:".contains(b));
        if let Some(at) = rest[..end].iter().position(bad) {
            let at = from + 1 + at;
            self.report.alert(
                place.span(at, at + 1),
                format!("character '{}' is not permitted in a scope name", text[at].escape_ascii()),
            );
            return;
        }
        let after = &rest[end + 1..];
        if let Some(at) = after.iter().position(|b| !b.is_ascii_whitespace())
            && after[at] != b'#'
        {
            let at = from + 1 + end + 1 + at;
            self.report.alert(
                place.span(at, at + 1),
                format!("character '{}' is not permitted after scope declaration", text[at].escape_ascii()),
            );
        }
    }

    /// An empty argument would hide all that follow it; HAProxy refuses it since 3.3.
    fn has_empty_word(&mut self, lexed: &Lexed, place: &Place<'_>) -> bool {
        let Some(empty) = &lexed.empty else { return false };
        let help = match &empty.variable {
            Some(name) => match self.environment.suggestion(name) {
                Some(other) => format!("variable '{name}' is not set; did you mean '{other}'?"),
                None => format!(
                    "variable '{name}' is not set: give it a default as in \"${{{name}-default}}\", or use \"${{{name}[*]}}\" for an optional argument"
                ),
            },
            None => "remove the empty argument".to_string(),
        };
        let span = lexed.words[empty.index].span;
        let diagnostic = self.report.alert(
            Span {
                start: empty.position as u32,
                end: span.end.max(empty.position as u32 + 1),
                ..place.span(0, 0)
            },
            format!(
                "argument number {} at position {} is empty and marks the end of the argument list",
                empty.index,
                empty.position + 1
            ),
        );
        diagnostic.excerpt = true;
        diagnostic.help(help);
        true
    }

    /// Takes `no` and `default` off the words.
    fn prefixed(&mut self, mut lexed: Lexed, place: &Place<'_>) -> Option<Line> {
        let first = lexed.words[0].span;
        let last = lexed.words[lexed.words.len() - 1].span;
        let span = place.span(first.start as usize, last.end as usize);
        let prefix = match lexed.words[0].text.as_str() {
            "no" => Prefix::No,
            "default" => Prefix::Default,
            _ => return Some(Line { words: lexed.words, span, prefix: Prefix::None }),
        };
        lexed.words.remove(0);
        let allowed = lexed.words.first().is_some_and(|word| PREFIXABLE.contains(&word.text.as_str()));
        if !allowed {
            let blamed = lexed.words.first().map_or(first, |word| word.span);
            let help =
                lexed.words.first().and_then(|word| did_you_mean(&word.text, PREFIXABLE.iter().copied()));
            self.report
                .alert(
                    blamed,
                    "negation/default currently supported only for options, log, busy-polling, \
                     set-dumpable, strict-limits, insecure-fork-wanted and numa-cpu-mapping",
                )
                .help = help;
            return None;
        }
        Some(Line { words: lexed.words, span, prefix })
    }

    fn section_position(&mut self, keyword: &str, span: Span) {
        if keyword != "global" {
            self.other_than_global = true;
        } else if self.other_than_global {
            self.report.push(
                Level::Diag,
                span,
                "global section detected after a non-global one, the prevalence of their statements is unspecified",
            );
        }
    }
}

/// The lines without their LF; what follows the last LF counts only if it is not empty.
fn split_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        lines.push(&bytes[from..end]);
        from = end + 1;
    }
    if from < bytes.len() {
        lines.push(&bytes[from..]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Memory;

    fn run(text: &str) -> (Vec<Section>, Report) {
        let world = Memory::default().variable("KEEP", "k").variable("LOSE", "l");
        let inputs = [Input { name: "t.cfg".into(), bytes: text.as_bytes().to_vec() }];
        let mut report = Report::default();
        let sections = sections(&inputs, &Settings::default(), &world, &mut report);
        (sections, report)
    }

    fn words(sections: &[Section]) -> Vec<String> {
        sections
            .iter()
            .flat_map(|section| std::iter::once(&section.head).chain(&section.lines))
            .map(|line| line.texts().join(" "))
            .collect()
    }

    #[track_caller]
    fn check(text: &str, lines: &[&str], messages: &[&str]) {
        let (sections, report) = run(text);
        assert_eq!(words(&sections), lines, "{text}");
        let found: Vec<&str> = report.diagnostics.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(found.len(), messages.len(), "{text}: {found:?}");
        for (found, part) in found.iter().zip(messages) {
            assert!(found.contains(part), "{text}: {found} lacks {part}");
        }
    }

    #[test]
    fn sections_and_their_lines() {
        check(
            "global\n  maxconn 1 # x\n\ndefaults\r\n\tmode http\r\nfrontend www from base\n bind :80\n",
            &["global", "maxconn 1", "defaults", "mode http", "frontend www from base", "bind :80"],
            &[],
        );
        check("", &[], &[]);
        check(
            "mode http\nglobl\nglobal\n",
            &["global"],
            &["unknown keyword 'mode' out of section", "'globl'"],
        );
        check(
            "[scope]\nglobal\n[]\n[a b]\n[a] x\n",
            &["global"],
            &["empty scope", "character ' '", "character 'x'"],
        );
        check("defaults\nglobal\n", &["defaults", "global"], &["global section detected after"]);
        let (sections, _) = run("global\n  log\n");
        assert_eq!(sections[0].lines[0].span, Span { file: 0, line: 2, start: 2, end: 5 });
    }

    #[test]
    fn prefixes() {
        let (sections, report) =
            run("defaults\n no option x\n default option y\n no log\n no maxconn\n no\n");
        let prefixes: Vec<Prefix> = sections[0].lines.iter().map(|line| line.prefix).collect();
        assert_eq!(prefixes, [Prefix::No, Prefix::Default, Prefix::No]);
        assert_eq!(words(&sections)[1..], ["option x", "option y", "log"]);
        assert_eq!(report.diagnostics.len(), 2, "{report:?}");
    }

    #[test]
    fn damaged_files() {
        check(
            "global\nmaxconn 1",
            &["global", "maxconn 1"],
            &["Missing LF on last line, file might have been truncated at position 10"],
        );
        check("global\nmaxc\0onn\nx\n", &["global"], &["Stray NUL character at position 5"]);
        check("global\n a \"b\n c\n", &["global", "c"], &["unmatched quote at position 4"]);
        check(
            "global\n a \"$NOPE\" b\n",
            &["global"],
            &["argument number 1 at position 6 is empty and marks the end of the argument list"],
        );
        check("global\n \"$NOPE\"\n", &["global"], &[]);
        let (_, report) = run("global\n a \"$KEPE\" b\n");
        assert!(report.diagnostics[0].help.as_deref().unwrap().contains("did you mean 'KEEP'"));
        let many = "nope\n".repeat(200);
        let (_, report) = run(&many);
        assert_eq!(report.diagnostics.len(), ALERTS_MAX + 1);
    }

    #[test]
    fn the_environment_changes_on_the_way() {
        check(
            "global\n setenv A 1\n presetenv A 2\n presetenv B 3\n log \"$A$B$KEEP\"\n",
            &["global", "setenv A 1", "presetenv A 2", "presetenv B 3", "log 13k"],
            &[],
        );
        check(
            "global\n resetenv KEEP\n log \"$KEEP-${LOSE-none}\"\n unsetenv KEEP\n log \"${KEEP-gone}\"\n",
            &["global", "resetenv KEEP", "log k-none", "unsetenv KEEP", "log gone"],
            &[],
        );
        check(
            "global\n setenv A\n setenv A b c\n",
            &["global", "setenv A", "setenv A b c"],
            &["value for 'A'", "unexpected argument 'c'"],
        );
        check("defaults\n setenv A 1\n log \"${A-no}\"\n", &["defaults", "setenv A 1", "log no"], &[]);
        check("global\n log \"$HAPROXY_BRANCH\" \"$HAPROXY_CFGFILES\"\n", &["global", "log 3.5 t.cfg"], &[]);
        check("frontend www\n log \"${.SECTION}:${.LINE}\"\n", &["frontend www", "log www:2"], &[]);
    }

    #[test]
    fn a_large_file_is_read_once_over() {
        let mut text = String::from("defaults\n mode http\n");
        for i in 0..10_000 {
            text.push_str(&format!(
                "backend b{i}\n    balance roundrobin\n    server s1 10.0.0.1:80 check inter 2s\n    server s2 \"10.0.0.2:80\" check\n"
            ));
        }
        let (sections, report) = run(&text);
        assert_eq!(sections.len(), 10_001);
        assert!(sections[1..].iter().all(|section| section.lines.len() == 3));
        assert!(report.diagnostics.is_empty());
    }
}
