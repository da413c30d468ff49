//! Enough of RFC 6455 to hold a conversation: a client, and an origin that echoes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::origin::read_request;
use super::{Client, Origin, Response};

/// A whole message in one text frame.
const TEXT: u8 = 0x81;
/// The end of the conversation.
const CLOSE: u8 = 0x88;

/// The answer to a key (RFC 6455, section 4.2.2).
fn accept_value(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

/// A frame, masked as a client's must be.
fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![first];
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ ..126 => bytes.push(masked | length as u8),
        length @ ..65536 => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(masked | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask_bytes = mask.unwrap_or_default();
    if mask.is_some() {
        bytes.extend_from_slice(&mask_bytes);
    }
    bytes.extend(payload.iter().zip(mask_bytes.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Takes a frame off a reader that gives exactly as many bytes as asked.
fn take_frame(mut read: impl FnMut(usize) -> Option<Vec<u8>>) -> Option<(u8, Vec<u8>)> {
    let head = read(2)?;
    let length = match head[1] & 0x7f {
        126 => u16::from_be_bytes(read(2)?.try_into().ok()?) as usize,
        127 => u64::from_be_bytes(read(8)?.try_into().ok()?) as usize,
        length => length as usize,
    };
    let mask = if head[1] & 0x80 != 0 { read(4)? } else { vec![0; 4] };
    let payload = read(length)?;
    Some((head[0], payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()))
}

/// One conversation.
pub struct WebSocket {
    client: Client,
}

impl WebSocket {
    /// Shakes hands; the response is returned for a look at it.
    pub fn connect(address: SocketAddr, path: &str, header_lines: &str) -> (Self, Response) {
        let mut client = Client::connect(address);
        let key = STANDARD.encode(b"sixteen bytes ..");
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{header_lines}\r\n"
        ));
        let response = client.response();
        assert_eq!(response.status, 101, "{}", response.head);
        assert_eq!(response.header("Sec-WebSocket-Accept"), Some(accept_value(&key).as_str()));
        assert!(response.header("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
        (WebSocket { client }, response)
    }

    /// Says something.
    pub fn say(&mut self, message: &[u8]) {
        self.client.send(frame(TEXT, message, Some([7, 77, 177, 17])));
    }

    /// Hears the next message.
    pub fn hear(&mut self) -> Vec<u8> {
        let (first, payload) = take_frame(|length| Some(self.client.read_exact(length))).expect("a frame");
        assert_eq!(first, TEXT);
        payload
    }

    /// Says goodbye and waits for the other side's.
    pub fn close(mut self) {
        self.client.send(frame(CLOSE, &1000_u16.to_be_bytes(), Some([1, 2, 3, 4])));
        let (first, _) = take_frame(|length| Some(self.client.read_exact(length))).expect("a frame");
        assert_eq!(first, CLOSE);
        assert!(self.client.read_to_end().is_empty());
    }

    /// The connection below.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// An origin that answers the handshake and then sends back every message.
pub fn echo_origin(name: &str) -> Origin {
    let name = name.to_owned();
    Origin::raw(move |mut stream, number, seen| {
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer, number) {
            seen.note(&request);
            let Some(key) = request.header("Sec-WebSocket-Key") else {
                let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
                if stream.write_all(reply.as_bytes()).is_err() {
                    return;
                }
                continue;
            };
            let reply = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\nX-Served-By: {name}\r\n\r\n",
                accept_value(key)
            );
            if stream.write_all(reply.as_bytes()).is_ok() {
                echo(&mut stream, buffer);
            }
            return;
        }
    })
}

fn echo(stream: &mut TcpStream, mut buffer: Vec<u8>) {
    loop {
        let taken = take_frame(|length| {
            while buffer.len() < length {
                let mut part = [0; 16 * 1024];
                match stream.read(&mut part) {
                    Ok(count @ 1..) => buffer.extend_from_slice(&part[..count]),
                    _ => return None,
                }
            }
            Some(buffer.drain(..length).collect())
        });
        let Some((first, payload)) = taken else { return };
        if stream.write_all(&frame(first, &payload, None)).is_err() || first == CLOSE {
            return;
        }
    }
}
