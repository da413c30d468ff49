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
