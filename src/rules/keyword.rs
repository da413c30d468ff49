//! The table of actions: name, where it is allowed, documentation, parser.
//!
//! What HAProxy has and Haring has not yet stands here too, with a parser that refuses it: a
//! configuration that needs it must not start as if it did not.

use super::arguments::{Arguments, Mistake};
use super::parse::{self, Parsed};
use super::{Rule, RuleSet};
use crate::base::doc::{DocEntry, Support};
use crate::diag::{Span, did_you_mean};
use crate::sample::expr::Phase;
use crate::sample::{Condition, ParseContext};

pub use super::action::Action;

/// How an action's name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it stands: `deny`.
    Word,
    /// With an argument in parentheses: `set-var(name)`.
    Parentheses,
    /// With anything after it: `track-sc0`, `lua.name`.
    Prefix,
}

/// One action.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// How the name is written.
    pub form: Form,
    /// The lists it may stand in.
    pub sets: &'static [RuleSet],
    /// Its arguments.
    pub arguments: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Whether it does it here.
    pub support: Support,
    parser: fn(&mut Arguments<'_>, &mut ParseContext<'_>) -> Parsed,
}

/// What the name of a row's parser says about the row: those that refuse all they see are few.
const fn support_of(parser: &str) -> Support {
    match parser.as_bytes() {
        b"not_yet" => Support::Refused("it is not available yet"),
        b"set_nice" => Support::NoAction("a core has no run queue whose order it could change"),
        _ => Support::Full,
    }
}

use Form::{Parentheses, Prefix, Word};
use RuleSet::{
    HttpAfterResponse as After, HttpRequest as Req, HttpResponse as Res, TcpConnection as Con,
    TcpContent as Cnt, TcpResponse as Rsp, TcpSession as Ses,
};

const TCP: &[RuleSet] = &[Con, Ses, Cnt, Rsp];
const HTTP: &[RuleSet] = &[Req, Res, After];
const MESSAGES: &[RuleSet] = &[Req, Res];
const REQUEST: &[RuleSet] = &[Req];
const ADDRESS: &[RuleSet] = &[Con, Ses, Cnt, Req];
const SOCKET: &[RuleSet] = &[Con, Ses, Cnt, Rsp, Req, Res];
const CONTENT: &[RuleSet] = &[Cnt, Rsp, Req, Res];
const CONTENT_REQUEST: &[RuleSet] = &[Cnt, Req];
const EVERYWHERE: &[RuleSet] = &[Con, Ses, Cnt, Rsp, Req, Res, After];

/// Shortens the table to one line of facts and one of documentation per action.
macro_rules! rows {
    ($($name:literal $form:ident $sets:ident $arguments:literal $parser:ident $doc:literal)*) => {
        &[$(Row {
            name: $name,
            form: $form,
            sets: $sets,
            arguments: $arguments,
            doc: $doc,
            parser: parse::$parser,
            support: support_of(stringify!($parser)),
        }),*]
    };
}

const CLOSE: &[RuleSet] = &[Rsp];
const CONNECTION: &[RuleSet] = &[Con];
const SESSION: &[RuleSet] = &[Ses];
const INSPECTION: &[RuleSet] = &[Cnt];
const RESPONSE: &[RuleSet] = &[Res];
const STATUS: &[RuleSet] = &[Res, After];
const REJECT: &[RuleSet] = &[Con, Ses, Cnt, Rsp, Req];
const CAPTURE: &[RuleSet] = &[Cnt, Req, Res, After];
const LEVEL: &[RuleSet] = &[Cnt, Rsp, Req, Res, After];
const TRACK: &[RuleSet] = &[Con, Ses, Cnt, Req, Res];

/// Every action.
pub const TABLE: &[Row] = rows! {
    "accept" Word TCP "" allow
        "Ends the list: the connection or the content passes. The next list still runs."
    "add-acl" Parentheses MESSAGES "<key format>" change_map
        "Adds a pattern to an ACL file, unless it is there. The file on disk does not change."
    "add-header" Word HTTP "<name> <format>" set_header
        "Adds a header field after those of the same name."
    "add-headers-bin" Word HTTP "<expression> [prefix <text>]" header_list
        "Adds the fields of a binary list as 'req.hdrs_bin' yields it; with a prefix only those whose \
         name starts with it."
    "allow" Word HTTP "" allow
        "Ends the list: the message passes. The next list still runs."
    "attach-srv" Word SESSION "<server> [name <expression>]" not_yet
        "Makes the connection one of a server's, for reverse HTTP."
    "auth" Word REQUEST "[realm <text>]" auth
        "Answers 401, which makes a browser ask for a name and a password. Combine it with \
         'unless { http_auth(<userlist>) }'. The realm is the proxy's name unless given."
    "cache-store" Word RESPONSE "<name>" not_yet
        "Keeps the response in a cache."
    "cache-use" Word REQUEST "<name>" not_yet
        "Answers from a cache."
    "capture" Word CAPTURE "<expression> { len <length> | id <slot> }" capture
        "Keeps a value for logs and 'capture.req.hdr', 'capture.res.hdr': in a new slot of the \
         frontend, or in one declared before. Responses have declared slots only."
    "close" Word CLOSE "" close
        "Closes the connection to the server at once and ends the list."
    "del-acl" Parentheses MESSAGES "<key format>" change_map
        "Removes a pattern from an ACL file. The file on disk does not change."
    "del-header" Word HTTP "<name> [-m { str | beg | end | sub | reg }]" del_header
        "Removes every field of that name, or whose name matches."
    "del-headers-bin" Word HTTP "<expression> [-m { str | beg | end | sub }]" header_list
        "Removes the fields that a binary list names, or whose names match."
    "del-map" Parentheses HTTP "<key format>" change_map
        "Removes a key from a map. The file on disk changes only with 'map-writeback'."
    "deny" Word MESSAGES "[deny_status <status>] [reply...]" deny
        "Refuses the message: 403 for a request, 502 for a response, or the reply described as for \
         'return'."
    "disable-l7-retry" Word REQUEST "" disable_retry
        "Sends the request at most once, whatever 'retry-on' says; failed connections are still \
         tried again."
    "do-log" Word EVERYWHERE "[profile <name>]" do_log
        "Writes a log line now, in the frontend's format and to its targets; the line at the end is still \
         written."
    "do-resolve" Parentheses CONTENT_REQUEST "<expression>" do_resolve
        "Asks name servers for the address of a name and puts it into a variable: \
         do-resolve(<variable>,<resolvers>[,ipv4|ipv6]). The request waits meanwhile; without an answer \
         the variable stays unset."
    "early-hint" Word REQUEST "<name> <format>" set_header
        "Sends a response of status 103 with a field before any other response; rules that follow one \
         another share it."
    "expect-netscaler-cip" Word CONNECTION "layer4" not_yet
        "Expects a NetScaler client address header."
    "expect-proxy" Word CONNECTION "layer4" expect_proxy
        "Waits for a PROXY protocol header at the connection's start, as 'accept-proxy' of the 'bind' \
         line does. The rules behind it still run, and see the connection's own addresses."
    "lua." Prefix EVERYWHERE "..." not_yet
        "Runs a Lua function."
    "normalize-uri" Word REQUEST "{ fragment-encode | fragment-strip | path-merge-slashes | path-strip-dot \
        | path-strip-dotdot [full] | percent-decode-unreserved [strict] | percent-to-uppercase [strict] \
        | query-sort-by-name }" normalize_uri
        "Brings the request target into a normal form."
    "pause" Word MESSAGES "{ <time> | <expression> }" pause
        "Waits before the next rule; an expression gives milliseconds."
    "redirect" Word MESSAGES "{ location | prefix | scheme } <format> [code <status>] [option...]" redirect
        "Answers with a redirection, as the 'redirect' directive does, from formats."
    "reject" Word REJECT "" reject
        "Closes the connection without an answer."
    "replace-header" Word HTTP "<name> <regex> <format>" replace_header
        "Replaces whole values that match; \\1 to \\9 are the groups."
    "replace-path" Word REQUEST "<regex> <format>" replace_target
        "Replaces the path, without the query, if it matches."
    "replace-pathq" Word REQUEST "<regex> <format>" replace_target
        "Replaces the path with its query, if it matches."
    "replace-uri" Word REQUEST "<regex> <format>" replace_target
        "Replaces the request target, if it matches."
    "replace-value" Word HTTP "<name> <regex> <format>" replace_header
        "Replaces the comma-separated elements that match."
    "return" Word MESSAGES "[status <code>] [content-type <type>] [{ default-errorfiles | errorfile <file> \
        | errorfiles <name> | file <file> | lf-file <file> | string <text> | lf-string <format> }] \
        [hdr <name> <format>]*" reply
        "Answers with this, 200 unless a status is given."
    "sc-add-gpc" Parentheses EVERYWHERE "{ <number> | <expression> }" change_counter
        "Adds to an element of the array gpc of a tracked entry: sc-add-gpc(<element>,<tracked>)."
    "sc-inc-gpc" Parentheses EVERYWHERE "" change_counter
        "Increments an element of the array gpc of a tracked entry: sc-inc-gpc(<element>,<tracked>)."
    "sc-inc-gpc0" Parentheses EVERYWHERE "" change_counter
        "Increments gpc0 of a tracked entry: sc-inc-gpc0(<tracked>)."
    "sc-inc-gpc1" Parentheses EVERYWHERE "" change_counter
        "Increments gpc1 of a tracked entry: sc-inc-gpc1(<tracked>)."
    "sc-set-gpt" Parentheses EVERYWHERE "{ <number> | <expression> }" change_counter
        "Sets an element of the array gpt of a tracked entry: sc-set-gpt(<element>,<tracked>)."
    "sc-set-gpt0" Parentheses EVERYWHERE "{ <number> | <expression> }" change_counter
        "Sets the tag gpt0 of a tracked entry: sc-set-gpt0(<tracked>)."
    "send-spoe-group" Word CONTENT "<engine> <group>" not_yet
        "Sends a message to a stream processing agent."
    "set-bandwidth-limit" Word CONTENT "<name> [limit <expression>] [period <expression>]" not_yet
        "Limits the throughput."
    "set-bc-mark" Word CONTENT_REQUEST "{ <mark> | <expression> }" packet_field
        "Marks packets to the server for netfilter and routing; needs CAP_NET_ADMIN."
    "set-bc-tos" Word CONTENT_REQUEST "{ <tos> | <expression> }" packet_field
        "Sets the TOS field of packets to the server."
    "set-dst" Word ADDRESS "<expression>" set_address
        "Changes the destination address as rules and logs see it, and where servers without an \
         address are reached; the port stays."
    "set-dst-port" Word ADDRESS "<expression>" set_address
        "Changes the destination port."
    "set-fc-mark" Word SOCKET "{ <mark> | <expression> }" packet_field
        "Marks packets to the client for netfilter and routing; needs CAP_NET_ADMIN."
    "set-fc-tos" Word SOCKET "{ <tos> | <expression> }" packet_field
        "Sets the TOS field of packets to the client."
    "set-header" Word HTTP "<name> <format>" set_header
        "Replaces every field of that name by one. The format sees the old value."
    "set-headers-bin" Word HTTP "<expression> [prefix <text>]" header_list
        "Puts the fields of a binary list in the place of those of the same name; with a prefix only those \
         whose name starts with it."
    "set-log-level" Word LEVEL "<level>" set_log_level
        "The syslog level of the transaction's log line, or 'silent' for none."
    "set-map" Parentheses HTTP "<key format> <value format>" change_map
        "Gives a key of a map a value, and adds the key if it is new."
    "set-mark" Word SOCKET "{ <mark> | <expression> }" packet_field
        "The older name of 'set-fc-mark'."
    "set-method" Word REQUEST "<format>" set_target
        "Changes the method."
    "set-nice" Word CONTENT "<value>" set_nice
        "Accepted without effect: work on a core runs in the order in which sockets become ready, \
         so there is no run queue in which a session could come first."
    "set-path" Word REQUEST "<format>" set_target
        "Replaces the path; the query stays."
    "set-pathq" Word REQUEST "<format>" set_target
        "Replaces the path and the query."
    "set-priority-class" Word CONTENT_REQUEST "<expression>" set_priority
        "The class of the request where it queues, -2047 to 2047: lower classes come first."
    "set-priority-offset" Word CONTENT_REQUEST "<expression>" set_priority
        "Moves the request where it queues, among those of its class, by milliseconds: -524287 to 524287."
    "set-query" Word REQUEST "<format>" set_target
        "Replaces the query, or adds one."
    "set-retries" Word CONTENT_REQUEST "{ <count> | <expression> }" set_retries
        "How often to try again to connect, in the place of 'retries': 0 to 100."
    "set-src" Word ADDRESS "<expression>" set_address
        "Changes the client's address as rules, logs and 'option forwardfor' see it; the port stays."
    "set-src-port" Word ADDRESS "<expression>" set_address
        "Changes the client's port."
    "set-status" Word STATUS "<status> [reason <text>]" set_status
        "Changes the status; the reason is the status's own unless given."
    "set-timeout" Word MESSAGES "{ client | connect | queue | server | tarpit | tunnel } { <time> | <expression> }" set_timeout
        "Changes a time-out for this session; an expression gives milliseconds."
    "set-tos" Word SOCKET "{ <tos> | <expression> }" packet_field
        "The older name of 'set-fc-tos'."
    "set-uri" Word REQUEST "<format>" set_target
        "Replaces the whole request target; the host of an absolute one becomes the Host field."
    "set-var" Parentheses EVERYWHERE "<expression>" set_var
        "Gives a variable a value, if the conditions after its name hold: ifexists, ifnotexists, \
         ifempty, ifnotempty, ifset, ifnotset, ifgt, iflt."
    "set-var-fmt" Parentheses EVERYWHERE "<format>" set_var_format
        "Gives a variable a text, as 'set-var' does."
    "silent-drop" Word SOCKET "[rst-ttl <ttl>]" silent_drop
        "Forgets the connection without telling the client."
    "strict-mode" Word HTTP "{ on | off }" strict_mode
        "Whether a rewrite that fails ends the transaction with an error; on at the start of each list."
    "switch-mode" Word INSPECTION "http [proto { h1 }]" switch_mode
        "Turns a TCP session into an HTTP one: the frontend's HTTP rules apply, and its backend must be in HTTP mode."
    "tarpit" Word REQUEST "[deny_status <status>] [reply...]" deny
        "Refuses the request as 'deny' does (500 unless a status is given), but only after 'timeout \
         tarpit', so that the client wastes its time."
    "track-sc" Prefix TRACK "<key> [table <name>]" track
        "Counts the events of a key in a stick table, the proxy's own unless another is named. Connection \
         and session rules track to the end of the connection, others to the end of the transaction. \
         The first rule that runs decides what is tracked under a number: 0, 1, 2 unless \
         'tune.stick-counters' allows more."
    "unset-var" Parentheses EVERYWHERE "" unset_var
        "Forgets a variable."
    "use-service" Word CONTENT_REQUEST "<service>" use_service
        "Lets a service inside the proxy answer: 'prometheus-exporter' (in 'http-request') gives the \
         statistics in the text format of Prometheus."
    "wait-for-body" Word MESSAGES "time <time> [at-least <bytes>]" wait_for_body
        "Waits until the body is there, or that much of it, so that rules can look at it."
    "wait-for-handshake" Word REQUEST "" wait_for_handshake
        "Accepted without effect: no request is read before the handshake is over."
};

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Row {
    /// Whether `word` calls this action.
    fn is_called(&self, word: &str) -> bool {
        match self.form {
            Word => word == self.name,
            Parentheses => word.split('(').next() == Some(self.name),
            Prefix => word.starts_with(self.name),
        }
    }
    /// What it says about itself.
    pub fn document(&self) -> DocEntry {
        let (name, arguments) = (self.name, self.arguments);
        let signature = match self.form {
            Word => format!("{name} {arguments}"),
            Parentheses => format!("{name}(<name>) {arguments}"),
            Prefix => format!("{name}... {arguments}"),
        };
        DocEntry {
            name: name.into(),
            kind: "action",
            signature: signature.trim_end().to_owned(),
            sections: self.sets.iter().map(|set| set.name()).collect(),
            text: self.doc.to_owned(),
            support: self.support,
        }
    }
}

/// Parses the words after `http-request` and its kin (action, arguments, condition).
///
/// The condition starts at the first bare `if` or `unless` behind the arguments that the action
/// took for itself. A mistake in the action does not hide one in the condition.
pub fn parse(set: RuleSet, words: &[&str], span: Span, context: &mut ParseContext<'_>) -> Option<Rule> {
    let phase = std::mem::replace(&mut context.phase, phase_of(set));
    let rule = parse_in_phase(set, words, span, context);
    context.phase = phase;
    rule
}

fn parse_in_phase(set: RuleSet, words: &[&str], span: Span, context: &mut ParseContext<'_>) -> Option<Rule> {
    let list = set.name();
    let Some((word, rest)) = words.split_first() else {
        context.report.alert(span, format!("'{list}' expects an action as argument"));
        return None;
    };
    let Some(row) = TABLE.iter().find(|row| row.is_called(word) && row.sets.contains(&set)) else {
        report_unknown(set, word, span, context);
        return None;
    };
    let mut arguments = Arguments::new(set, word, rest, span);
    let action = match (row.parser)(&mut arguments, context) {
        Ok(action) => Some(action),
        Err(Mistake::Reported) => None,
        Err(Mistake::Says(message, help)) => {
            let owner = context.proxy.map_or_else(String::new, |proxy| format!(" in proxy '{proxy}'"));
            let message = format!("error detected{owner} while parsing '{list} {word}' rule : {message}");
            context.report.alert(span, message).help = help;
            None
        }
    };
    let rest = match (&action, arguments.is_over()) {
        (_, true) => arguments.rest(),
        (None, false) => skip_to_condition(arguments.rest()),
        (Some(_), false) => {
            let found = arguments.peek().unwrap_or_default();
            let message = format!(
                "'{list} {word}' expects either 'if' or 'unless' followed by a condition but found '{found}'"
            );
            context.report.alert(span, message).help(format!("usage: {}", row.document().signature));
            return None;
        }
    };
    let condition = match rest.is_empty() {
        true => None,
        false => Some(Condition::parse(rest, span, context)?),
    };
    let file = context.report.sources.get(span.file as usize).map_or("", |source| &source.name);
    Some(Rule { action: action?, condition, file: file.into(), span })
}

/// Where the condition of a rule starts whose action is not understood.
fn skip_to_condition<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
    let start = words.iter().position(|word| matches!(*word, "if" | "unless"));
    &words[start.unwrap_or(words.len())..]
}

fn report_unknown(set: RuleSet, word: &str, span: Span, context: &mut ParseContext<'_>) {
    let list = set.name();
    let name = word.split('(').next().unwrap_or_default();
    let elsewhere = TABLE.iter().find(|row| row.is_called(word));
    let known = || TABLE.iter().filter(|row| row.sets.contains(&set)).map(|row| row.name);
    let names = known().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let help = match elsewhere {
        Some(row) => {
            let lists = row.sets.iter().map(|set| format!("'{}'", set.name())).collect::<Vec<_>>();
            Some(format!("'{}' can be used in {}", row.name, lists.join(", ")))
        }
        None => did_you_mean(name, known()),
    };
    let message = format!("'{list}' expects {names}, but got '{word}'");
    context.report.alert(span, message).help = help;
}

/// Which data exist when a list runs.
fn phase_of(set: RuleSet) -> Phase {
    match set {
        Con => Phase::TcpConnection,
        Ses => Phase::TcpSession,
        Cnt => Phase::TcpRequestContent,
        Rsp => Phase::TcpResponseContent,
        Req => Phase::HttpRequest,
        Res => Phase::HttpResponse,
        After => Phase::HttpAfterResponse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing;

    #[test]
    fn the_table_is_sorted_and_documented() {
        assert!(TABLE.windows(2).all(|pair| pair[0].name < pair[1].name));
        for row in TABLE {
            let entry = row.document();
            assert!(entry.text.ends_with('.') && !entry.sections.is_empty(), "{}", row.name);
            let calls = |word: &str| TABLE.iter().filter(|row| row.is_called(word)).count();
            let word = match row.form {
                Word => row.name.to_owned(),
                Parentheses => format!("{}(x)", row.name),
                Prefix => format!("{}0", row.name),
            };
            assert_eq!(calls(&word), 1, "{word} has one meaning");
        }
    }

    #[test]
    fn actions_stand_where_the_manual_allows_them() {
        for (action, allowed) in [
            ("set-header", &[Req, Res, After][..]),
            ("deny", &[Req, Res]),
            ("tarpit", &[Req]),
            ("reject", &[Con, Ses, Cnt, Rsp, Req]),
            ("set-var(txn.x)", &[Con, Ses, Cnt, Rsp, Req, Res, After]),
            ("set-src", &[Con, Ses, Cnt, Req]),
            ("accept", &[Con, Ses, Cnt, Rsp]),
            ("track-sc0", &[Con, Ses, Cnt, Req, Res]),
        ] {
            let row = TABLE.iter().find(|row| row.is_called(action)).unwrap();
            assert_eq!(row.sets, allowed, "{action}");
        }
    }

    fn check(set: RuleSet, line: &str, expected: &[&str]) {
        let told = testing::told(set, line);
        assert_eq!(told.len(), expected.len(), "{line}: {told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{line}: {told}");
        }
    }

    #[test]
    fn mistakes_in_actions_are_told() {
        check(Req, "denny", &["(did you mean 'deny'?)"]);
        check(Res, "tarpit", &["('tarpit' can be used in 'http-request')"]);
        check(Req, "set-header X", &["expects exactly 2 arguments"]);
        check(Req, "set-header X: v", &["header name 'X:' contains forbidden character ':'"]);
        check(Req, "del-header X -m begg", &["unsupported matching method 'begg' (did you mean 'beg'?)"]);
        check(Req, "replace-header X ( y", &["regex '(' is invalid"]);
        check(Req, "set-var(foo) src", &["invalid variable name 'foo'"]);
        check(Req, "set-var(txn.x,ifgtt) src", &["(did you mean 'ifgt'?)"]);
        check(Con, "set-var(txn.x) src", &["only scopes 'proc' and 'sess' exist"]);
        check(Req, "set-log-level loud", &["expects exactly 1 argument (log level name or 'silent')"]);
        check(Req, "set-timeout servr 5s", &["(did you mean 'server'?)"]);
        check(Req, "set-timeout server 0", &["null value is not valid"]);
        check(Req, "set-timeout server 5x", &["unexpected character 'x' in time '5x'"]);
        check(Req, "return string hello", &["a content type must be defined when non-empty payload"]);
        check(Req, "return status 600", &["Unexpected status code '600'"]);
        check(Req, "return status 204 content-type a/b string x", &["No body expected for 204 responses"]);
        check(Req, "return content-type a/b file /none", &["error opening file '/none'"]);
        check(Req, "return string a file b", &["unexpected 'file' argument, 'string' already defined"]);
        check(Req, "return errorfile /text", &["unable to parse '/text'"]);
        check(Req, "deny deny_status 418", &["status code '418' not handled by default"]);
        check(Req, "use-service prometheus-exporter if { path /metrics }", &[]);
        check(Req, "use-service prometheus", &["unknown service name 'prometheus'"]);
        check(Cnt, "use-service prometheus-exporter", &["is only available in 'http-request' rules"]);
        check(Con, "expect-proxy", &["'tcp-request connection expect-proxy' rule : only takes 'layer4'"]);
        check(Con, "expect-proxy layer5", &["only takes 'layer4' as an argument"]);
        check(Ses, "expect-proxy layer4", &["('expect-proxy' can be used in 'tcp-request connection')"]);
        check(Req, "lua.hello", &["action 'lua.hello' is not available yet"]);
        check(
            Req,
            "deny whatever",
            &["expects either 'if' or 'unless' followed by a condition but found 'whatever'"],
        );
        check(Req, "capture src", &["expects <expression> [ 'len' <length> | id <idx> ]"]);
        check(Res, "capture src len 5", &["expects <expression> id <idx>"]);
    }

    #[test]
    fn a_mistake_does_not_hide_the_next() {
        check(
            Req,
            "set-header X if { nonsense }",
            &["expects either 'if' or 'unless' followed by a condition"],
        );
        check(Req, "set-log-level loud if { nonsense }", &["expects exactly 1 argument", "nonsense"]);
    }

    #[test]
    fn conditions_start_behind_the_arguments() {
        for (line, has_condition) in [
            ("deny", false),
            ("deny if { path / }", true),
            ("set-header if unless", false),
            ("set-header if unless unless { path / }", true),
            ("deny status 403 hdr if if if TRUE", true),
            ("redirect location if if TRUE", true),
        ] {
            let rule = testing::rule(Req, line, 3);
            assert_eq!(rule.condition.is_some(), has_condition, "{line}");
            assert_eq!((&*rule.file, rule.span.line), ("test.cfg", 3));
        }
    }

    #[test]
    fn pages_of_sections_are_given_later() {
        let mut rule = testing::rule(Req, "deny status 404 errorfiles mine", 1);
        assert_eq!(rule.wanted_section(), Some(("mine", 404)));
        rule.give_section(Some(b"HTTP/1.1 404 No\r\n\r\n"[..].into()));
        assert_eq!(rule.wanted_section(), None);
    }
}
