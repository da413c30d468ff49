//! What is told of proxies and servers whose lines make no sense together.

use super::finds;
use crate::diag::Level::*;

#[test]
fn findings_of_proxies() {
    for (text, expected) in [
        (
            "frontend a\nbind :1\ntimeout client 1s\ndefault_backend flask",
            &[(Alert, 4, "unable to find required default_backend: 'flask'")][..],
        ),
        (
            "frontend a\nbind :1\ntimeout client 1s\ndefault_backend backend_servers\nbackend flask_servers",
            &[(Alert, 4, "did you mean 'flask_servers'")],
        ),
        ("frontend a\nbind :1", &[(Warning, 1, "missing timeouts for frontend 'a'")]),
        (
            "frontend a\nmode http\nbind :1",
            &[(Warning, 1, "Until then its clients have 'timeout client 1m'")],
        ),
        ("frontend a\ntimeout client 1s", &[(Warning, 1, "frontend 'a' has no 'bind' directive")]),
        ("backend b\nserver s 1.1.1.1:1", &[(Warning, 1, "missing timeouts for backend 'b'")]),
        ("backend b\ntimeout connect 1s\ntimeout tunnel 1s\nserver s 1.1.1.1:1", &[]),
        (
            "backend b\nmaxconn 5",
            &[(
                Warning,
                2,
                "'maxconn' ignored because backend 'b' has no frontend capability. Maybe you want 'fullconn' instead ?",
            )],
        ),
        (
            "frontend a\nbind :1\ntimeout client 1s\nserver s 1.1.1.1:1",
            &[(Alert, 4, "'server' not allowed because frontend 'a' has no backend capability")],
        ),
        (
            "backend b\ntimeout client 1s",
            &[(
                Warning,
                2,
                "'timeout client' will be ignored because backend 'b' has no frontend capability",
            )],
        ),
        ("backend b\ntimeout conect 1s", &[(Alert, 2, "'timeout' supports 'client'")]),
        ("backend b\ntimeout connect 5", &[(Warning, 2, "suspiciously small")]),
        ("backend b\ntimeout connect 5x", &[(Alert, 2, "unexpected character 'x' in 'timeout connect'")]),
        (
            "backend b\nbalnce roundrobin",
            &[(Alert, 2, "unknown keyword 'balnce' in 'backend' section; did you mean 'balance' maybe ?")],
        ),
        ("backend b\nfrotnend f", &[(Alert, 2, "section; did you mean 'frontend' maybe ?")]),
        // Told of the defaults section itself, not of the proxy that inherits it.
        ("defaults\ntimeout clinet 1s\nbackend b", &[(Alert, 2, "did you mean 'timeout client'")]),
        ("backend b\noption httpcl", &[(Alert, 2, "unknown option 'httpcl'; did you mean")]),
        (
            "backend b\nno option httplog",
            &[(Alert, 2, "negation/default is not supported for option 'httplog'")],
        ),
        (
            "backend b\nbackend b",
            &[(Alert, 2, "backend 'b' has the same name as backend 'b' declared at t.cfg:1")],
        ),
        (
            "frontend b\nbind :1\ntimeout client 1s\nbackend b",
            &[(Alert, 4, "has the same name as frontend 'b'")],
        ),
        ("backend b/c", &[(Alert, 1, "character '/' is not permitted in 'backend' name 'b/c'")]),
        (
            "listen app 0.0.0.0:80",
            &[
                (Alert, 1, "please use the 'bind' keyword"),
                (Warning, 1, "no 'bind'"),
                (Warning, 1, "missing timeouts"),
            ],
        ),
        (
            "backend b\nid 5\nbackend c\nid 5",
            &[(Alert, 3, "backend c reuses same custom id as backend b (declared at t.cfg:1)")],
        ),
        (
            "frontend a\nbind :1\nmode http\ntimeout client 1s\ndefault_backend b\nbackend b",
            &[(
                Alert,
                5,
                "http frontend 'a' (t.cfg:1) tries to use incompatible tcp backend 'b' (t.cfg:6) as its default backend",
            )],
        ),
        (
            "frontend a\nbind :1\ntimeout client 1s\nstats enable",
            &[(Warning, 1, "'stats' statement ignored for frontend 'a' as it requires HTTP mode")],
        ),
        (
            "frontend a\nbind :1\ntimeout client 1s\noption http-ignore-probes",
            &[(Warning, 1, "'option http-ignore-probes' ignored for frontend 'a' as it requires HTTP mode")],
        ),
        (
            "backend b\ncookie X insert",
            &[(Warning, 1, "cookie will be ignored for backend 'b' (needs 'mode http')")],
        ),
        ("backend b\nbalance uri", &[(Warning, 1, "Layer 7 hash not possible for backend 'b'")]),
        (
            "frontend a\nbind :1\ntimeout client 1s\nlog stdout local0\noption httplog",
            &[(
                Warning,
                5,
                "'option httplog' not usable with frontend 'a' (needs 'mode http'). Falling back to 'option tcplog'",
            )],
        ),
        (
            "frontend a\nbind :1\ntimeout client 1s\nlog-format x",
            &[(Warning, 4, "log format ignored for frontend 'a' since it has no log address")],
        ),
        ("backend b\noption tcplog", &[(Warning, 2, "'option tcplog' directive is ignored in backends")]),
        (
            "defaults\noption tcplog\noption httplog",
            &[(Warning, 3, "'option httplog' overrides previous 'option tcplog' in 'defaults' section")],
        ),
        (
            "defaults\nhttp-request deny",
            &[(Alert, 2, "'http-request' not allowed in anonymous 'defaults' section")],
        ),
        ("defaults\nbind :1", &[(Alert, 2, "'bind' not allowed in 'defaults' section")]),
        ("backend b\nclitimeout 5s", &[(Alert, 2, "use 'timeout client'")]),
        (
            "listen b\nclitimeout 5s",
            &[(Alert, 2, "use 'timeout client'"), (Warning, 1, "bind"), (Warning, 1, "missing timeouts")],
        ),
        (
            "listen b\nbind :1 ssl crt /x.pem alpn h2\ntimeout client 1s",
            &[(Alert, 2, "unable to read the certificate '/x.pem'")],
        ),
        (
            "listen b\nbind :1 accept-prxy\ntimeout client 1s",
            &[(Alert, 2, "did you mean 'accept-proxy' maybe ?")],
        ),
        ("resolvers dns\nnameserver a 1.1.1.1:53", &[]),
        ("backend b\ncookie X insert prefix\nmode http", &[(Alert, 2, "modes are incompatible")]),
        ("backend b\nerrorloc 302 /x", &[(Alert, 2, "status code '302' not handled")]),
        ("backend b\nerrorfile 503 /nowhere", &[(Alert, 2, "error opening file </nowhere>")]),
        ("backend b\nerrorfiles x", &[(Alert, 2, "unable to find errorfiles 'x'")]),
        ("backend b\nhash-balance-factor 50", &[(Alert, 2, "must be 0 or greater than 100")]),
        ("backend b\nlog 127.0.0.1:514 locl0", &[(Alert, 2, "unknown log facility 'locl0'")]),
        ("backend b\nretry-on 599", &[(Alert, 2, "'retry-on' : unknown keyword '599'")]),
    ] {
        finds(text, expected);
    }
}

#[test]
fn an_address_of_two_lines_is_told_with_both() {
    let front = |name: &str, binds: &str| format!("frontend {name}\n{binds}\ntimeout client 1s\n");
    let shared = |line| [(Notice, line, ":2 too")];
    finds(&(front("a", "bind 127.0.0.1:80") + &front("b", "bind 127.0.0.1:80")), &shared(5));
    finds(&front("a", "bind :80\nbind :80"), &[(Notice, 3, "80 is an address of ")]);
    finds(&front("a", "bind :80-85\nbind :81,:83,:90"), &shared(3));
    for apart in [
        "bind 127.0.0.1:80\nbind 127.0.0.2:80",
        "bind 127.0.0.1:80\nbind :80",
        "bind :80-85\nbind :86",
        "bind :80 thread 1\nbind :80 thread 2",
        "bind :80 interface lo\nbind :80 interface eth0",
    ] {
        finds(&front("a", apart), &[]);
    }
}

#[test]
fn findings_of_servers() {
    let backend = "backend b\ntimeout connect 1s\ntimeout server 1s\n";
    for (lines, expected) in [
        (
            "server a 1.1.1.1:1\nserver a 1.1.1.1:2",
            &[(Alert, 5, "another server named 'a' was already defined at line 4")][..],
        ),
        ("server a nowhere:80", &[(Alert, 4, "could not resolve address 'nowhere'")]),
        ("server a nowhere:80 init-addr last,libc,none", &[(Notice, 4, "disabling server")]),
        ("server a 1.1.1.1:1 chek", &[(Alert, 4, "did you mean 'check' maybe ?")]),
        ("server a 1.1.1.1:1 ssl verify none", &[]),
        ("server a 1.1.1.1:1 ssl", &[(Alert, 4, "nothing says who signs it")]),
        ("server a 1.1.1.1:1 ssl verify required ca-file /x", &[(Alert, 4, "unable to load '/x'")]),
        ("server a 1.1.1.1:1 send-proxy-v2 check", &[]),
        ("server a 1.1.1.1:1 send-proxy-v2 proxy-v2-options crc32c,unique-id,authority,cert-cn", &[]),
        (
            "server a 1.1.1.1:1 proxy-v2-options crc32",
            &[(Alert, 4, "'crc32' : proxy v2 option not implemented")],
        ),
        ("server a 1.1.1.1:1 send-proxy-v2 set-proxy-v2-tlv-fmt(0xEA) %[src] check", &[]),
        (
            "server a 1.1.1.1:1 set-proxy-v2-tlv-fmt(256) x",
            &[(Alert, 4, "expects a field type from 0 to 255")],
        ),
        ("server a 1.1.1.1:1 set-proxy-v2-tlv-fmt x", &[(Alert, 4, "expects a field type from 0 to 255")]),
        ("server a 1.1.1.1:1 set-proxy-v2-tlv-fmt(1)", &[]),
        ("server a 1.1.1.1:1 set-proxy-v2-tlv-fmt(1) %[nonsense]", &[(Alert, 4, "nonsense")]),
        ("server a 1.1.1.1:1 set-proxy-v2-tlv-fmt(1) a set-proxy-v2-tlv-fmt(2) %zz", &[(Alert, 4, "zz")]),
        ("server a 1.1.1.1:1 set-proxy-v2-tlv-fmt(1) %[res.hdr(a)]", &[(Alert, 4, "res.hdr")]),
        ("server a 1.1.1.1:1 send-proxy-v2 set-proxy-v2-tlv-fmt(1) %[nonsense]", &[(Alert, 4, "nonsense")]),
        ("server a 1.1.1.1:1 weight 300", &[(Alert, 4, "'weight' expects a number from 0 to 256")]),
        ("server a 1.1.1.1 check", &[(Alert, 4, "neither service port nor check port")]),
        ("server a 1.1.1.1 check port 80", &[]),
        ("server a 1.1.1.1:1 agent-check", &[(Alert, 4, "does not have agent port")]),
        ("server a 1.1.1.1:1 track b/c", &[(Alert, 4, "unable to find required server 'c' for tracking")]),
        (
            "server a 1.1.1.1:1 track c\nserver c 1.1.1.1:1",
            &[(Alert, 4, "does not have any check nor agent enabled")],
        ),
        (
            "server a 1.1.1.1:1 track c\nserver c 1.1.1.1:1 track a",
            &[(Alert, 4, "looping back"), (Alert, 5, "looping back")],
        ),
        ("server a 1.1.1.1:1 track c\nserver c 1.1.1.1:1 check", &[]),
        ("server a 1.1.1.1:1 id 3\nserver c 1.1.1.1:1 id 3", &[(Alert, 5, "custom id 3 is already used")]),
        ("server a 1.1.1.1:1 redir http://x", &[(Alert, 4, "redirect prefix in non-HTTP mode")]),
        ("server a 1.1.1.1:1 inter 0", &[(Alert, 4, "invalid value 0")]),
        ("server-template s 3 1.1.1.1:1 id 4\nserver last 1.1.1.1:1", &[]),
        (
            "default-server weight 5\nserver a 1.1.1.1:1 from none\nserver c 1.1.1.1:1 from srv:x",
            &[(Alert, 6, "no server or default-server 'srv:x'")],
        ),
    ] {
        finds(&format!("{backend}{lines}"), expected);
    }
}
