//! Converters that look their input up in a map file (manual, `map`).

use std::sync::Arc;

use super::Converter;
use crate::diag::Span;
use crate::pattern::file::{self, Source, source};
use crate::pattern::{Input, Kind, PatternSet, Subject};
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::expr::ParseContext;
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value, parse_ip};
use crate::state::maps::LiveMap;

/// One use of a map: with which kind, and what comes out.
#[derive(Debug)]
pub struct MapUse {
    map: Arc<LiveMap>,
    kind: Kind,
    output: Output,
    default: Option<Value<'static>>,
}

/// What a map's value is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Int,
    Ip,
    /// The key that matched, instead of its value.
    Key,
}

/// The rows of one kind: `map_<kind>` and its outputs.
macro_rules! rows {
    ($($kind:literal $input:ident $doc:literal),* $(,)?) => {
        &[
            row("map", Type::Str, Type::Str, "The value of the entry with this key, else the default."),
            row("map_regm", Type::Str, Type::Str,
                "The value of the first expression that matches, its groups put in for \\1 to \\9."),
            $(
                row(concat!("map_", $kind), Type::$input, Type::Str, $doc),
                row(concat!("map_", $kind, "_int"), Type::$input, Type::Int, $doc),
                row(concat!("map_", $kind, "_ip"), Type::$input, Type::Ip, $doc),
                row(concat!("map_", $kind, "_key"), Type::$input, Type::Str, $doc),
            )*
        ]
    };
}

/// Rows.
pub const TABLE: &[Converter] = rows!(
    "str" Str "Looks a string up.",
    "beg" Str "Looks up the longest entry that the string begins with.",
    "end" Str "Looks up an entry that the string ends with.",
    "sub" Str "Looks up an entry that the string contains.",
    "dir" Str "Looks up an entry that is a whole part of the path.",
    "dom" Str "Looks up an entry that is a whole part of the domain name.",
    "reg" Str "Looks up the first expression that matches the string.",
    "int" Int "Looks up a number among numbers and ranges.",
    "ip" Ip "Looks up the smallest network that holds the address.",
);

const fn row(name: &'static str, input: Type, output: Type, doc: &'static str) -> Converter {
    Converter::new(name, input, output, doc, apply).args(1, &[ArgType::Map, ArgType::Str]).check(check)
}

/// Finds or loads the map, readies it for the kind that the converter's name says, and types the
/// default.
fn check(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let name = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    if name.is_empty() {
        return Err("a map needs the name of its file".into());
    }
    let (kind, output) = kind_and_output(check.keyword);
    let default = match (args.get(1), output) {
        (None, _) => None,
        (Some(_), Output::Key) => return Err("a map that gives its key takes no default value".into()),
        (Some(_), _) => {
            let text = args.as_slice().text(1);
            let typed = typed(text, output);
            Some(
                typed
                    .ok_or_else(|| format!("invalid default value '{}'", String::from_utf8_lossy(text)))?
                    .into_owned(),
            )
        }
    };
    let map = load(&name, true, true, check.span, check.context)?;
    ready(&map, kind, false, check.span, check.context)?;
    if matches!(output, Output::Int | Output::Ip) {
        for entry in map.load().entries() {
            if typed(entry.value, output).is_none() {
                let (key, value) = (String::from_utf8_lossy(entry.key), String::from_utf8_lossy(entry.value));
                let wanted = if output == Output::Int { "integer" } else { "IP address" };
                let at =
                    place(&map, check.context, |line| line.key == entry.key && line.value == entry.value);
                return Err(format!("'{value}', the value of '{key}' {at}, is not an {wanted}"));
            }
        }
    }
    *args = vec![Arg::Map(Arc::new(MapUse { map, kind, output, default }))];
    Ok(())
}

fn kind_and_output(keyword: &str) -> (Kind, Output) {
    let mut parts = keyword.split('_').skip(1);
    let kind = parts.next().and_then(Kind::from_name).unwrap_or(Kind::Str);
    let output = match parts.next() {
        Some("int") => Output::Int,
        Some("ip") => Output::Ip,
        Some("key") => Output::Key,
        _ => Output::Text,
    };
    (kind, output)
}

/// Where the first bad line of a file stands; the file is read once more to tell.
fn place(map: &LiveMap, context: &ParseContext<'_>, bad: impl FnMut(&file::Line<'_>) -> bool) -> String {
    let text = context.files.read(&map.name).unwrap_or_default();
    match file::lines(&text, map.is_map).find(bad) {
        Some(line) => format!("at line {} of file '{}'", line.number, map.name),
        None => format!("in file '{}'", map.name),
    }
}

/// Makes a file answer lookups of a kind.
pub(crate) fn ready(
    map: &LiveMap,
    kind: Kind,
    ignore_case: bool,
    span: Span,
    context: &mut ParseContext<'_>,
) -> Result<(), String> {
    map.use_as(kind, ignore_case).map_err(|error| {
        let mut set = PatternSet::default();
        let _ = set.prepare(kind, ignore_case);
        let bad = |line: &file::Line<'_>| set.add(line.key, line.value).is_err();
        format!("{} {}", error.0, place(map, context, bad))
    })?;
    for regex in map.load().slow_regexes(kind, ignore_case) {
        context.name_if_slow(regex, span);
    }
    Ok(())
}

/// The map or ACL file that `name` means, filled from its file if it is new: one with values (`is_map`)
/// or a list, for a map's or an ACL's use.
pub(crate) fn load(
    name: &str,
    is_map: bool,
    by_map: bool,
    span: Span,
    context: &mut ParseContext<'_>,
) -> Result<Arc<LiveMap>, String> {
    let (origin, id) = source(name);
    let (map, _) = context.registry.map(id, is_map);
    if map.is_map != is_map {
        return Err(if is_map {
            format!(
                "The file \"{id}\" is already used as one column file and cannot be used by as two column file."
            )
        } else {
            format!(
                "The file \"{id}\" is already used as two column file and cannot be used by as one column file."
            )
        });
    }
    let text = match origin {
        Source::Virtual => Vec::new(),
        Source::File(path) => context
            .files
            .read(path)
            .map_err(|error| format!("failed to open pattern file <{path}> : {error}"))?,
        Source::Optional(path) => match context.files.read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("failed to open pattern file <{path}> : {error}")),
        },
    };
    map.load_text(&text).map_err(|bad| format!("{} at line {} of file '{id}'", bad.error.0, bad.line))?;
    let (file, line) = context.place(span);
    map.describe(by_map, file, line);
    Ok(map)
}

fn typed(text: &[u8], output: Output) -> Option<Value<'_>> {
    match output {
        Output::Text | Output::Key => Some(Value::text(text)),
        Output::Int => std::str::from_utf8(text).ok()?.parse().ok().map(Value::Int),
        Output::Ip => parse_ip(text).map(Value::Ip),
    }
}

/// What a value is to a kind.
pub(crate) fn subject<'v>(kind: Kind, value: &'v Value<'_>) -> Option<Subject<'v>> {
    match kind.input() {
        Input::Int | Input::Bool => value.as_int().map(Subject::Int),
        Input::Ip => value.as_ip().map(Subject::Ip),
        Input::Any | Input::Bytes => value.bytes().map(Subject::Bytes),
    }
}

fn apply<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let Some(Arg::Map(usage)) = args.first() else { return None };
    let subject = subject(usage.kind, &value)?;
    let set = usage.map.load();
    // The value is copied out: it may change as soon as the set is let go.
    let found = lookup(&set, usage, subject);
    found.or_else(|| usage.default.clone())
}

fn lookup(set: &PatternSet, usage: &MapUse, subject: Subject<'_>) -> Option<Value<'static>> {
    let hit = set.find(usage.kind, false, subject)?;
    if usage.output == Output::Key {
        return set.by_id(hit.id).map(|entry| Value::string(entry.key.to_vec()));
    }
    if let (Kind::Regm, Some(regex), Subject::Bytes(text)) = (usage.kind, hit.regex, subject) {
        return Some(Value::string(regex.captures(text)?.expand(hit.value).ok()?));
    }
    typed(hit.value, usage.output).map(Value::into_owned)
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert_in, check};

    #[test]
    fn looks_up_by_every_kind() {
        let world = World::default()
            .file("h.map", "# hosts\nexample.com shard-1\nother.org  two words \n10 ten\n")
            .file("p.map", "/ root\n/api api\n/api/v2 v2\n")
            .file("n.map", "10.0.0.0/8 inside\n10.1.0.0/16 lab\n::/0 v6\n")
            .file("i.map", "1:9 few\n10 ten\n")
            .file("r.map", "^/u/([a-z]+)/([0-9]+)$ user=\\1&id=\\2\n^/ rest\n")
            .file("w.map", "low 5\nhigh 50\n")
            .file("a.map", "a 10.0.0.1\n");
        check(
            &world,
            &[
                ("str(example.com),map(h.map)", "shard-1"),
                ("str(other.org),map_str(h.map)", "two words"),
                ("str(Example.com),map(h.map)", "-"),
                ("str(none),map(h.map,dflt)", "dflt"),
                ("str(x.example.com),map_end(h.map)", "shard-1"),
                ("str(an-example.com-x),map_sub(h.map)", "shard-1"),
                ("str(www.example.com),map_dom(h.map)", "shard-1"),
                ("str(/api/v2/x),map_beg(p.map)", "v2"),
                ("str(/apx),map_beg(p.map)", "root"),
                ("str(/api/x),map_beg_key(p.map)", "/api"),
                ("ipv4(10.1.2.3),map_ip(n.map)", "lab"),
                ("str(10.9.9.9),map_ip(n.map)", "inside"),
                ("ipv6(2001:db8::1),map_ip(n.map)", "v6"),
                ("int(7),map_int(i.map)", "few"),
                ("str(10),map_int(i.map)", "ten"),
                ("int(99),map_int(i.map,many)", "many"),
                ("str(/u/bob/12),map_regm(r.map)", "user=bob&id=12"),
                ("str(/u/bob/12),map_reg(r.map)", "user=\\1&id=\\2"),
                ("str(high),map_str_int(w.map,7),add(1)", "51"),
                ("str(none),map_str_int(w.map,7),add(1)", "8"),
                ("str(a),map_str_ip(a.map)", "10.0.0.1"),
                ("str(x),map(opt@missing.map,none)", "none"),
                ("str(x),map(virt@mem,none)", "none"),
            ],
        );
    }

    #[test]
    fn uses_share_what_a_runtime_change_makes() {
        let world = World::default().file("h.map", "/a one\n");
        check(&world, &[("str(/a),map(h.map)", "one"), ("str(/a/b),map_beg(h.map)", "one")]);
        let (map, is_new) = world.registry.map("h.map", true);
        assert!(!is_new);
        map.set(b"/a", b"changed").unwrap();
        check(&world, &[("str(/a),map(h.map)", "changed"), ("str(/a/b),map_beg(h.map)", "changed")]);
    }

    #[test]
    fn tells_what_is_wrong_with_a_map() {
        let world = World::default().file("h.map", "a b\n").file("r.map", "a b\n( c\n");
        for (text, message) in [
            ("str(x),map(missing.map)", "failed to open pattern file <missing.map>"),
            ("str(x),map_ip(h.map)", "'a' is not a valid IPv4 or IPv6 address at line 1 of file 'h.map'"),
            ("str(x),map_reg(r.map)", "at line 2 of file 'r.map'"),
            (
                "str(x),map_str_int(h.map)",
                "'b', the value of 'a' at line 1 of file 'h.map', is not an integer",
            ),
            ("str(x),map_str_int(h.map,x)", "invalid default value 'x'"),
            ("str(x),map", "a map needs the name of its file"),
        ] {
            let (found, _) = alert_in(&world, text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
