//! Servers and backends that come and go, over a configuration of their own.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::config::testing::Memory;
use crate::config::{Input, Settings, load};
use crate::control::Control;
use crate::control::mock::{ask, control_of};
use crate::diag::Report;
use crate::model::bind::CliLevel::{Admin, Operator};
use crate::state::Registry;
use crate::state::server::{Operational, admin};

const TEXT: &str = "\
defaults plain
defaults web
    mode http
    timeout connect 1s
    timeout server 1s
    errorfile 503 /e/503.http
defaults more from web
    balance static-rr
frontend fe from web
    bind :1
    timeout client 1s
    acl busy srv_sess_rate(be/s1) gt 50
    use_backend fixed if { path /f }
    use_backend named if { nbsrv(counted) gt 1 }
    default_backend be
backend be from web
    balance roundrobin
    option httpchk GET /health
    default-server inter 7s weight 9
    default-server name slow maxconn 3
    use-server s3 unless { always_false }
    server s1 127.0.0.1:1
    server s2 127.0.0.1:2 check id 20 guid one
    server s3 127.0.0.1:3 track s2
    server s4 127.0.0.1:4
backend fixed from web
    balance source
    server s1 127.0.0.1:1
backend named from web
    server s1 127.0.0.1:1
backend counted from web
backend tcp from plain
    mode tcp
    timeout connect 1s
    timeout server 1s
    balance roundrobin
    server s1 127.0.0.1:1
    server t1 127.0.0.1:1 check
";

fn control() -> Rc<Control> {
    let world = Memory::default().file("/e/503.http", b"HTTP/1.0 503 No\r\n\r\nours");
    let input = Input { name: "x.cfg".into(), bytes: TEXT.into() };
    let mut report = Report::default();
    let registry = Registry::new(2);
    let model = load(&[input], &Settings::default(), &registry, &world, &mut report);
    let model = model.unwrap_or_else(|| panic!("{:?}", report.diagnostics));
    control_of(Arc::new(model))
}

#[test]
fn servers_come_and_go() {
    let control = control();
    let add = |words: &str| ask(&control, Admin, &format!("add server {words}"));
    let first = control.model();
    assert_eq!(
        add("be/new 127.0.0.1:9 weight 4 check fall 5 maxconn 7 backup cookie c"),
        "New server registered.\n"
    );
    let model = control.model();
    let server = model.backend("be").unwrap().servers[4].clone();
    let state = &server.state;
    assert_eq!((server.id, state.user_weight(), server.maxconn, server.backup), (4, 4, 7, true));
    assert_eq!((state.admin(), state.operational()), (admin::FMAINT, Operational::Stopped));
    let check = state.check.load();
    assert_eq!((check.configured, check.enabled, check.fall), (true, false, 5));
    assert_eq!(
        server.check.as_ref().unwrap().server.inter_ms,
        2000,
        "'default-server' is for the file's servers"
    );
    // Everything else is shared with the model before.
    for (before, after) in first.proxies.iter().zip(&model.proxies) {
        assert_eq!(Arc::ptr_eq(before, after), *before.name != *"be", "{}", before.name);
    }
    assert_eq!(first.ident, model.ident);
    let shown = ask(&control, Admin, "show servers state be");
    assert!(shown.contains("3 be 4 new 127.0.0.1 0 1 4 4 "), "{shown}");
    assert!(ask(&control, Admin, "show stat be 4 4").contains("be,new,"));
    let delete = |name: &str| ask(&control, Admin, &format!("del server {name}"));
    assert_eq!(ask(&control, Admin, "enable server be/new"), "");
    assert!(state.is_eligible());
    assert_eq!(delete("be/new"), "Only servers in maintenance mode can be deleted.\n");
    ask(&control, Admin, "disable server be/new");
    for counter in [&state.served, &state.idle] {
        counter.store(1, Relaxed);
        assert_eq!(delete("be/new"), "Server still has connections attached to it, cannot remove it.\n");
        counter.store(0, Relaxed);
    }
    assert_eq!(delete("be/new"), "Server deleted.\n");
    assert_eq!(delete("be/new"), "No such server.\n");
    // The next one of that name begins anew.
    assert_eq!(add("be/new 127.0.0.1:9"), "New server registered.\n");
    let again = control.model().backend("be").unwrap().servers[4].state.clone();
    assert_ne!(again.ident, state.ident);
    let (registered, is_new) = control.model().registry.server("be", "new");
    assert!(Arc::ptr_eq(&registered, &again) && !is_new);
}

#[test]
fn what_cannot_be_added_is_told() {
    let control = control();
    for (words, expected) in [
        ("nothing", "Require 'backend/server'."),
        ("no/s 127.0.0.1:1", "No such backend."),
        ("fe/s 127.0.0.1:1", "No such backend."),
        (
            "fixed/s 127.0.0.1:1",
            "Backend does not support dynamic servers : backend 'fixed' uses a non dynamic load balancing method.",
        ),
        ("be/s1 127.0.0.1:1", "Already exists a server with the same name in backend."),
        ("be/s", "'server' expects <name> and <addr>[:<port>] as arguments."),
        ("be/s! 127.0.0.1:1", "character '!' is not permitted in server name 's!'."),
        ("be/s 127.0.0.1:1 wieght 3", "unknown keyword 'wieght'; did you mean 'weight' maybe ?"),
        ("be/s 127.0.0.1:1 enabled", "'enabled' option is not accepted for dynamic server."),
        ("be/s 127.0.0.1:1 init-addr none", "'init-addr' option is not accepted for dynamic server."),
        ("be/s 127.0.0.1:1 resolvers r", "'resolvers' option is not accepted for dynamic server."),
        ("be/s 127.0.0.1:1 id 20", "'id' : custom id 20 already used at x.cfg:23 ('server s2')."),
        ("be/s 127.0.0.1:1 guid one", "'guid': duplicate entry with server be/s2."),
        ("be/s 127.0.0.1:1 from", "from: missing value."),
        ("be/s 127.0.0.1:1 from be", "invalid 'be' value for 'from' keyword."),
        ("be/s 127.0.0.1:1 from srv:no", "from: unknown server 'no' in backend 'be'."),
        ("be/s 127.0.0.1:1 from srv:no/s", "from: unknown backend 'no'."),
        ("be/s 127.0.0.1:1 from be:no", "from: unknown backend instance 'no'."),
        ("be/s 127.0.0.1:1 from be: from be:", "'from' keyword can only be specified once."),
        ("be/s 127.0.0.1:1 track s9", "unable to find required server 's9' for tracking."),
        ("be/s 127.0.0.1:1 track no/s9", "unable to find required proxy 'no' for tracking."),
        (
            "be/s 127.0.0.1:1 track tcp/s1",
            "unable to use tcp/s1 for tracking as it does not have any check nor agent enabled.",
        ),
        ("be/s 127.0.0.1:1 check track s2", "unable to enable checks and tracking at the same time!"),
        (
            "be/s 127.0.0.1:1 init-state up track s2",
            "unable to set init-state and tracking at the same time!",
        ),
        ("be/s 127.0.0.1:1 ssl crt /no verify none", "'crt' : unable to load '/no'"),
        ("be/s 127.0.0.1:1 ssl ca-file /no", "'ca-file' : unable to load '/no'"),
        ("be/s 127.0.0.1:1 weight 300", "300"),
    ] {
        let before = control.model();
        let answer = ask(&control, Admin, &format!("add server {words}"));
        assert!(
            answer.starts_with(expected) || (expected == "300" && answer.contains("300")),
            "{words}: {answer}"
        );
        assert!(Arc::ptr_eq(&before, &control.model()), "{words}");
    }
    assert_eq!(ask(&control, Operator, "add server be/s 127.0.0.1:1"), "Permission denied\n");
    let help = ask(&control, Admin, "add server help");
    assert!(help.starts_with("List of keywords supported for dynamic server:\n"), "{help}");
    assert!(
        help.contains("\nweight\n") && !help.contains("\nresolvers\n") && help.contains("\nverify\n"),
        "{help}"
    );
}

#[test]
fn servers_begin_with_the_options_of_others() {
    let control = control();
    for (words, weight, maxconn, inter_ms) in [
        ("from be: check", 9, 0, 7000),
        ("from srv:slow check", 1, 3, 2000),
        ("from srv:s2", 9, 0, 7000),
        ("from srv:be/s2 weight 2", 2, 0, 7000),
        ("from none check", 1, 0, 2000),
        ("from be:be check inter 1s", 9, 0, 1000),
    ] {
        let answer = ask(&control, Admin, &format!("add server be/x 127.0.0.1:9 {words}"));
        assert_eq!(answer, "New server registered.\n", "{words}");
        let server = control.model().backend("be").unwrap().servers[4].clone();
        let inter = server.check.as_ref().unwrap().server.inter_ms;
        assert_eq!(
            (server.state.user_weight(), server.maxconn, inter),
            (weight, maxconn, inter_ms),
            "{words}"
        );
        assert!(server.guid.is_none() && server.id == 4, "{words}");
        assert_eq!(ask(&control, Admin, "del server be/x"), "Server deleted.\n");
    }
    assert_eq!(ask(&control, Admin, "show default-server"), "* be\n  be/slow\n");
    assert_eq!(ask(&control, Admin, "show default-server no"), "Can't find backend.\n");
    assert_eq!(ask(&control, Admin, "show default-server tcp"), "");
}

#[test]
fn what_is_referred_to_stays() {
    let control = control();
    for name in ["s1", "s2", "s3"] {
        ask(&control, Admin, &format!("disable server be/{name}"));
        assert_eq!(
            ask(&control, Admin, &format!("del server be/{name}")),
            "This server cannot be removed at runtime due to other configuration elements pointing to it.\n"
        );
    }
    // The servers behind one that is deleted move; what names them finds them still.
    assert_eq!(ask(&control, Admin, "add server tcp/a 127.0.0.1:9 track t1"), "New server registered.\n");
    let tracked = "unable to use tcp/a for tracking as it is a dynamic server.\n";
    assert_eq!(ask(&control, Admin, "add server tcp/b 127.0.0.1:9 track a"), tracked);
    ask(&control, Admin, "enable server tcp/a");
    ask(&control, Admin, "disable server tcp/t1");
    let model = control.model();
    let follower = &model.backend("tcp").unwrap().servers[2];
    assert_eq!(follower.state.admin(), admin::IMAINT);
    assert_eq!(
        ask(&control, Admin, "del server tcp/t1"),
        "This server cannot be removed at runtime due to other configuration elements pointing to it.\n"
    );
    assert_eq!(ask(&control, Admin, "del server tcp/a"), "Server deleted.\n");
    assert_eq!(ask(&control, Admin, "del server tcp/t1"), "Server deleted.\n");
    ask(&control, Admin, "enable server tcp/s1");
}

#[test]
fn backends_come_and_go() {
    let control = control();
    for (words, expected) in [
        ("", "Require backend name.\n"),
        ("b!", "Invalid character '!' in backend name.\n"),
        ("b", "Usage: add backend <name> from <defproxy>.\n"),
        ("b from", "Usage: add backend <name> from <defproxy>.\n"),
        ("b from web mode", "Usage: add backend <name> from <defproxy> [mode <px_mode>] [guid <val>].\n"),
        ("b from web mode x", "Unknown proxy mode.\n"),
        ("b from web mode log", "Dynamic backends are compatible with only TCP or HTTP mode.\n"),
        ("b from no", "Cannot find default proxy 'no'.\n"),
        ("b from plain", "Mode is required as 'plain' default proxy does not explicitly defines it.\n"),
        (
            "fe from web",
            "Error during backend creation : name is already used by other proxy 'frontend fe'.\n",
        ),
        (
            "web from web",
            "Error during backend creation : name is already used by other proxy 'defaults web'.\n",
        ),
        (
            "b from web guid one",
            "Error during backend creation : 'guid': duplicate entry with server be/s2.\n",
        ),
    ] {
        assert_eq!(ask(&control, Admin, format!("add backend {words}").trim_end()), expected, "{words}");
    }
    assert_eq!(ask(&control, Admin, "show defaults"), "plain\nweb\nmore\n");
    assert_eq!(ask(&control, Admin, "add backend b from web"), "New backend registered.\n");
    assert_eq!(
        ask(&control, Admin, "add backend m from more mode tcp"),
        "New backend registered (no support for dynamic servers: backend 'm' uses a non dynamic load balancing method).\n"
    );
    let model = control.model();
    let (b, m) = (model.backend("b").unwrap(), model.backend("m").unwrap());
    assert_eq!((b.index, b.id, m.index, m.id), (6, 8, 7, 9));
    assert_eq!(b.timeouts.connect_ms, Some(1000), "the settings of its defaults");
    assert!(b.error_pages.contains_key(&503), "a file that was read at the start");
    assert!(b.state.is_unpublished.load(Relaxed));
    assert!(model.registry.find_proxy("b").is_some());
    assert_eq!(ask(&control, Admin, "add server b/s 127.0.0.1:1 check"), "New server registered.\n");
    assert_eq!(ask(&control, Admin, "publish backend"), "A backend name is expected.\nNo such backend.\n");
    assert_eq!(ask(&control, Admin, "publish backend b"), "Backend published.\n");
    assert!(!b.state.is_unpublished.load(Relaxed));
    for (name, expected) in [
        ("no", "No such backend.\n"),
        ("b", "Backend must be unpublished prior to its deletion.\n"),
        (
            "be",
            "This proxy cannot be removed at runtime due to other configuration elements pointing to it.\n",
        ),
        (
            "counted",
            "This proxy cannot be removed at runtime due to other configuration elements pointing to it.\n",
        ),
        ("b c", "Usage: del backend <name>.\n"),
    ] {
        assert_eq!(ask(&control, Admin, &format!("del backend {name}")), expected, "{name}");
    }
    assert_eq!(ask(&control, Admin, "unpublish backend b"), "Backend unpublished.\n");
    assert_eq!(ask(&control, Admin, "del backend b"), "Only a backend without server can be deleted.\n");
    assert_eq!(ask(&control, Admin, "del server b/s"), "Server deleted.\n");
    assert_eq!(ask(&control, Admin, "del backend b"), "Backend deleted.\n");
    let stat = ask(&control, Admin, "show stat");
    assert!(!stat.contains("\nb,") && stat.contains("\nm,BACKEND") && !stat.contains("\n,"), "{stat}");
    assert!(control.model().registry.find_proxy("b").is_none());
    // Its place is given again; the last ones are given up.
    assert_eq!(ask(&control, Admin, "add backend c from web"), "New backend registered.\n");
    assert_eq!(control.model().backend("c").unwrap().index, 6);
    for name in ["c", "m"] {
        assert_eq!(ask(&control, Admin, &format!("del backend {name}")), "Backend deleted.\n");
    }
    assert_eq!(control.model().proxies.len(), 6);
}

#[test]
fn many_changes_leave_nothing() {
    let control = control();
    for round in 0..500 {
        assert_eq!(
            ask(&control, Admin, "add server be/x 127.0.0.1:9 ssl verify none check"),
            "New server registered.\n",
            "{round}"
        );
        assert_eq!(ask(&control, Admin, "del server be/x"), "Server deleted.\n", "{round}");
    }
    let model = control.model();
    assert_eq!((Arc::strong_count(&model), model.backend("be").unwrap().servers.len()), (2, 4));
    assert!(model.certificates.connectors() < 64, "{}", model.certificates.connectors());
}
