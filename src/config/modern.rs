//! The line to write instead of one whose directive HAProxy removed.
//!
//! The removed request and response filters (`reqrep`, `rspidel`...) ran regular expressions over
//! whole lines of the head: the request line or `Name: value`. Where such an expression says plainly
//! which part it means, the rule that does the same today is spelled out; where it does not, nothing
//! is guessed, and the diagnostic names the directives to look at.

use super::layout::quote;

/// The modern line, if it can be told from the words of the old one (the directive's own included).
pub fn line(name: &str, words: &[&str]) -> Option<String> {
    let arguments = &words[name.split(' ').count().min(words.len())..];
    let first = arguments.first().copied();
    let quoted = |words: &[&str]| words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    let with = |instead: &str| {
        let rest = quoted(arguments);
        Some(format!("{instead} {rest}").trim_end().to_owned())
    };
    match name {
        "clitimeout" => with("timeout client"),
        "contimeout" => with("timeout connect"),
        "srvtimeout" => with("timeout server"),
        "redispatch" | "redisp" => with("option redispatch"),
        "option forceclose" => with("option httpclose"),
        "block" => with("http-request deny"),
        "dispatch" => with("server dispatch"),
        "transparent" | "option transparent" => Some("server transparent 0.0.0.0".into()),
        "monitor-net" => Some(format!("http-request return status 200 if {{ src {} }}", quote(first?))),
        "errorloc301" => with("errorloc302"),
        "reqadd" | "rspadd" => {
            let (field, value) = first?.split_once(':')?;
            let (field, value) = (quote(field), quote(value.trim()));
            Some(finished(format!("{} add-header {field} {value}", side(name)), &arguments[1..], &quoted))
        }
        "reqdel" | "reqidel" | "rspdel" | "rspidel" => {
            let (field, _) = Pattern::of(first?).field()?;
            let field = match is_plain(field) {
                true => quote(field),
                false => format!("{} -m reg", quote(&format!("^{field}$"))),
            };
            Some(finished(format!("{} del-header {field}", side(name)), &arguments[1..], &quoted))
        }
        "reqrep" | "reqirep" | "rsprep" | "rspirep" => {
            let (search, replacement) = (first?, arguments.get(1)?);
            let flag = if name.contains('i') { "(?i)" } else { "" };
            let made = replaced_field(name, flag, search, replacement).or_else(|| {
                (side(name) == "http-request").then(|| replaced_target(flag, search, replacement))?
            })?;
            Some(finished(made, &arguments[2..], &quoted))
        }
        "reqallow" | "reqiallow" | "reqdeny" | "reqideny" | "reqtarpit" | "reqitarpit" | "rspdeny"
        | "rspideny" => {
            let action = ["allow", "deny", "tarpit"].into_iter().find(|action| name.ends_with(action))?;
            // A condition of the old line would have to be joined with the new one: that is for its author.
            (arguments.len() == 1).then_some(())?;
            Some(format!("{} {action} if {}", side(name), condition(name, first?)?))
        }
        "reqsetbe" | "reqisetbe" => {
            (arguments.len() == 2).then_some(())?;
            Some(format!("use_backend {} if {}", quote(arguments[1]), condition(name, first?)?))
        }
        _ => None,
    }
}

/// The rule set that an old filter belongs to now.
fn side(name: &str) -> &'static str {
    if name.starts_with("rsp") { "http-response" } else { "http-request" }
}

/// Adds what stood behind the arguments: a condition.
fn finished(line: String, rest: &[&str], quoted: &dyn Fn(&[&str]) -> String) -> String {
    if rest.is_empty() { line } else { format!("{line} {}", quoted(rest)) }
}

/// A text that means itself in a regular expression.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A regular expression over a line of a head.
struct Pattern<'a>(&'a str);

impl<'a> Pattern<'a> {
    fn of(text: &'a str) -> Pattern<'a> {
        Pattern(text.strip_prefix('^').unwrap_or(text))
    }
    /// The name and the value's pattern, if it speaks of a header field.
    fn field(&self) -> Option<(&'a str, &'a str)> {
        let (field, value) = self.0.split_once(':')?;
        // A colon inside a class or group belongs to the pattern, not to a field.
        let is_name = !field.is_empty() && !field.contains(['[', '(', ' ', '/', '\\', '?']);
        is_name.then(|| (field, blanks(value)))
    }
    /// The method's pattern (`None`: any) and the target's, if it speaks of the request line.
    fn request_line(&self) -> Option<(Option<&'a str>, &'a str)> {
        let any =
            ["([^ :]*) ", "([^ ]*) ", "([^\\ :]*)\\ ", "([^\\ ]*)\\ ", "[^ ]* ", "([A-Z]*) ", "(.*) ", ".* "];
        if let Some(target) = any.iter().find_map(|method| self.0.strip_prefix(method)) {
            return Some((None, target));
        }
        let (method, target) = self.0.split_once(' ')?;
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        is_method.then_some((Some(method), target))
    }
}

/// Without the blanks that stood between a field's colon and its value, in any of their spellings.
fn blanks(value: &str) -> &str {
    ["\\ *", " *", "[ ]*", "\\s*", "\\ ", " "]
        .iter()
        .find_map(|blank| value.strip_prefix(blank))
        .unwrap_or(value)
}

/// `replace-header`, for an expression over a field.
fn replaced_field(name: &str, flag: &str, search: &str, replacement: &str) -> Option<String> {
    let (field, value) = Pattern::of(search).field()?;
    let (new_field, new_value) = replacement.split_once(':')?;
    if !is_plain(field) || !field.eq_ignore_ascii_case(new_field.trim()) {
        return None;
    }
    let (value, new_value) = (quote(&format!("{flag}{value}")), quote(new_value.trim()));
    Some(format!("{} replace-header {} {value} {new_value}", side(name), quote(new_field.trim())))
}

/// `replace-pathq`, for an expression that keeps the method and changes the target.
fn replaced_target(flag: &str, search: &str, replacement: &str) -> Option<String> {
    let (None, target) = Pattern::of(search).request_line()? else { return None };
    let kept = ["\\1 ", "\\1\\ "].iter().find_map(|method| replacement.strip_prefix(method))?;
    // The method's group is gone: the others move up by one.
    let mut renumbered = String::new();
    let mut letters = kept.chars().peekable();
    while let Some(letter) = letters.next() {
        renumbered.push(letter);
        if let ('\\', Some(digit @ '1'..='9')) = (letter, letters.peek().copied()) {
            letters.next();
            let group = digit.to_digit(10)?.checked_sub(1).filter(|group| *group > 0)?;
            renumbered.push(char::from_digit(group, 10)?);
        }
    }
    let target = target.strip_suffix(" HTTP/(.*)").unwrap_or(target);
    let target = target.strip_prefix('^').unwrap_or(target);
    (!target.contains(' ')).then(|| {
        let (target, renumbered) = (quote(&format!("{flag}^{target}")), quote(&renumbered));
        format!("http-request replace-pathq {target} {renumbered}")
    })
}

/// The condition under which an old filter's expression matched.
fn condition(name: &str, search: &str) -> Option<String> {
    let insensitive = if name[3..].starts_with('i') { " -i" } else { "" };
    let pattern = Pattern::of(search);
    if let Some((field, value)) = pattern.field().filter(|(field, _)| is_plain(field)) {
        let fetch = if name.starts_with("rsp") { "res.hdr" } else { "req.hdr" };
        return Some(format!("{{ {fetch}({field}) -m reg{insensitive} {} }}", quote(value)));
    }
    if name.starts_with("rsp") {
        return None;
    }
    let (method, target) = pattern.request_line().filter(|(_, target)| !target.contains(' '))?;
    let target = format!("{{ url_reg{insensitive} {} }}", quote(&format!("^{target}")));
    Some(match method {
        None => target,
        Some(method) => format!("{{ method {method} }} {target}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Memory;
    use crate::config::{Input, Settings, load};
    use crate::diag::Report;
    use crate::state::Registry;

    /// Lines as they were written, after the lexer took the backslashes before blanks away.
    const CASES: &[(&[&str], Option<&str>)] = &[
        (&["contimeout", "5000"], Some("timeout connect 5000")),
        (&["option", "forceclose"], Some("option httpclose")),
        (&["redispatch"], Some("option redispatch")),
        (&["block", "if", "{", "path", "/x", "}"], Some("http-request deny if { path /x }")),
        (&["reqadd", "X-Proto: http"], Some("http-request add-header X-Proto http")),
        (&["reqadd", "X-A: b c", "if", "LOCALHOST"], Some("http-request add-header X-A 'b c' if LOCALHOST")),
        (&["rspadd", "X-A:b"], Some("http-response add-header X-A b")),
        (&["rspidel", "^Server:.*"], Some("http-response del-header Server")),
        (&["reqidel", "^X-Forwarded-.*:"], Some("http-request del-header '^X-Forwarded-.*$' -m reg")),
        (
            &["reqirep", "^Host: (.*)", "Host: a.example"],
            Some("http-request replace-header Host (?i)(.*) a.example"),
        ),
        (
            &["rsprep", "^Location:\\ *http:(.*)", "Location: https:\\1"],
            Some("http-response replace-header Location http:(.*) 'https:\\1'"),
        ),
        (
            &["reqrep", "^([^ :]*) /old/(.*)", "\\1 /new/\\2"],
            Some("http-request replace-pathq ^/old/(.*) '/new/\\1'"),
        ),
        (&["reqirep", "^([^ ]*) (.*)", "\\2 \\1"], None),
        (&["reqrep", "^GET /a", "GET /b"], None),
        (&["reqdeny", "^GET /secret"], Some("http-request deny if { method GET } { url_reg ^/secret }")),
        (
            &["reqitarpit", "^User-Agent:.*bot"],
            Some("http-request tarpit if { req.hdr(User-Agent) -m reg -i .*bot }"),
        ),
        (&["rspideny", "^Set-Cookie: A"], Some("http-response deny if { res.hdr(Set-Cookie) -m reg -i A }")),
        (&["reqsetbe", "^[^ ]* /img/", "b"], Some("use_backend b if { url_reg ^/img/ }")),
        (&["reqpass", "^x"], None),
        (&["monitor-net", "10.0.0.0/8"], Some("http-request return status 200 if { src 10.0.0.0/8 }")),
        (&["dispatch", "10.0.0.1:80"], Some("server dispatch 10.0.0.1:80")),
        (&["transparent"], Some("server transparent 0.0.0.0")),
    ];

    #[test]
    fn old_lines_have_modern_ones() {
        for (words, expected) in CASES {
            let name = if words[0] == "option" { "option forceclose" } else { words[0] };
            assert_eq!(line(name, words).as_deref(), *expected, "{words:?}");
        }
    }

    #[test]
    fn modern_lines_load() {
        for modern in CASES.iter().filter_map(|(_, modern)| *modern) {
            let text = format!("listen a\n bind :80\n mode http\n {modern}\nbackend b\n mode http\n");
            let inputs = [Input { name: "test.cfg".into(), bytes: text.into_bytes() }];
            let mut report = Report::default();
            let registry = Registry::new(1);
            load(&inputs, &Settings::default(), &registry, &Memory::default(), &mut report);
            let alerts: Vec<_> = report.diagnostics.iter().map(|found| &found.message).collect();
            assert!(!report.has_alerts(), "{modern}: {alerts:?}");
        }
    }
}
