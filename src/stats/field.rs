//! What a statistic is: a value, and what tools need to know to aggregate it.

use std::borrow::Cow;

use super::subject::Subject;

/// The value of one field of one object.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value<'a> {
    /// Nothing: the field does not apply to this object, or nothing is known.
    Empty,
    S32(i32),
    U32(u32),
    U64(u64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// Text borrowed or owned.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Value<'a> {
        Value::Text(text.into())
    }
    /// Its type's name in typed and JSON output.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Empty => "",
            Value::S32(_) => "s32",
            Value::U32(_) => "u32",
            Value::U64(_) => "u64",
            Value::Float(_) => "flt",
            Value::Text(_) => "str",
        }
    }
    /// Whether the field is absent.
    pub fn is_empty(&self) -> bool {
        *self == Value::Empty
    }
    /// The value as a number; 0 if it is none.
    pub fn number(&self) -> u64 {
        match self {
            Value::S32(n) => (*n).max(0) as u64,
            Value::U32(n) => u64::from(*n),
            Value::U64(n) => *n,
            Value::Float(n) => *n as u64,
            Value::Empty | Value::Text(_) => 0,
        }
    }
    /// Appends the value as it stands, without quotes.
    pub fn write_plain(&self, out: &mut Vec<u8>) {
        match self {
            Value::Empty => {}
            Value::S32(n) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
            Value::U32(n) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
            Value::U64(n) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
            Value::Float(n) => out.extend_from_slice(trim_float(*n).as_bytes()),
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

/// Six decimals without trailing zeros.
fn trim_float(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The kind of object a row is about, numbered as the `type` column numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Frontend = 0,
    Backend = 1,
    Server = 2,
    Listener = 3,
}

impl Kind {
    /// Its letter in typed output and in [`Column::on`].
    pub fn letter(self) -> char {
        match self {
            Kind::Frontend => 'F',
            Kind::Backend => 'B',
            Kind::Server => 'S',
            Kind::Listener => 'L',
        }
    }
    /// Its name in JSON output.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Frontend => "Frontend",
            Kind::Backend => "Backend",
            Kind::Server => "Server",
            Kind::Listener => "Listener",
        }
    }
}

/// Where a value comes from, what it is, and over what it may be aggregated (management manual,
/// section 9.2): the three letters of typed output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags(pub &'static str);

impl Tags {
    /// The words JSON output has for the three letters.
    pub fn words(self) -> (&'static str, &'static str, &'static str) {
        let letter = |at: usize| self.0.as_bytes().get(at).copied().unwrap_or(b'?');
        let origin = match letter(0) {
            b'M' => "Metric",
            b'S' => "Status",
            b'K' => "Key",
            b'C' => "Config",
            b'P' => "Product",
            _ => "Unknown",
        };
        let nature = match letter(1) {
            b'G' => "Gauge",
            b'L' => "Limit",
            b'm' => "Min",
            b'M' => "Max",
            b'R' => "Rate",
            b'C' => "Counter",
            b'D' => "Duration",
            b'A' => "Age",
            b'T' => "Time",
            b'N' => "Name",
            b'O' => "Output",
            b'a' => "Avg",
            _ => "Unknown",
        };
        let scope = match letter(2) {
            b'P' => "Process",
            b'S' => "Service",
            b's' => "System",
            b'C' => "Cluster",
            _ => "Unknown",
        };
        (origin, nature, scope)
    }
}

/// One column of the statistics.
pub struct Column {
    /// Its name in the header.
    pub name: &'static str,
    /// Origin, nature and scope.
    pub tags: Tags,
    /// Whether its value may be kept over a restart (the fourth letter: `P` or `V`).
    pub persistent: bool,
    /// The objects that have it, by their letters.
    pub on: &'static str,
    /// What it means.
    pub text: &'static str,
    /// Finds its value; called only for objects in `on`.
    pub read: for<'a> fn(&'a Subject<'a>) -> Value<'a>,
}

impl Column {
    /// Its value for an object.
    pub fn value<'a>(&self, subject: &'a Subject<'a>) -> Value<'a> {
        if self.on.contains(subject.kind().letter()) { (self.read)(subject) } else { Value::Empty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values() {
        for (value, expected) in [
            (Value::Empty, ""),
            (Value::S32(-1), "-1"),
            (Value::U64(u64::MAX), "18446744073709551615"),
            (Value::Float(1.5), "1.5"),
            (Value::Float(2.0), "2"),
            (Value::text("a b"), "a b"),
        ] {
            let mut out = Vec::new();
            value.write_plain(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
