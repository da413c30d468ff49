//! A request over HTTP/2: its bytes to a message, its response to bytes, and all that the connection does meanwhile.

use std::sync::Arc;

use divan::{Bencher, black_box};
use haring::http::h1::head::{parse_request, parse_response};
use haring::http::h2::conn::{Event, Heads, Opening};
use haring::http::h2::{Conn, Settings, StreamId};
use haring::http::{Request, Response};

use crate::http::{LIMITS, REQUEST, RESPONSE};

/// Where a frame names its stream.
const STREAM: std::ops::Range<usize> = 5..9;

struct Talk {
    server: Conn,
    heads: Heads,
    /// A request as a client repeats it, for any stream.
    bytes: Vec<u8>,
    response: Response,
    next: u32,
}

fn talk() -> Talk {
    let (mut request, mut response) = (Request::default(), Response::default());
    parse_request(REQUEST, &mut request, &LIMITS).expect("a head");
    parse_response(RESPONSE, &mut response, &LIMITS).expect("a head");
    let settings = Arc::new(Settings::default());
    let mut client = Conn::client(settings.clone(), 0);
    let server = Conn::server(settings, 0);
    let mut talk = Talk { server, heads: Heads::default(), bytes: Vec::new(), response, next: 1 };
    let opening = Opening { scheme: b"https", length: None, end: true };
    for _ in 0..3 {
        client.open(&request, opening).expect("a place");
        talk.bytes = client.output().to_vec();
        client.wrote(talk.bytes.len());
        let bytes = talk.bytes.clone();
        serve(&mut talk.server, &mut talk.heads, &bytes, &talk.response);
        talk.next += 2;
    }
    talk
}

fn serve(server: &mut Conn, heads: &mut Heads, bytes: &[u8], response: &Response) -> usize {
    let mut rest = bytes;
    while let Some(event) = server.received(&mut rest, heads, 0) {
        if let Event::Request { stream, .. } = event {
            server.send_response(stream, response, Some(1024), false).expect("an open stream");
            server.send_data(stream, &[b'x'; 1024], true, 0).expect("an open stream");
            server.release(stream);
        }
    }
    let len = server.output().len();
    server.wrote(len);
    len
}

/// One request and its response of 1 KiB, at the server's side.
#[divan::bench]
fn h2_exchange(bencher: Bencher) {
    let mut talk = talk();
    bencher.bench_local(move || {
        // The numbers of streams end some day; a client begins anew then.
        talk.next = if talk.next >= StreamId::MAX.0 { panic!("too many requests") } else { talk.next + 2 };
        let stream = (talk.next - 2).to_be_bytes();
        talk.bytes[STREAM].copy_from_slice(&stream);
        serve(&mut talk.server, &mut talk.heads, black_box(&talk.bytes), &talk.response)
    });
}
