//! Two connections that talk to each other, and what only one side can show.

use super::*;
use crate::base::rng::Rng;
use crate::http::h2::frame::{self, Kind};
use crate::http::h2::stream::Wait;
use crate::http::{Fields, Request, Response, Version};

fn settings() -> Settings {
    Settings::default()
}

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request {
    let mut request = Request::default();
    request.set_method(method.as_bytes());
    request.set_target(target.as_bytes());
    request.fields.append(b"host", b"h.example");
    for (name, value) in fields {
        request.fields.append(name.as_bytes(), value.as_bytes());
    }
    request
}

fn response(status: u16, fields: &[(&str, &str)]) -> Response {
    let mut response = Response { status, ..Response::default() };
    for (name, value) in fields {
        response.fields.append(name.as_bytes(), value.as_bytes());
    }
    response
}

const OPENING: Opening<'static> = Opening { scheme: b"https", length: None, end: true };

fn show(fields: &Fields) -> String {
    let field = |(name, value): (&[u8], &[u8])| format!("{}={}", name.escape_ascii(), value.escape_ascii());
    fields.iter().map(field).collect::<Vec<_>>().join(" | ")
}

/// Moves what `from` has staged to `to`, in pieces of `piece` bytes; what `to` says of it, bodies held.
fn pass(from: &mut Conn, to: &mut Conn, heads: &mut Heads, piece: usize) -> Vec<Event<'static>> {
    let mut said = Vec::new();
    let len = from.output().len().min(piece);
    let bytes = from.output()[..len].to_vec();
    let mut rest = &bytes[..];
    while let Some(event) = to.received(&mut rest, heads, 0) {
        said.push(match event {
            Event::Data { stream, bytes, end } => {
                to.hold(stream, bytes);
                Event::Data { stream, bytes: b"", end }
            }
            Event::Request { stream, end, length } => Event::Request { stream, end, length },
            Event::Response { stream, end, length } => Event::Response { stream, end, length },
            Event::Interim { stream } => Event::Interim { stream },
            Event::Trailers { stream } => Event::Trailers { stream },
            Event::Reset { stream, reason, by, can_retry, why } => {
                Event::Reset { stream, reason, by, can_retry, why }
            }
            Event::Refused { stream, status, why } => Event::Refused { stream, status, why },
            Event::Settings => Event::Settings,
            Event::GoAway { last, reason } => Event::GoAway { last, reason },
            Event::Pause => Event::Pause,
            Event::Failed { reason, why } => Event::Failed { reason, why },
        });
    }
    from.wrote(len - rest.len());
    said
}

/// A client's and a server's side with each other's settings.
struct Pair {
    client: Conn,
    server: Conn,
    heads: Heads,
}

impl Pair {
    fn new(of_client: Settings, of_server: Settings) -> Pair {
        let client = Conn::client(Arc::new(of_client), 0);
        let server = Conn::server(Arc::new(of_server), 0);
        let mut pair = Pair { client, server, heads: Heads::default() };
        pair.talk();
        pair
    }
    fn at_server(&mut self) -> Vec<Event<'static>> {
        pass(&mut self.client, &mut self.server, &mut self.heads, usize::MAX)
    }
    fn at_client(&mut self) -> Vec<Event<'static>> {
        pass(&mut self.server, &mut self.client, &mut self.heads, usize::MAX)
    }
    /// Until both are silent, or one takes nothing more; what each said.
    fn talk(&mut self) -> (Vec<Event<'static>>, Vec<Event<'static>>) {
        let (mut of_client, mut of_server) = (Vec::new(), Vec::new());
        loop {
            let before = (self.client.output().len(), self.server.output().len());
            of_server.extend(self.at_server());
            of_client.extend(self.at_client());
            let after = (self.client.output().len(), self.server.output().len());
            if after == (0, 0) || after == before {
                break;
            }
        }
        (of_client, of_server)
    }
}

#[test]
fn a_request_and_its_response() {
    let mut pair = Pair::new(settings(), settings());
    let asked = request("POST", "/a?b", &[("X-A", "b"), ("Cookie", "c=d")]);
    let id = pair.client.open(&asked, Opening { length: Some(5), end: false, ..OPENING }).unwrap();
    assert_eq!(pair.client.send_data(id, b"hello", true, 0), Ok(5));
    let said = pair.at_server();
    assert_eq!(
        said,
        [
            Event::Request { stream: id, end: false, length: Some(5) },
            Event::Data { stream: id, bytes: b"", end: true }
        ]
    );
    let got = &pair.heads.request;
    assert_eq!((got.method_bytes(), got.target()), (&b"POST"[..], &b"https://h.example/a?b"[..]));
    assert_eq!(show(&got.fields), "host=h.example | content-length=5 | x-a=b | cookie=c=d");
    assert_eq!((got.version, got.has_parts), (Version::Http2, true));
    assert_eq!((pair.server.held(id), pair.server.is_complete(id)), (&b"hello"[..], true));
    pair.server.taken(id, 5);
    assert_eq!(pair.server.send_interim(id, &response(103, &[("Link", "x")])), Ok(true));
    pair.server.send_response(id, &response(200, &[("Server", "s")]), None, false).unwrap();
    assert_eq!(pair.server.send_data(id, b"world", false, 0), Ok(5));
    let mut trailers = Fields::default();
    trailers.append(b"Grpc-Status", b"0");
    pair.server.send_trailers(id, &trailers).unwrap();
    assert_eq!(
        pair.at_client(),
        [
            Event::Interim { stream: id },
            Event::Response { stream: id, end: false, length: None },
            Event::Data { stream: id, bytes: b"", end: false },
            Event::Trailers { stream: id }
        ]
    );
    assert_eq!((pair.heads.response.status, pair.heads.response.version), (200, Version::Http2));
    assert_eq!(show(&pair.heads.trailers), "grpc-status=0");
    assert_eq!(pair.client.held(id), b"world");
    for conn in [&mut pair.client, &mut pair.server] {
        conn.release(id);
        assert_eq!((conn.streams(), conn.open, conn.receiving, conn.glitches()), (0, 0, 0, 0));
    }
    pair.talk();
    assert_eq!(pair.client.slots(), 100);
}

#[test]
fn websockets_cross_as_extended_connect() {
    let mut pair = Pair::new(settings(), settings());
    assert!(pair.client.knows_extended_connect());
    let fields = [
        ("Connection", "Upgrade"),
        ("Upgrade", "WebSocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ];
    let id = pair.client.open(&request("GET", "/chat", &fields), OPENING).unwrap();
    assert_eq!(pair.at_server(), [Event::Request { stream: id, end: false, length: None }]);
    let got = &pair.heads.request;
    assert_eq!((got.method_bytes(), got.fields.bytes(got.protocol)), (&b"GET"[..], &b"websocket"[..]));
    assert_eq!(
        show(&got.fields),
        "host=h.example | sec-websocket-version=13 | connection=Upgrade | upgrade=websocket"
    );
    let granted =
        response(101, &[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "x")]);
    pair.server.send_response(id, &granted, None, false).unwrap();
    assert_eq!(pair.at_client(), [Event::Response { stream: id, end: false, length: None }]);
    assert_eq!(pair.heads.response.status, 101);
    assert_eq!(
        show(&pair.heads.response.fields),
        "connection=Upgrade | upgrade=websocket | sec-websocket-accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(pair.client.send_data(id, b"ping", false, 0), Ok(4));
    assert_eq!(pair.at_server(), [Event::Data { stream: id, bytes: b"", end: false }]);
    // Refused: a response like any other.
    let id = pair.client.open(&request("GET", "/chat", &fields), OPENING).unwrap();
    pair.at_server();
    pair.server.send_response(id, &response(403, &[]), Some(0), true).unwrap();
    assert_eq!(pair.at_client(), [Event::Response { stream: id, end: true, length: Some(0) }]);
    assert_eq!(pair.heads.response.status, 403);
    let mut pair = Pair::new(settings(), Settings { extended_connect: false, ..settings() });
    assert_eq!(pair.client.open(&request("GET", "/chat", &fields), OPENING), Err(CannotOpen::NoUpgrade));
    assert_eq!(pair.client.streams(), 0);
}

#[test]
fn fewer_streams_are_announced_under_load_than_are_taken() {
    let mut pair = Pair::new(settings(), settings());
    pair.server = Conn::server_under_load(Arc::new(settings()), 2, 0);
    pair.client = Conn::client(Arc::new(settings()), 0);
    for _ in 0..3 {
        pair.client.open(&request("GET", "/", &[]), OPENING).unwrap();
    }
    let (_, of_server) = pair.talk();
    let requests = of_server.iter().filter(|event| matches!(event, Event::Request { .. }));
    assert_eq!((requests.count(), pair.client.slots()), (3, 0));
}

#[test]
fn large_heads_take_several_frames() {
    let large = Settings { buffer_size: 65_536, fields_max: 1000, ..settings() };
    let mut pair = Pair::new(settings(), large);
    let value = "v".repeat(20_000);
    let asked = request("GET", "/", &[("a", &value), ("b", &value)]);
    let id = pair.client.open(&asked, OPENING).unwrap();
    let kinds: Vec<_> = kinds(pair.client.output());
    assert_eq!(kinds, [Kind::HEADERS, Kind::CONTINUATION, Kind::CONTINUATION]);
    assert_eq!(pair.at_server(), [Event::Request { stream: id, end: true, length: None }]);
    assert_eq!(pair.heads.request.fields.first(b"b").map(<[u8]>::len), Some(20_000));
}

fn kinds(mut bytes: &[u8]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(frame::HEAD_LEN) {
        let head = frame::FrameHead::parse(head.try_into().unwrap());
        kinds.push(head.kind);
        bytes = &rest[head.len as usize..];
    }
    kinds
}

#[test]
fn streams_share_what_may_be_sent() {
    // The client reads nothing: 65,535 bytes in all, and three streams that want 100,000 each.
    let mut pair = Pair::new(Settings { window: 1 << 20, ..settings() }, settings());
    let ids: Vec<_> = (0..3).map(|_| pair.client.open(&request("GET", "/", &[]), OPENING).unwrap()).collect();
    pair.at_server();
    let mut sent = [0; 3];
    let body = vec![0; 100_000];
    for id in &ids {
        pair.server.send_response(*id, &response(200, &[]), None, false).unwrap();
    }
    // The first takes all there is; from then on it is one of three.
    sent[0] += pair.server.send_data(ids[0], &body, false, 0).unwrap();
    assert_eq!(sent[0], OUTPUT_MAX - pair.server_heads());
    for at in [1, 2] {
        assert_eq!(pair.server.send_data(ids[at], &body, false, 0), Ok(0));
    }
    let mut order = Vec::new();
    for _ in 0..200 {
        pair.at_client();
        for id in &ids {
            let held = pair.client.held(*id).len();
            pair.client.taken(*id, held);
        }
        pair.at_server();
        while let Some(id) = pair.server.next_writable() {
            let at = ids.iter().position(|other| *other == id).unwrap();
            let rest = 100_000 - sent[at];
            sent[at] += pair.server.send_data(id, &body[..rest], true, 0).unwrap();
            order.push(at);
            let waiting: Vec<_> = (0..3).filter(|at| sent[*at] > 0 && sent[*at] < 100_000).collect();
            let (least, most) =
                (waiting.iter().map(|at| sent[*at]).min(), waiting.iter().map(|at| sent[*at]).max());
            // The start that the first one had aside, no stream is more than a turn ahead of others.
            let ahead = most.unwrap_or(0).saturating_sub(least.unwrap_or(0));
            assert!(ahead <= 65_536 + 16_384, "{sent:?}");
        }
    }
    assert_eq!(sent, [100_000; 3]);
    assert_eq!(order[..3], [0, 1, 2]);
}

impl Pair {
    /// Bytes that are staged beside DATA at the server.
    fn server_heads(&self) -> usize {
        let mut bytes = self.server.output();
        let mut heads = 0;
        while let Some((head, rest)) = bytes.split_at_checked(frame::HEAD_LEN) {
            let head = frame::FrameHead::parse(head.try_into().unwrap());
            if head.kind != Kind::DATA {
                heads += frame::HEAD_LEN + head.len as usize;
            }
            bytes = &rest[head.len as usize..];
        }
        heads
    }
}

#[test]
fn a_turn_reserves_what_it_allows() {
    let mut pair = Pair::new(settings(), settings());
    let ids: Vec<_> = (0..4).map(|_| pair.client.open(&request("GET", "/", &[]), OPENING).unwrap()).collect();
    pair.at_server();
    for id in &ids {
        pair.server.send_response(*id, &response(200, &[]), None, false).unwrap();
    }
    let body = [0; 20_000];
    for id in &ids {
        let _ = pair.server.send_data(*id, &body, false, 0).unwrap();
    }
    pair.at_client();
    for id in &ids {
        let held = pair.client.held(*id).len();
        pair.client.taken(*id, held);
    }
    pair.at_server();
    let first = pair.server.next_writable().unwrap();
    let reserved = pair.server.turns_reserved();
    assert!(reserved > 0);
    // A stream that is released gives its turn back.
    pair.server.release(first);
    assert_eq!(pair.server.turns_reserved(), 0);
    let second = pair.server.next_writable().unwrap();
    assert_ne!(first, second);
    assert_eq!(pair.server.send_data(second, b"", false, 0), Ok(0));
    assert_eq!(pair.server.turns_reserved(), 0, "so does a stream that has nothing to send");
}

#[test]
fn what_is_staged_is_bounded() {
    let wide = Settings { window: 10 << 20, receive_buffer: 100 << 20, ..settings() };
    let mut pair = Pair::new(wide, settings());
    let id = pair.client.open(&request("POST", "/", &[]), Opening { end: false, ..OPENING }).unwrap();
    pair.at_server();
    pair.server.send_response(id, &response(200, &[]), None, false).unwrap();
    let body = vec![0; 1 << 20];
    let mut sent = 0;
    for _ in 0..100 {
        sent += pair.server.send_data(id, &body, false, 0).unwrap();
        while pair.server.next_writable().is_some() {}
    }
    assert!(sent <= OUTPUT_MAX && pair.server.output().len() <= OUTPUT_MAX + 1024);
    // A client that asks without reading the answers is not read from any more.
    let mut ping = Vec::new();
    for _ in 0..2000 {
        frame::write_ping(0, [0; 8], &mut ping);
    }
    let mut rest = &ping[..];
    assert_eq!(pair.server.received(&mut rest, &mut pair.heads, 0), None);
    assert!(!rest.is_empty() && !pair.server.wants_input());
    assert!(pair.server.output().len() <= OUTPUT_MAX + REPLIES_MAX + 1024);
    let len = pair.server.output().len();
    pair.server.wrote(len);
    assert!(pair.server.wants_input());
    pair.server.received(&mut rest, &mut pair.heads, 0);
    assert!(rest.len() < ping.len() / 2);
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let mut pair = Pair::new(settings(), settings());
    let large = response(200, &[("a", &"v".repeat(8000))]);
    let mut asked = 0;
    while let Ok(id) = pair.client.open(&request("GET", "/", &[]), OPENING) {
        asked += 1;
        assert!(asked < 1000);
        if pair.at_server().is_empty() {
            break;
        }
        pair.server.send_response(id, &large, None, true).unwrap();
        // The client lets go of the stream as if it had its answer.
        pair.server.release(id);
        pair.client.shut(id, Reason::CANCEL, By::Peer);
        pair.client.release(id);
    }
    assert!(!pair.server.wants_input());
    let len = pair.server.output().len();
    assert!((2 * OUTPUT_MAX..2 * OUTPUT_MAX + 10_000).contains(&len), "{len}");
    pair.server.wrote(len);
    assert_eq!(pair.at_server().len(), 1, "then it goes on");
}

#[test]
fn an_idle_connection_is_small() {
    let mut pair = Pair::new(settings(), settings());
    for _ in 0..10 {
        let id = pair.client.open(&request("GET", "/", &[]), OPENING).unwrap();
        pair.talk();
        pair.server.send_response(id, &response(200, &[]), Some(0), true).unwrap();
        pair.talk();
        pair.client.release(id);
        pair.server.release(id);
    }
    pair.server.rest();
    let server = &pair.server;
    assert!(size_of::<Conn>() <= 900, "{}", size_of::<Conn>());
    assert_eq!((server.output.capacity(), server.streams.capacity(), server.events.capacity()), (0, 0, 0));
    assert!(size_of::<Stream>() <= 224, "{}", size_of::<Stream>());
}

#[test]
fn a_connection_ends_when_its_streams_have() {
    let mut pair = Pair::new(settings(), settings());
    let id = pair.client.open(&request("GET", "/", &[]), OPENING).unwrap();
    pair.talk();
    pair.server.shut_down(5);
    assert_eq!(pair.server.deadline(), Some(1005));
    let (of_client, _) = pair.talk();
    assert_eq!(
        of_client,
        [
            Event::GoAway { last: StreamId::MAX, reason: Reason::NO_ERROR },
            Event::GoAway { last: id, reason: Reason::NO_ERROR }
        ]
    );
    assert_eq!(pair.client.open(&request("GET", "/", &[]), OPENING), Err(CannotOpen::Leaving));
    assert!(!pair.server.is_done() && !pair.client.is_done());
    pair.server.send_response(id, &response(200, &[]), None, true).unwrap();
    pair.server.release(id);
    assert!(!pair.server.is_done(), "something is to be written");
    pair.talk();
    pair.client.release(id);
    assert_eq!((pair.server.is_done(), pair.client.is_done()), (true, true));
    assert_eq!(pair.server.deadline(), None);
}

#[test]
fn early_answers_end_the_upload() {
    let mut pair = Pair::new(settings(), settings());
    let id = pair.client.open(&request("POST", "/", &[]), Opening { end: false, ..OPENING }).unwrap();
    pair.client.send_data(id, b"part", false, 0).unwrap();
    pair.at_server();
    pair.server.send_response(id, &response(413, &[]), Some(0), true).unwrap();
    pair.server.release(id);
    assert_eq!(
        pair.at_client(),
        [
            Event::Response { stream: id, end: true, length: Some(0) },
            Event::Reset {
                stream: id,
                reason: Reason::NO_ERROR,
                by: By::Peer,
                can_retry: false,
                why: "reset by the peer"
            }
        ]
    );
    assert_eq!(pair.client.send_data(id, b"x", false, 0), Err(Gone { reason: Reason::NO_ERROR }));
}

#[test]
fn a_failed_connection_says_so_once() {
    let mut pair = Pair::new(settings(), settings());
    let id = pair.client.open(&request("GET", "/", &[]), OPENING).unwrap();
    pair.at_server();
    pair.server.abort(Reason::INTERNAL_ERROR, "for a test");
    pair.server.abort(Reason::INTERNAL_ERROR, "for a test");
    let mut rest = &b"anything"[..];
    let failed = Event::Failed { reason: Reason::INTERNAL_ERROR, why: "for a test" };
    assert_eq!(pair.server.received(&mut rest, &mut pair.heads, 0), Some(failed));
    assert_eq!(pair.server.received(&mut rest, &mut pair.heads, 0), None);
    assert!(rest.is_empty() && !pair.server.wants_input());
    let gone = Err(Gone { reason: Reason::INTERNAL_ERROR });
    assert_eq!(pair.server.send_data(id, b"x", false, 0).map(|_| ()), gone);
    assert_eq!(pair.server.cut_short(id), Some((Reason::INTERNAL_ERROR, By::Here)));
    assert!(!pair.server.is_done());
    let said = pair.at_client();
    assert_eq!(said, [Event::GoAway { last: id, reason: Reason::INTERNAL_ERROR }]);
    assert!(pair.server.is_done());
    pair.server.release(id);
    assert_eq!(pair.client.cut_short(id), None);
    pair.client.hung_up();
    assert_eq!(pair.client.cut_short(id), Some((Reason::CANCEL, By::Peer)));
    assert_eq!(pair.client.open, 0);
    pair.client.release(id);
    assert_eq!(pair.client.streams(), 0);
}

/// One message of the talk below: what was sent of it, and what has arrived.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    sent: usize,
    got: Vec<u8>,
    ended: bool,
}

/// Requests with bodies both ways, in random pieces, by consumers that take when they like: everything arrives, and no
/// connection ever holds more than it says.
#[test]
fn whatever_the_order_everything_arrives() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let of = |rng: &mut Rng| Settings {
            window: [100, 16_384, 65_535, 1 << 20][rng.below(4) as usize],
            receive_buffer: [16_384, 200_000, 1_600 << 10][rng.below(3) as usize],
            streams_max: 1 + rng.below(8) as u32,
            frames_at_once: rng.below(4) as u32,
            ..settings()
        };
        let (of_client, of_server) = (of(&mut rng), of(&mut rng));
        let bounds = [of_client.receive_buffer.max(WINDOW), of_server.receive_buffer.max(WINDOW)];
        let mut pair = Pair::new(of_client, of_server);
        let (mut up, mut down) =
            (FxHashMap::<StreamId, Body>::default(), FxHashMap::<StreamId, Body>::default());
        let (mut opened, mut done) = (0, 0);
        let mut turns = 0;
        while done < 20 {
            turns += 1;
            assert!(turns < 200_000, "seed {seed} stands still at {done}");
            let random =
                |rng: &mut Rng, max| (0..rng.below(max)).map(|_| rng.next_u64() as u8).collect::<Vec<_>>();
            match rng.below(6) {
                0 if opened < 20 => {
                    let body = Body { bytes: random(&mut rng, 60_000), ..Body::default() };
                    let opening = Opening { length: Some(body.bytes.len() as u64), end: false, ..OPENING };
                    if let Ok(id) = pair.client.open(&request("POST", "/", &[]), opening) {
                        up.insert(id, body);
                        opened += 1;
                    }
                }
                1 => upload(&mut pair.client, &mut up, &mut rng),
                2 => upload(&mut pair.server, &mut down, &mut rng),
                3 | 4 => {
                    let piece = 1 + rng.below(40_000) as usize;
                    let said = match rng.below(2) {
                        0 => pass(&mut pair.client, &mut pair.server, &mut pair.heads, piece),
                        _ => pass(&mut pair.server, &mut pair.client, &mut pair.heads, piece),
                    };
                    for event in said {
                        match event {
                            Event::Request { stream, .. } => {
                                let body = Body { bytes: random(&mut rng, 60_000), ..Body::default() };
                                let head = response(200, &[("server", "x")]);
                                pair.server.send_response(stream, &head, None, false).unwrap();
                                down.insert(stream, body);
                            }
                            Event::Response { .. } | Event::Settings | Event::Data { .. } | Event::Pause => {}
                            other => panic!("seed {seed}: {other:?}"),
                        }
                    }
                }
                _ => {
                    take(&mut pair.server, &mut up, &mut rng);
                    take(&mut pair.client, &mut down, &mut rng);
                    for (conn, bound) in [(&pair.client, bounds[0]), (&pair.server, bounds[1])] {
                        let held: usize = conn.streams.values().map(|stream| stream.held().len()).sum();
                        assert!(held <= bound as usize, "{held} of {bound}");
                        assert_eq!(conn.receive.held() as usize, held);
                        assert!(conn.output.len() <= 2 * (OUTPUT_MAX + REPLIES_MAX));
                    }
                    let is_done = |(id, body): &(&StreamId, &Body)| {
                        body.ended && up[*id].ended && up[*id].sent == up[*id].bytes.len()
                    };
                    let whole: Vec<_> = down.iter().filter(is_done).map(|(id, _)| *id).collect();
                    for id in whole {
                        let (up, down) = (up.remove(&id).unwrap(), down.remove(&id).unwrap());
                        assert!(up.got == up.bytes && down.got == down.bytes, "seed {seed}");
                        pair.client.release(id);
                        pair.server.release(id);
                        done += 1;
                    }
                }
            }
        }
        assert_eq!((pair.client.glitches(), pair.server.glitches()), (0, 0), "seed {seed}");
        assert_eq!((pair.client.open, pair.server.open), (0, 0));
        assert_eq!((pair.client.receive.held(), pair.server.receive.held()), (0, 0));
        assert_eq!((pair.client.turns_reserved(), pair.server.turns_reserved()), (0, 0));
    }
}

/// A stream that may send does, a random one or that whose turn it is.
fn upload(conn: &mut Conn, bodies: &mut FxHashMap<StreamId, Body>, rng: &mut Rng) {
    let mut ids: Vec<_> = bodies.keys().copied().collect();
    ids.sort_unstable();
    let random = (!ids.is_empty()).then(|| ids[rng.below(ids.len() as u64) as usize]);
    for id in conn.next_writable().into_iter().chain(random) {
        let body = bodies.get_mut(&id).unwrap();
        if body.sent == body.bytes.len() && (body.sent > 0 || body.ended) {
            continue;
        }
        let end = body.bytes.len().min(body.sent + 1 + rng.below(30_000) as usize);
        let is_last = end == body.bytes.len();
        let bytes = &body.bytes[body.sent..end];
        if rng.below(2) == 0 {
            body.sent += conn.send_data(id, bytes, is_last, 0).unwrap_or_default();
            continue;
        }
        // Its user writes the frame, none of it at once.
        let Ok(Some(claim)) = conn.claim_data(id, bytes.len(), is_last, 0) else { continue };
        conn.stage(&claim.head);
        conn.stage(&bytes[..claim.len]);
        body.sent += claim.len;
    }
}

fn take(conn: &mut Conn, bodies: &mut FxHashMap<StreamId, Body>, rng: &mut Rng) {
    for (id, body) in bodies {
        let len = rng.below(conn.held(*id).len() as u64 + 1) as usize;
        body.got.extend_from_slice(&conn.held(*id)[..len]);
        conn.taken(*id, len);
        body.ended |= conn.is_complete(*id) && conn.held(*id).is_empty();
    }
}

impl Conn {
    /// What the sums that a connection keeps must be.
    fn check(&self) {
        let streams = self.streams.values();
        assert_eq!(self.open as usize, streams.clone().filter(|stream| stream.is_open()).count());
        assert_eq!(self.receiving as usize, streams.clone().filter(|stream| stream.receiving).count());
        let held: u32 = streams.clone().map(|stream| stream.receive.held()).sum();
        assert_eq!(self.receive.held(), held, "the connection holds what its streams hold");
        let waiting = streams.clone().filter(|stream| stream.wait == Wait::Queued).count();
        assert_eq!(self.turns_queued(), waiting);
        let allowed: u32 = streams
            .clone()
            .map(|stream| match stream.wait {
                Wait::Turn(allowed) => allowed,
                _ => 0,
            })
            .sum();
        assert_eq!(self.turns_reserved(), allowed as usize);
        assert!(streams.clone().all(|stream| stream.held().len() <= stream.receive.held() as usize));
        assert!(self.events.len() <= self.streams.len() + 8);
    }
}

/// Users and peers that do what comes to their minds: no sum goes wrong, nothing grows, and neither side finds fault
/// with the other.
#[test]
fn sums_are_right_whatever_users_do() {
    for seed in 0..60 {
        let mut rng = Rng::new(1000 + seed);
        let of = |rng: &mut Rng| Settings {
            window: [1, 100, 16_384, 1 << 20][rng.below(4) as usize],
            receive_buffer: [16_384, 200_000][rng.below(2) as usize],
            streams_max: 1 + rng.below(6) as u32,
            stall_timeout: 50,
            ..settings()
        };
        let mut pair = Pair::new(of(&mut rng), of(&mut rng));
        for now in 0..400 {
            let is_client = rng.below(2) == 0;
            let piece = 1 + rng.below(30_000) as usize;
            match (rng.below(10), is_client) {
                (0 | 1, true) => drop(pass(&mut pair.server, &mut pair.client, &mut pair.heads, piece)),
                (0 | 1, false) => drop(pass(&mut pair.client, &mut pair.server, &mut pair.heads, piece)),
                (2, _) => {
                    let end = rng.below(2) == 0;
                    let _ = pair.client.open(&request("POST", "/", &[]), Opening { end, ..OPENING });
                }
                (action, _) => {
                    let conn = if is_client { &mut pair.client } else { &mut pair.server };
                    let mut ids: Vec<_> = conn.streams.keys().copied().collect();
                    ids.sort_unstable();
                    let Some(id) = ids.get(rng.below(ids.len() as u64) as usize).copied() else { continue };
                    act(conn, id, action, now, &mut rng);
                }
            }
            pair.client.check();
            pair.server.check();
        }
        for _ in 0..200 {
            pair.talk();
            for conn in [&mut pair.client, &mut pair.server] {
                let ids: Vec<_> = conn.streams.keys().copied().collect();
                ids.into_iter().for_each(|id| conn.release(id));
                conn.check();
            }
        }
        for conn in [&pair.client, &pair.server] {
            assert_eq!((conn.streams(), conn.receive.held(), conn.turns_reserved()), (0, 0, 0));
            assert!(!conn.is_over(), "seed {seed}");
        }
    }
}

/// One thing that a user may do with a stream.
fn act(conn: &mut Conn, id: StreamId, action: u64, now: u64, rng: &mut Rng) {
    let body = vec![0; rng.below(50_000) as usize];
    let end = rng.below(4) == 0;
    match action {
        3 if conn.role == Role::Server && !conn.streams[&id].answered => {
            let _ = conn.send_response(id, &response(200, &[]), None, end);
        }
        // Before the head of a response nothing else is sent.
        4..=6 if conn.role == Role::Server && !conn.streams[&id].answered => {}
        4 => drop(conn.send_data(id, &body, end, now)),
        5 => {
            if let Ok(Some(claim)) = conn.claim_data(id, body.len(), end, now) {
                conn.stage(&claim.head);
                conn.stage(&body[..claim.len]);
            }
        }
        6 if end => drop(conn.send_trailers(id, &Fields::default())),
        7 => {
            let held = conn.held(id).len() as u64;
            conn.taken(id, rng.below(held + 1) as usize);
        }
        8 if rng.below(4) == 0 => match rng.below(2) {
            0 => conn.reset(id, Reason::CANCEL),
            _ => conn.release(id),
        },
        9 => {
            while let Some(id) = conn.next_writable() {
                if rng.below(3) > 0 {
                    let _ = conn.send_data(id, &body, false, now);
                }
            }
            conn.tick(now);
        }
        _ => {}
    }
}

#[test]
fn a_window_that_the_settings_make_smaller_is_opened_again() {
    let (mut client, mut server) =
        (Conn::client(Arc::new(settings()), 0), Conn::server(Arc::new(settings()), 0));
    let mut heads = Heads::default();
    let id =
        client.open(&request("POST", "/", &[]), Opening { end: false, ..OPENING }).expect("it may open one");
    // Sent and taken before the client has read how large the window is that the server gives.
    assert_eq!(client.send_data(id, &[0; 16_384], false, 0), Ok(16_384));
    pass(&mut client, &mut server, &mut heads, usize::MAX);
    server.taken(id, 16_384);
    for _ in 0..3 {
        pass(&mut server, &mut client, &mut heads, usize::MAX);
        pass(&mut client, &mut server, &mut heads, usize::MAX);
    }
    assert_eq!(client.send_data(id, &[0; 1000], false, 0), Ok(1000));
}

#[test]
fn small_pieces_of_a_body_that_is_not_wanted_are_bounded() {
    for (size, count, ends) in [(1, 2500, true), (255, 2500, true), (16_384, 50, false)] {
        let mut pair = Pair::new(settings(), settings());
        let id = pair.client.open(&request("POST", "/", &[]), Opening { end: false, ..OPENING }).unwrap();
        pair.at_server();
        pair.server.reset(id, Reason::CANCEL);
        let mut bytes = Vec::new();
        (0..count).for_each(|_| frame::write(Kind::DATA, 0, id, &vec![0; size], &mut bytes));
        let mut rest = &bytes[..];
        let mut failed = None;
        while let Some(event) = pair.server.received(&mut rest, &mut pair.heads, 0) {
            if let Event::Failed { reason, .. } = event {
                failed = Some(reason);
            }
        }
        assert_eq!(failed, ends.then_some(Reason::ENHANCE_YOUR_CALM), "pieces of {size}");
    }
}
