//! Block -> request (RFC 9113 section 8.3.1, RFC 8441).

use smallvec::SmallVec;

use super::{Bad, Length, Rules, is_token_byte, judge, judge_value, whole};
use crate::http::h2::hpack::{Block, Decoded};
use crate::http::{Fields, Known, Method, Request, Text, Version, uri};

/// What a request's head says beside what the message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The length that it gives for the body.
    pub length: Option<u64>,
    /// It is an extended CONNECT: its stream becomes a tunnel when it is granted.
    pub is_extended: bool,
}

/// Reads a request into `into`, cleared first. Its target has the absolute form if the request has an authority, as
/// HAProxy logs it; `Host` stands first and agrees with it.
pub fn request(block: Block<'_>, into: &mut Request, rules: Rules) -> Result<RequestHead, Bad> {
    into.clear();
    into.version = Version::Http2;
    let mut fields = std::mem::take(&mut into.fields);
    let read = whole(block, &mut fields, |block, fields| Reader::default().read(block, fields, rules));
    into.fields = fields;
    match read.and_then(|reader| reader.finish(into)) {
        Ok(head) => Ok(head),
        Err(bad) => {
            into.clear();
            Err(bad)
        }
    }
}

#[derive(Default)]
struct Reader {
    method: Option<Text>,
    scheme: Option<Text>,
    authority: Option<Text>,
    path: Option<Text>,
    protocol: Option<Text>,
    /// A regular field was there.
    has_fields: bool,
    length: Length,
    /// The values of `cookie` fields, in order.
    cookies: SmallVec<[Text; 4]>,
}

impl Reader {
    fn read(mut self, block: &mut Block<'_>, fields: &mut Fields, rules: Rules) -> Result<Reader, Bad> {
        while let Some(field) = block.next(fields)? {
            if fields.bytes(field.name).first() == Some(&b':') {
                self.pseudo(field, fields, rules)?;
                continue;
            }
            if !self.has_fields {
                self.has_fields = true;
                self.line(fields, rules)?;
            }
            self.regular(field, fields, rules)?;
        }
        if !self.has_fields {
            self.line(fields, rules)?;
        }
        self.join_cookies(fields);
        Ok(self)
    }
    fn pseudo(&mut self, field: Decoded, fields: &Fields, rules: Rules) -> Result<(), Bad> {
        if self.has_fields {
            return Err(Bad::Malformed("pseudo-header field behind a field"));
        }
        let slot = match fields.bytes(field.name) {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            b":protocol" if rules.extended_connect => &mut self.protocol,
            _ => return Err(Bad::Malformed("unknown pseudo-header field")),
        };
        if slot.replace(field.value).is_some() {
            return Err(Bad::Malformed("repeated pseudo-header field"));
        }
        Ok(())
    }
    /// What would be the request line and `Host` in HTTP/1.
    fn line(&mut self, fields: &mut Fields, rules: Rules) -> Result<(), Bad> {
        let method = self.method.ok_or(Bad::Malformed("no :method"))?;
        let method = fields.bytes(method);
        if method.is_empty() {
            return Err(Bad::Malformed("empty :method"));
        }
        judge_value(method, rules)?;
        if !method.iter().all(|byte| is_token_byte(*byte)) {
            return Err(Bad::Denied("invalid :method"));
        }
        let is_connect = method == b"CONNECT";
        if self.protocol.is_some() && !is_connect {
            return Err(Bad::Malformed(":protocol without CONNECT"));
        }
        if let Some(protocol) = self.protocol {
            let protocol = fields.bytes(protocol);
            if protocol.is_empty() || !protocol.iter().all(|byte| is_token_byte(*byte)) {
                return Err(Bad::Malformed("invalid :protocol"));
            }
        }
        if is_connect && self.protocol.is_none() {
            if self.scheme.is_some() || self.path.is_some() {
                return Err(Bad::Malformed("CONNECT with :scheme or :path"));
            }
        } else {
            self.judge_target(fields, rules)?;
        }
        match self.authority {
            None if is_connect => return Err(Bad::Malformed("CONNECT without :authority")),
            None => return Ok(()),
            Some(authority) => {
                judge_authority(fields.bytes(authority), is_connect && self.protocol.is_none())?
            }
        }
        let kept = self.kept_authority(fields);
        self.authority = Some(kept);
        let name = fields.store(b"host");
        fields.push(name, kept);
        Ok(())
    }
    fn judge_target(&self, fields: &Fields, rules: Rules) -> Result<(), Bad> {
        let scheme = fields.bytes(self.scheme.ok_or(Bad::Malformed("no :scheme"))?);
        judge_value(scheme, rules)?;
        let is_scheme_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(is_scheme_byte) {
            return Err(Bad::Denied("invalid :scheme"));
        }
        let path = fields.bytes(self.path.ok_or(Bad::Malformed("no :path"))?);
        let method = fields.bytes(self.method.unwrap_or_default());
        // As in HTTP/1: for OPTIONS, and unknown methods may know better, but for that of the preface.
        let takes_asterisk = matches!(Method::from_token(method), Method::Options | Method::Other);
        if path.first() != Some(&b'/') && !(path == b"*" && takes_asterisk) {
            return Err(Bad::Malformed("invalid :path"));
        }
        if path == b"*" && method == b"PRI" {
            return Err(Bad::Denied("HTTP/2 preface as a request"));
        }
        let never = path.iter().fold(false, |found, byte| found | (*byte <= b' ') | (*byte == 0x7f));
        let doubtful = path.iter().fold(false, |found, byte| found | (*byte == b'#') | (*byte >= 0x80));
        if never || (doubtful && !rules.accept_unsafe) {
            return Err(Bad::Malformed("invalid character in :path"));
        }
        Ok(())
    }
    /// RFC 3986 section 6.2.3: the authority without the default port of its scheme.
    fn kept_authority(&self, fields: &Fields) -> Text {
        let authority = self.authority.unwrap_or_default();
        let Some(scheme) = self.scheme else { return authority };
        let (host, port) = uri::host_and_port(fields.bytes(authority));
        let Some(port) = port else { return authority };
        let scheme = fields.bytes(scheme);
        let is_default = (port == b"80" && scheme.eq_ignore_ascii_case(b"http"))
            || (port == b"443" && scheme.eq_ignore_ascii_case(b"https"))
            || port.is_empty();
        if is_default { Text::new(authority.start(), host.len()) } else { authority }
    }
    fn regular(&mut self, field: Decoded, fields: &mut Fields, rules: Rules) -> Result<(), Bad> {
        let known = judge(fields.bytes(field.name), fields.bytes(field.value), rules)?;
        match known {
            Known::Cookie => {
                self.cookies.push(field.value);
                return Ok(());
            }
            // The authority takes its place (section 8.3.1).
            Known::Host if self.authority.is_some() => return Ok(()),
            Known::Host => self.host(field, fields)?,
            Known::ContentLength if !self.length.take(fields.bytes(field.value))? => return Ok(()),
            _ => {}
        }
        fields.push_known(field.name, field.value, known);
        Ok(())
    }
    fn host(&self, field: Decoded, fields: &Fields) -> Result<(), Bad> {
        if fields.has(Known::Host) {
            return Err(Bad::Malformed("several Host fields"));
        }
        if uri::authority_has_forbidden_byte(fields.bytes(field.value)) {
            return Err(Bad::Malformed("invalid character in Host"));
        }
        Ok(())
    }
    /// Section 8.2.3: several cookie fields are one, for HTTP/1 and for rules.
    fn join_cookies(&self, fields: &mut Fields) {
        let joined = match self.cookies[..] {
            [] => return,
            [only] => only,
            _ => {
                let start = fields.arena_len();
                for (index, cookie) in self.cookies.iter().enumerate() {
                    if index > 0 {
                        fields.store(b"; ");
                    }
                    fields.store_again(cookie.start()..cookie.end());
                }
                Text::new(start, fields.arena_len() - start)
            }
        };
        let name = fields.store(b"cookie");
        fields.push(name, joined);
    }
    /// Makes the message of what was read.
    fn finish(self, into: &mut Request) -> Result<RequestHead, Bad> {
        let is_extended = self.protocol.is_some();
        into.method_text = self.method.unwrap_or_default();
        into.method = Method::from_token(into.method_bytes());
        let authority = self.authority.unwrap_or_default();
        into.target = match (self.scheme, self.path) {
            (Some(scheme), Some(path)) if self.authority.is_some() && into.fields.bytes(path) != b"*" => {
                // As HAProxy: with another scheme there is no doubt that the request is meant for a proxy.
                let name = into.fields.bytes(scheme);
                into.has_parts = name.eq_ignore_ascii_case(b"http") || name.eq_ignore_ascii_case(b"https");
                absolute(&mut into.fields, scheme, authority, path)
            }
            (_, Some(path)) => path,
            _ => authority,
        };
        if let Some(protocol) = self.protocol {
            into.set_method(b"GET");
            into.protocol = protocol;
            let protocol = into.fields.bytes(protocol).to_vec();
            into.fields.append(b"connection", b"Upgrade");
            into.fields.append(b"upgrade", &protocol);
        }
        Ok(RequestHead { length: self.length.0, is_extended })
    }
}

/// The absolute form of a target (RFC 9112 section 3.2.2).
fn absolute(fields: &mut Fields, scheme: Text, authority: Text, path: Text) -> Text {
    let start = fields.arena_len();
    fields.store_again(scheme.start()..scheme.end());
    fields.store(b"://");
    fields.store_again(authority.start()..authority.end());
    fields.store_again(path.start()..path.end());
    Text::new(start, fields.arena_len() - start)
}

/// What becomes `Host` and part of the target must mean there what it means here. CONNECT needs a port.
fn judge_authority(authority: &[u8], needs_port: bool) -> Result<(), Bad> {
    judge_value(authority, Rules::default())?;
    let (host, port) = uri::host_and_port(authority);
    if uri::authority_has_forbidden_byte(authority) || (!host.starts_with(b"[") && host.contains(&b':')) {
        return Err(Bad::Malformed("invalid character in :authority"));
    }
    if host.is_empty() {
        return Err(Bad::Malformed("empty :authority"));
    }
    if needs_port && port.is_none_or(<[u8]>::is_empty) {
        return Err(Bad::Malformed("CONNECT without a port"));
    }
    Ok(())
}
