//! Lines that start with a dot: conditional blocks and messages (manual, section 2.4).
//!
//! It decides which lines are kept. A wrong condition counts as false, so that the rest of the file
//! is still looked at; only `.alert` ends the reading, because its author said so.

use super::condition::{self, Facts};
use super::environment::Environment;
use super::features::Switches;
use super::lexer::Lexed;
use super::syntax::Word;
use crate::base::doc::{DocEntry, Support};
use crate::diag::{Level, Report, Span, did_you_mean};

/// How deep `.if` blocks may nest.
const NESTING_MAX: usize = 100;

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the configuration's.
    Keep,
    /// It is a directive of the preprocessor, or stands in a block that is left out.
    Drop,
    /// Reading ends here.
    Stop,
}

/// One `.if` block.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Where its `.if` stands.
    span: Span,
    /// Its lines count now.
    taken: bool,
    /// A branch was taken, or the whole block stands in one that is left out.
    settled: bool,
    /// `.else` came.
    has_else: bool,
}

/// The blocks that are open.
#[derive(Debug, Default)]
pub struct Preprocessor {
    blocks: Vec<Block>,
}

/// The directives, for suggestions and `haring doc`.
const DIRECTIVES: &[(&str, &str, &str)] = &[
    (".if", "<condition>", "keeps the lines up to .elif, .else or .endif if the condition is true"),
    (".elif", "<condition>", "as .if, when no branch before it was taken"),
    (".else", "", "keeps its lines when no branch before it was taken"),
    (".endif", "", "ends the block of the last .if"),
    (".alert", "<message>", "reports an error and ends the reading of the configuration"),
    (".warning", "<message>", "reports a warning"),
    (".notice", "<message>", "reports a notice"),
    (".diag", "<message>", "reports a message that only -dD shows"),
];

/// The directives for `haring doc`.
pub fn documentation() -> impl Iterator<Item = DocEntry> {
    DIRECTIVES.iter().map(|(name, arguments, text)| DocEntry {
        name: (*name).into(),
        kind: "preprocessor directive",
        signature: format!("{name} {arguments}").trim_end().to_string(),
        sections: vec!["anywhere"],
        text: (*text).to_string(),
        support: Support::Full,
    })
}

impl Preprocessor {
    /// Looks at a line of at least one word.
    pub fn line(
        &mut self,
        lexed: &Lexed,

        environment: &Environment<'_>,
        switches: &Switches,
        report: &mut Report,
    ) -> Outcome {
        let words = &lexed.words;
        let first = &words[0];
        if !first.text.starts_with('.') {
            return if self.taken() { Outcome::Keep } else { Outcome::Drop };
        }
        let facts = Facts { environment, switches };
        match first.text.as_str() {
            ".if" => self.open(words, &facts, report),
            ".elif" => {
                let Some(block) = self.branch(first, report) else { return Outcome::Drop };
                if self.blocks[block].settled {
                    self.blocks[block].taken = false;
                } else {
                    let answer = ask(words, &facts, report);
                    self.blocks[block].taken = answer;
                    self.blocks[block].settled = answer;
                }
            }
            ".else" => {
                no_more(words, 1, "", report);
                let Some(block) = self.branch(first, report) else { return Outcome::Drop };
                let block = &mut self.blocks[block];
                block.taken = !block.settled;
                block.settled = true;
                block.has_else = true;
            }
            ".endif" => {
                // An empty word is none.
                let end = words.iter().rposition(|word| !word.text.is_empty()).map_or(0, |at| at + 1);
                no_more(&words[..end], 1, "", report);
                if self.blocks.pop().is_none() {
                    report.alert(first.span, "lone '.endif' with no matching '.if'");
                }
            }
            _ if !self.taken() => {}
            ".alert" | ".warning" | ".notice" | ".diag" => return message(words, report),
            other => {
                let help = did_you_mean(other, DIRECTIVES.iter().map(|(name, ..)| *name));
                report.alert(first.span, format!("unknown directive '{other}'")).help = help;
            }
        }
        Outcome::Drop
    }

    /// Ends a file.
    pub fn end(&mut self, report: &mut Report) {
        for block in self.blocks.drain(..) {
            report.alert(block.span, "non-terminated '.if' block").help("close it with '.endif'");
        }
    }

    fn taken(&self) -> bool {
        self.blocks.last().is_none_or(|block| block.taken)
    }

    fn open(&mut self, words: &[Word], facts: &Facts<'_>, report: &mut Report) {
        let span = words[0].span;
        if self.blocks.len() >= NESTING_MAX {
            report.alert(span, format!("too many nested '.if', max is {NESTING_MAX}"));
        }
        let block = if self.taken() {
            let answer = ask(words, facts, report);
            Block { span, taken: answer, settled: answer, has_else: false }
        } else {
            Block { span, taken: false, settled: true, has_else: false }
        };
        self.blocks.push(block);
    }

    /// The block that `.elif` or `.else` belongs to.
    fn branch(&self, directive: &Word, report: &mut Report) -> Option<usize> {
        let name = &directive.text;
        match self.blocks.last() {
            None => {
                report.alert(directive.span, format!("lone '{name}' with no matching '.if'"));
                None
            }
            Some(block) if block.has_else => {
                report.alert(directive.span, format!("'{name}' after '.else' is not permitted"));
                None
            }
            Some(_) => Some(self.blocks.len() - 1),
        }
    }
}

/// Refuses words beyond the first `expected`.
fn no_more(words: &[Word], expected: usize, hint: &str, report: &mut Report) -> bool {
    let Some(extra) = words.get(expected) else { return true };
    report.alert(extra.span, format!("Unexpected argument '{}' for '{}'{hint}", extra.text, words[0].text));
    false
}

/// The answer to the condition after `.if` or `.elif`; false if it has none.
fn ask(words: &[Word], facts: &Facts<'_>, report: &mut Report) -> bool {
    let name = &words[0].text;
    let texts: Vec<&str> = words[1..].iter().map(|word| word.text.as_str()).collect();
    let text = texts.join(" ");
    match condition::evaluate(&text, facts) {
        Ok(answer) => answer,
        Err(error) => {
            // Quotes and variables moved the text: the word that holds the position is blamed.
            let mut start = 0;
            let blamed = words[1..]
                .iter()
                .find(|word| {
                    start += word.text.len() + 1;
                    error.position < start
                })
                .or(words.last())
                .unwrap_or(&words[0]);
            let message = format!("{} in '{name}' at position {}", error.message, error.position + 1);
            let diagnostic = report.alert(blamed.span, message);
            diagnostic.excerpt = true;
            diagnostic.help = error.help;
            false
        }
    }
}

/// `.alert "text"` and its kin.
fn message(words: &[Word], report: &mut Report) -> Outcome {
    if !no_more(words, 2, ". Use quotes if the message should contain spaces", report) {
        return Outcome::Drop;
    }
    let text = words.get(1).map_or("", |word| word.text.as_str());
    let level = match words[0].text.as_str() {
        ".alert" => Level::Alert,
        ".warning" => Level::Warning,
        ".notice" => Level::Notice,
        _ => Level::Diag,
    };
    report.push(level, words[0].span, format!("'{text}'"));
    if level == Level::Alert { Outcome::Stop } else { Outcome::Drop }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::Memory;
    use crate::config::{Input, Settings, read};
    use crate::diag::Report;

    /// Reads `text` and compares the lines kept and what is said about the others.
    #[track_caller]
    fn check(text: &str, lines: &[&str], messages: &[&str]) {
        let world = Memory::default().variable("KEEP", "k");
        let inputs = [Input { name: "t.cfg".into(), bytes: text.as_bytes().to_vec() }];
        let mut report = Report::default();
        let sections = read::sections(&inputs, &Settings::default(), &world, &mut report);
        let kept: Vec<String> = sections
            .iter()
            .flat_map(|section| std::iter::once(&section.head).chain(&section.lines))
            .map(|line| line.texts().join(" "))
            .collect();
        assert_eq!(kept, lines, "{text}");
        let found: Vec<&str> = report.diagnostics.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(found.len(), messages.len(), "{text}: {found:?}");
        for (found, part) in found.iter().zip(messages) {
            assert!(found.contains(part), "{text}: {found} lacks {part}");
        }
    }

    #[test]
    fn conditional_blocks() {
        let block =
            |condition: &str| format!("global\n.if {condition}\n a\n.elif 1\n b\n.else\n c\n.endif\n d\n");
        check(&block("1"), &["global", "a", "d"], &[]);
        check(&block("streq(a,b)"), &["global", "b", "d"], &[]);
        check(&block("streq(\"a b\",a b)"), &["global", "a", "d"], &[]);
        check("global\n.if 0\n a\n.else\n b\n.endif\n", &["global", "b"], &[]);
        check("global\n.if\n a\n.endif\n", &["global"], &[]);
        check(
            "global\n.if 0\n.if 1\n a\n.else\n b\n.endif\n.elif nope\n.endif\n",
            &["global"],
            &["unparsable"],
        );
        check("global\n.if 1\n.elif nope\n.endif\n", &["global"], &[]);
        check(
            "global\n.if defined(KEEP) && feature(THREAD)\n nbthread 1\n.endif\n",
            &["global", "nbthread 1"],
            &[],
        );
        check("global\n.if wrong(\n a\n.endif\n b\n", &["global", "b"], &["unparsable"]);
        check("global\n.if 1\n a\n", &["global", "a"], &["non-terminated '.if' block"]);
        check(".else\n.endif\n.elif 1\n", &[], &["lone '.else'", "lone '.endif'", "lone '.elif'"]);
        check(
            ".if 1\n.else\n.else\n.elif 1\n.endif\n",
            &[],
            &["'.else' after '.else'", "'.elif' after '.else'"],
        );
        check(".if 1\n.endif x\n", &[], &["Unexpected argument 'x' for '.endif'"]);
        check(".if 0\n.alert no\n a \"$UNSET\"\n.unknown\n.endif\n", &[], &[]);
        check(".unknown\n", &[], &["unknown directive '.unknown'"]);
        let deep = format!("{}{}", ".if 1\n".repeat(101), ".endif\n".repeat(101));
        check(&deep, &[], &["too many nested '.if', max is 100"]);
    }

    #[test]
    fn messages() {
        check(
            ".notice \"a b\"\n.warning w\n.diag d\n.warning a b\n.alert stop\nnope\n",
            &[],
            &["'a b'", "'w'", "'d'", "Unexpected argument 'b' for '.warning'", "'stop'"],
        );
    }
}
