//! TCP mode: half-closed connections, long streams with and without splice.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::support::*;

fn listen(driver: Driver, origin: &Origin, lines: &str) -> Proxy {
    Proxy::start(
        driver,
        &format!(
            "{TCP_DEFAULTS}\nlisten be\n    bind @fe@\n    {lines}\n    server s1 {}\n",
            origin.address()
        ),
    )
}

#[test]
fn either_side_may_end_first() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, _, _| {
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            said.extend_from_slice(b" heard");
            let _ = stream.write_all(&said);
        });
        let proxy = listen(driver, &origin, "");
        let mut client = proxy.client("fe");
        client.send("hello");
        client.finish_sending();
        assert_eq!(client.read_to_end(), b"hello heard");

        let origin = Origin::raw(|mut stream, _, _| {
            let _ = stream.write_all(b"welcome");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let proxy = listen(driver, &origin, "");
        let mut client = proxy.client("fe");
        assert_eq!(client.read_to_end(), b"welcome");
        client.send("late");
        client.finish_sending();
        assert!(wait_until(LIMIT, || proxy.stat("be", "BACKEND", "scur") == "0"));
    });
}

#[test]
fn long_streams_arrive_whole_both_ways() {
    const LENGTH: usize = 24 << 20;
    let pattern = |at: usize| (at % 251) as u8 ^ (at >> 16) as u8;
    for lines in ["", "option splice-auto"] {
        both_drivers(|driver| {
            let origin = Origin::raw(|stream, _, _| {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let proxy = listen(driver, &origin, lines);
            let mut client = proxy.client("fe");
            let mut sender = client.stream().try_clone().unwrap();
            let sending = std::thread::spawn(move || {
                let all: Vec<u8> = (0..LENGTH).map(pattern).collect();
                sender.write_all(&all).unwrap();
                sender.shutdown(Shutdown::Write).unwrap();
            });
            let got = client.read_to_end();
            sending.join().unwrap();
            assert_eq!(got.len(), LENGTH, "{lines:?}");
            assert!(got.iter().enumerate().all(|(at, byte)| *byte == pattern(at)), "{lines:?}");
        });
    }
}

/// What goes through in one direction of a big transfer.
const BIG: usize = 50 * 1024 * 1024;
/// The step in which it is written and compared.
const PART: usize = 256 * 1024;

/// Bytes that tell their place, so that a part that is lost, doubled or moved is seen.
fn pattern(part: usize) -> Vec<u8> {
    (0..PART).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ part.wrapping_mul(17)) as u8).collect()
}

fn write_pattern(stream: &mut impl Write) {
    for part in 0..BIG / PART {
        stream.write_all(&pattern(part)).expect("the other side reads");
    }
}

fn read_pattern(stream: &mut impl Read) {
    let mut bytes = vec![0; PART];
    for part in 0..BIG / PART {
        stream.read_exact(&mut bytes).unwrap_or_else(|error| panic!("part {part}: {error}"));
        assert!(bytes == pattern(part), "part {part} differs");
    }
}

#[test]
fn big_transfers_arrive_whole_both_ways_at_once() {
    for lines in ["", "option splice-request\n    option splice-response"] {
        both_drivers(|driver| {
            let origin = Origin::raw(|stream, _, _| {
                let mut writer = stream.try_clone().expect("a second handle");
                let writing = std::thread::spawn(move || {
                    write_pattern(&mut writer);
                    writer.shutdown(Shutdown::Write).expect("half a close");
                });
                let mut reader = stream;
                read_pattern(&mut reader);
                assert_eq!(reader.read(&mut [0]).expect("an orderly end"), 0);
                writing.join().expect("everything is written");
            });
            let proxy = listen(driver, &origin, lines);
            let client = proxy.client("fe");
            let mut writer = client.stream().try_clone().expect("a second handle");
            let writing = std::thread::spawn(move || {
                write_pattern(&mut writer);
                writer.shutdown(Shutdown::Write).expect("half a close");
            });
            let mut reader = client.stream();
            read_pattern(&mut reader);
            assert_eq!(reader.read(&mut [0]).expect("an orderly end"), 0, "{lines}");
            writing.join().expect("everything is written");
            let ended = wait_until(LIMIT, || proxy.stat("be", "FRONTEND", "scur") == "0");
            assert!(ended, "the session has ended");
            assert_eq!(proxy.stat("be", "FRONTEND", "bin"), BIG.to_string());
            assert_eq!(proxy.stat("be", "FRONTEND", "bout"), BIG.to_string());
        });
    }
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, _, _| {
            let _ = stream.write_all(b"220 ready\r\n");
            let mut byte = [0];
            let _ = stream.read(&mut byte);
        });
        let proxy = listen(driver, &origin, "");
        assert_eq!(proxy.client("fe").line().expect("a line").as_deref(), Some("220 ready"));
    });
}

#[test]
fn no_server_closes_the_client() {
    both_drivers(|driver| {
        let mut syslog = Syslog::start();
        let mut origin = Origin::named("dead");
        origin.stop();
        let lines = format!("retries 0\n    option tcplog\n    log {} local0", syslog.address());
        let proxy = listen(driver, &origin, &lines);
        let mut client = proxy.client("fe");
        assert!(client.read_to_end().is_empty());
        let line = syslog.wait_for(&[" be/s1 "]);
        assert!(line.contains(" SC "), "{line}");
        assert_eq!(proxy.client("fe").read_to_end(), b"");
    });
}

#[test]
fn many_connections_at_once_are_each_their_own() {
    both_drivers(|driver| {
        let origin = Origin::raw(|mut stream, _, _| {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                if stream.write_all(&bytes[..length]).is_err() {
                    return;
                }
            }
        });
        let proxy = listen(driver, &origin, "");
        let mut clients: Vec<_> = (0..200).map(|_| proxy.client("fe")).collect();
        for round in 0..3 {
            for (number, client) in clients.iter_mut().enumerate() {
                client.send(format!("{number:04}-{round}"));
            }
            for (number, client) in clients.iter_mut().enumerate() {
                assert_eq!(client.read_exact(6), format!("{number:04}-{round}").as_bytes());
            }
        }
        assert_eq!(proxy.stat("be", "s1", "scur"), "200");
        drop(clients);
        assert!(wait_until(LIMIT, || proxy.stat("be", "s1", "scur") == "0"));
    });
}

#[test]
fn rules_look_at_what_the_server_says_first() {
    both_drivers(|driver| {
        // The greeting comes in two pieces, and only when the client has spoken: both must be borne.
        let origin = Origin::raw(|mut stream, _, _| {
            let mut asked = [0; 4];
            let _ = stream.read_exact(&mut asked);
            let _ = stream.write_all(&asked[..1]);
            std::thread::sleep(std::time::Duration::from_millis(30));
            let _ = stream.write_all(&asked[1..]);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let lines = "tcp-response inspect-delay 5s\n    \
                     tcp-response content reject if { res.payload(0,4) -m str evil }";
        let proxy = listen(driver, &origin, lines);
        let mut good = proxy.client("fe");
        good.send("good and more");
        good.finish_sending();
        assert_eq!(good.read_to_end(), b"good");
        let mut evil = proxy.client("fe");
        evil.send("evil");
        assert_eq!(evil.read_to_end(), b"", "nothing of it reaches the client");
        assert!(wait_until(LIMIT, || proxy.stat("be", "BACKEND", "scur") == "0"));
        assert_eq!(proxy.stat("be", "BACKEND", "dresp"), "1");
    });
}

#[test]
fn a_rule_closes_a_server_whatever_it_says() {
    both_drivers(|driver| {
        let (ended, end) = std::sync::mpsc::channel();
        let ended = std::sync::Mutex::new(ended);
        let origin = Origin::raw(move |mut stream, _, _| {
            let mut byte = [0; 1];
            let _ = stream.read_exact(&mut byte);
            let _ = stream.write_all(b"abc");
            // An end or a reset: the connection is over, though this test has not ended it.
            let over = !matches!(stream.read(&mut byte), Ok(1..));
            let _ = ended.lock().unwrap().send(over);
        });
        let lines = "tcp-response inspect-delay 5s\n    tcp-response content close if { res.len gt 2 }";
        let proxy = listen(driver, &origin, lines);
        let mut client = proxy.client("fe");
        client.send("x");
        assert_eq!(client.read_to_end(), b"", "nothing that the server said goes on");
        assert_eq!(end.recv_timeout(LIMIT), Ok(true));
    });
}
