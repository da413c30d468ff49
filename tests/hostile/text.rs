//! The syntax of the corpus of hostile messages: text that people read, bytes for the wire.
//!
//! An entry starts with `[name]` and takes the lines up to the next one; a line is a word and its text.
//! `send` gives bytes, `line` the same with CRLF behind; what other words mean is the reader's affair.
//! `each X = a | b` makes one entry of each value, which stands for `{X}` in every other line; with several
//! names (`each X Y = a ~ 1 | b ~ 2`) values come in groups. `byte X = 00-08,0b` does so for bytes.
//! Escapes: `\r \n \t \\ \xHH`, `\e` for nothing, and `\(text*count)` for a repetition. A `#` starts a line of comment.

/// One entry: its lines, among them `name` with the values that it was made of.
pub type Entry = Vec<(String, String)>;

/// The entries of a text, families expanded.
pub fn entries(text: &str) -> Vec<Entry> {
    let mut families: Vec<Entry> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((name, about)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            families.push(vec![("name".into(), name.into()), ("about".into(), about.trim().into())]);
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let family = families.last_mut().unwrap_or_else(|| panic!("before the first entry: {line}"));
        family.push((word.into(), rest.into()));
    }
    families.into_iter().flat_map(expand).collect()
}

/// The bytes an entry sends.
pub fn raw(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    for (word, text) in entry {
        match word.as_str() {
            "send" => out.extend(bytes(text)),
            "line" => {
                out.extend(bytes(text));
                out.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
    }
    out
}

/// Every entry of every file of a folder below `tests/hostile`, the files in order.
pub fn folder(name: &str) -> Vec<Entry> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.expect("a file of the corpus").path()).collect();
    paths.sort();
    let text = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("the corpus is text");
    paths.iter().flat_map(|path| entries(&text(path))).collect()
}

/// One entry for each combination of the values of a family.
fn expand(family: Entry) -> Vec<Entry> {
    let Some(at) = family.iter().position(|(word, _)| word == "each" || word == "byte") else {
        return vec![family];
    };
    let (word, rule) = &family[at];
    let (names, values) = rule.split_once('=').unwrap_or_else(|| panic!("no '=' in {rule}"));
    let names: Vec<_> = names.split_whitespace().collect();
    let values: Vec<Vec<String>> = match word.as_str() {
        "each" => {
            values.split(" | ").map(|group| group.split(" ~ ").map(|v| v.trim().into()).collect()).collect()
        }
        _ => values.trim().split(',').flat_map(range).map(|byte| vec![format!("\\x{byte:02x}")]).collect(),
    };
    let make = |group: &Vec<String>| -> Entry {
        assert_eq!(names.len(), group.len(), "{rule}: {group:?}");
        let fill = |text: &str| {
            let pairs = names.iter().zip(group);
            pairs.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
        };
        let others = family.iter().enumerate().filter(|(index, _)| *index != at);
        let mut entry: Entry = others.map(|(_, (word, text))| (word.clone(), fill(text))).collect();
        entry[0].1.push_str(&format!(" {}={}", names[0], group[0]));
        entry
    };
    values.iter().map(make).flat_map(expand).collect()
}

/// `00-08` or `0b`.
fn range(text: &str) -> std::ops::RangeInclusive<u8> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let byte = |text| u8::from_str_radix(text, 16).unwrap_or_else(|_| panic!("not a byte: {text}"));
    byte(from)..=byte(to)
}

/// The bytes that a text with escapes stands for.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let used = match escape.as_bytes().first() {
            Some(b'r') => (out.push(b'\r'), 1).1,
            Some(b'n') => (out.push(b'\n'), 1).1,
            Some(b't') => (out.push(b'\t'), 1).1,
            Some(b'\\') => (out.push(b'\\'), 1).1,
            Some(b'e') => 1,
            Some(b'x') => (out.push(*range(&escape[1..3]).start()), 3).1,
            Some(b'(') => {
                let star = escape.find('*').unwrap_or_else(|| panic!("no '*' in {text}"));
                let end = star + escape[star..].find(')').unwrap_or_else(|| panic!("no ')' in {text}"));
                let count = escape[star + 1..end].parse().unwrap_or_else(|_| panic!("no count in {text}"));
                out.extend(bytes(&escape[1..star]).repeat(count));
                end + 1
            }
            _ => panic!("unknown escape in {text}"),
        };
        rest = &escape[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
