//! Heads and chunks, beside httparse alone: what framing, checks and spans cost on top of it.

use divan::{Bencher, black_box};
use haring::http::h1::chunked::{Decoder, Event};
use haring::http::h1::encode::{self, Connection};
use haring::http::h1::framing::{self, Body};
use haring::http::h1::head::{Limits, parse_request, parse_response};
use haring::http::{Request, Response};

pub const LIMITS: Limits = Limits { fields_max: 101, bytes_max: 15360, accept_unsafe: false };
pub const REQUEST: &[u8] = b"GET /shop/items/4711?color=red&size=42 HTTP/1.1\r\nHost: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\nReferer: https://www.example.com/shop\r\nConnection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nCache-Control: max-age=0\r\n\r\n";
pub const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 1024\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    Connection: keep-alive\r\nETag: \"6592\"\r\nAccept-Ranges: bytes\r\n\r\n";

#[divan::bench]
fn request_head_httparse_alone() -> usize {
    let mut fields = [httparse::EMPTY_HEADER; 101];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(black_box(REQUEST)).expect("a head").unwrap()
}

#[divan::bench]
fn request_head(bencher: Bencher) {
    let mut request = Request::default();
    bencher.bench_local(move || parse_request(black_box(REQUEST), &mut request, &LIMITS));
}

#[divan::bench]
fn response_head(bencher: Bencher) {
    let mut response = Response::default();
    bencher.bench_local(move || parse_response(black_box(RESPONSE), &mut response, &LIMITS));
}

#[divan::bench]
fn request_framing(bencher: Bencher) {
    let mut request = Request::default();
    parse_request(REQUEST, &mut request, &LIMITS).expect("a head");
    bencher.bench_local(move || framing::of_request(black_box(&request)));
}

#[divan::bench]
fn request_encoding(bencher: Bencher) {
    let mut request = Request::default();
    parse_request(REQUEST, &mut request, &LIMITS).expect("a head");
    let mut out = Vec::new();
    bencher.bench_local(move || {
        out.clear();
        encode::request(black_box(&request), Body::None, Connection::Default, &mut out);
        out.len()
    });
}

/// 64 KiB in chunks of so many bytes.
#[divan::bench(args = [64, 1024, 16384])]
fn chunks_of_64_kib(bencher: Bencher, size: usize) {
    let chunk = [format!("{size:x}\r\n").as_bytes(), &vec![b'x'; size], b"\r\n"].concat();
    let bytes = [chunk.repeat(65536 / size), b"0\r\n\r\n".to_vec()].concat();
    bencher.bench_local(move || {
        let (mut decoder, mut at, mut data) = (Decoder::new(), 0, 0);
        loop {
            match decoder.next(black_box(&bytes[at..])).expect("chunks") {
                Event::Data { start, end } => {
                    data += end - start;
                    at += end;
                }
                Event::End { .. } => return data,
                Event::NeedMore { .. } => unreachable!("all of it is there"),
            }
        }
    });
}
