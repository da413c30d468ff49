//! Jumps of the wall clock: time-outs follow another one, logs tell the new time. libfaketime stands between
//! the process and its wall clock.

use std::path::Path;
use std::time::Duration;

use crate::support::*;

/// Where Debian has the library, by architecture.
fn library() -> Option<String> {
    let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|triplet| format!("/usr/lib/{triplet}/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists());
    if found.is_none() {
        eprintln!("libfaketime is not installed: jumps of the clock are not tested");
    }
    found
}

#[test]
fn a_jump_of_the_wall_clock_ends_nothing_and_shows_in_the_log() {
    both_drivers(|driver| {
        let Some(library) = library() else { return };
        let origin = Origin::named("a");
        let mut log = Syslog::start();
        let address = log.address();
        let builder = Proxy::build(driver);
        builder.write("offset", "+0d\n");
        let offset = builder.path("offset");
        let proxy = builder
            .environment("LD_PRELOAD", &library)
            .environment("FAKETIME_TIMESTAMP_FILE", &offset)
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .start(&format!(
                "{HTTP_DEFAULTS}\n    log {} local0\nlisten fe\n    log-format \"at %[date] %ST %TR\"\n    timeout client 5s\n    bind @fe@\n    \
                 server s1 {} check inter 100ms\n",
                address,
                origin.address()
            ));
        let mut line = || {
            let line = log.wait_for(&["at "]);
            let fields = line.split("at ").nth(1).expect("the fields").split(' ');
            let fields: Vec<i64> = fields.map(|field| field.trim().parse().expect("a number")).collect();
            (fields[0], fields[1], fields[2])
        };
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/", "").status, 200);
        let (before, status, _) = line();
        assert_eq!(status, 200);
        for (text, days) in [("+3d", 3), ("-2d", -2), ("+0d", 0)] {
            proxy.folder().write("offset", &format!("{text}\n"));
            // The kept connection lives through it, and so does the server in its checks.
            assert_eq!(client.get("/", "").status, 200, "{text}");
            let (now, status, read_ms) = line();
            assert_eq!(status, 200);
            assert!((now - before - days * 86_400).abs() < 60, "{text}: {now} after {before}");
            assert!((0..5_000).contains(&read_ms), "{text}: {read_ms} ms");
            assert!(!client.is_closed_within(Duration::from_millis(300)), "{text}");
            assert_eq!(proxy.stat("fe", "s1", "status"), "UP", "{text}");
        }
    });
}
