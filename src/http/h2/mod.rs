//! HTTP/2 (RFC 9113) without I/O and without a clock: bytes and times go in, events and bytes come out.
//!
//! [`frame`] knows the nine octets before each payload and the payloads of fixed shape, [`hpack`] the compression
//! of heads and [`head`] what messages they are; [`settings`] what each side takes, [`flow`] its windows, [`flood`]
//! the ceilings for hostile peers. [`conn`] puts them together to a connection of either side.
//!
//! No library stands behind it: this is the data path, heads are decoded into the arena of
//! [`super::message`] instead of maps of strings, and the limits that HAProxy's `tune.h2.*` name are in the
//! middle of the state machine.

pub mod conn;
pub mod flood;
pub mod flow;
pub mod frame;
pub mod head;
pub mod hpack;
pub mod settings;
pub mod websocket;

mod stream;

pub use conn::Conn;
pub use settings::Settings;
pub use stream::By;

use std::fmt;

/// Which end of a connection this side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It speaks to clients.
    Server,
    /// It speaks to servers.
    Client,
}

/// A stream's number (RFC 9113 section 5.1.1): odd for those that clients open, 0 for the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The connection itself.
    pub const CONNECTION: StreamId = StreamId(0);
    /// The largest number that a stream can have.
    pub const MAX: StreamId = StreamId(0x7fff_ffff);

    /// Whether clients open streams with such numbers.
    pub fn is_of_client(self) -> bool {
        self.0 & 1 == 1
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        impl Reason {
            $($(#[$doc])* pub const $name: Reason = Reason($code);)*

            /// Its name in RFC 9113; `UNKNOWN` for a code that has none.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($code => stringify!($name),)*
                    _ => "UNKNOWN",
                }
            }
        }
    };
}

/// Why a stream or a connection ends (RFC 9113 section 7): an error code as RST_STREAM and GOAWAY carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub u32);

reasons! {
    /// Nothing is wrong.
    NO_ERROR = 0,
    /// An unspecific violation of the protocol.
    PROTOCOL_ERROR = 1,
    /// An error of this side's own.
    INTERNAL_ERROR = 2,
    /// A window was not respected.
    FLOW_CONTROL_ERROR = 3,
    /// SETTINGS were not acknowledged in time.
    SETTINGS_TIMEOUT = 4,
    /// A frame for a stream that has ended.
    STREAM_CLOSED = 5,
    /// A frame of a wrong length.
    FRAME_SIZE_ERROR = 6,
    /// The request was not looked at: it may be sent again.
    REFUSED_STREAM = 7,
    /// The stream is not wanted any more.
    CANCEL = 8,
    /// The compression state is lost.
    COMPRESSION_ERROR = 9,
    /// The connection of a CONNECT broke.
    CONNECT_ERROR = 10,
    /// The peer causes too much work.
    ENHANCE_YOUR_CALM = 11,
    /// The transport is not secure enough.
    INADEQUATE_SECURITY = 12,
    /// The request wants HTTP/1.1.
    HTTP_1_1_REQUIRED = 13,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}
