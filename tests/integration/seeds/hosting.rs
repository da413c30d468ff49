//! A hosting platform: hosts to shards by a live map, hosts to nodes by a consistent hash.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Write as _;
use std::process::Stdio;

use crate::support::programs::program;
use crate::support::*;

fn config(first: &Origin, second: &Origin) -> String {
    format!(
        "global
    map-writeback all
{HTTP_DEFAULTS}
frontend http
    bind @fe@
    use_backend %[req.hdr(host),lower,map(@dir@/fqdn-to-shard.map)]
backend shard-web-1
    server node-0 {}
backend shard-web-2
    server node-0 {}
",
        first.address(),
        second.address()
    )
}

fn ask(client: &mut Client, host: &str) -> Response {
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.response()
}

/// Says a line to the runtime API the way scripts do.
fn socat(proxy: &Proxy, line: &str) -> Option<String> {
    let mut command = program("socat")?;
    let mut child = command
        .arg("stdio")
        .arg(proxy.admin_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("socat runs");
    child.stdin.take().expect("a pipe").write_all(format!("{line}\n").as_bytes()).expect("a line is sent");
    let output = child.wait_with_output().expect("socat ends");
    assert!(output.status.success());
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn map_entries_change_while_running_and_survive_a_restart() {
    both_drivers(|driver| {
        let (first, second) = (Origin::named("shard 1"), Origin::named("shard 2"));
        let builder = Proxy::build(driver);
        builder.write(
            "fqdn-to-shard.map",
            "# hosts\nacme.example.com shard-web-1\nold.example.com shard-web-2\n",
        );
        let proxy = builder.start(&config(&first, &second));
        let map = proxy.folder().path().join("fqdn-to-shard.map").display().to_string();
        let mut client = proxy.client("fe");
        assert_eq!(ask(&mut client, "ACME.example.com").text(), "shard 1");
        assert_eq!(ask(&mut client, "acme.example.com").header("X-Served-By"), Some("shard 1"));
        assert_eq!(ask(&mut client, "new.example.com").status, 503);
        let mut client = proxy.client("fe");
        let Some(said) = socat(&proxy, &format!("set map {map} new.example.com shard-web-2")) else { return };
        assert_eq!(said, "\n");
        assert_eq!(ask(&mut client, "new.example.com").text(), "shard 2");
        socat(&proxy, &format!("set map {map} new.example.com shard-web-1"));
        assert_eq!(ask(&mut client, "new.example.com").text(), "shard 1");
        socat(&proxy, &format!("del map {map} old.example.com"));
        assert_eq!(ask(&mut client, "old.example.com").status, 503);
        let shown = socat(&proxy, &format!("show map {map}")).unwrap_or_default();
        let entries: Vec<&str> =
            shown.lines().filter_map(|line| line.split_once(' ')).map(|(_, entry)| entry).collect();
        assert_eq!(entries, ["acme.example.com shard-web-1", "new.example.com shard-web-1"], "{shown}");
        assert!(shown.lines().next().unwrap().starts_with("0x"));
        assert!(proxy.admin("show map").contains(&map));
        // The change reaches the file, and with it the next process.
        proxy.signal(libc::SIGTERM);
        let folder = proxy.folder().clone();
        let mut proxy = proxy;
        assert_eq!(proxy.wait_exit(LIMIT), Some(0));
        let proxy = Proxy::build(driver).folder(&folder).start(&config(&first, &second));
        let mut client = proxy.client("fe");
        assert_eq!(ask(&mut client, "new.example.com").text(), "shard 1");
        assert_eq!(ask(&mut client, "old.example.com").status, 503);
        let file = std::fs::read_to_string(&map).unwrap();
        assert!(file.contains("new.example.com shard-web-1") && !file.contains("old.example.com"), "{file}");
    });
}

#[test]
fn an_unknown_host_goes_to_the_default_backend_if_there_is_one() {
    both_drivers(|driver| {
        let (first, second) = (Origin::named("shard 1"), Origin::named("shard 2"));
        let config = config(&first, &second)
            .replace("backend shard-web-1", "    default_backend shard-web-2\nbackend shard-web-1");
        let builder = Proxy::build(driver);
        builder.write("fqdn-to-shard.map", "a.example.com shard-web-1\nghost.example.com no-such-backend\n");
        let proxy = builder.start(&config);
        let mut client = proxy.client("fe");
        for (host, expected) in
            [("a.example.com", "shard 1"), ("b.example.com", "shard 2"), ("ghost.example.com", "shard 2")]
        {
            assert_eq!(ask(&mut client, host).text(), expected, "{host}");
        }
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.response().text(), "shard 2", "no host at all");
    });
}

/// Which node each host goes to with this many nodes.
fn nodes_of_hosts(driver: Driver, origins: &[Origin], nodes: usize, hosts: usize) -> Vec<String> {
    let mut config = format!(
        "{HTTP_DEFAULTS}
listen shard-web-1
    bind @fe@
    balance hdr(Host)
    hash-type consistent
"
    );
    for (number, origin) in origins.iter().take(nodes).enumerate() {
        writeln!(config, "    server web-1-node-{number} {}", origin.address()).unwrap();
    }
    let proxy = Proxy::start(driver, &config);
    let mut client = proxy.client("fe");
    let mut found = Vec::new();
    // Requests go out a hundred at a time: the proxy answers a connection in order.
    for first in (0..hosts).step_by(100) {
        let requests: String = (first..hosts.min(first + 100))
            .map(|host| format!("GET / HTTP/1.1\r\nHost: site{host}.example.com\r\n\r\n"))
            .collect();
        client.send(requests);
        for _ in first..hosts.min(first + 100) {
            let response = client.response();
            found.push(response.header("X-Served-By").expect("the node's header passes").to_owned());
        }
    }
    found
}

#[test]
fn a_host_stays_on_its_node_and_few_move_for_a_new_one() {
    const HOSTS: usize = 10_000;
    both_drivers(|driver| {
        let origins: Vec<Origin> = (0..11).map(|node| Origin::named(&format!("node-{node}"))).collect();
        let ten = nodes_of_hosts(driver, &origins, 10, HOSTS);
        let eleven = nodes_of_hosts(driver, &origins, 11, HOSTS);
        let again = nodes_of_hosts(driver, &origins, 10, 500);
        assert_eq!(ten[..500], again[..], "the same after a restart");
        let moved: Vec<_> = ten.iter().zip(&eleven).filter(|(before, after)| before != after).collect();
        assert!(moved.len() <= HOSTS * 15 / 100, "{} of {HOSTS} moved", moved.len());
        assert!(moved.len() >= HOSTS * 4 / 100, "{} of {HOSTS} moved", moved.len());
        assert!(moved.iter().all(|(_, after)| *after == "node-10"), "hosts move to the new node only");
        let mut share: BTreeMap<&str, usize> = BTreeMap::new();
        for node in &ten {
            *share.entry(node).or_default() += 1;
        }
        assert_eq!(share.len(), 10);
        assert!(share.values().all(|count| (300..=2_000).contains(count)), "{share:?}");
    });
}
