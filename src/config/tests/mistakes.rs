//! Lines that mean nothing, or less than their author thinks: what is taken, and what is said of it.

use super::{TIMEOUTS, clean, finds, load_text};
use crate::diag::Level::*;

#[test]
fn words_that_haproxy_ignores_stop_no_load() {
    for (line, part) in [
        ("stats realm Haproxy Manager", "'Manager'"),
        ("stats enable x", "'x'"),
        ("stats uri /x y", "'y'"),
        ("stats refresh 5s x", "'x'"),
        ("balance leastconn x", "'x'"),
        ("balance hdr(host) use_domain_only x", "'x'"),
        ("balance url_param u check_post 10 x", "'x'"),
        ("hash-type map-based sdbm avalanche x", "'x'"),
        ("option redispatch x", "'x'"),
        ("option redispatch 3 x", "'x'"),
        ("persist rdp-cookie x", "'x'"),
        ("unique-id-header x y", "'y'"),
        ("capture cookie c len 10 x", "'x'"),
        ("declare capture request len 10 x", "'x'"),
        ("http-send-name-header x y", "'y'"),
        ("tcp-request inspect-delay 5s x", "'x'"),
        ("log-tag t x", "'x'"),
    ] {
        finds(&format!("{TIMEOUTS}listen l\nbind :1\n{line}\n"), &[(Notice, 8, part)]);
    }
    finds("global\nhard-stop-after 5s x\nstats timeout 5s x", &[(Notice, 2, "'x'"), (Notice, 3, "'x'")]);
    finds("defaults d x\nmode tcp\nhttp-errors e x\n", &[(Notice, 1, "'x'"), (Notice, 3, "'x'")]);
    finds(&format!("{TIMEOUTS}backend b x\ncookie c insert insert"), &[(Notice, 6, "'x'")]);
    finds("userlist u x", &[(Alert, 1, "'x'")]);
    clean(".if 1\n.endif \"\"\nglobal\nmaxconn 5");
    finds("defaults d from", &[(Alert, 1, "the name of a defaults section")]);
}

#[test]
fn a_condition_without_an_acl_never_holds() {
    for (rule, count) in
        [("http-request deny if", 1), ("use_backend l unless", 1), ("http-request deny if !", 1)]
    {
        let text = format!("{TIMEOUTS}backend l\nlisten f\nbind :1\n{rule}\n");
        finds(&text, &vec![(Notice, 9, "a condition without any ACL"); count]);
    }
    for condition in ["a OR b", "a Or b", "a ||", "|| a", "a or or b"] {
        clean(&format!(
            "{TIMEOUTS}listen l\nbind :1\nacl a path /a\nacl b path /b\nhttp-request deny if {condition}"
        ));
    }
}

#[test]
fn what_is_ignored_for_its_section_is_read_all_the_same() {
    for (section, line, part) in [
        ("backend b", "timeout client abc", "unexpected character 'a'"),
        ("backend b", "monitor fail", "if"),
        ("backend b", "capture request header a len x", "'x'"),
        ("backend b", "option dontlognull x", "'x'"),
        ("backend b", "clitcpka-cnt abc", "'abc'"),
        ("backend b", "max-session-srv-conns abc", "'abc'"),
        ("frontend f\nbind :1", "balance nope", "only supports"),
        ("frontend f\nbind :1", "cookie", "cookie"),
        ("frontend f\nbind :1", "timeout server abc", "unexpected character 'a'"),
        ("frontend f\nbind :1", "retry-on nope", "nope"),
        ("frontend f\nbind :1", "http-reuse nope", "http-reuse"),
        ("frontend f\nbind :1", "force-persist if nope", "no such ACL"),
    ] {
        let (model, report) = load_text(&format!("{TIMEOUTS}{section}\n{line}"));
        let found: Vec<_> = report.diagnostics.iter().map(|found| (found.level, &found.message)).collect();
        assert!(model.is_none(), "{line}: {found:?}");
        assert!(found.iter().any(|(level, _)| *level == Warning), "{line} is ignored: {found:?}");
        assert!(
            found.iter().any(|(level, text)| *level == Alert && text.contains(part)),
            "{line}: {found:?}"
        );
    }
    finds(&format!("{TIMEOUTS}backend b\ndeclare capture request len 10"), &[(Alert, 7, "not allowed")]);
    finds(&format!("{TIMEOUTS}backend b\nmaxconn 100"), &[(Warning, 7, "'maxconn' ignored")]);
}

#[test]
fn keywords_without_effect_are_read() {
    for (line, part) in [
        ("tune.rcvbuf.client abc", "'tune.rcvbuf.client'"),
        ("tune.idletimer 5zz", "tune.idletimer"),
        ("tune.comp.maxlevel", "expects an integer"),
        ("ssl-default-bind-options no-tlsv1zz", "did you mean 'no-tlsv10' maybe ?"),
        ("ssl-default-bind-options", "expects an option"),
        ("ssl-default-server-options prefer-client-ciphers", "unknown option"),
        ("ssl-default-bind-ciphers", "expects a list"),
        ("ssl-default-bind-ciphers a b", "unexpected argument 'b'"),
        ("ssl-server-verify maybe", "'maybe'"),
        ("crt-base /a x", "unexpected argument 'x'"),
        ("tune.ssl.default-dh-param abc", "'abc'"),
        ("httpclient.timeout.connect xyz", "httpclient.timeout.connect"),
        ("busy-polling x", "unexpected argument 'x'"),
        ("stats timeout 0", "positive"),
        ("httpclient.resolvers.prefer ipv5", "'ipv5'"),
        ("profiling.tasks maybe", "unknown option 'maybe'"),
        ("tune.idletimer 66s", "at most 65535 ms"),
        ("maxcompcpuusage 101", "from 0 to 100"),
        ("maxsslconn -1", "'maxsslconn' expects a number from 0"),
        ("tune.renice.startup -21", "from -20 to 19"),
        ("tune.renice.runtime 20", "from -20 to 19"),
        ("ssl-security-level 3", "levels above 2 are not available yet"),
        ("ssl-security-level 6", "expects a level from 0 to 5"),
        ("cpu-set drop-cpu 0", "'nbthread' and 'cpu-map'"),
    ] {
        finds(&format!("global\n{line}"), &[(Alert, 2, part)]);
    }
    for (option, part) in [
        ("server s 1.1.1.1:1 fall 0", "'fall' has to be > 0"),
        ("server s 1.1.1.1:1 rise 0", "'rise' has to be > 0"),
        ("server s 1.1.1.1:1 idle-ping abc", "idle-ping"),
        ("bind :2 mss 0", "'mss'"),
        ("bind :2 thread abc", "thread set 'abc'"),
        ("bind :2 thread 0", "thread set '0'"),
        ("bind :2 shards abc", "'abc'"),
        ("bind :2 thread 1 zz", "'zz'"),
        ("bind :2 nice 1025", "from -1024 to 1024"),
        ("bind :2 id 5 id 6", "the custom id 5 already"),
        ("bind :2-3 id 5", "single socket"),
        ("bind :2,:3 id 5", "single socket"),
        ("bind :2 guid-prefix a/b", "'/'"),
        ("server s 1.1.1.1:1 resolve-opts ignore-weights", "did you mean 'ignore-weight'"),
        ("server s 1.1.1.1:1 resolve-prefer ipv5", "'ipv5'"),
        ("server s 1.1.1.1:1 init-state dwon", "did you mean 'down'"),
        ("server s 1.1.1.1:1 guid a,b", "','"),
        ("guid a\\ b", "' '"),
        // Files count without `ssl`, too.
        ("bind :2 ca-file /nowhere", "'ca-file' : unable to load '/nowhere'"),
        ("bind :2 ca-verify-file /nowhere", "unable to load '/nowhere'"),
        ("bind :2 crl-file /nowhere", "'crl-file' : unable to use '/nowhere'"),
        ("bind :2 crt /nowhere", "unable to read the certificate '/nowhere'"),
        ("bind :2 crt-list /nowhere", "'crt-list' : unable to open '/nowhere'"),
        ("bind :2 tls-ticket-keys /nowhere", "'tls-ticket-keys' : '/nowhere'"),
        ("server s 1.1.1.1:1 ca-file /nowhere", "'ca-file' : unable to load '/nowhere'"),
        ("server s 1.1.1.1:1 crl-file /nowhere", "'crl-file' : unable to use '/nowhere'"),
    ] {
        finds(&format!("{TIMEOUTS}listen l\nbind :1\n{option}"), &[(Alert, 8, part)]);
    }
    finds("global\nuid haproxy\ngid haproxy", &[(Warning, 2, "user haproxy"), (Warning, 3, "group haproxy")]);
    for (lines, part) in [
        ("id 5\nid 6", "the custom id 5 already"),
        ("bind :2 id 5\nbind :3 id 5", "custom id 5 already used at t.cfg:8"),
        ("guid a\nserver s 1.1.1.1:1 guid a", "'a' is already used at t.cfg:8"),
    ] {
        finds(&format!("{TIMEOUTS}listen l\nbind :1\n{lines}"), &[(Alert, 9, part)]);
    }
    let threads = "global\nnbthread 2\ndefaults\nmode tcp\ntimeout client 1s\nlisten l\nbind :1 thread 3-4";
    finds(threads, &[(Alert, 7, "none of the 2 threads")]);
    let model = clean(&format!("{TIMEOUTS}listen l\nbind :1 thread 1/1-2,4\nbind :2"));
    let binds = &model.proxies[0].binds;
    assert_eq!((binds[0].threads.as_slice(), binds[1].threads.as_slice()), (&[1, 2, 4][..], &[][..]));
}

#[test]
fn experimental_directives_are_asked_for() {
    let rule = "listen l\nbind :1\nhttp-request normalize-uri path-strip-dot";
    let expose = "expose-experimental-directives";
    finds(&format!("{TIMEOUTS}{rule}"), &[(Alert, 8, expose)]);
    clean(&format!("global\n{expose}\n{TIMEOUTS}{rule}"));
    for line in ["force-cfg-parser-pause 1", "tune.fd.tables shared"] {
        finds(&format!("global\n{line}"), &[(Alert, 2, expose)]);
        finds(&format!("global\n{line}\n{expose}"), &[(Alert, 2, expose)]);
        clean(&format!("global\n{expose}\n{line}"));
    }
    finds(&format!("global\n{expose}\nforce-cfg-parser-pause 66s"), &[(Alert, 3, "at most 65535 ms")]);
}

#[test]
fn a_mistake_is_told_once_and_where_it_is() {
    for (text, expected) in [
        // What a line that could not be read may have declared is not missed.
        ("frontend f\nbind :1\ndefault_backend app\nbackn app", &[(Alert, 9, "'backend'")][..]),
        ("timout client 5s", &[(Alert, 6, "'timeout'")]),
        ("optoin httplog", &[(Alert, 6, "'option'")]),
        ("listen l\nbind :1\nacl a pathx /\nhttp-request deny if a", &[(Alert, 8, "did you mean 'path'")]),
        ("stats socket /tmp/x", &[(Alert, 6, "belongs in the 'global' section")]),
        ("listen l\nbind :1\nhttp-request deny if {path /}", &[(Alert, 8, "needs a blank")]),
        ("listen l\nbind :1\nhttp-request deny if { path /}", &[(Alert, 8, "needs a blank")]),
        ("listen l\nbind :1\nhttp-request deny if TRUE and TRUE", &[(Alert, 8, "leave the word out")]),
        ("listen l\nbind :1\nlog ring@none local0", &[(Alert, 8, "no ring called")]),
        ("mode\u{a0}http", &[(Alert, 6, "U+00A0")]),
    ] {
        finds(&format!("{TIMEOUTS}{text}"), expected);
    }
    finds("global\nbalance roundrobin", &[(Alert, 2, "belongs in these sections")]);
    finds("\u{feff}global\nmaxconn 5", &[(Alert, 1, "byte order mark")]);
    let nul = format!("{TIMEOUTS}frontend f\nbind :1\ndefault_backend b\n# \0\nbackend b");
    finds(&nul, &[(Alert, 9, "NUL")]);
}

#[test]
fn messages_name_the_server_and_the_listener() {
    for (line, part) in [
        ("server s 1.1.1.1:1 chek", "'server l/s' : unknown keyword 'chek'"),
        ("bind :2 namee x", "'bind :2' : unknown keyword 'namee'"),
        // The address is what the option would find: it is not missed besides.
        ("server s _http._tcp.x resolvers r", "unable to find required resolvers 'r'"),
    ] {
        finds(&format!("{TIMEOUTS}listen l\nbind :1\n{line}"), &[(Alert, 8, part)]);
    }
}

#[test]
fn lines_without_effect_are_warned_of() {
    let tcp = "defaults\nmode tcp\ntimeout client 1s\ntimeout server 1s\ntimeout connect 1s\n";
    for (head, text, expected) in [
        (tcp, "frontend f\nbind :1\noption forwardfor", &[(Warning, 6, "'option forwardfor' ignored")][..]),
        (
            tcp,
            "frontend f\nbind :1\ntcp-request content capture req.ssl_sni len 9",
            &[(Warning, 8, "inspect-delay")],
        ),
        (tcp, "frontend f\nbind :1\ntcp-request content capture src len 9", &[]),
        (
            TIMEOUTS,
            "frontend f\nbind :1\ntcp-request inspect-delay 1s\ntcp-request content accept if { req_ssl_hello_type 1 }",
            &[(Warning, 9, "L6 sample fetches")],
        ),
        (TIMEOUTS, "listen l\nbind :1\nstats show-desc", &[(Warning, 6, "'stats show-desc'")]),
        (TIMEOUTS, "log global\noption httplog\nlisten l\nbind :1", &[(Warning, 7, "no log address")]),
        (TIMEOUTS, "frontend f\nbind :1\npersist rdp-cookie", &[(Diag, 8, "no effect")]),
    ] {
        finds(&format!("{head}{text}"), expected);
    }
}
