//! Redirections: `redirect` and `http-request redirect` (manual, section 4.2 `redirect`).

use super::RuleSet;
use super::arguments::{Arguments, Mistake};
use crate::base::text::decode_raw;
use crate::diag::{Span, did_you_mean};
use crate::http::reply::Reply;
use crate::http::{Request, uri};
use crate::sample::{Condition, Context, LogFormat, ParseContext};

/// A parsed redirection.
#[derive(Debug)]
pub struct Redirect {
    kind: Kind,
    target: Text,
    code: u16,
    drop_query: bool,
    keep_query: bool,
    append_slash: bool,
    ignore_empty: bool,
    cookie: Option<Text>,
}

/// Which part of the location the target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Location,
    Prefix,
    Scheme,
}

/// Text as it stands, or a format. `redirect` lines take the first, rules the second.
#[derive(Debug)]
enum Text {
    Plain(Box<str>),
    Format(LogFormat),
}

impl Text {
    fn write(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        match self {
            Text::Plain(text) => out.extend_from_slice(&decode_raw(text.as_bytes())),
            Text::Format(format) => format.write(context, false, out),
        }
    }
}

/// The words a redirection may hold.
const WORDS: &[&str] = &[
    "location",
    "prefix",
    "scheme",
    "code",
    "set-cookie",
    "set-cookie-fmt",
    "clear-cookie",
    "drop-query",
    "keep-query",
    "append-slash",
    "ignore-empty",
];

/// The options in the making.
#[derive(Default)]
struct Draft<'a> {
    target: Option<(Kind, &'a str)>,
    code: u16,
    drop_query: bool,
    keep_query: bool,
    append_slash: bool,
    ignore_empty: bool,
    cookie: Option<(&'a str, &'a str)>,
}

/// Parses a `redirect` line: the words after the keyword (which may stand first), and its
/// condition. The target is text as it stands.
pub fn parse(
    words: &[&str],
    span: Span,
    context: &mut ParseContext<'_>,
) -> Option<(Redirect, Option<Condition>)> {
    let words = words.strip_prefix(&["redirect"]).unwrap_or(words);
    let mut arguments = Arguments::new(RuleSet::HttpRequest, "redirect", words, span);
    let parsed = Redirect::parse(&mut arguments, context, false);
    let redirect = match parsed {
        Ok(redirect) => Some(redirect),
        Err(Mistake::Reported) => None,
        Err(Mistake::Says(message, help)) => {
            let owner = context.proxy.unwrap_or_default();
            let message =
                format!("error detected in proxy '{owner}' while parsing redirect rule : {message}");
            context.report.alert(span, message).help = help;
            None
        }
    };
    if redirect.is_none() || arguments.rest().is_empty() {
        return redirect.map(|redirect| (redirect, None));
    }
    let condition = Condition::parse(arguments.rest(), span, context)?;
    redirect.map(|redirect| (redirect, Some(condition)))
}

impl Redirect {
    /// Parses the words of a redirection up to its condition; in a rule (`is_rule`) texts are formats.
    pub fn parse(
        arguments: &mut Arguments<'_>,
        context: &mut ParseContext<'_>,
        is_rule: bool,
    ) -> Result<Redirect, Mistake> {
        let mut draft = Draft { code: 302, ..Draft::default() };
        while !arguments.is_over() {
            let word = arguments.take("")?;
            let missing = format!("missing argument for '{word}'");
            match word {
                "location" => draft.target = Some((Kind::Location, arguments.take(&missing)?)),
                "prefix" => draft.target = Some((Kind::Prefix, arguments.take(&missing)?)),
                "scheme" => draft.target = Some((Kind::Scheme, arguments.take(&missing)?)),
                "set-cookie" | "set-cookie-fmt" | "clear-cookie" => {
                    draft.cookie = Some((word, arguments.take(&missing)?));
                }
                "code" => {
                    let text = arguments.take(&missing)?;
                    let code = text.parse().ok().filter(|code| matches!(code, 301..=303 | 307 | 308));
                    draft.code = code.ok_or_else(|| {
                        format!(
                            "'code': unsupported HTTP code '{text}' (must be one of 301, 302, 303, 307 or 308)"
                        )
                    })?;
                }
                "drop-query" => draft.drop_query = true,
                "keep-query" => draft.keep_query = true,
                "append-slash" => draft.append_slash = true,
                "ignore-empty" => draft.ignore_empty = true,
                other => {
                    let message = format!(
                        "expects 'code', 'prefix', 'location', 'scheme', 'set-cookie', 'set-cookie-fmt', \
                         'clear-cookie', 'drop-query', 'keep-query', 'ignore-empty' or 'append-slash' \
                         (was '{other}')"
                    );
                    return Err(Mistake::Says(message, did_you_mean(other, WORDS.iter().copied())));
                }
            }
        }
        draft.finish(arguments, context, is_rule)
    }

    /// Whether it may let the next rule run although its condition holds (`ignore-empty`).
    pub fn may_be_skipped(&self) -> bool {
        self.ignore_empty
    }

    /// The answer, or nothing when the location is empty and `ignore-empty` is set.
    pub fn reply(&self, context: &Context<'_>, request: &Request) -> Option<Reply> {
        let location = self.location(context, request)?;
        let mut fields = vec![(b"location".to_vec(), location)];
        // 301 and 308 are permanent: caches may keep them.
        if matches!(self.code, 302 | 303 | 307) {
            fields.push((b"cache-control".to_vec(), b"no-cache".to_vec()));
        }
        if let Some(cookie) = &self.cookie {
            let mut line = Vec::new();
            cookie.write(context, &mut line);
            fields.push((b"set-cookie".to_vec(), line));
        }
        Some(Reply { status: self.code, fields, ..Reply::default() })
    }

    fn location(&self, context: &Context<'_>, request: &Request) -> Option<Vec<u8>> {
        let mut location = Vec::new();
        let path = || {
            let path = uri::path_and_query(request.target()).unwrap_or(b"/");
            let end = if self.drop_query { memchr::memchr(b'?', path) } else { None };
            &path[..end.unwrap_or(path.len())]
        };
        match self.kind {
            Kind::Location => {
                self.target.write(context, &mut location);
                if location.is_empty() && self.ignore_empty {
                    return None;
                }
                if let (true, Some(query)) = (self.keep_query, query_of(request)) {
                    match memchr::memchr(b'?', &location) {
                        None => location.push(b'?'),
                        Some(mark) if mark + 1 < location.len() => location.push(b'&'),
                        Some(_) => {}
                    }
                    location.extend_from_slice(query);
                }
                return Some(location);
            }
            Kind::Prefix => {
                self.target.write(context, &mut location);
                location.extend_from_slice(path());
            }
            Kind::Scheme => {
                self.target.write(context, &mut location);
                location.extend_from_slice(b"://");
                location.extend_from_slice(request.fields.first(b"host").unwrap_or_default());
                location.extend_from_slice(path());
            }
        }
        if self.append_slash && location.last().is_some_and(|byte| *byte != b'/') {
            location.push(b'/');
        }
        Some(location)
    }
}

/// The query of a request, if it is not empty.
fn query_of(request: &Request) -> Option<&[u8]> {
    let path = uri::path_and_query(request.target())?;
    uri::query(path).filter(|query| !query.is_empty())
}

/// The answer for a server with `redir <prefix>`: the client goes there itself with a GET or HEAD.
pub fn to_server(prefix: &[u8], request: &Request) -> Option<Reply> {
    let path = uri::path_and_query(request.target())?;
    // A prefix of "/" means to keep the target as it is.
    let location = if prefix == b"/" { path.to_vec() } else { [prefix, path].concat() };
    let fields = vec![(b"cache-control".to_vec(), b"no-cache".to_vec()), (b"location".to_vec(), location)];
    Some(Reply { status: 302, fields, ..Reply::default() })
}

impl Draft<'_> {
    fn finish(
        self,
        arguments: &Arguments<'_>,
        context: &mut ParseContext<'_>,
        is_rule: bool,
    ) -> Result<Redirect, Mistake> {
        let Some((kind, target)) = self.target else {
            return Mistake::says("redirection type expected ('prefix', 'location', or 'scheme')");
        };
        if matches!(arguments.set, RuleSet::HttpResponse) && kind != Kind::Location {
            return Mistake::says("response only supports redirect type 'location'");
        }
        let span = arguments.span;
        // A prefix of "/" means to keep the target as it is.
        let target = if kind == Kind::Prefix && target == "/" { "" } else { target };
        let target = match is_rule && !target.is_empty() {
            false => Text::Plain(target.into()),
            true => Text::Format(LogFormat::parse(target, span, context).ok_or(Mistake::Reported)?),
        };
        let cookie = match self.cookie {
            None => None,
            Some(("set-cookie", text)) => Some(Text::Plain(format!("{text}; path=/;").into())),
            Some(("clear-cookie", text)) => Some(Text::Plain(format!("{text}; path=/; Max-Age=0;").into())),
            Some((_, text)) => {
                let text = format!("{text}; path=/;");
                Some(Text::Format(LogFormat::parse(&text, span, context).ok_or(Mistake::Reported)?))
            }
        };
        Ok(Redirect {
            kind,
            target,
            code: self.code,
            drop_query: self.drop_query,
            keep_query: self.keep_query,
            append_slash: self.append_slash,
            ignore_empty: self.ignore_empty,
            cookie,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Verdict;
    use crate::rules::testing::{self, Bench};

    /// The location and the other fields of a rule's answer.
    fn answer(rule: &str, target: &str) -> (u16, String, Vec<String>) {
        let mut bench = Bench::get(target, &[("Host", "example.com")]);
        let Verdict::Respond(reply) = bench.run(RuleSet::HttpRequest, &[rule]) else { panic!("{rule}") };
        split(*reply)
    }

    fn split(reply: Reply) -> (u16, String, Vec<String>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut lines = reply.fields.iter().map(|(name, value)| format!("{}: {}", text(name), text(value)));
        let location = lines.next().unwrap();
        (reply.status, location["location: ".len()..].to_owned(), lines.collect())
    }

    #[test]
    fn locations() {
        for (options, target, expected) in [
            ("location /x", "/a?b", "/x"),
            ("location /x%[path]", "/a?b", "/x/a"),
            ("location /x keep-query", "/a?b", "/x?b"),
            ("location /x?y=1 keep-query", "/a?b", "/x?y=1&b"),
            ("location /x keep-query", "/a", "/x"),
            ("location /x append-slash", "/a", "/x"),
            ("prefix http://h", "/a?b", "http://h/a?b"),
            ("prefix http://h drop-query", "/a?b", "http://h/a"),
            ("prefix http://h drop-query append-slash", "/a?b", "http://h/a/"),
            ("prefix / drop-query append-slash", "/a/?b", "/a/"),
            ("prefix /p", "http://h/a", "/p/a"),
            ("scheme https", "/a?b", "https://example.com/a?b"),
            ("scheme https", "*", "https://example.com/"),
            ("scheme https drop-query", "/a?b", "https://example.com/a"),
        ] {
            let (_, location, _) = answer(&format!("redirect {options}"), target);
            assert_eq!(location, expected, "{options} {target}");
        }
    }

    #[test]
    fn codes_and_cookies() {
        let private = "cache-control: no-cache";
        for (options, code, others) in [
            ("location /", 302, &[private][..]),
            ("location / code 301", 301, &[]),
            ("location / code 303", 303, &[private]),
            ("location / code 307", 307, &[private]),
            ("location / code 308", 308, &[]),
            ("location / code 301 set-cookie A=1", 301, &["set-cookie: A=1; path=/;"]),
            ("location / code 301 clear-cookie A=", 301, &["set-cookie: A=; path=/; Max-Age=0;"]),
            ("location / code 301 set-cookie-fmt A=%[path]", 301, &["set-cookie: A=/p; path=/;"]),
        ] {
            let (status, _, lines) = answer(&format!("redirect {options}"), "/p");
            assert_eq!(
                (status, &lines[..]),
                (code, &others.iter().map(|l| l.to_string()).collect::<Vec<_>>()[..]),
                "{options}"
            );
        }
    }

    #[test]
    fn lines_take_texts_as_they_stand() {
        let line = ["prefix", "https://%[x]", "code", "301", "if", "TRUE"];
        let (parsed, told) = testing::parsing(|context| parse(&line, Span::NONE, context));
        let (redirect, condition) = parsed.unwrap_or_else(|| panic!("{told:?}"));
        assert!(condition.is_some());
        let mut bench = Bench::get("/a", &[]);
        let request = bench.txn.request.clone();
        bench.txn.request = request.clone();
        let context = Context {
            session: Some(&bench.session),
            txn: &bench.txn,
            direction: crate::sample::facts::Direction::Request,
            now: Default::default(),
            process: &bench.process,
            check_vars: None,
        };
        let (status, location, _) = split(redirect.reply(&context, &request).unwrap());
        assert_eq!((status, location.as_str()), (301, "https://%[x]/a"));
    }

    #[test]
    fn mistakes_are_told() {
        for (line, expected) in [
            ("redirect", "redirection type expected ('prefix', 'location', or 'scheme')"),
            ("redirect location", "missing argument for 'location'"),
            ("redirect location / code 200", "unsupported HTTP code '200'"),
            ("redirect location / drop-qery", "did you mean 'drop-query'?"),
        ] {
            let told = testing::told(RuleSet::HttpRequest, line);
            assert!(told.len() == 1 && told[0].contains(expected), "{line}: {told:?}");
        }
        let told = testing::told(RuleSet::HttpResponse, "redirect prefix /x");
        assert!(told[0].contains("response only supports redirect type 'location'"), "{told:?}");
    }

    #[test]
    fn servers_with_a_prefix_redirect_themselves() {
        let mut request = Request::default();
        request.set_target(b"http://h/a?b");
        for (prefix, expected) in [("http://s1", "http://s1/a?b"), ("/", "/a?b")] {
            let reply = to_server(prefix.as_bytes(), &request).unwrap();
            assert_eq!(reply.fields[1].1, expected.as_bytes(), "{prefix}");
        }
    }
}
