//! Every request of the corpus on its own, with the recorder as the origin.

use super::cases::{self, RequestCase, is_one_of};
use super::client::RawClient;
use super::oracle;
use super::recorder::{Event, Recorder, Reply};
use crate::support::*;

/// A proxy with the listeners that cases name, before `server`.
pub fn proxy(driver: Driver, server: &str) -> Proxy {
    proxy_of(driver, server, 1)
}

/// The same with so many threads.
pub fn proxy_of(driver: Driver, server: &str, threads: u32) -> Proxy {
    let listen = |name: &str, bind: &str, lines: &str| {
        format!(
            "listen {name}\n    bind @{name}@ {bind}\n    http-reuse always\n    no option abortonclose\n    \
             option disable-h2-upgrade\n    \
             http-request set-header {} %ci:%cp\n    {lines}\n    server s1 {server}\n",
            oracle::CLIENT
        )
    };
    let sections: String = [
        listen("strict", "", ""),
        listen("compat", "", "option accept-unsafe-violations-in-http-request"),
        listen("preface", "accept-proxy", ""),
        listen("names_rejected", "", "option http-restrict-req-hdr-names reject"),
        listen("names_deleted", "", "option http-restrict-req-hdr-names delete"),
        listen("no_trailers", "", "option http-drop-request-trailers"),
        listen("wait_body", "", "option http-buffer-request"),
        listen("denies", "", "http-request deny deny_status 403 if METH_POST"),
    ]
    .concat();
    // Longer than a client waits: a connection that should be closed and is not must be seen.
    let timeouts = "timeout client 1h\n    timeout server 1h\n    timeout http-request 1h\n";
    Proxy::start(driver, &format!("    nbthread {threads}\n{HTTP_DEFAULTS}\n    {timeouts}{sections}"))
}

/// Asks for something harmless over a fresh connection: what it finds is what the case left behind.
pub fn sentinel(proxy: &Proxy, listen: &str, number: usize) -> Result<(), String> {
    ask_sentinel(&mut RawClient::connect(proxy.address(listen)), listen == "preface", number)
}

fn ask_sentinel(client: &mut RawClient, with_preface: bool, number: usize) -> Result<(), String> {
    let preface = if with_preface { "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" } else { "" };
    let request = format!("{preface}GET /sentinel/{number} HTTP/1.1\r\nHost: sentinel\r\n\r\n");
    client.send(request.as_bytes(), usize::MAX);
    match client.response(false)? {
        Some(response) if response.status == 200 && response.body == b"seen" => Ok(()),
        other => Err(format!("the request behind got {other:?}")),
    }
}

/// Runs one case; says what is wrong.
fn check(proxy: &Proxy, recorder: &Recorder, case: &RequestCase, number: usize) -> Result<(), String> {
    let replies = case.replies.iter().cloned().map(|(bytes, close)| Reply { bytes, close });
    recorder.begin(replies.collect());
    let mut client = RawClient::connect(proxy.address(&case.listen));
    client.send(&case.bytes, case.segments);
    if case.ends {
        client.finish_sending();
    }
    let is_head =
        case.bytes.starts_with(b"HEAD") || (case.tunnel.is_some() && case.bytes.starts_with(b"CONNECT"));
    for expected in &case.statuses {
        match client.response(is_head)? {
            Some(response) if is_one_of(response.status, expected) => {}
            Some(response) => return Err(format!("status {}, not {expected}", response.status)),
            None => return Err(format!("closed, not {expected}")),
        }
    }
    if let Some(expected) = &case.tunnel {
        client.tunnel(expected)?;
    } else if case.stays_open {
        ask_sentinel(&mut client, false, number)?;
    } else {
        let rest = client.rest()?;
        if !rest.is_empty() {
            return Err(format!("more than expected: \"{}\"", rest.escape_ascii()));
        }
    }
    drop(client);
    sentinel(proxy, &case.listen, number)?;
    if !wait_until(LIMIT, || recorder.shared().busy == 0) {
        return Err("a half request stays at the origin".into());
    }
    let events: Vec<_> = recorder.shared().events.iter().map(|(_, event)| event.clone()).collect();
    judge(case, &events, 1 + usize::from(case.stays_open && case.tunnel.is_none()))
}

/// Compares what reached the origin with what should have.
fn judge(case: &RequestCase, events: &[Event], sentinels: usize) -> Result<(), String> {
    let mut whole = Vec::new();
    let mut seen = 0;
    let mut last = None;
    for event in events {
        match event {
            Event::Closed => {}
            Event::Bad(reason) => return Err(format!("the origin got {reason}")),
            Event::Partial(line) => {
                if case.partial != Some(line.as_bytes().escape_ascii().to_string()) {
                    return Err(format!("the origin got a part of {line}"));
                }
            }
            Event::Request(request) if request.target.starts_with("/sentinel") => {
                let plain = request.method == "GET" && event.show().ends_with(" none");
                if !plain || oracle::text(&request.fields, "host") != "sentinel" {
                    return Err(format!("the request behind was seen as {}", event.show()));
                }
                seen += 1;
            }
            Event::Request(request) => {
                whole.push(event.show());
                last = Some(request);
            }
        }
    }
    if whole != case.origin {
        let short = |list: &[String]| {
            list.iter().map(|line| line.chars().take(200).collect()).collect::<Vec<String>>()
        };
        return Err(format!("the origin got {:?}, not {:?}", short(&whole), short(&case.origin)));
    }
    if seen != sentinels {
        return Err(format!("{seen} of {sentinels} requests behind reached the origin"));
    }
    let Some(request) = last else { return Ok(()) };
    for (name, expected) in &case.fields {
        let found = oracle::value(&request.fields, name).map(|value| value.escape_ascii().to_string());
        if found.as_deref() != Some(expected) {
            return Err(format!("{name} is {found:?}, not {expected}"));
        }
    }
    if let Some(name) = case.without.iter().find(|name| oracle::value(&request.fields, name).is_some()) {
        return Err(format!("{name} went on to the origin"));
    }
    match case.minor {
        Some(minor) if minor != request.minor => Err(format!("it came as HTTP/1.{}", request.minor)),
        _ => Ok(()),
    }
}

#[test]
fn every_request_is_refused_or_sent_on_with_one_reading() {
    let cases = cases::requests();
    let only = std::env::var("HOSTILE_CASE").unwrap_or_default();
    both_drivers(|driver| {
        let recorder = Recorder::start();
        let proxy = proxy(driver, &recorder.address().to_string());
        let mut wrong = Vec::new();
        for (number, case) in cases.iter().enumerate().filter(|(_, case)| case.name.contains(&only)) {
            if let Err(reason) = check(&proxy, &recorder, case, number) {
                wrong.push(format!(
                    "{} ({}): {reason}\n    sent \"{}\"",
                    case.name,
                    case.about,
                    &case.bytes[..case.bytes.len().min(300)].escape_ascii()
                ));
            }
        }
        println!("{} requests", cases.len());
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        assert!(super::panics(&proxy).is_empty(), "{:?}", super::panics(&proxy));
    });
}

#[test]
fn the_corpus_of_requests_is_large_and_without_twins() {
    let cases = cases::requests();
    let mut known = std::collections::HashMap::new();
    let mut twins = Vec::new();
    for case in &cases {
        let key = (&case.bytes, &case.listen, case.segments, case.ends, &case.replies);
        if let Some(other) = known.insert(key, &case.name) {
            twins.push(format!("'{}' is '{other}' again", case.name));
        }
    }
    assert!(twins.is_empty(), "{}", twins.join("\n"));
    assert!(cases.len() >= 600, "{} requests", cases.len());
}
