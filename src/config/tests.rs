//! Whole configurations -> findings and facts of the model.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

mod findings;
mod mistakes;
mod resolvers;
mod without_effect;

use super::testing::Memory;
use super::{Input, Settings, load};
use crate::balance::Algorithm;
use crate::diag::{Level, Report};
use crate::model::proxy::{BalanceKey, CookieMode, ErrorPage, HttpReuse};
use crate::model::{Mode, Model};
use crate::sample::userlist::Password;
use crate::state::Registry;
use crate::state::server::{Endpoint, admin};

/// A world with what Debian and RHEL have.
fn world() -> Memory {
    let page = b"HTTP/1.0 503 Service Unavailable\r\nCache-Control: no-cache\r\n\r\n<html></html>\n";
    [400, 403, 408, 500, 502, 503, 504]
        .iter()
        .fold(Memory::default(), |world, status| {
            world.file(&format!("/etc/haproxy/errors/{status}.http"), page)
        })
        .file(
            "/etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\nhaproxy:x:115:120::/var/lib/haproxy:/bin/false\n",
        )
        .file("/etc/group", b"root:x:0:\nhaproxy:x:120:\n")
        .host("web-a", &["10.0.0.1"])
}

fn load_in(text: &str, registry: &Arc<Registry>, settings: &Settings) -> (Option<Model>, Report) {
    let mut report = Report::default();
    // Lines in the tests are indented with the code; the configuration does not care.
    let input = Input { name: "t.cfg".into(), bytes: format!("{text}\n").into_bytes() };
    let model = load(&[input], settings, registry, &world(), &mut report);
    (model, report)
}

pub(in crate::config) fn load_text(text: &str) -> (Option<Model>, Report) {
    load_in(text, &Registry::new(2), &Settings::default())
}

/// The model of a text that has nothing wrong with it.
fn clean(text: &str) -> Model {
    let (model, report) = load_text(text);
    let found: Vec<_> = report.diagnostics.iter().map(|d| (d.span.line, &d.message)).collect();
    assert!(found.is_empty(), "{text}: {found:?}");
    model.expect("no alert")
}

/// Loads a text and expects exactly these findings, in any order: level, line, part of the message.
pub(in crate::config) fn finds(text: &str, expected: &[(Level, u32, &str)]) {
    let (model, report) = load_text(text);
    let shown: Vec<_> = report
        .diagnostics
        .iter()
        .map(|d| format!("{:?} {}: {} | {:?}", d.level, d.span.line, d.message, d.help))
        .collect();
    assert_eq!(report.diagnostics.len(), expected.len(), "{text}\n{shown:#?}");
    for (level, line, part) in expected {
        let found = report.diagnostics.iter().any(|d| {
            d.level == *level
                && d.span.line == *line
                && (d.message.contains(part) || d.help.as_deref().is_some_and(|help| help.contains(part)))
        });
        assert!(found, "{level:?} {line}: {part}\n{shown:#?}");
    }
    let alerts = expected.iter().any(|(level, ..)| *level == Level::Alert);
    assert_eq!(model.is_none(), alerts, "{text}");
}

const TIMEOUTS: &str = "defaults\nmode http\ntimeout client 1s\ntimeout server 1s\ntimeout connect 1s\n";

#[test]
fn distribution_templates_load_without_a_word() {
    let debian = "global
        log /dev/log	local0
        log /dev/log	local1 notice
        chroot /var/lib/haproxy
        stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners
        stats timeout 30s
        user haproxy
        group haproxy
        daemon

        # Default SSL material locations
        ca-base /etc/ssl/certs
        crt-base /etc/ssl/private
        ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256
        ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384
        ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

defaults
        log     global
        mode    http
        option  httplog
        option  dontlognull
        timeout connect 5000
        timeout client  50000
        timeout server  50000
        errorfile 400 /etc/haproxy/errors/400.http
        errorfile 403 /etc/haproxy/errors/403.http
        errorfile 408 /etc/haproxy/errors/408.http
        errorfile 500 /etc/haproxy/errors/500.http
        errorfile 502 /etc/haproxy/errors/502.http
        errorfile 503 /etc/haproxy/errors/503.http
        errorfile 504 /etc/haproxy/errors/504.http";
    let model = clean(debian);
    assert_eq!((model.global.uid, model.global.gid), (Some(115), Some(120)));
    assert_eq!((model.global.log.len(), model.global.stats_timeout_ms), (2, 30_000));
    assert_eq!(model.global.stats_sockets[0].unix_mode, Some(0o660));

    let rhel = "global
    log         127.0.0.1 local2
    chroot      /var/lib/haproxy
    pidfile     /var/run/haproxy.pid
    maxconn     4000
    user        haproxy
    group       haproxy
    daemon
    stats socket /var/lib/haproxy/stats
    ssl-default-bind-ciphers PROFILE=SYSTEM
    ssl-default-server-ciphers PROFILE=SYSTEM
defaults
    mode                    http
    log                     global
    option                  httplog
    option                  dontlognull
    option http-server-close
    option forwardfor       except 127.0.0.0/8
    option                  redispatch
    retries                 3
    timeout http-request    10s
    timeout queue           1m
    timeout connect         10s
    timeout client          1m
    timeout server          1m
    timeout http-keep-alive 10s
    timeout check           10s
    maxconn                 3000
frontend main
    bind *:5000
    default_backend             app
backend static
    balance     roundrobin
    server      static 127.0.0.1:4331 check
backend app
    balance     roundrobin
    server  app1 127.0.0.1:5001 check
    server  app2 127.0.0.1:5002 check
    server  app3 127.0.0.1:5003 check
    server  app4 127.0.0.1:5004 check";
    let model = clean(rhel);
    let app = model.backend("app").expect("app");
    assert_eq!((app.id, app.servers.len(), app.servers[3].id), (4, 4, 4));
    assert_eq!(app.redispatch_after, -1);
    let main = &model.proxies[0];
    assert_eq!((main.maxconn, main.default_backend), (3000, Some(2)));
    assert_eq!(main.options.forwardfor.as_ref().and_then(|f| f.except).map(|e| e.1), Some(8));
    assert_eq!(main.log.len(), 1, "log global is resolved");
    assert_eq!(app.maxconn, 0, "a frontend's keyword in the defaults does not touch a backend");
}

#[test]
fn a_vertical_slice() {
    let model = clean(&format!(
        "{TIMEOUTS}frontend www\nbind *:60000-60001 name web\nmaxconn 10\ndefault_backend be\nbackend be\n\
         balance hdr(Host) use_domain_only\nhash-type consistent\ncookie SRV insert indirect nocache\n\
         default-server inter 3s fall 2 weight 10\nserver a 10.0.0.1:80 check cookie a\n\
         server b web-a:8080 check cookie b backup id 7 weight 20\nserver c 10.0.0.3 disabled maxconn 5 minconn 9"
    ));
    let www = &model.proxies[0];
    assert_eq!((www.id, www.mode, www.binds.len(), www.binds[1].id, www.maxconn), (2, Mode::Http, 2, 2, 10));
    let be = model.backend("be").expect("be");
    assert_eq!((be.id, be.balance_name, be.balance.algorithm), (3, "hdr", Algorithm::Hash));
    assert!(be.balance.hash.consistent && be.balance.hash.avalanche);
    assert!(matches!(&be.balance_key, BalanceKey::Header { name, domain_only: true } if &**name == "Host"));
    assert_eq!(
        be.cookie.as_ref().map(|c| (c.mode, c.indirect, c.nocache)),
        Some((CookieMode::Insert, true, true))
    );
    let [a, b, c] = be.servers.as_slice() else { panic!("three servers") };
    assert_eq!((a.id, b.id, c.id, b.backup), (1, 7, 2, true));
    let check = a.check.as_ref().expect("checked");
    assert_eq!((check.server.inter_ms, check.server.fall, check.server.rise), (3000, 2, 2));
    assert_eq!((a.state.user_weight(), b.state.user_weight()), (10, 20));
    let address = "10.0.0.1:8080".parse().expect("an address");
    assert_eq!(**b.state.endpoint.load(), Endpoint::Inet { address, port_offset: None });
    assert_eq!(b.hostname.as_deref(), Some("web-a"));
    assert_eq!((c.maxconn, c.minconn, c.state.maxconn.load(Relaxed)), (9, 0, 9), "minconn above maxconn");
    assert_eq!(c.state.admin(), admin::FMAINT | admin::CMAINT);
    assert_eq!((a.state.check.load().configured, c.state.check.load().configured), (true, false));
    assert_eq!((be.state.servers.load().len(), be.state.id.load(Relaxed)), (3, 3));
}

#[test]
fn defaults_are_replayed() {
    let model = clean(
        "defaults base\nmode http\ntimeout client 1s\ntimeout server 1s\ntimeout connect 1s\nretries 7\n\
         http-reuse always\nstats uri /base\nstats auth a:b\ndefault-server weight 5\n\
         defaults child from base\nretries 9\noption http-server-close\n\
         listen one from base\nbind :1\nserver s 1.1.1.1:1\n\
         listen two from child\nbind :2\nstats uri /own\nno option http-server-close\nserver s 1.1.1.1:1 weight 6\n\
         defaults\nmode tcp\n\
         backend three",
    );
    let [one, two, three] = model.proxies.as_slice() else { panic!("three proxies") };
    assert_eq!((one.retries, two.retries, three.retries), (7, 9, 3), "an unnamed section starts afresh");
    assert_eq!((one.http_reuse, three.mode), (HttpReuse::Always, Mode::Tcp));
    assert_eq!((one.servers[0].state.user_weight(), two.servers[0].state.user_weight()), (5, 6));
    let page = |proxy: &crate::model::Proxy| {
        proxy.stats.as_ref().map(|stats| (stats.uri.to_string(), stats.users.len()))
    };
    assert_eq!(page(one), Some(("/base".into(), 1)));
    assert_eq!(page(two), Some(("/own".into(), 0)), "the first own line drops the inherited page");
    assert_eq!(two.options.connection_mode, Default::default());
}

#[test]
fn who_may_inherit_rules() {
    use Level::{Alert, Warning};
    let rules = "defaults d\ntimeout client 1s\ntcp-request content accept\n";
    for (text, expected) in [
        (format!("{rules}listen l from d\nbind :1"), &[(Alert, 4, "a listen section cannot inherit")][..]),
        (
            format!("{rules}frontend f from d\nbind :1\nbackend b from d"),
            &[(Alert, 6, "cannot inherit from the same defaults")],
        ),
        (format!("{rules}defaults from d"), &[(Alert, 4, "a defaults section cannot inherit")]),
        (format!("{rules}frontend f from d\nbind :1\nfrontend g from d\nbind :2"), &[]),
        (
            "defaults d\ntcp-request connection accept\nbackend b from d".into(),
            &[(Alert, 3, "'tcp-request connection' or 'tcp-request session'")],
        ),
        (
            "defaults d\ntimeout client 1s\ntcp-response content accept\nfrontend b from d\nbind :1".into(),
            &[(Alert, 4, "'tcp-response content'")],
        ),
        (
            "backend b from nothing".into(),
            &[(Alert, 1, "defaults section 'nothing' not found for backend 'b'")],
        ),
        (
            "defaults d\nbackend a from d\nbackend b".into(),
            &[(Warning, 3, "is explicitly referenced by another proxy and implicitly used here")],
        ),
        (
            "defaults d\nbackend a from d\ndefaults d".into(),
            &[(Alert, 3, "which was explicitly referenced hence cannot be replaced")],
        ),
        (
            "defaults d\ndefaults d\nbackend a from d".into(),
            &[(Alert, 3, "ambiguous defaults section name 'd'")],
        ),
        // A mistake in a defaults section is said once, however many proxies take it.
        ("defaults\nmod http\nbackend a\nbackend b".into(), &[(Alert, 2, "unknown keyword 'mod'")]),
    ] {
        finds(&text, expected);
    }
}

#[test]
fn order_of_rules_is_warned_of() {
    use Level::Warning;
    let expected = [(
        Warning,
        8,
        "a 'tcp-request content' rule placed after an 'http-request' rule will still be processed before",
    )];
    let text = format!("{TIMEOUTS}frontend a\nhttp-request deny\ntcp-request content accept\nbind :1");
    finds(&text, &expected);
}

#[test]
fn the_global_section() {
    use Level::Alert;
    let model = clean(
        "global\nnbthread 2\nthread-groups 1\nmaxconn 4096\ncpu-map auto:1/1-2 0-1\nhard-stop-after 5m\n\
         tune.bufsize 32k\ntune.ssl.default-dh-param 2048\nlog-send-hostname lb1\n\
         global\nmap-writeback /a.map /b.map\ntune.driver epoll\nstats socket ipv4@127.0.0.1:9999 level admin",
    );
    let global = &model.global;
    assert_eq!((global.nbthread, global.maxconn, global.bufsize), (Some(2), Some(4096), 32768));
    assert_eq!(global.cpu_map, [(1, vec![0]), (2, vec![1])]);
    assert_eq!((global.hard_stop_after_ms, global.log_hostname.as_deref()), (Some(300_000), Some("lb1")));
    assert_eq!(global.stats_sockets.len(), 1);
    for (text, expected) in [
        ("global\nuser nobody-here", &[(Alert, 2, "cannot find user id for 'nobody-here'")][..]),
        (
            "global\nnbthrad 2",
            &[(Alert, 2, "unknown keyword 'nbthrad' in 'global' section; did you mean 'nbthread' maybe ?")],
        ),
        ("global\nnbthread 0", &[(Alert, 2, "'nbthread' expects a number from 1")]),
        ("global\nlua-load /x.lua", &[(Alert, 2, "Lua is not available")]),
        ("global\nmaster-worker", &[(Alert, 2, "-W or -Ws")]),
        ("global\nlog global", &[(Alert, 2, "'global' is not supported for a global syslog server")]),
        ("global\nlog ring@nowhere local0", &[(Alert, 2, "no ring called 'nowhere'")]),
    ] {
        finds(text, expected);
    }
}

#[test]
fn users_groups_and_passwords() {
    use Level::{Alert, Warning};
    let hash = "$5$rounds=1000$abcdefgh$XIppta5rT8zJUu4vAOKQXrwq9uY4Ijlz6VjyOmkx5i4";
    let model = clean(&format!(
        "userlist L1\ngroup G1 users tiger,scott\ngroup G2\nuser tiger password {hash}\n\
         user scott insecure-password elgato groups G2"
    ));
    let users = &model.userlists["L1"].users;
    assert_eq!(users["scott"].password, Password::Plain("elgato".into()));
    assert!(matches!(users["tiger"].password, Password::Crypt(..)));
    assert_eq!((users["tiger"].groups.len(), users["scott"].groups.len()), (1, 2));
    let asks = format!(
        "userlist users\nuser a insecure-password b\n{TIMEOUTS}frontend f\nbind :1\n\
         http-request deny unless {{ http_auth(user) }}"
    );
    let line = asks.lines().count() as u32;
    for (text, expected) in [
        ("userlist u\nuser a password $6$x", (Warning, 2, "nobody can be 'a'")),
        ("userlist u\nuser a password clear", (Warning, 2, "no hash of crypt(3)")),
        ("userlist u\nuser a password $7$x", (Alert, 2, "not of a known scheme")),
        ("userlist u\ngroup g users nobody", (Alert, 2, "no such user 'nobody'")),
        ("userlist u\nuser a insecure-password b groups g", (Alert, 2, "no such group 'g'")),
        (&asks, (Alert, line, "unable to find userlist 'user', did you mean 'users'?")),
    ] {
        finds(text, &[expected]);
    }
}

#[test]
fn other_sections() {
    let model = clean(
        "ring r\nsize 32k\nhttp-errors e\nerrorfile 503 /etc/haproxy/errors/503.http\nerrorfile 400 /dev/null\n\
         backend b\nmode http\nlog ring@r local0\nerrorloc 400 /x\nerrorfiles e 503\n\
         http-error status 503 errorfile /etc/haproxy/errors/500.http",
    );
    assert_eq!(model.rings["r"].size, 32768);
    let pages = &model.backend("b").expect("b").error_pages;
    assert!(matches!(&*pages[&400], ErrorPage::Location { code: 302, .. }));
    assert!(matches!(&*pages[&503], ErrorPage::File(bytes) if bytes.starts_with(b"HTTP/1.0 503")));
}

#[test]
fn servers_are_placed_by_what_hash_key_says() {
    use crate::balance::HashKey;
    let line = |words: &str| {
        let model = clean(&format!(
            "{TIMEOUTS}backend b\nbalance hash path\nhash-type consistent\nserver s 1.1.1.1:1 {words}"
        ));
        model.proxies[0].servers[0].hash_key.clone()
    };
    for (words, expected) in [
        ("", HashKey::Id),
        ("hash-key id", HashKey::Id),
        ("hash-key id32", HashKey::Id32),
        ("hash-key addr", HashKey::Addr),
        ("hash-key addr-port", HashKey::AddrPort),
        ("hash-key guid guid a:b", HashKey::Guid("a:b".into())),
        ("hash-key guid", HashKey::Id),
    ] {
        assert_eq!(line(words), expected, "{words}");
    }
}

#[test]
fn rules_get_what_they_ask_for() {
    let model = clean(&format!(
        "http-errors mine\nerrorfile 404 /etc/haproxy/errors/503.http\n{TIMEOUTS}\
         frontend a\nbind :1\ncapture request header Host len 10\nacl one path /1\nacl two acl(one)\n\
         http-request capture req.hdr(X) len 20 if two\n\
         http-request return status 404 errorfiles mine if {{ path /x }}\n\
         http-error status 200 content-type text/plain lf-string \"%[path]\"\nredirect location /y unless two\nuse_backend %[path] if one\n\
         use_backend b if !one\nmonitor-uri /m\nbackend b\nuse-server s if TRUE\n\
         server s 1.1.1.1:1"
    ));
    let a = &model.proxies[0];
    assert_eq!(a.request_captures.iter().map(|slot| slot.len).collect::<Vec<_>>(), [10, 20]);
    assert!(
        a.http_request.iter().all(|rule| rule.wanted_capture().is_none() && rule.wanted_section().is_none())
    );
    assert!(matches!(&*a.error_pages[&200], ErrorPage::Reply(_)));
    assert_eq!((a.use_backend.len(), a.redirects.len()), (2, 1));
    assert_eq!(model.proxies[1].use_server.len(), 1);
    use Level::{Alert, Warning};
    for (text, expected) in [
        (
            "backend b\nmode http\nhttp-request capture path len 9",
            &[(Alert, 3, "no frontend capability")][..],
        ),
        (
            "backend b\nmode http\nhttp-request return status 404 errorfiles mine",
            &[(Alert, 3, "http-errors section 'mine'")],
        ),
        ("backend b\nmode http\nhttp-request deny if unknown", &[(Alert, 3, "no such ACL : 'unknown'")]),
        (
            "backend b\nhttp-request deny",
            &[(Warning, 1, "'http-request' rules ignored for backend 'b' as they require HTTP mode")],
        ),
        (
            "backend b\nuse-server s if TRUE",
            &[(Alert, 2, "unable to find server 's' referenced in a 'use-server' rule")],
        ),
        (
            "listen b\nbind :1\ntimeout client 1s\nuse_backend x if TRUE",
            &[(Alert, 4, "unable to find required use_backend: 'x'")],
        ),
        (
            "listen bee\nbind :1\ntimeout client 1s\ntimeout connect 1s\ntimeout server 1s\nserver s 1.1.1.1:1\ntcp-request content reject if { nbsrv(be) eq 0 }",
            &[(Alert, 7, "unable to find backend 'be' referenced by 'nbsrv'")],
        ),
        (
            "listen bee\nbind :1\ntimeout client 1s\ntimeout connect 1s\ntimeout server 1s\nserver s 1.1.1.1:1\ntcp-request content reject if { srv_conn(bee/t) gt 5 }",
            &[(Alert, 7, "unable to find server 'bee/t' referenced by 'srv_conn'")],
        ),
        // A TCP frontend whose traffic may go to an HTTP backend keeps its HTTP lines.
        (
            "frontend a\nbind :1\ntimeout client 1s\nhttp-request deny\ndefault_backend b\nbackend b\nmode http",
            &[],
        ),
        (
            "backend b\nmode http\nhttp-request deny\nhttp-request set-header a b",
            &[(Warning, 4, "previous 'http-request' action is final")],
        ),
        ("backend b\nmode http\nhttp-request set-timeout client 1s", &[(Alert, 3, "no frontend capability")]),
        (
            "frontend a\nbind :1\nmode http\ntimeout client 1s\nhttp-request set-retries 2",
            &[(Alert, 5, "no backend capability")],
        ),
        ("backend b\nmode http\nhttp-request set-retries 101", &[(Alert, 3, "between 0 and 100")]),
        ("backend b\nmode http\nhttp-send-name-header Host", &[(Alert, 3, "cannot be used on")]),
        ("backend b\nmode http\noption forwarded proto what", &[(Alert, 3, "unknown argument 'what'")]),
        ("backend b\nmode http\noption forwarded host by-expr src for_port", &[]),
        ("backend b\nsource 0.0.0.0 usesrc clientip interface lo", &[]),
        ("backend b\nsource 0.0.0.0 usesrc hdr_ip(x-client,-1)", &[]),
        ("backend b\nsource 0.0.0.0 usesrc", &[(Alert, 2, "'clientip'")]),
        ("global\nh1-case-adjust x-a X-A\nh1-case-adjust x-b Y-B", &[(Alert, 3, "must not differ except")]),
        (
            "defaults d\nacl own path /\nbackend b from d\nmode http\nhttp-request deny if own",
            &[(Alert, 5, "no such ACL : 'own'")],
        ),
    ] {
        finds(text, expected);
    }
}

#[test]
fn variables_of_the_process() {
    let model = clean("global\nset-var proc.a int(5)\nset-var-fmt proc.b \"<%[var(proc.a)]>\"");
    let process = crate::sample::facts::ProcessFacts::default();
    model.global.set_variables(&process);
    let values = process.vars.lock().expect("no panic");
    assert!(
        values.iter().any(|(_, value)| matches!(value, crate::sample::Value::Str(text) if **text == *b"<5>"))
    );
    finds("global\nset-var sess.a int(5)", &[(Level::Alert, 2, "only variables of scope 'proc'")]);
}

#[test]
fn a_reload_keeps_what_lives() {
    let registry = Registry::new(2);
    let text = "backend b\ntimeout connect 1s\ntimeout server 1s\nserver a 1.1.1.1:1 weight 4 check\nserver c 1.1.1.1:2";
    let (first, _) = load_in(text, &registry, &Settings::default());
    let first = first.expect("clean");
    let state = first.proxies[0].servers[0].state.clone();
    state.set_user_weight(1);
    let changed = text.replace("server c 1.1.1.1:2", "server d 1.1.1.1:3").replace("1.1.1.1:1", "1.1.1.9:1");
    // A file with a mistake changes nothing.
    let (none, _) = load_in(&format!("{changed} nonsense"), &registry, &Settings::default());
    assert!(none.is_none());
    let live = registry.proxy("b");
    assert_eq!(live.servers.load()[1].name.as_ref(), "c");
    let (second, _) = load_in(&changed, &registry, &Settings::default());
    let second = second.expect("clean");
    assert_eq!(state.endpoint.load().as_ref().clone(), endpoint("1.1.1.1:1"), "not in force yet");
    second.adopt();
    assert_eq!(state.endpoint.load().as_ref().clone(), endpoint("1.1.1.9:1"));
    assert_eq!(
        (state.user_weight(), state.initial_weight()),
        (1, 4),
        "set at run time, unchanged in the file"
    );
    let names: Vec<_> = live.servers.load().iter().map(|server| server.name.to_string()).collect();
    assert_eq!(names, ["a", "d"]);
}

fn endpoint(address: &str) -> Endpoint {
    Endpoint::Inet { address: address.parse().expect("an address"), port_offset: None }
}

/// Ten thousand backends load in linear time: twice as many take about twice as long. The bound is
/// generous, since tests run without optimisation beside others; a quadratic step would take minutes.
#[test]
fn many_backends_load_quickly() {
    let mut text = String::from(TIMEOUTS);
    for number in 0..10_000 {
        text.push_str(&format!(
            "backend be{number}\nserver a 10.0.0.1:80 check\nserver b 10.0.0.2:80 check\n"
        ));
    }
    let started = crate::base::clock::read();
    let model = clean(&text);
    let took_ms = (crate::base::clock::read().mono_us - started.mono_us) / 1000;
    assert_eq!(model.proxies.len(), 10_000);
    assert!(took_ms < 30_000, "took {took_ms} ms");
}

#[test]
fn every_row_has_its_texts() {
    fn check<F>(tables: &[&[super::keyword::Keyword<F>]]) {
        for row in tables.iter().flat_map(|table| table.iter()) {
            assert!(row.doc.ends_with('.'), "{}", row.name);
            let reason = match row.does {
                super::keyword::Does::NoAction(text)
                | super::keyword::Does::Refused(text)
                | super::keyword::Does::Removed(text) => text,
                super::keyword::Does::Parse(_) => continue,
            };
            assert!(reason.len() > 10 && !reason.ends_with('.'), "{}: {reason}", row.name);
        }
    }
    check(super::section::PROXY_TABLES);
    check(super::section::global::TABLES);
    check(&[super::section::bind::TABLE, super::section::bind_tls::TABLE]);
    check(&[
        super::section::server::TABLE,
        super::section::server_proxy_protocol::TABLE,
        super::section::server_other::TABLE,
        super::section::server_tls::TABLE,
    ]);
}

#[test]
fn relative_paths_start_where_default_path_says() {
    let page = b"HTTP/1.0 503 No\r\n\r\n";
    let world = world()
        .file("errors/503.http", page)
        .file("/cfg/errors/503.http", page)
        .file("/cfg/sub/../errors/503.http", page)
        .file("/cfg/m.map", b"k v\n")
        .file("/cfg/l.lst", b"k\n");
    for (name, mode, works) in [
        ("/cfg/t.cfg", "current", true),
        ("/cfg/t.cfg", "config", true),
        ("/other/t.cfg", "config", false),
        ("/cfg/sub/t.cfg", "parent", true),
        ("/cfg/t.cfg", "parent", false),
        ("/other/t.cfg", "origin /cfg", true),
        ("/cfg/t.cfg", "origin /none", false),
        ("/cfg/t.cfg", "origin", false),
        ("/cfg/t.cfg", "nowhere", false),
    ] {
        for lines in [
            format!("{TIMEOUTS}errorfile 503 errors/503.http\nlisten l\nbind :1\n"),
            format!("http-errors e\nerrorfile 503 errors/503.http\n{TIMEOUTS}listen l\nbind :1\n"),
        ] {
            let text = format!("global\ndefault-path {mode}\n{lines}");
            let input = Input { name: name.into(), bytes: text.clone().into_bytes() };
            let mut report = Report::default();
            let model = load(&[input], &Settings::default(), &Registry::new(2), &world, &mut report);
            let found: Vec<_> = report.diagnostics.iter().map(|found| &found.message).collect();
            assert_eq!(model.is_some(), works, "{name}: {text}: {found:?}");
        }
    }
    // Formats are read late, and lists of ACLs are files as well.
    let text = format!(
        "global\ndefault-path origin /cfg\n{TIMEOUTS}listen l\nbind :1\nlog stdout local0\nlog-format %[src,map(m.map)]\n\
         http-request deny if {{ path -f l.lst }}\n"
    );
    let input = Input { name: "t.cfg".into(), bytes: text.into_bytes() };
    let mut report = Report::default();
    let model = load(&[input], &Settings::default(), &Registry::new(2), &world, &mut report);
    assert!(
        model.is_some(),
        "{:?}",
        report.diagnostics.iter().map(|found| &found.message).collect::<Vec<_>>()
    );
}
