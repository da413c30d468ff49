//! Conditions of `.if`, `.elif` and `-cc`: parsed whole, then evaluated (manual, section 2.4).
//!
//! ```text
//! expr := and [ '||' expr ]      and := term [ '&&' and ]
//! term := '!'* ( integer | '(' expr ')' | predicate '(' [ argument { ',' argument } ] ')' )
//! ```
//!
//! Evaluation stops where the outcome is known, so that `feature(X) && x_version(...)`
//! is no error where it would be one.

use super::environment::Environment;
use super::features::{self, Switches};
use super::lexer;
use crate::base::doc::{DocEntry, Support};
use crate::diag::did_you_mean;

/// How deep conditions may nest.
const DEPTH_MAX: usize = 255;

/// Why a condition has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// In HAProxy's words.
    pub message: String,
    /// The byte of the condition's text to point at, from 0.
    pub position: usize,
    /// What to do about it.
    pub help: Option<String>,
}

/// What predicates may ask.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// For `defined()`.
    pub environment: &'a Environment<'a>,
    /// For `enabled()`.
    pub switches: &'a Switches,
}

/// A predicate: one row for all there is to know about it.
struct Predicate {
    name: &'static str,
    arguments: &'static [&'static str],
    text: &'static str,
    ask: fn(&[String], &Facts<'_>) -> Result<bool, String>,
}

const PREDICATES: &[Predicate] = &[
    Predicate {
        name: "defined",
        arguments: &["name"],
        text: "true if the environment variable is set, even to nothing",
        ask: |arguments, facts| Ok(facts.environment.get(&arguments[0]).is_some()),
    },
    Predicate {
        name: "feature",
        arguments: &["name"],
        text: "true if this build has the feature, as listed by -vv",
        ask: |arguments, _| Ok(features::feature(&arguments[0])),
    },
    Predicate {
        name: "streq",
        arguments: &["a", "b"],
        text: "true if both strings are equal",
        ask: |arguments, _| Ok(arguments[0] == arguments[1]),
    },
    Predicate {
        name: "strneq",
        arguments: &["a", "b"],
        text: "true if the strings differ",
        ask: |arguments, _| Ok(arguments[0] != arguments[1]),
    },
    Predicate {
        name: "strstr",
        arguments: &["text", "part"],
        text: "true if the second string is found in the first",
        ask: |arguments, _| Ok(arguments[0].contains(&arguments[1])),
    },
    Predicate {
        name: "version_atleast",
        arguments: &["version"],
        text: "true if the HAProxy version followed here is this one or newer",
        ask: |arguments, _| Ok(Version::parse(&arguments[0])? <= Version::current()),
    },
    Predicate {
        name: "version_before",
        arguments: &["version"],
        text: "true if the HAProxy version followed here is older",
        ask: |arguments, _| Ok(Version::parse(&arguments[0])? > Version::current()),
    },
    Predicate {
        name: "openssl_version_atleast",
        arguments: &["version"],
        text: "true if OpenSSL's version is this or newer; no OpenSSL is used here, the keywords that stand for it are those of 3.0",
        ask: |arguments, _| Ok(openssl_version(&arguments[0])? <= OPENSSL_VERSION),
    },
    Predicate {
        name: "openssl_version_before",
        arguments: &["version"],
        text: "true if OpenSSL's version is older; no OpenSSL is used here, the keywords that stand for it are those of 3.0",
        ask: |arguments, _| Ok(openssl_version(&arguments[0])? > OPENSSL_VERSION),
    },
    Predicate {
        name: "ssllib_name_startswith",
        arguments: &["name"],
        text: "true if the name of the OpenSSL-like library starts so; this build uses none",
        ask: |_, _| Ok(false),
    },
    Predicate {
        name: "awslc_api_atleast",
        arguments: &["number"],
        text: "asks for the API of AWS-LC, which this build does not use: an error unless guarded by feature(OPENSSL_AWSLC)",
        ask: |_, _| Err("AWS-LC is not part of this build".into()),
    },
    Predicate {
        name: "awslc_api_before",
        arguments: &["number"],
        text: "asks for the API of AWS-LC, which this build does not use: an error unless guarded by feature(OPENSSL_AWSLC)",
        ask: |_, _| Err("AWS-LC is not part of this build".into()),
    },
    Predicate {
        name: "enabled",
        arguments: &["option"],
        text: "true if the option is on at run time: EPOLL SPLICE GETADDRINFO REUSEPORT FAST-FORWARD SERVER-SSL-VERIFY-NONE",
        ask: |arguments, facts| Ok(facts.switches.enabled(&arguments[0])),
    },
    Predicate {
        name: "fips_mode",
        arguments: &[],
        text: "true if the TLS library runs in FIPS mode; there is none here",
        ask: |_, _| Ok(false),
    },
];

/// The predicates for `haring doc`.
pub fn documentation() -> impl Iterator<Item = DocEntry> {
    PREDICATES.iter().map(|predicate| DocEntry {
        name: predicate.name.into(),
        kind: "predicate",
        signature: format!("{}({})", predicate.name, predicate.arguments.join(",")),
        sections: vec![".if", ".elif", "-cc"],
        text: predicate.text.to_string(),
        support: Support::Full,
    })
}

/// The answer to a condition. The empty one is false.
pub fn evaluate(text: &str, facts: &Facts<'_>) -> Result<bool, ConditionError> {
    if text.is_empty() {
        return Ok(false);
    }
    let mut parser = Parser { text, at: 0 };
    let expr = parser.expr(0)?;
    if let Some(rest) = text[parser.at..].chars().next() {
        return Err(parser.error(
            parser.at,
            format!("unexpected character '{rest}' at the end of conditional expression '{text}'"),
        ));
    }
    expr.ask(facts)
}

/// The answer to the argument of `-cc`, which is lexed like a line without comments.
pub fn evaluate_argument(text: &str, facts: &Facts<'_>) -> Result<bool, String> {
    let lexed = lexer::condition(text.as_bytes(), facts.environment).map_err(|error| {
        let mut message = error.text().to_string();
        message[..1].make_ascii_uppercase();
        format!("Syntax Error in condition: {message}.")
    })?;
    let words: Vec<&str> = lexed.words.iter().map(|word| word.text.as_str()).collect();
    evaluate(&words.join(" "), facts)
        .map_err(|error| format!("Failed to evaluate condition: {}", error.message))
}

enum Expr<'a> {
    Constant(bool),
    Not(Box<Expr<'a>>),
    And(Box<Expr<'a>>, Box<Expr<'a>>),
    Or(Box<Expr<'a>>, Box<Expr<'a>>),
    Ask { predicate: &'static Predicate, arguments: Vec<String>, position: usize, text: &'a str },
}

impl Expr<'_> {
    fn ask(&self, facts: &Facts<'_>) -> Result<bool, ConditionError> {
        Ok(match self {
            Expr::Constant(value) => *value,
            Expr::Not(inner) => !inner.ask(facts)?,
            Expr::And(left, right) => left.ask(facts)? && right.ask(facts)?,
            Expr::Or(left, right) => left.ask(facts)? || right.ask(facts)?,
            Expr::Ask { predicate, arguments, position, text } => {
                (predicate.ask)(arguments, facts).map_err(|help| ConditionError {
                    message: format!(
                        "invalid argument to conditional expression predicate '{}': '{}'",
                        predicate.name, arguments[0]
                    ),
                    position: (*position).min(text.len()),
                    help: Some(help),
                })?
            }
        })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, position: usize, message: String) -> ConditionError {
        ConditionError { message, position, help: None }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
            self.skip_blanks();
        }
        found
    }

    fn expr(&mut self, depth: usize) -> Result<Expr<'a>, ConditionError> {
        let left = self.and(depth)?;
        if !self.take("||") {
            return Ok(left);
        }
        Ok(Expr::Or(Box::new(left), Box::new(self.expr(depth + 1)?)))
    }

    fn and(&mut self, depth: usize) -> Result<Expr<'a>, ConditionError> {
        let left = self.term(depth)?;
        self.skip_blanks();
        if !self.take("&&") {
            return Ok(left);
        }
        Ok(Expr::And(Box::new(left), Box::new(self.and(depth + 1)?)))
    }

    fn term(&mut self, depth: usize) -> Result<Expr<'a>, ConditionError> {
        self.skip_blanks();
        let start = self.at;
        if self.rest().is_empty() || depth > DEPTH_MAX {
            return Err(self.error(start, format!("unparsable conditional sub-expression '{}'", self.rest())));
        }
        let mut negated = false;
        while self.take("!") {
            negated = !negated;
        }
        let inner = if let Some((value, len)) = integer(self.rest()) {
            self.at += len;
            Expr::Constant(value)
        } else if self.take("(") {
            let inner = self.expr(depth + 1)?;
            self.skip_blanks();
            if !self.take(")") {
                let message = format!("expected ')' after conditional expression '{}'", &self.text[start..]);
                return Err(self.error(start, message));
            }
            inner
        } else {
            self.predicate(start)?
        };
        Ok(if negated { Expr::Not(Box::new(inner)) } else { inner })
    }

    fn predicate(&mut self, start: usize) -> Result<Expr<'a>, ConditionError> {
        let rest = self.rest();
        let name = &rest[..rest.find([' ', '(']).unwrap_or(rest.len())];
        let Some(predicate) = PREDICATES.iter().find(|predicate| predicate.name == name) else {
            let mut error =
                self.error(start, format!("unparsable conditional expression '{}'", &self.text[start..]));
            error.help = did_you_mean(name, PREDICATES.iter().map(|predicate| predicate.name));
            return Err(error);
        };
        let position = self.at;
        self.at += name.len();
        let arguments = self.arguments(predicate)?;
        Ok(Expr::Ask { predicate, arguments, position, text: self.text })
    }

    /// `(a,b)`, with quotes and escapes of their own (those of the line are gone by now).
    fn arguments(&mut self, predicate: &Predicate) -> Result<Vec<String>, ConditionError> {
        let bytes = self.text.as_bytes();
        let fail = |at: usize, number: usize, what: &str| ConditionError {
            message: format!(
                "{what} in argument {number} of predicate '{}' used in conditional expression",
                predicate.name
            ),
            position: at,
            help: Some(format!("it is written {}({})", predicate.name, predicate.arguments.join(","))),
        };
        let wanted = predicate.arguments.len();
        if bytes.get(self.at) != Some(&b'(') {
            return match wanted {
                0 => Ok(Vec::new()),
                _ => Err(fail(self.at, 1, &format!("missing arguments (got 0/{wanted}), expected '('"))),
            };
        }
        self.at += 1;
        let mut arguments = Vec::new();
        let mut argument = Vec::new();
        let mut quote = None;
        loop {
            let Some(&byte) = bytes.get(self.at) else {
                let what = if quote.is_some() { "unquoted argument" } else { "expected ')'" };
                return Err(fail(self.at, arguments.len() + 1, what));
            };
            match byte {
                b'"' | b'\'' if quote.is_none() => quote = Some(byte),
                b'"' | b'\'' if quote == Some(byte) => quote = None,
                b'\\' if quote != Some(b'\'') => {
                    let escaped = match bytes.get(self.at + 1) {
                        Some(next @ (b'\\' | b' ' | b'"' | b'\'')) => Some(*next),
                        Some(b'r') => Some(b'\r'),
                        Some(b'n') => Some(b'\n'),
                        Some(b't') => Some(b'\t'),
                        _ => None,
                    };
                    argument.push(escaped.unwrap_or(b'\\'));
                    self.at += usize::from(escaped.is_some());
                }
                b',' | b')' if quote.is_none() => {
                    let text = String::from_utf8(std::mem::take(&mut argument)).expect("cut at ASCII");
                    if wanted > 0 || !text.is_empty() || byte == b',' {
                        arguments.push(text);
                    }
                    if byte == b')' {
                        break;
                    }
                }
                _ => argument.push(byte),
            }
            self.at += 1;
        }
        if arguments.len() < wanted {
            let what = format!("missing arguments (got {}/{wanted})", arguments.len());
            return Err(fail(self.at, arguments.len() + 1, &what));
        }
        if arguments.len() > wanted {
            return Err(fail(self.at, wanted + 1, &format!("too many arguments (expected {wanted})")));
        }
        self.at += 1;
        Ok(arguments)
    }
}

/// An integer as `strtol` reads it with base 0: sign, `0x`, leading zero for octal. Gives whether it
/// differs from zero, and its length.
fn integer(text: &str) -> Option<(bool, usize)> {
    let sign = usize::from(text.starts_with(['-', '+']));
    let body = &text[sign..];
    let run = |from: usize, base: u32| {
        let len = body[from..].chars().take_while(|c| c.is_digit(base)).count();
        (len > 0).then(|| (body[from..from + len].bytes().any(|b| b != b'0'), sign + from + len))
    };
    if body.starts_with("0x") || body.starts_with("0X") {
        return run(2, 16).or_else(|| run(0, 10));
    }
    if body.starts_with('0') {
        return run(0, 8);
    }
    run(0, 10)
}

/// A version as conditions compare them: up to four numbers, then `dev` before `rc` before the
/// release, then their numbers, then the commit count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: [u32; 4],
    stage: Stage,
    stage_number: u32,
    commit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Dev,
    Candidate,
    Release,
}

impl Version {
    fn current() -> Version {
        Version::parse(features::VERSION).expect("our own version parses")
    }

    fn parse(text: &str) -> Result<Version, String> {
        let wrong = || format!("'{text}' is no version: write it as 3.2, 3.2.1 or 3.5-dev5");
        let mut version = Version { numbers: [0; 4], stage: Stage::Release, stage_number: 0, commit: 0 };
        let (numbers, tag) = text.split_once('-').map_or((text, None), |(n, tag)| (n, Some(tag)));
        for (index, number) in numbers.split('.').enumerate() {
            *version.numbers.get_mut(index).ok_or_else(wrong)? = number.parse().map_err(|_| wrong())?;
        }
        let Some(mut tag) = tag else { return Ok(version) };
        for (name, stage) in [("dev", Stage::Dev), ("rc", Stage::Candidate), ("pre", Stage::Candidate)] {
            if let Some(rest) = tag.strip_prefix(name) {
                let (number, commit) = rest.split_once('-').unwrap_or((rest, ""));
                version.stage = stage;
                version.stage_number =
                    if number.is_empty() { 0 } else { number.parse().map_err(|_| wrong())? };
                tag = commit;
                break;
            }
        }
        // What follows counts only as far as its last part is a number of commits.
        version.commit = tag.rsplit('-').next().and_then(|last| last.parse().ok()).unwrap_or(0);
        Ok(version)
    }
}

/// The version of OpenSSL whose cryptographic keywords there are, for files that ask for nothing but them.
const OPENSSL_VERSION: [u32; 3] = [3, 0, 0];

/// `1.1.1q`, `3.0.0-alpha2`: what follows the numbers does not count.
fn openssl_version(text: &str) -> Result<[u32; 3], String> {
    let wrong = || format!("'{text}' is no version of OpenSSL: write it as 3.0.0 or 1.1.1q");
    let numbers = text.split('-').next().unwrap_or_default();
    let mut version = [0; 3];
    for (index, number) in numbers.split('.').enumerate() {
        let digits = number.trim_end_matches(|c: char| index == 2 && c.is_ascii_lowercase());
        *version.get_mut(index).ok_or_else(wrong)? = digits.parse().map_err(|_| wrong())?;
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Memory;

    fn ask(text: &str) -> Result<bool, String> {
        let world = Memory::default().variable("TESTVAR", "1");
        let environment = Environment::bare(&world);
        let switches = Switches { no_splice: true, ..Switches::default() };
        evaluate_argument(text, &Facts { environment: &environment, switches: &switches })
    }

    #[test]
    fn conditions_have_answers() {
        for (text, expected) in [
            ("", false),
            ("1", true),
            ("0", false),
            ("-1000 && 200", true),
            ("0x10 && !0x0 && 010", true),
            ("version_atleast(2.4)", true),
            ("version_atleast(1024)", false),
            ("version_atleast(3.5-dev5)", true),
            ("version_atleast(3.5-dev4)", true),
            ("version_atleast(3.5-rc1)", false),
            ("version_atleast(3.5)", false),
            ("version_before(3.5)", true),
            ("version_atleast(3.4.9)", true),
            ("streq(foo,'foo')", true),
            ("streq(\"foo bar\",'foo bar')", true),
            ("streq(foo,bar)", false),
            ("defined(TESTVAR) && streq(\"$TESTVAR\",\"1\")", true),
            ("defined( TESTVAR )", false),
            ("feature(OPENSSL) || !feature(OPENSSL)", true),
            ("feature(OPENSSL) && openssl_version_atleast(3.0)", true),
            ("openssl_version_atleast(1.1.1q) && openssl_version_before(3.2.0-beta1)", true),
            ("openssl_version_atleast(3.0.1) || openssl_version_before(1.1.1)", false),
            ("1&&!0&&!((streq(a,b)||!streq(a,a)&&1)||strneq(a,a))", true),
            ("1   &&!   0&&    !((streq(a,b)||!streq(a,a)&&1)||strneq(a,a))", true),
            ("1 && !0 && !((streq(a,b) || !streq(a,a) && 1) || strneq(a,b))", false),
            ("1 && !0 && !((streq(a,a) || !streq(a,a) && 1) || strneq(a,a))", false),
            ("strstr(abc,b) && !strstr(abc,d)", true),
            ("enabled(EPOLL) && !enabled(SPLICE)", true),
            ("fips_mode() || fips_mode", false),
            ("ssllib_name_startswith(OpenSSL)", false),
            ("!!1", true),
        ] {
            assert_eq!(ask(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (text, part) in [
            ("200rrr", "unexpected character 'r'"),
            ("!(0))", "unexpected character ')'"),
            ("streq(a,\"a)", "Unmatched quote"),
            ("(1", "expected ')'"),
            ("1 &&", "unparsable"),
            ("nope(1)", "unparsable"),
            ("streq(a)", "missing arguments"),
            ("streq(a,b,c)", "too many arguments"),
            ("streq", "missing arguments"),
            ("fips_mode(1)", "too many arguments"),
            ("openssl_version_atleast(x)", "invalid argument"),
            ("version_atleast(x)", "invalid argument"),
        ] {
            let error = ask(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let deep = "(".repeat(100_000);
        assert!(ask(&deep).is_err(), "the depth is limited");
        let negations = format!("{}1", "!".repeat(100_001));
        assert_eq!(ask(&negations), Ok(false));
    }
}
