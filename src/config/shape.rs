//! Reads the words of a keyword that needs no action, by the arguments that its row documents.
//!
//! Such a keyword changes nothing here, but a mistake in its line is still a mistake: a value that is
//! missing, no number, or none of the documented words is reported as HAProxy reports it. The shapes are
//! those of the manual: `<number>`, `<size>`, `<time>`, `{ on | off }`, `[optional]`, `<list>...`; numbers and
//! times may have bounds: `<-20..19>`, `<0..65535, in milliseconds>`.

use super::syntax::Word;
use super::words::{self, Words};
use crate::base::units;
use crate::diag::{Report, did_you_mean};

/// What one argument may be.
#[derive(Debug, PartialEq, Eq)]
enum Shape<'a> {
    Number,
    Within(i64, i64),
    Size,
    Time,
    /// Milliseconds, at most so many.
    TimeUpTo(i64),
    /// One of these words; with a placeholder among them, any word.
    Choice(Vec<&'a str>),
    Any,
    /// One of these or more, separated by commas.
    List(Vec<&'a str>),
    /// One of these or more, some with a value after them.
    Several(Vec<&'a str>),
    /// Everything up to the end of the line.
    Rest,
}

/// Takes the argument of an option among others on its line: one word, if the row has arguments.
pub fn read_option(keyword: &str, args: &str, words: &mut Words<'_>, report: &mut Report) {
    let mut shapes = shapes(args);
    if let Some(shape) = shapes.first_mut() {
        if *shape == Shape::Rest {
            *shape = Shape::Any;
        }
        read_shapes(keyword, &shapes[..1], words, report);
    }
}

/// Takes the arguments that `args` documents; reports the ones that are missing or wrong.
pub fn read(keyword: &str, args: &str, words: &mut Words<'_>, report: &mut Report) {
    read_shapes(keyword, &shapes(args), words, report);
}

fn read_shapes(keyword: &str, shapes: &[Shape<'_>], words: &mut Words<'_>, report: &mut Report) {
    for shape in shapes {
        if *shape == Shape::Rest {
            words.take_rest();
            return;
        }
        let Some(word) = words.take_word() else {
            report.alert(words.last_span(), format!("'{keyword}' expects {}", wanted(shape)));
            return;
        };
        check(keyword, shape, word, report);
        if let Shape::Several(choices) = shape {
            let mut word = Some(word);
            while let Some(option) = word {
                several(keyword, choices, option, words, report);
                word = words.take_word();
            }
        }
    }
}

/// One option of several, and its value if it has one.
fn several(keyword: &str, choices: &[&str], option: &Word, words: &mut Words<'_>, report: &mut Report) {
    let find = |choice: &&&str| choice.split(' ').next() == Some(option.text.as_str());
    let Some(choice) = choices.iter().find(find) else {
        let names = choices.iter().filter_map(|choice| choice.split(' ').next());
        let help = did_you_mean(&option.text, names);
        report.alert(option.span, format!("'{keyword}' : unknown option '{}'", option.text)).help = help;
        return;
    };
    if choice.contains(' ') && words.take_word().is_none() {
        report.alert(option.span, format!("'{keyword}' : '{}' expects a value", option.text));
    }
}

/// The shapes of a row's arguments. What is optional may be anything.
fn shapes(args: &str) -> Vec<Shape<'_>> {
    let mut shapes = Vec::new();
    let mut rest = args.trim();
    while !rest.is_empty() {
        if let Some(choices) = rest.strip_prefix('{').and_then(|inside| inside.strip_suffix("}...")) {
            shapes.push(Shape::Several(choices.split('|').map(str::trim).collect()));
            break;
        }
        if let Some(choices) = rest.strip_prefix('{').and_then(|inside| inside.strip_suffix("}[,...]")) {
            shapes.push(Shape::List(choices.split('|').map(str::trim).collect()));
            break;
        }
        if rest.starts_with('[') || rest.starts_with('(') || rest.contains("...") {
            shapes.push(Shape::Rest);
            break;
        }
        let (shape, after) = match rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some((choices, after)) => (Shape::Choice(choices.split('|').map(str::trim).collect()), after),
            None => {
                // A placeholder may hold blanks: `<ipv4 | ipv6>`.
                let end = rest.find('>').map_or(0, |at| at + 1);
                let end = rest[end..].find(' ').map_or(rest.len(), |at| end + at);
                let (token, after) = rest.split_at(end);
                (named(token), after)
            }
        };
        shapes.push(shape);
        rest = after.trim_start();
    }
    shapes
}

fn named(token: &str) -> Shape<'_> {
    match token {
        "<number>" | "<percent>" => Shape::Number,
        "<size>" => Shape::Size,
        "<time>" | "<timeout>" | "<delay>" => Shape::Time,
        _ => bounded(token).unwrap_or(Shape::Any),
    }
}

/// `<low..high>`, `<low..high, unit>`.
fn bounded(token: &str) -> Option<Shape<'_>> {
    let inside = token.strip_prefix('<')?.strip_suffix('>')?;
    let (range, unit) = inside.split_once(", ").unwrap_or((inside, ""));
    let (low, high) = range.split_once("..")?;
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    Some(if unit == "in milliseconds" { Shape::TimeUpTo(high) } else { Shape::Within(low, high) })
}

fn wanted(shape: &Shape<'_>) -> String {
    match shape {
        Shape::Number => "an integer argument".to_owned(),
        Shape::Size => "a size as argument".to_owned(),
        Shape::Within(low, high) => format!("a number from {low} to {high}"),
        Shape::Time => "a time as argument".to_owned(),
        Shape::TimeUpTo(high) => format!("a time of at most {high} ms"),
        Shape::Choice(words) | Shape::List(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            words.join(" or ")
        }
        Shape::Several(_) => "an option as argument".to_owned(),
        Shape::Any | Shape::Rest => "an argument".to_owned(),
    }
}

fn check(keyword: &str, shape: &Shape<'_>, word: &Word, report: &mut Report) {
    match shape {
        // Some numbers may be written as sizes ("10k").
        Shape::Number if units::parse_size(&word.text).is_ok() => {}
        Shape::Number => {
            words::within(word, keyword, 0..=i64::MAX, report);
        }
        Shape::Within(low, high) => {
            words::within(word, keyword, *low..=*high, report);
        }
        Shape::Size => {
            words::size(word, keyword, report);
        }
        Shape::Time => {
            words::time_ms(word, keyword, report);
        }
        Shape::TimeUpTo(high) => {
            let time = words::time_ms(word, keyword, report);
            if time.is_some_and(|ms| ms > high.unsigned_abs()) {
                report.alert(word.span, format!("'{keyword}' expects {}, got {}", wanted(shape), word.text));
            }
        }
        Shape::List(choices) => {
            let parts = word.text.strip_suffix(',').unwrap_or(&word.text).split(',');
            for part in parts.filter(|part| !choices.contains(part)) {
                let help = did_you_mean(part, choices.iter().copied());
                let message = format!("'{keyword}' expects {} but got '{part}'", wanted(shape));
                report.alert(word.span, message).help = help;
            }
        }
        Shape::Choice(choices) => {
            let number =
                choices.contains(&"<number>") && word.text.parse::<u32>().is_ok_and(|number| number > 0);
            let open = choices.iter().any(|choice| choice.contains('<') && *choice != "<number>");
            if !open && !number && !choices.contains(&word.text.as_str()) {
                let message = format!("'{keyword}' expects {} but got '{}'", wanted(shape), word.text);
                report.alert(word.span, message);
            }
        }
        Shape::Any | Shape::Several(_) | Shape::Rest => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::syntax::{Line, Prefix};
    use crate::diag::Span;

    /// What reading `text` as the arguments `args` reports, and the words that are left.
    fn read_line(args: &str, text: &str) -> (Vec<String>, usize) {
        let words = text.split_whitespace();
        let words = words.map(|text| Word { text: text.into(), span: Span::NONE }).collect();
        let line = Line { span: Span::NONE, words, prefix: Prefix::None };
        let mut words = Words::new(&line, 1);
        let mut report = Report::default();
        read("kw", args, &mut words, &mut report);
        let messages = report.diagnostics.into_iter().map(|found| found.message).collect();
        (messages, words.rest().len())
    }

    #[test]
    fn arguments_are_read_as_their_row_documents_them() {
        for (args, text, left) in [
            ("", "kw", 0),
            ("", "kw other", 1),
            ("<number>", "kw 5 other", 1),
            ("<number>", "kw 10k", 0),
            ("<-20..19>", "kw -20", 0),
            ("<0..65535, in milliseconds>", "kw 60s", 0),
            ("{ a-b | c }[,...]", "kw c,a-b, other", 1),
            ("<size>", "kw 16k", 0),
            ("<time>", "kw 5s", 0),
            ("{ on | off }", "kw on other", 1),
            ("{ <number> | by-thread }", "kw 3", 0),
            ("<ipv4 | ipv6>", "kw ipv4", 0),
            ("[on | off]", "kw", 0),
            ("<directive>...", "kw a b c", 0),
            ("{ auto | on | ... }", "kw lock", 0),
            ("<name> <value>", "kw a b c", 1),
            ("{ no-a | min <v> }...", "kw min 3 no-a", 0),
        ] {
            assert_eq!(read_line(args, text), (vec![], left), "{args}: {text}");
        }
        for (args, text, part) in [
            ("<number>", "kw", "expects an integer"),
            ("<number>", "kw abc", "expects an integer"),
            ("<number>", "kw -1", "got -1"),
            ("<-20..19>", "kw 20", "from -20 to 19, got 20"),
            ("<-20..19>", "kw", "expects a number from -20 to 19"),
            ("<0..65535, in milliseconds>", "kw 66s", "at most 65535 ms, got 66s"),
            ("{ a-b | c }[,...]", "kw c,d", "but got 'd'"),
            ("{ a-b | c }[,...]", "kw c,,a-b", "but got ''"),
            ("<size>", "kw 5zz", "5zz"),
            ("<time>", "kw abc", "unexpected character 'a'"),
            ("{ on | off }", "kw", "'on' or 'off'"),
            ("{ on | off }", "kw maybe", "but got 'maybe'"),
            ("{ <number> | by-thread }", "kw 0", "but got '0'"),
            ("{ <number> | by-thread }", "kw abc", "but got 'abc'"),
            ("<file>", "kw", "expects an argument"),
            ("{ no-a | min <v> }...", "kw", "expects an option"),
            ("{ no-a | min <v> }...", "kw no-a no-b", "unknown option 'no-b'"),
            ("{ no-a | min <v> }...", "kw min", "'min' expects a value"),
        ] {
            let (messages, _) = read_line(args, text);
            assert!(messages.len() == 1 && messages[0].contains(part), "{args}: {text}: {messages:?}");
        }
    }
}
