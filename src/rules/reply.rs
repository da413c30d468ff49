//! The reply that a rule describes: `return`, and `deny` or `tarpit` with more than a status
//! (manual, section 4.4 `return`).

use std::sync::Arc;

use super::arguments::{Arguments, Mistake};
use crate::base::text::decode_raw;
use crate::http::reply::Reply;
use crate::sample::{Context, LogFormat, ParseContext};

/// The statuses that have an error page of their own (manual, section 4.2 `errorfile`).
pub const PAGE_STATUSES: &[u16] = &[
    200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502, 503, 504,
];

/// A parsed reply.
#[derive(Debug)]
pub struct ReplySpec {
    /// Its status.
    pub status: u16,
    /// `content-type`.
    content_type: Option<Box<str>>,
    /// `hdr`, in order.
    fields: Vec<(Box<str>, LogFormat)>,
    /// What it carries.
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Nothing.
    Empty,
    /// `default-errorfiles`: the proxy's page for the status.
    ErrorPage,
    /// `errorfile`: a whole response.
    ErrorFile(Arc<[u8]>),
    /// `errorfiles`: the page of an `http-errors` section, once that is known.
    Section(Box<str>, Option<Arc<[u8]>>),
    /// `string`, `file`.
    Raw(Arc<[u8]>),
    /// `lf-string`, `lf-file`.
    Format(LogFormat),
}

/// What a reply comes to for one transaction.
#[derive(Debug)]
pub enum Built {
    /// The proxy's page for the status.
    ErrorPage,
    /// This one.
    Own(Box<Reply>),
}

impl ReplySpec {
    /// The proxy's page for a status.
    pub fn error_page(status: u16) -> Self {
        ReplySpec { status, content_type: None, fields: Vec::new(), body: Body::ErrorPage }
    }

    /// Parses the arguments of a reply, as far as they belong to it.
    pub fn parse(
        default_status: u16,
        arguments: &mut Arguments<'_>,
        context: &mut ParseContext<'_>,
    ) -> Result<ReplySpec, Mistake> {
        let mut spec =
            ReplySpec { status: default_status, content_type: None, fields: Vec::new(), body: Body::Empty };
        let mut body_word = "";
        while let Some(word) = arguments.peek() {
            match word {
                "status" | "deny_status" => {
                    arguments.take("")?;
                    let text = arguments.take(&format!("'{word}' expects <status_code> as argument"))?;
                    let status = text.parse().ok().filter(|status| (200..=599).contains(status));
                    spec.status = status.ok_or_else(|| format!("Unexpected status code '{text}'"))?;
                }
                "content-type" => {
                    arguments.take("")?;
                    let text = arguments.take("'content-type' expects <ctype> as argument")?;
                    spec.content_type = Some(text.into());
                }
                "hdr" => {
                    arguments.take("")?;
                    spec.take_field(arguments, context)?;
                }
                "default-errorfiles" | "errorfiles" | "errorfile" | "file" | "string" | "lf-file"
                | "lf-string" => {
                    if !body_word.is_empty() {
                        let problem = format!("unexpected '{word}' argument, '{body_word}' already defined");
                        return Mistake::says(problem);
                    }
                    body_word = word;
                    arguments.take("")?;
                    spec.body = Body::parse(word, arguments, context)?;
                }
                _ => break,
            }
        }
        spec.check(body_word, arguments, context)?;
        Ok(spec)
    }

    fn take_field(
        &mut self,
        arguments: &mut Arguments<'_>,
        context: &mut ParseContext<'_>,
    ) -> Result<(), Mistake> {
        const PROBLEM: &str = "'hdr' expects <name> and <value> as arguments";
        let name = arguments.take(PROBLEM)?;
        let text = arguments.take(PROBLEM)?;
        let framing = ["content-length", "transfer-encoding", "content-type"];
        if framing.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            let message = format!("header '{name}' always ignored by the http reply");
            context.report.warning(arguments.span, message);
            return Ok(());
        }
        let value = LogFormat::parse(text, arguments.span, context).ok_or(Mistake::Reported)?;
        self.fields.push((name.into(), value));
        Ok(())
    }

    /// What only the whole tells.
    fn check(
        &mut self,
        body_word: &str,
        arguments: &Arguments<'_>,
        context: &mut ParseContext<'_>,
    ) -> Result<(), Mistake> {
        let forbids_body = matches!(self.status, 204 | 304);
        let mut ignored = None;
        match &self.body {
            Body::Empty => ignored = Some("because neither errorfile nor payload defined"),
            Body::ErrorPage | Body::Section(..) if !PAGE_STATUSES.contains(&self.status) => {
                return Mistake::says(format!(
                    "status code '{}' not handled by default with '{body_word}' argument",
                    self.status
                ));
            }
            Body::ErrorPage | Body::ErrorFile(_) | Body::Section(..) => {
                ignored = Some("when used with an errorfile");
                if !self.fields.is_empty() {
                    let message = "hdr parameters ignored by the http reply when used with an errorfile";
                    context.report.warning(arguments.span, message);
                    self.fields.clear();
                }
            }
            Body::Raw(bytes) if bytes.is_empty() => ignored = Some("when used with an empty payload"),
            Body::Raw(_) | Body::Format(_) if forbids_body => {
                return Mistake::says(format!("No body expected for {} responses", self.status));
            }
            Body::Raw(_) if self.content_type.is_none() => {
                return Mistake::says("a content type must be defined when non-empty payload is configured");
            }
            Body::Format(_) if self.content_type.is_none() => {
                return Mistake::says("a content type must be defined with a log-format payload");
            }
            Body::Raw(_) | Body::Format(_) => {}
        }
        if let (Some(why), Some(content_type)) = (ignored, &self.content_type) {
            let message = format!("content-type '{content_type}' ignored by the http reply {why}");
            context.report.warning(arguments.span, message);
            self.content_type = None;
        }
        Ok(())
    }

    /// The `http-errors` section and status it refers to, while the page is not known yet.
    pub fn wanted_section(&self) -> Option<(&str, u16)> {
        match &self.body {
            Body::Section(name, None) => Some((name, self.status)),
            _ => None,
        }
    }

    /// Tells it the page that [`Self::wanted_section`] asked for. Without one it carries nothing.
    pub fn give_section(&mut self, page: Option<Arc<[u8]>>) {
        match (&mut self.body, page) {
            (Body::Section(_, slot), Some(page)) => *slot = Some(page),
            (body @ Body::Section(..), None) => *body = Body::Empty,
            _ => {}
        }
    }

    /// Makes the reply for a transaction.
    pub fn build(&self, context: &Context<'_>) -> Built {
        let mut reply = Reply { status: self.status, ..Reply::default() };
        for (name, value) in &self.fields {
            let mut text = Vec::new();
            value.write(context, false, &mut text);
            if !text.is_empty() {
                reply.fields.push((name.as_bytes().to_vec(), text)); // nothing to say: no field
            }
        }
        match &self.body {
            Body::Empty | Body::Section(_, None) => {}
            Body::ErrorPage => return Built::ErrorPage,
            Body::ErrorFile(bytes) | Body::Section(_, Some(bytes)) => reply.raw = Some(bytes.clone()),
            Body::Raw(bytes) => reply.body = bytes.to_vec(),
            Body::Format(format) => format.write(context, false, &mut reply.body),
        }
        if let Some(content_type) = &self.content_type {
            reply.fields.push((b"content-type".to_vec(), content_type.as_bytes().to_vec()));
        }
        Built::Own(Box::new(reply))
    }
}

impl Body {
    fn parse(
        word: &str,
        arguments: &mut Arguments<'_>,
        context: &mut ParseContext<'_>,
    ) -> Result<Body, Mistake> {
        let argument = match word {
            "default-errorfiles" => return Ok(Body::ErrorPage),
            "errorfiles" => "<name>",
            "errorfile" | "lf-string" => "<fmt>",
            "string" => "<str>",
            _ => "<file>",
        };
        let text = arguments.take(&format!("'{word}' expects {argument} as argument"))?;
        let read = |context: &ParseContext<'_>| {
            context.files.read(text).map_err(|error| format!("error opening file '{text}': {error}"))
        };
        Ok(match word {
            "errorfiles" => Body::Section(text.into(), None),
            "string" => Body::Raw(decode_raw(text.as_bytes()).into()),
            "file" => Body::Raw(read(context)?.into()),
            "errorfile" => {
                let bytes = read(context)?;
                if !bytes.is_empty() && !bytes.starts_with(b"HTTP/") {
                    return Mistake::says(format!("unable to parse '{text}': not an HTTP response"));
                }
                Body::ErrorFile(bytes.into())
            }
            "lf-file" => {
                let bytes = read(context)?;
                let format = String::from_utf8(bytes)
                    .map_err(|_| format!("file '{text}' holds a format that is not UTF-8"))?;
                Body::Format(LogFormat::parse(&format, arguments.span, context).ok_or(Mistake::Reported)?)
            }
            _ => Body::Format(LogFormat::parse(text, arguments.span, context).ok_or(Mistake::Reported)?),
        })
    }
}

/// The realm of the statistics page unless another is named.
pub const STATS_REALM: &str = "HAProxy Statistics";

/// A page of status 401 as the answer that asks for a name and a password (RFC 7617).
pub fn unauthorized(mut page: Reply, realm: &str) -> Reply {
    page.fields.retain(|(name, _)| !name.eq_ignore_ascii_case(b"www-authenticate"));
    // A quoted string (RFC 9110 section 5.6.4): two bytes would end it or change what follows.
    let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
    let challenge = format!("Basic realm=\"{realm}\"");
    if let Some(raw) = &page.raw
        && let Some(end) = memchr::memmem::find(raw, b"\r\n\r\n")
    {
        // An error file stands as it is written, but for challenges of its own: ours is the last field.
        let is_challenge =
            |line: &[u8]| line.get(..17).is_some_and(|name| name.eq_ignore_ascii_case(b"www-authenticate:"));
        let mut head: Vec<&[u8]> = raw[..end].split(|byte| *byte == b'\n').collect();
        head.retain(|line| !is_challenge(line));
        let mut answer = head.join(&b'\n');
        while answer.ends_with(b"\r") {
            answer.pop();
        }
        answer.extend_from_slice(format!("\r\nwww-authenticate: {challenge}").as_bytes());
        answer.extend_from_slice(&raw[end..]);
        page.raw = Some(answer.into());
        return page;
    }
    page.fields.push((b"www-authenticate".to_vec(), challenge.into_bytes()));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_file_has_one_challenge() {
        for file in [
            "HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"mine\"\r\nX: y\r\n\r\nmine",
            "HTTP/1.0 401 No\r\nX: y\r\nwww-authenticate: Basic\r\n\r\nmine",
            "HTTP/1.0 401 No\r\nX: y\r\n\r\nmine",
        ] {
            let page = Reply { raw: Some(file.as_bytes().into()), ..Reply::default() };
            let raw = unauthorized(page, "r").raw.expect("it stays a file");
            let expected = "HTTP/1.0 401 No\r\nX: y\r\nwww-authenticate: Basic realm=\"r\"\r\n\r\nmine";
            assert_eq!(String::from_utf8_lossy(&raw), expected);
        }
    }

    #[test]
    fn the_realm_is_a_quoted_string() {
        for (realm, challenge) in [
            ("Statistics", r#"Basic realm="Statistics""#),
            (r#"a "b""#, r#"Basic realm="a \"b\"""#),
            (r"a\b", r#"Basic realm="a\\b""#),
        ] {
            let reply = unauthorized(Reply::error(401), realm);
            let field = reply.fields.iter().find(|(name, _)| name == b"www-authenticate").unwrap();
            assert_eq!(String::from_utf8_lossy(&field.1), challenge);
        }
    }
}
