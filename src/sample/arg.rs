//! Arguments of fetches and converters: lexing, with its second level of quotes, and types.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::acl::Acl;
use super::conv::map::MapUse;
use super::expr::ParseContext;
use super::userlist::UserList;
use super::value::{Value, whole_int};
use super::vars::VarName;
use super::{Context, conv};
use crate::base::text::decode_raw;
use crate::diag::{Span, closest};
use crate::pattern::Regex;
use crate::state::registry::Reference;
use crate::state::{ProxyState, Registry, ServerState, Table};

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgType {
    /// A number.
    Int,
    /// Any text.
    Str,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An IPv4 mask or prefix length.
    Mask4,
    /// An IPv6 mask or prefix length.
    Mask6,
    /// A backend, by default the proxy at hand.
    Backend,
    /// A frontend, by default the proxy at hand.
    Frontend,
    /// A server, as `backend/server` or a server of the proxy at hand.
    Server,
    /// A regular expression; the row's check compiles it, since flags may follow.
    Regex,
    /// A variable.
    Variable,
    /// A number or a variable that holds one.
    IntOrVariable,
    /// The name of a map file.
    Map,
    /// A stick table, by default that of the proxy at hand.
    Table,
    /// A `userlist` section.
    UserList,
}

impl ArgType {
    /// Whether nothing at all is one.
    fn may_be_empty(self) -> bool {
        use ArgType::*;
        matches!(self, Str | Regex | Map | Variable | IntOrVariable)
    }
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            ArgType::Int => "integer",
            ArgType::Str => "string",
            ArgType::Ipv4 => "IPv4 address",
            ArgType::Ipv6 => "IPv6 address",
            ArgType::Mask4 => "IPv4 mask",
            ArgType::Mask6 => "IPv6 mask",
            ArgType::Backend => "backend",
            ArgType::Frontend => "frontend",
            ArgType::Server => "server",
            ArgType::Regex => "regex",
            ArgType::Variable => "variable",
            ArgType::IntOrVariable => "integer or variable",
            ArgType::Map => "map",
            ArgType::Table => "stick-table",
            ArgType::UserList => "userlist",
        }
    }
}

/// A checked argument.
#[derive(Clone, Debug)]
pub enum Arg {
    /// A number.
    Int(i64),
    /// Text.
    Str(Box<[u8]>),
    /// An address or a mask.
    Ip(IpAddr),
    /// A proxy.
    Proxy(Arc<ProxyState>),
    /// A server by backend and name; found at run time among the backend's present servers.
    Server(Arc<ProxyState>, Box<str>),
    /// A compiled regular expression.
    Regex(Box<Regex>),
    /// A variable.
    Variable(VarName),
    /// The use of a map.
    Map(Arc<MapUse>),
    /// A stick table.
    Table(Arc<Table>),
    /// A list of users.
    UserList(Arc<UserList>),
    /// Named ACLs, for `acl()`.
    Acls(Arc<[(bool, Arc<Acl>)]>),
    /// A path into JSON.
    JsonPath(Arc<[conv::json::Step]>),
    /// The dotted number of a Protocol Buffers field.
    Numbers(Box<[u32]>),
    /// All live objects, for what is named at run time.
    Registry(Arc<Registry>),
}

/// Convenient views of an argument list; an absent argument is as its neutral value.
pub trait Args {
    /// Text number `at`, or nothing.
    fn text(&self, at: usize) -> &[u8];
    /// The number at `at`, or 0.
    fn int(&self, at: usize) -> i64;
    /// The number at `at`, be it given or held by a variable.
    fn number(&self, at: usize, context: &Context<'_>) -> Option<i64>;
    /// The proxy at `at`.
    fn proxy(&self, at: usize) -> Option<&Arc<ProxyState>>;
    /// The server at `at`, as it is now.
    fn server(&self, at: usize) -> Option<Arc<ServerState>>;
    /// The variable at `at`.
    fn variable(&self, at: usize) -> Option<VarName>;
    /// The stick table at `at`.
    fn table(&self, at: usize) -> Option<&Arc<Table>>;
    /// The list of users at `at`.
    fn userlist(&self, at: usize) -> Option<&Arc<UserList>>;
}

impl Args for [Arg] {
    #[inline]
    fn text(&self, at: usize) -> &[u8] {
        match self.get(at) {
            Some(Arg::Str(text)) => text,
            _ => b"",
        }
    }
    #[inline]
    fn int(&self, at: usize) -> i64 {
        match self.get(at) {
            Some(Arg::Int(n)) => *n,
            _ => 0,
        }
    }
    fn number(&self, at: usize, context: &Context<'_>) -> Option<i64> {
        match self.get(at)? {
            Arg::Int(n) => Some(*n),
            Arg::Variable(name) => name.get(context).and_then(|value: Value<'_>| value.as_int()),
            _ => None,
        }
    }
    fn proxy(&self, at: usize) -> Option<&Arc<ProxyState>> {
        match self.get(at)? {
            Arg::Proxy(proxy) => Some(proxy),
            _ => None,
        }
    }
    fn server(&self, at: usize) -> Option<Arc<ServerState>> {
        match self.get(at)? {
            Arg::Server(backend, name) => backend.servers.load().iter().find(|s| s.name == *name).cloned(),
            _ => None,
        }
    }
    fn variable(&self, at: usize) -> Option<VarName> {
        match self.get(at)? {
            Arg::Variable(name) => Some(*name),
            _ => None,
        }
    }
    fn table(&self, at: usize) -> Option<&Arc<Table>> {
        match self.get(at)? {
            Arg::Table(table) => Some(table),
            _ => None,
        }
    }
    fn userlist(&self, at: usize) -> Option<&Arc<UserList>> {
        match self.get(at)? {
            Arg::UserList(list) => Some(list),
            _ => None,
        }
    }
}

/// What a row's check may use: it turns texts into what evaluation wants, or says what is wrong.
pub struct CheckContext<'c, 'p> {
    /// The parse at hand.
    pub context: &'c mut ParseContext<'p>,
    /// The keyword whose arguments these are.
    pub keyword: &'static str,
    /// Where.
    pub span: Span,
}

/// A row's check.
pub type Check = fn(&mut Vec<Arg>, &mut CheckContext<'_, '_>) -> Result<(), String>;

/// Reads the arguments that may stand at `text[at..]`; returns them and where they end. On a
/// mistake tells the argument's place from 0 and what is wrong.
pub fn parse(
    text: &[u8],
    mut at: usize,
    types: &[ArgType],
    required: usize,
    check: &mut CheckContext<'_, '_>,
) -> Result<(Vec<Arg>, usize), (usize, String)> {
    let mut args = Vec::new();
    let present = text.get(at) == Some(&b'(');
    if !present {
        fill_default(&mut args, types, required, check)?;
        // Without parentheses the first argument is an empty text, if there must be one.
        if let Some(first) =
            types.first().filter(|first| first.may_be_empty() && required > 0 && args.is_empty())
        {
            args.push(typed(b"", *first, check).map_err(|error| {
                (0, error.unwrap_or_else(|| format!("expected type '{}' at position 1", first.name())))
            })?);
        }
        if args.len() < required {
            let wanted = types.get(args.len()).map_or("string", |wanted| wanted.name());
            let got = args.len();
            return Err((got, format!("missing arguments (got {got}/{required}), type '{wanted}' expected")));
        }
        return Ok((args, at));
    }
    at += 1;
    for (place, wanted) in types.iter().enumerate() {
        let (word, end) = lex(text, at).map_err(|rest| {
            let wanted = wanted.name();
            (place, format!("failed to parse '{rest}' as type '{wanted}' at position {}", place + 1))
        })?;
        let more = text.get(end) == Some(&b',');
        // Only texts may be empty; `()` is no argument at all.
        let may_be_empty = wanted.may_be_empty() && (place > 0 || more || required > 0);
        if word.is_empty() && more && *wanted == ArgType::Table && place < required {
            args.push(own_table(check).map_err(|error| (place, error))?);
            at = end + 1;
            continue;
        }
        if word.is_empty() && !may_be_empty {
            at = end;
            if args.len() < required
                && !matches!(wanted, ArgType::Backend | ArgType::Frontend | ArgType::Table)
            {
                let wanted = wanted.name();
                return Err((
                    place,
                    format!("expected type '{wanted}' at position {}, but got nothing", place + 1),
                ));
            }
            break;
        }
        let arg = typed(&word, *wanted, check).map_err(|error| {
            let shown = String::from_utf8_lossy(&word);
            let wanted = wanted.name();
            let plain = format!("failed to parse '{shown}' as type '{wanted}' at position {}", place + 1);
            (place, error.unwrap_or(plain))
        })?;
        args.push(arg);
        at = end;
        if !more || place + 1 == types.len() {
            break;
        }
        at += 1;
    }
    fill_default(&mut args, types, required, check)?;
    if args.len() < required {
        let wanted = types.get(args.len()).map_or("string", |wanted| wanted.name());
        let got = args.len();
        return Err((got, format!("missing arguments (got {got}/{required}), type '{wanted}' expected")));
    }
    match text.get(at) {
        Some(b')') => Ok((args, at + 1)),
        None => Err((args.len().saturating_sub(1), "expected ')'".into())),
        Some(_) => {
            let rest = String::from_utf8_lossy(&text[at..]);
            Err((args.len().saturating_sub(1), format!("expected ')' before '{rest}'")))
        }
    }
}

/// `nbsrv` and its like mean the proxy at hand when they name none, `src_conn_cnt` and its like the
/// proxy's table.
fn fill_default(
    args: &mut Vec<Arg>,
    types: &[ArgType],
    required: usize,
    check: &mut CheckContext<'_, '_>,
) -> Result<(), (usize, String)> {
    let Some(name) = check.context.proxy else { return Ok(()) };
    match types.get(args.len()) {
        Some(ArgType::Backend | ArgType::Frontend) if args.is_empty() => {
            args.push(Arg::Proxy(check.context.registry.proxy(name)));
        }
        Some(ArgType::Table) if args.len() < required => {
            let place = args.len();
            args.push(own_table(check).map_err(|error| (place, error))?);
        }
        _ => {}
    }
    Ok(())
}

/// The stick table of the proxy at hand.
fn own_table(check: &CheckContext<'_, '_>) -> Result<Arg, String> {
    let name = check.context.proxy.unwrap_or_default();
    let found = check.context.named.tables.get(name).cloned().map(Arg::Table);
    found.ok_or_else(|| {
        format!("unable to find a table: proxy '{name}' has no stick-table, and none is named")
    })
}

/// One argument's text and where it ends: at a `,` or `)` outside quotes, or at the end.
fn lex(text: &[u8], mut at: usize) -> Result<(Vec<u8>, usize), String> {
    let mut word = Vec::new();
    let mut quote = None;
    while let Some(byte) = text.get(at) {
        match (byte, quote) {
            (b'"' | b'\'', None) => quote = Some(*byte),
            (_, Some(open)) if *byte == open => quote = None,
            (b'\\', None | Some(b'"')) => {
                let next =
                    *text.get(at + 1).ok_or_else(|| String::from_utf8_lossy(&text[at..]).into_owned())?;
                let meant = match next {
                    b'\\' | b' ' | b'"' | b'\'' => Some(next),
                    b'r' => Some(b'\r'),
                    b'n' => Some(b'\n'),
                    b't' => Some(b'\t'),
                    _ => None,
                };
                // A lone backslash stays, for regular expressions. It escapes nothing: what follows may end
                // the argument.
                word.push(meant.unwrap_or(b'\\'));
                at += usize::from(meant.is_some());
            }
            (b',' | b')', None) => break,
            _ => word.push(*byte),
        }
        at += 1;
    }
    let word = match decode_raw(&word) {
        Cow::Borrowed(_) => word,
        Cow::Owned(raw) => raw,
    };
    Ok((word, at))
}

/// The argument that `word` means; `Err(None)` is the plain "failed to parse".
fn typed(word: &[u8], wanted: ArgType, check: &mut CheckContext<'_, '_>) -> Result<Arg, Option<String>> {
    let text = || std::str::from_utf8(word).map_err(|_| None);
    let proxy = |check: &CheckContext<'_, '_>, name: &str, server: Option<&str>| {
        check.context.registry.add_reference(Reference {
            frontend: wanted == ArgType::Frontend,
            proxy: name.to_owned(),
            server: server.map(str::to_owned),
            keyword: check.keyword,
            span: check.span,
        });
        check.context.registry.proxy(name)
    };
    match wanted {
        ArgType::Int => whole_int(word).map(Arg::Int).ok_or(None),
        ArgType::Str | ArgType::Regex | ArgType::Map => Ok(Arg::Str(word.into())),
        ArgType::Ipv4 => text()?.parse().map(|v4| Arg::Ip(IpAddr::V4(v4))).map_err(|_| None),
        ArgType::Ipv6 => text()?.parse().map(|v6| Arg::Ip(IpAddr::V6(v6))).map_err(|_| None),
        ArgType::Mask4 => {
            let text = text()?.trim_ascii_start();
            match text.parse::<u32>() {
                Ok(len) if len <= 32 => {
                    Ok(Arg::Ip(IpAddr::V4(u32::MAX.checked_shl(32 - len).unwrap_or(0).into())))
                }
                _ => text.parse().map(|v4| Arg::Ip(IpAddr::V4(v4))).map_err(|_| None),
            }
        }
        ArgType::Mask6 => {
            let text = text()?.trim_ascii_start();
            match text.parse::<u32>() {
                Ok(len) if len <= 128 => {
                    Ok(Arg::Ip(IpAddr::V6(u128::MAX.checked_shl(128 - len).unwrap_or(0).into())))
                }
                _ => text.parse().map(|v6| Arg::Ip(IpAddr::V6(v6))).map_err(|_| None),
            }
        }
        ArgType::Backend | ArgType::Frontend => Ok(Arg::Proxy(proxy(check, text()?, None))),
        ArgType::Server => {
            let text = text()?;
            let (backend, server) = match (text.split_once('/'), check.context.proxy) {
                (Some((backend, server)), _) => (backend, server),
                (None, Some(own)) => (own, text),
                (None, None) => return Err(Some(format!("missing backend name before server '{text}'"))),
            };
            Ok(Arg::Server(proxy(check, backend, Some(server)), server.into()))
        }
        ArgType::Table => {
            let name = text()?;
            let found = check.context.named.tables.get(name);
            found.cloned().map(Arg::Table).ok_or_else(|| {
                let near = closest(name, check.context.named.tables.keys().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
                Some(format!("unable to find table '{name}'{hint}"))
            })
        }
        ArgType::UserList => {
            let name = text()?;
            let lists = &check.context.named.userlists;
            lists.get(name).cloned().map(Arg::UserList).ok_or_else(|| {
                let near = closest(name, lists.keys().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
                Some(format!("unable to find userlist '{name}'{hint}"))
            })
        }
        ArgType::Variable => VarName::parse(text()?).map(Arg::Variable).map_err(Some),
        // Nothing is the number 0 here.
        ArgType::IntOrVariable if word.is_empty() => Ok(Arg::Int(0)),
        ArgType::IntOrVariable => match whole_int(word) {
            Some(n) => Ok(Arg::Int(n)),
            None => VarName::parse(text()?)
                .map(Arg::Variable)
                .map_err(|_| Some("expects an integer or a variable name".to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lexes_the_second_level_of_quotes() {
        for (text, word, rest) in [
            ("a b,c", "a b", ",c"),
            ("'a,b)',c", "a,b)", ",c"),
            ("\"a\\\"b\")", "a\"b", ")"),
            (r"'a\n')", r"a\n", ")"),
            (r"a\tb\\c\d)", "a\tb\\c\\d", ")"),
            (r"\,x", r"\", ",x"),
            (r"a\)b)", r"a\", ")b)"),
            (r#""\,\)"x)"#, r"\,\)x", ")"),
            (r"'\,\)')", r"\,\)", ")"),
            (r"\\,x", r"\", ",x"),
            ("ab'c'd)", "abcd", ")"),
            ("", "", ""),
            ("-\0\u{e0}-)", "-\u{fffd}-", ")"),
        ] {
            let (lexed, end) = lex(text.as_bytes(), 0).unwrap();
            assert_eq!((String::from_utf8_lossy(&lexed).as_ref(), &text[end..]), (word, rest), "{text}");
        }
    }
}
