//! HPACK (RFC 7541): field sections, compressed against what the connection has seen.
//!
//! A [`Decoder`] writes names and values straight into the arena of a message and bounds what it writes while it
//! writes. An [`Encoder`] does as HAProxy does (no Huffman coding, no index for what changes with each message) and
//! goes on where HAProxy stops: what a server repeats in each response is sent once and referred to afterwards.

mod decode;
mod encode;
mod huffman;
mod integer;
mod statics;
mod table;

pub use decode::{Block, Bounds, Decoded, Decoder};
pub use encode::Encoder;

/// Why a block cannot be decoded. The state shared with the peer is lost: the connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The block ends within a field.
    Truncated,
    /// A number does not fit.
    Integer,
    /// There is no entry of that index.
    Index,
    /// A string's Huffman coding is wrong.
    Huffman,
    /// A dynamic table is to grow beyond what was allowed, or changes its size behind the first field.
    TableSize,
}

impl Error {
    /// It, in words for logs.
    pub fn reason(self) -> &'static str {
        match self {
            Error::Truncated => "header block ends within a field",
            Error::Integer => "header block with a number that does not fit",
            Error::Index => "header block refers to an entry that is not there",
            Error::Huffman => "header block with an invalid Huffman code",
            Error::TableSize => "header block with an invalid change of the table's size",
        }
    }
}

/// The size of the dynamic table that every connection starts with (RFC 9113 section 6.5.2), in bytes.
pub const TABLE_SIZE: usize = 4096;

#[cfg(test)]
mod tests;
