//! The words of one rule, taken one by one by the parser of its action.

use super::RuleSet;
use crate::diag::{Span, did_you_mean};
use crate::sample::{Expr, LogFormat, ParseContext};

/// Why an action could not be parsed.
#[derive(Debug)]
pub enum Mistake {
    /// It was reported where it was found.
    Reported,
    /// A sentence, and what to do about it if that is known.
    Says(String, Option<String>),
}

impl Mistake {
    /// A sentence alone.
    pub fn says<T>(message: impl Into<String>) -> Result<T, Mistake> {
        Err(Mistake::Says(message.into(), None))
    }
}

impl From<String> for Mistake {
    fn from(message: String) -> Self {
        Mistake::Says(message, None)
    }
}

/// The words of one rule and how far they were taken.
#[derive(Debug)]
pub struct Arguments<'a> {
    /// The list the rule stands in.
    pub set: RuleSet,
    /// The action as written, `set-var(txn.x)` with its parentheses.
    pub action: &'a str,
    /// Where the rule stands.
    pub span: Span,
    words: &'a [&'a str],
}

impl<'a> Arguments<'a> {
    /// The words after the action.
    pub fn new(set: RuleSet, action: &'a str, words: &'a [&'a str], span: Span) -> Self {
        Arguments { set, action, span, words }
    }
    /// The next word, not taken.
    pub fn peek(&self) -> Option<&'a str> {
        self.words.first().copied()
    }
    /// Whether nothing or only a condition is left.
    pub fn is_over(&self) -> bool {
        matches!(self.peek(), None | Some("if" | "unless"))
    }
    /// What is left.
    pub fn rest(&self) -> &'a [&'a str] {
        self.words
    }
    /// Takes a word; `problem` says what is wrong if there is none.
    pub fn take(&mut self, problem: &str) -> Result<&'a str, Mistake> {
        let (first, rest) = self.words.split_first().ok_or_else(|| problem.to_owned())?;
        self.words = rest;
        Ok(first)
    }
    /// Takes the next word if it is `word`.
    pub fn take_if(&mut self, word: &str) -> bool {
        let is_it = self.peek() == Some(word);
        if is_it {
            self.words = &self.words[1..];
        }
        is_it
    }
    /// Takes everything.
    pub fn take_rest(&mut self) -> &'a [&'a str] {
        std::mem::take(&mut self.words)
    }
    /// Takes an expression.
    pub fn take_expr(&mut self, problem: &str, context: &mut ParseContext<'_>) -> Result<Expr, Mistake> {
        if self.is_over() {
            return Mistake::says(problem);
        }
        let mut text = self.take(problem)?.to_owned();
        // A comma at the end of a word promises another converter.
        while text.ends_with(',') && !self.is_over() {
            text.push_str(self.take(problem)?);
        }
        Expr::parse(&text, self.span, context).ok_or(Mistake::Reported)
    }
    /// Takes a format.
    pub fn take_format(
        &mut self,
        problem: &str,
        context: &mut ParseContext<'_>,
    ) -> Result<LogFormat, Mistake> {
        let text = self.take(problem)?;
        LogFormat::parse(text, self.span, context).ok_or(Mistake::Reported)
    }
    /// What stands between the parentheses of the action.
    pub fn parenthesised(&self) -> Option<&'a str> {
        let (_, rest) = self.action.split_once('(')?;
        rest.strip_suffix(')').filter(|inner| !inner.is_empty())
    }
    /// One of the words of a choice.
    pub fn take_choice<T: Copy>(&mut self, problem: &str, choices: &[(&str, T)]) -> Result<T, Mistake> {
        let word = self.take(problem)?;
        match choices.iter().find(|(name, _)| *name == word) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let help = did_you_mean(word, choices.iter().map(|(name, _)| *name));
                Err(Mistake::Says(format!("{problem} (got '{word}')"), help))
            }
        }
    }
}
