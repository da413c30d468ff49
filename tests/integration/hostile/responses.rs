//! Every response of the corpus on its own: what the client gets of it, and whether the connection it came
//! over serves another request. Residue of one answer must never be the start of the next.

use std::io::Write;
use std::time::Duration;

use super::cases::{self, ResponseCase, is_one_of};
use super::client::RawClient;
use super::oracle;
use super::recorder::{Event, Recorder, Reply};
use super::requests::{proxy, sentinel};
use crate::support::*;

fn check(proxy: &Proxy, recorder: &Recorder, case: &ResponseCase, number: usize) -> Result<(), String> {
    recorder.begin(vec![Reply { bytes: case.bytes.clone(), close: case.closes }]);
    let mut client = RawClient::connect(proxy.address("strict"));
    client.send(&case.ask, usize::MAX);
    let last = receive(&mut client, case)?;
    if let Some(response) = last {
        if let Some(expected) = case.body.as_ref().filter(|body| **body != response.body) {
            let found = response.body.escape_ascii();
            return Err(format!("the body is \"{found}\", not \"{}\"", expected.escape_ascii()));
        }
        for (name, expected) in &case.fields {
            let found = oracle::value(&response.fields, name).map(|value| value.escape_ascii().to_string());
            if found.as_deref() != Some(expected) {
                return Err(format!("{name} is {found:?}, not {expected}"));
            }
        }
        if let Some(name) = case.without.iter().find(|name| oracle::value(&response.fields, name).is_some()) {
            return Err(format!("{name} came to the client"));
        }
    }
    let is_open = |recorder: &Recorder| {
        let number = served_by(recorder);
        recorder.shared().open.contains_key(&number)
    };
    if !case.later.is_empty() {
        let number = served_by(recorder);
        let mut shared = recorder.shared();
        let stream = shared.open.get_mut(&number).ok_or("the connection was closed before the residue")?;
        stream.write_all(&case.later).map_err(|error| error.to_string())?;
    } else if case.reused && !is_open(recorder) {
        return Err("the connection of the server was closed".into());
    }
    if !case.reused {
        // A connection of HTTP/1.1 that has answered fully is closed at once or found bad at its next use.
        let closed = wait_until(Duration::from_millis(if case.later.is_empty() { 3000 } else { 0 }), || {
            !is_open(recorder)
        });
        if !closed && case.later.is_empty() {
            return Err("the connection of the server stays".into());
        }
    }
    sentinel(proxy, "strict", number)?;
    let shared = recorder.shared();
    let connections: Vec<_> = shared
        .events
        .iter()
        .filter_map(|(connection, event)| match event {
            Event::Request(request) => Some(Ok((*connection, request.target.clone()))),
            Event::Bad(reason) => Some(Err(format!("the origin got {reason}"))),
            Event::Partial(_) | Event::Closed => None,
        })
        .collect::<Result<_, _>>()?;
    let [(first, _), .., (last, _)] = &connections[..] else {
        return Err(format!("the origin got {connections:?}"));
    };
    if (first == last) != case.reused {
        let what = if case.reused { "was not used again" } else { "served another request" };
        return Err(format!("the connection of the server {what}: {connections:?}"));
    }
    Ok(())
}

/// The origin's connection that got the first request of the case.
fn served_by(recorder: &Recorder) -> usize {
    let shared = recorder.shared();
    let request = shared.events.iter().find(|(_, event)| matches!(event, Event::Request(_)));
    request.map_or(0, |(number, _)| *number)
}

/// Reads what the client is to get; the last response unless it is cut.
fn receive(client: &mut RawClient, case: &ResponseCase) -> Result<Option<oracle::Response>, String> {
    let is_head = case.ask.starts_with(b"HEAD");
    let mut last = None;
    for (at, expected) in case.statuses.iter().enumerate() {
        let response = match client.response(is_head) {
            Ok(response) => response,
            // A response in the middle of which the connection ends must not look whole.
            Err(reason) if case.end == "cut" && reason.starts_with("a truncated") => return Ok(None),
            Err(reason) => return Err(reason),
        };
        match response {
            Some(response) if is_one_of(response.status, expected) => {
                if case.end == "cut" && response.status < 300 {
                    return Err(format!("{} looks whole: {:?}", response.status, response));
                }
                last = Some(response);
            }
            Some(response) => return Err(format!("status {}, not {expected}", response.status)),
            None if expected.ends_with("closed") && at + 1 == case.statuses.len() => return Ok(None),
            None => return Err(format!("closed, not {expected}")),
        }
    }
    match case.end.as_str() {
        "open" => {
            client.send(b"GET /sentinel/same HTTP/1.1\r\nHost: sentinel\r\n\r\n", usize::MAX);
            match client.response(false)? {
                Some(response) if response.body == b"seen" => Ok(last),
                other => Err(format!("the next request of the client got {other:?}")),
            }
        }
        "closed" => {
            let rest = client.rest()?;
            if rest.is_empty() { Ok(last) } else { Err(format!("more: \"{}\"", rest.escape_ascii())) }
        }
        _ => Ok(None),
    }
}

#[test]
fn every_response_is_refused_or_ends_where_it_should() {
    let cases = cases::responses();
    let only = std::env::var("HOSTILE_CASE").unwrap_or_default();
    assert!(cases.len() >= 150, "{} responses", cases.len());
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
        println!("{} responses", cases.len());
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        assert!(super::panics(&proxy).is_empty(), "{:?}", super::panics(&proxy));
    });
}
