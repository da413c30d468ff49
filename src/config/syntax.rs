//! What the user wrote: lines of words, each with its place.

use crate::diag::Span;

/// One word after quotes, escapes and environment variables were resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its text; bytes that are not UTF-8 stand as [`crate::base::text::encode_raw`] writes them.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// One line that is neither empty nor a preprocessor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its words; never empty.
    pub words: Vec<Word>,
    /// The whole line.
    pub span: Span,
    /// `no` or `default` stood before the words.
    pub prefix: Prefix,
}

/// What stood before a keyword.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Prefix {
    #[default]
    None,
    No,
    Default,
}

/// A section: its head line and the lines up to the next head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `frontend www from base`
    pub head: Line,
    /// Its lines.
    pub lines: Vec<Line>,
}

impl Line {
    /// The words as text.
    pub fn texts(&self) -> Vec<&str> {
        self.words.iter().map(|word| word.text.as_str()).collect()
    }
}
