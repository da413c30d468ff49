//! Talks with the `h2` crate over a pipe in memory: it compresses with Huffman codes and its own table, fills windows,
//! and checks what it receives its own way. Each side echoes what the other one sends.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use haring::http::h2::conn::{Event, Heads, Opening};
use haring::http::h2::{Conn, Settings, StreamId};
use haring::http::{Fields, Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Bytes of the pipe in either direction: less than a window, so that writers wait.
const PIPE: usize = 20_000;
const REQUESTS: usize = 40;

/// What one message carries.
#[derive(Clone, Debug, Default, PartialEq)]
struct Message {
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

/// Message number `n`, the same for both sides.
fn message(n: usize) -> Message {
    let value = |at: usize| match at % 4 {
        0 => format!("value {at}"),
        1 => "~!@#$%^&*()_+{}|:<>?".repeat(at % 7),
        2 => String::new(),
        _ => "plain text, with a comma".repeat(1 + at % 3),
    };
    let fields = (0..n % 12).map(|at| (format!("x-{}", at % 8), value(n + at))).collect();
    let body = (0..n * n * 97 % 200_000).map(|at| (at * 31 + n) as u8).collect();
    let trailers = (0..n % 3).map(|at| (format!("x-trailer-{at}"), value(n + at + 1))).collect();
    Message { fields, body, trailers }
}

/// Own fields alone: what each side adds is its affair. Names in order, since maps of fields have none.
fn own<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut fields: Vec<_> = fields
        .filter(|(name, _)| name.starts_with(b"x-"))
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    fields.sort();
    fields
}

fn sorted(mut message: Message) -> Message {
    message.fields.sort();
    message.trailers.sort();
    message
}

fn own_map(map: &http::HeaderMap) -> Vec<(String, String)> {
    own(map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
}

fn to_map(fields: &[(String, String)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
        map.append(name, value.parse().expect("a value"));
    }
    map
}

fn to_fields(fields: &[(String, String)], into: &mut Fields) {
    for (name, value) in fields {
        into.append(name.as_bytes(), value.as_bytes());
    }
}

/// A message on its way in or out of a [`Conn`].
#[derive(Default)]
struct Stream {
    got: Message,
    is_whole: bool,
    out: Option<Message>,
    sent: usize,
    is_sent: bool,
}

/// Drives a connection over the pipe: what comes is collected, what is to go is sent as windows allow.
struct Driver {
    conn: Conn,
    pipe: DuplexStream,
    heads: Heads,
    streams: HashMap<StreamId, Stream>,
    /// Requests that the server did not look at: more than it allows, asked before its settings came.
    refused: Vec<StreamId>,
}

impl Driver {
    fn new(conn: Conn, pipe: DuplexStream) -> Driver {
        Driver { conn, pipe, heads: Heads::default(), streams: HashMap::new(), refused: Vec::new() }
    }
    /// Writes what is staged, then reads; `false` at the end.
    async fn turn(&mut self) -> bool {
        self.send();
        while !self.conn.output().is_empty() {
            let len = self.pipe.write(self.conn.output()).await.expect("the pipe is open");
            self.conn.wrote(len);
            self.send();
        }
        let mut buffer = vec![0; 7000];
        let len = self.pipe.read(&mut buffer).await.expect("the pipe is open");
        let mut rest = &buffer[..len];
        while let Some(event) = self.conn.received(&mut rest, &mut self.heads, 0) {
            match event {
                Event::Request { stream, end, .. } => {
                    let got = Message { fields: own(self.heads.request.fields.iter()), ..Message::default() };
                    self.streams.insert(stream, Stream { got, is_whole: end, ..Stream::default() });
                }
                Event::Response { stream, end, .. } => {
                    let one = self.streams.get_mut(&stream).expect("a stream that was opened");
                    one.got.fields = own(self.heads.response.fields.iter());
                    one.is_whole = end;
                }
                Event::Data { stream, bytes, end } => {
                    let one = self.streams.get_mut(&stream).expect("a stream that was opened");
                    one.got.body.extend_from_slice(bytes);
                    one.is_whole |= end;
                    self.conn.taken(stream, bytes.len());
                }
                Event::Trailers { stream } => {
                    let one = self.streams.get_mut(&stream).expect("a stream that was opened");
                    one.got.trailers = own(self.heads.trailers.iter());
                    one.is_whole = true;
                }
                Event::Reset { stream, can_retry: true, .. } => {
                    self.streams.remove(&stream);
                    self.conn.release(stream);
                    self.refused.push(stream);
                }
                Event::Settings | Event::GoAway { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(rest.is_empty(), "everything is taken");
        len > 0
    }
    /// Sends of every message as much as may be sent.
    fn send(&mut self) {
        let waiting = std::iter::from_fn(|| self.conn.next_writable());
        let mut ids: Vec<_> = waiting.collect();
        ids.extend(self.streams.iter().filter(|(_, one)| one.sent == 0).map(|(id, _)| *id));
        for id in ids {
            let Some(one) = self.streams.get_mut(&id) else { continue };
            let Some(out) = one.out.as_ref().filter(|_| !one.is_sent) else { continue };
            let rest = &out.body[one.sent..];
            one.sent += self.conn.send_data(id, rest, false, 0).expect("an open stream");
            if one.sent == out.body.len() {
                let mut trailers = Fields::default();
                to_fields(&out.trailers, &mut trailers);
                self.conn.send_trailers(id, &trailers).expect("an open stream");
                one.is_sent = true;
            }
        }
    }
}

/// Answers each request with what it carried.
async fn serve_echo(pipe: DuplexStream, settings: Settings) {
    let mut driver = Driver::new(Conn::server(Arc::new(settings), 0), pipe);
    loop {
        let whole: Vec<_> = driver
            .streams
            .iter()
            .filter(|(_, one)| one.is_whole && one.out.is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in whole {
            let one = driver.streams.get_mut(&id).expect("a stream");
            let out = std::mem::take(&mut one.got);
            let mut head = Response { status: 200, ..Response::default() };
            head.fields.append(b"Server", b"haring");
            to_fields(&out.fields, &mut head.fields);
            let length = out.trailers.is_empty().then_some(out.body.len() as u64);
            driver.conn.send_response(id, &head, length, false).expect("an open stream");
            one.out = Some(out);
        }
        driver.send();
        let sent: Vec<_> = driver.streams.iter().filter(|(_, one)| one.is_sent).map(|(id, _)| *id).collect();
        for id in sent {
            driver.streams.remove(&id);
            driver.conn.release(id);
        }
        if !driver.turn().await {
            assert_eq!((driver.conn.streams(), driver.conn.glitches()), (0, 0));
            return;
        }
    }
}

async fn ask_by_h2(pipe: DuplexStream) {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(30_000).initial_connection_window_size(100_000).header_table_size(8192);
    let (sender, connection) = builder.handshake::<_, Bytes>(pipe).await.expect("a handshake");
    let driver = tokio::spawn(connection);
    let asks = (0..REQUESTS).map(|n| tokio::spawn(ask_one_by_h2(sender.clone(), n)));
    for ask in asks.collect::<Vec<_>>() {
        ask.await.expect("no panic");
    }
    drop(sender);
    driver.await.expect("no panic").expect("a clean end");
}

async fn ask_one_by_h2(sender: h2::client::SendRequest<Bytes>, n: usize) {
    let out = message(n);
    let mut request = http::Request::post(format!("https://h.example/{n}?q")).body(()).expect("a request");
    request.headers_mut().extend(to_map(&out.fields));
    let mut sender = sender.ready().await.expect("a place");
    let (response, mut body) = sender.send_request(request, false).expect("sent");
    send_by_h2(&mut body, &out).await;
    let response = response.await.expect("a response");
    assert_eq!(response.status(), 200);
    let fields = own_map(response.headers());
    let got = receive_by_h2(response.into_body(), fields).await;
    assert_eq!(sorted(got), sorted(out), "request {n}");
}

async fn send_by_h2(body: &mut h2::SendStream<Bytes>, message: &Message) {
    let mut rest = Bytes::from(message.body.clone());
    while !rest.is_empty() {
        body.reserve_capacity(rest.len());
        let len = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.expect("open").expect("a window");
        body.send_data(rest.split_to(len.min(rest.len())), false).expect("sent");
    }
    if message.trailers.is_empty() {
        body.send_data(Bytes::new(), true).expect("sent");
    } else {
        body.send_trailers(to_map(&message.trailers)).expect("sent");
    }
}

async fn receive_by_h2(mut body: h2::RecvStream, fields: Vec<(String, String)>) -> Message {
    let mut got = Message { fields, ..Message::default() };
    while let Some(piece) = body.data().await {
        let piece = piece.expect("a whole body");
        got.body.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).expect("within the window");
    }
    if let Some(trailers) = body.trailers().await.expect("well-formed trailers") {
        got.trailers = own_map(&trailers);
    }
    got
}

#[tokio::test]
async fn a_client_of_another_make_is_served() {
    for settings in [
        Settings::default(),
        Settings { window: 100, receive_buffer: 16_384, ..Settings::default() },
        Settings { window: 1 << 20, streams_max: 3, header_table_size: 65_536, ..Settings::default() },
    ] {
        let (one, other) = tokio::io::duplex(PIPE);
        let server = tokio::spawn(serve_echo(one, settings));
        ask_by_h2(other).await;
        server.await.expect("no panic");
    }
}

async fn serve_echo_by_h2(pipe: DuplexStream) {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(20_000).max_concurrent_streams(7).max_frame_size(30_000);
    let mut connection = builder.handshake::<_, Bytes>(pipe).await.expect("a handshake");
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request.expect("a request");
        tokio::spawn(async move {
            assert_eq!(request.uri().authority().map(|host| host.as_str()), Some("h.example"));
            let fields = own_map(request.headers());
            let got = receive_by_h2(request.into_body(), fields).await;
            let mut response = http::Response::new(());
            response.headers_mut().extend(to_map(&got.fields));
            let mut body = respond.send_response(response, false).expect("sent");
            send_by_h2(&mut body, &got).await;
        });
    }
}

async fn ask(pipe: DuplexStream, settings: Settings) {
    let mut driver = Driver::new(Conn::client(Arc::new(settings), 0), pipe);
    let mut waiting: Vec<_> = (0..REQUESTS).rev().collect();
    let (mut done, mut asked) = (0, HashMap::new());
    while done < REQUESTS {
        waiting.extend(driver.refused.drain(..).map(|id| asked[&id]));
        while let Some(&next) = waiting.last() {
            let out = message(next);
            let mut request = Request { method: Method::Post, ..Request::default() };
            request.set_method(b"POST");
            request.set_target(format!("/{next}").as_bytes());
            request.fields.append(b"Host", b"h.example");
            to_fields(&out.fields, &mut request.fields);
            let length = out.trailers.is_empty().then_some(out.body.len() as u64);
            let opening = Opening { scheme: b"https", length, end: false };
            let Ok(id) = driver.conn.open(&request, opening) else { break };
            asked.insert(id, next);
            driver.streams.insert(id, Stream { out: Some(out), ..Stream::default() });
            waiting.pop();
        }
        assert!(driver.turn().await, "the server leaves early");
        let whole: Vec<_> =
            driver.streams.iter().filter(|(_, one)| one.is_whole && one.is_sent).map(|(id, _)| *id).collect();
        for id in whole {
            let one = driver.streams.remove(&id).expect("a stream");
            assert_eq!(sorted(one.got), sorted(message(asked[&id])), "request {}", asked[&id]);
            driver.conn.release(id);
            done += 1;
        }
    }
    assert_eq!(driver.conn.glitches(), 0);
}

#[tokio::test]
async fn a_server_of_another_make_is_asked() {
    for settings in
        [Settings::default(), Settings { window: 500, receive_buffer: 20_000, ..Settings::default() }]
    {
        let (one, other) = tokio::io::duplex(PIPE);
        let server = tokio::spawn(serve_echo_by_h2(one));
        ask(other, settings).await;
        server.await.expect("no panic");
    }
}
