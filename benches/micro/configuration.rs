//! Loading a large configuration: from text to a model.

use std::io;
use std::net::IpAddr;

use divan::{Bencher, black_box};
use haring::config::{Input, Settings, World};
use haring::diag::Report;
use haring::sample::expr::Files;
use haring::state::Registry;

struct Empty;

impl Files for Empty {
    fn read(&self, _path: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

impl World for Empty {
    fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn env(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Backends with two servers each, and a frontend that names them all.
#[divan::bench(args = [100, 10_000], sample_count = 5, sample_size = 1)]
fn load_backends(bencher: Bencher, count: usize) {
    let mut text =
        String::from("defaults\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n");
    text.push_str("frontend web\n bind 127.0.0.1:1\n");
    for number in 0..count {
        text.push_str(&format!(" use_backend be{number} if {{ hdr(host) -i host-{number}.example.com }}\n"));
    }
    for number in 0..count {
        text.push_str(&format!(
            "backend be{number}\n server a 10.0.0.1:80 check\n server b 10.0.0.2:80 check\n"
        ));
    }
    bencher.bench_local(|| {
        let inputs = [Input { name: "bench.cfg".into(), bytes: text.clone().into_bytes() }];
        let mut report = Report::default();
        let model =
            haring::config::load(&inputs, &Settings::default(), &Registry::new(1), &Empty, &mut report);
        black_box(model.unwrap_or_else(|| panic!("{:?}", report.diagnostics)))
    });
}
