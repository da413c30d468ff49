//! The lines that describe health checks (manual, section 4.2): the words go to
//! [`crate::health::config`], which knows what they mean.

use super::ProxyParser;
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::syntax::Prefix;
use crate::config::words::Words;
use crate::sample::expr::Phase;

keywords! {
    /// Health checks.
    pub TABLE: ProxyParser, "4.2";
    "option httpchk" "[<method>] [<uri> [<version> [<host>]]]" BACK => Parse(option), "Check servers with HTTP requests.";
    "option ldap-check" "" BACK => Parse(option), "Check servers with an LDAPv3 bind.";
    "option mysql-check" "[user <username> [post-41 | pre-41 | post-80]]" BACK => Parse(option), "Check MySQL servers.";
    "option pgsql-check" "user <username>" BACK => Parse(option), "Check PostgreSQL servers.";
    "option redis-check" "" BACK => Parse(option), "Check Redis servers.";
    "option smtpchk" "[<hello> <domain>]" BACK => Parse(option), "Check SMTP servers.";
    "option ssl-hello-chk" "" BACK => Parse(option), "Check servers with a TLS hello.";
    "option tcp-check" "" BACK => Parse(option), "Check servers with a script of 'tcp-check' lines.";
    "option external-check" "" BACK => Refused("external checks are not available yet"), "Check servers with a program.";
    "option spop-check" "" BACK => Refused("SPOE is not available"), "Check SPOE agents.";
    "external-check command" "<command>" BACK => Refused("external checks are not available yet"), "The program of external checks.";
    "external-check path" "<path>" BACK => Refused("external checks are not available yet"), "PATH for external checks.";
    "http-check comment" "<string>" BACK => Parse(http), "Names the next step of the check in reports.";
    "http-check connect" "[default] [port <expr>] [addr <ip>] ..." BACK => Parse(http), "Opens a connection for the steps that follow.";
    "http-check disable-on-404" "" BACK => Parse(http), "A 404 answer stops new sessions but keeps the server up.";
    "http-check expect" "[!] <match> <pattern>" BACK => Parse(http), "What the answer must be.";
    "http-check send" "[meth <method>] [uri <uri>] [ver <version>] [hdr <name> <fmt>] [body <string>]" BACK => Parse(http), "The request to send.";
    "http-check send-state" "" BACK => Parse(http), "Tells servers what is thought of them in a header field.";
    "http-check set-var" "(<name>[,<cond>...]) <expr>" BACK => Parse(http), "Sets a variable.";
    "http-check set-var-fmt" "(<name>[,<cond>...]) <fmt>" BACK => Parse(http), "Sets a variable from a format.";
    "http-check unset-var" "(<name>)" BACK => Parse(http), "Forgets a variable.";
    "tcp-check comment" "<string>" BACK => Parse(tcp), "Names the next step of the check in reports.";
    "tcp-check connect" "[default] [port <expr>] [addr <ip>] ..." BACK => Parse(tcp), "Opens a connection for the steps that follow.";
    "tcp-check expect" "[!] <match> <pattern>" BACK => Parse(tcp), "What must be received.";
    "tcp-check send" "<data> [comment <msg>]" BACK => Parse(tcp), "Sends text.";
    "tcp-check send-binary" "<hexstring> [comment <msg>]" BACK => Parse(tcp), "Sends bytes.";
    "tcp-check send-binary-lf" "<hexfmt> [comment <msg>]" BACK => Parse(tcp), "Sends bytes made by a format.";
    "tcp-check send-lf" "<fmt> [comment <msg>]" BACK => Parse(tcp), "Sends text made by a format.";
    "tcp-check set-var" "(<name>[,<cond>...]) <expr>" BACK => Parse(tcp), "Sets a variable.";
    "tcp-check set-var-fmt" "(<name>[,<cond>...]) <fmt>" BACK => Parse(tcp), "Sets a variable from a format.";
    "tcp-check unset-var" "(<name>)" BACK => Parse(tcp), "Forgets a variable.";
}

fn option(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.line.prefix == Prefix::Default && !super::options::plain(words, loading) {
        return;
    }
    let span = words.span();
    let texts = words.line.texts();
    let mut context = loading.context(Phase::Check, Some(&draft.name), &draft.acls);
    draft.checks.option(words.is_negated(), &texts[1..], span, &mut context);
}

fn http(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let span = words.span();
    let texts = words.line.texts();
    let mut context = loading.context(Phase::Check, Some(&draft.name), &draft.acls);
    draft.checks.http_check(&texts[1..], span, &mut context);
}

fn tcp(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let span = words.span();
    let texts = words.line.texts();
    let mut context = loading.context(Phase::Check, Some(&draft.name), &draft.acls);
    draft.checks.tcp_check(&texts[1..], span, &mut context);
}
