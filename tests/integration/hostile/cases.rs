//! The corpus as cases: what is sent, what the client must get and what must reach the origin.
//!
//! Words beside those of `tests/hostile/text.rs`, for requests: `client 200 400 closed` (or `open`: the
//! connection serves another request), `origin METHOD TARGET none|length N|chunked N BODY`, `origin partial
//! METHOD TARGET` (at most that, broken off), `origin nothing`, `field NAME: VALUE` and `without NAME` of the
//! last request, `version 1.0`, `reply` and `reply-close` (the origin's bytes), `tunnel` (what the client gets
//! behind the last head), `after end` (the client sends no more), `segments N`, `listen NAME`.

use super::text::{self, Entry};

/// A request of the corpus, or several on one connection.
#[derive(Debug, Default)]
pub struct RequestCase {
    pub name: String,
    pub about: String,
    pub bytes: Vec<u8>,
    /// Statuses; several with a slash between them are all right.
    pub statuses: Vec<String>,
    pub stays_open: bool,
    pub origin: Vec<String>,
    /// At most this may be broken off at the origin.
    pub partial: Option<String>,
    pub fields: Vec<(String, String)>,
    pub without: Vec<String>,
    pub minor: Option<u8>,
    pub replies: Vec<(Vec<u8>, bool)>,
    pub tunnel: Option<Vec<u8>>,
    pub ends: bool,
    pub segments: usize,
    pub listen: String,
}

/// Every request of the corpus.
pub fn requests() -> Vec<RequestCase> {
    text::folder("requests").iter().map(request).collect()
}

fn request(entry: &Entry) -> RequestCase {
    let mut case = RequestCase {
        bytes: text::raw(entry),
        segments: usize::MAX,
        listen: "strict".into(),
        ..RequestCase::default()
    };
    let (mut has_client, mut has_origin) = (false, false);
    for (word, text) in entry {
        match word.as_str() {
            "name" => case.name.clone_from(text),
            "about" => case.about.clone_from(text),
            "send" | "line" => {}
            "client" => {
                has_client = true;
                let (end, statuses) = outcome(text);
                case.stays_open = end == "open";
                case.statuses = statuses;
            }
            "origin" => {
                has_origin = true;
                match text.strip_prefix("partial ") {
                    Some(line) => case.partial = Some(show(line)),
                    None if text == "nothing" => {}
                    None => case.origin.push(show(text)),
                }
            }
            "field" => {
                let (name, value) = text.split_once(": ").unwrap_or_else(|| panic!("no value: {text}"));
                case.fields.push((plain(name), show(value)));
            }
            "without" => case.without.push(plain(text)),
            "version" => case.minor = Some(if text == "1.0" { 0 } else { 1 }),
            "reply" => case.replies.push((text::bytes(text), false)),
            "reply-close" => case.replies.push((text::bytes(text), true)),
            "tunnel" => case.tunnel = Some(text::bytes(text)),
            "after" => case.ends = true,
            "segments" => case.segments = text.parse().expect("a number"),
            "listen" => case.listen.clone_from(text),
            other => panic!("{}: unknown word '{other}'", case.name),
        }
    }
    assert!(has_client && has_origin && !case.about.is_empty(), "'{}' expects nothing", case.name);
    case
}

/// The bytes of a text as failures show them.
fn show(text: &str) -> String {
    text::bytes(text).trim_ascii_end().escape_ascii().to_string()
}

fn plain(text: &str) -> String {
    String::from_utf8_lossy(&text::bytes(text)).into_owned()
}

/// The words of a `client` line: how it ends, and before that the statuses.
fn outcome(text: &str) -> (&str, Vec<String>) {
    let mut words: Vec<_> = text.split_whitespace().collect();
    let end = words.pop().unwrap_or_default();
    assert!(matches!(end, "open" | "closed" | "cut"), "'{text}' does not say how it ends");
    (end, words.into_iter().map(str::to_owned).collect())
}

/// Whether a status is one of those written with slashes between them.
pub fn is_one_of(status: u16, alternatives: &str) -> bool {
    alternatives.split('/').any(|one| one == status.to_string())
}

/// A response of the corpus.
#[derive(Debug, Default)]
pub struct ResponseCase {
    pub name: String,
    pub about: String,
    pub bytes: Vec<u8>,
    /// The request it answers.
    pub ask: Vec<u8>,
    /// The origin closes behind it.
    pub closes: bool,
    /// What the origin says once the client has its answer.
    pub later: Vec<u8>,
    pub statuses: Vec<String>,
    /// How the client's connection ends: `open`, `closed`, or `cut` in the middle of the response.
    pub end: String,
    pub body: Option<Vec<u8>>,
    pub fields: Vec<(String, String)>,
    pub without: Vec<String>,
    /// Whether the connection of the server serves the next request.
    pub reused: bool,
}

/// Every response of the corpus. Words: `ask` (a request line and header lines, `GET / HTTP/1.1` if left out),
/// `then close`, `later BYTES`, `client 200 open|closed|cut`, `body BYTES`, `field`, `without`, `server
/// reused|closed`.
pub fn responses() -> Vec<ResponseCase> {
    text::folder("responses").iter().map(response).collect()
}

fn response(entry: &Entry) -> ResponseCase {
    let ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let mut case = ResponseCase { bytes: text::raw(entry), ask, ..ResponseCase::default() };
    let (mut has_client, mut has_server) = (false, false);
    for (word, text) in entry {
        match word.as_str() {
            "name" => case.name.clone_from(text),
            "about" => case.about.clone_from(text),
            "send" | "line" => {}
            "ask" => case.ask = text::bytes(text),
            "then" => case.closes = true,
            "later" => case.later = text::bytes(text),
            "client" => {
                has_client = true;
                let (end, statuses) = outcome(text);
                case.end = end.into();
                case.statuses = statuses;
            }
            "body" => case.body = Some(text::bytes(text)),
            "field" => {
                let (name, value) = text.split_once(": ").unwrap_or_else(|| panic!("no value: {text}"));
                case.fields.push((plain(name), show(value)));
            }
            "without" => case.without.push(plain(text)),
            "server" => {
                has_server = true;
                case.reused = text == "reused";
            }
            other => panic!("{}: unknown word '{other}'", case.name),
        }
    }
    assert!(has_client && has_server && !case.about.is_empty(), "'{}' expects nothing", case.name);
    case
}
