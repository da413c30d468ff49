//! Block -> fields in the arena of a message (RFC 7541 sections 3 and 6).
//!
//! A block is always read to its end, whatever it holds: the table is shared with the peer and has to be what the
//! peer thinks it is. What goes beyond the [`Bounds`] is read and forgotten.

use super::table::{ENTRY_OVERHEAD, Table};
use super::{Error, huffman, integer, statics};
use crate::http::{Fields, Text};

/// What one decoded section may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Fields, pseudo-header fields and each cookie by itself included.
    pub fields_max: usize,
    /// Bytes of names and values, and 32 more of each field (RFC 9113 section 6.5.2).
    pub bytes_max: usize,
}

/// What this side's peer has sent on a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What this side announced for the table.
    table_max: usize,
}

/// A field of a block, in the arena.
#[derive(Clone, Copy, Debug)]
pub struct Decoded {
    /// Its name, as sent.
    pub name: Text,
    /// Its value.
    pub value: Text,
}

/// A block that is being read.
#[derive(Debug)]
pub struct Block<'a> {
    decoder: &'a mut Decoder,
    rest: &'a [u8],
    bounds: Bounds,
    fields: usize,
    bytes: usize,
    /// A field was there: the size of the table stays as it is.
    begun: bool,
    overflowed: bool,
}

impl Decoder {
    /// One whose table may grow to `table_max` bytes, which the peer learns from this side's settings.
    pub fn new(table_max: usize) -> Decoder {
        // A peer may use no more than the default before it has seen another size, and may use the default then.
        Decoder { table: Table::new(super::TABLE_SIZE), table_max: table_max.max(super::TABLE_SIZE) }
    }
    /// Starts to read a whole block.
    pub fn block<'a>(&'a mut self, bytes: &'a [u8], bounds: Bounds) -> Block<'a> {
        Block { decoder: self, rest: bytes, bounds, fields: 0, bytes: 0, begun: false, overflowed: false }
    }
    /// The entry of an index.
    fn entry(&self, index: usize) -> Result<(&[u8], &[u8]), Error> {
        match index {
            0 => Err(Error::Index),
            1..=61 => {
                let (name, value) = statics::ENTRIES[index - 1];
                Ok((name.as_bytes(), value.as_bytes()))
            }
            _ => self.table.get(index - 62).ok_or(Error::Index),
        }
    }
}

impl Block<'_> {
    /// The next field, stored in the arena of `fields` but not in its list; none at the end. Beyond the bounds there
    /// are no more fields: the rest of the block is read all the same.
    pub fn next(&mut self, fields: &mut Fields) -> Result<Option<Decoded>, Error> {
        while let Some(&first) = self.rest.first() {
            let start = fields.arena_len();
            let decoded = match first {
                0x80.. => Some(self.indexed(fields)?),
                0x40..0x80 => Some(self.literal(6, true, fields)?),
                0x20..0x40 => {
                    self.resize()?;
                    None
                }
                0..0x20 => Some(self.literal(4, false, fields)?),
            };
            let Some(decoded) = decoded else { continue };
            self.begun = true;
            if self.overflowed {
                fields.truncate_arena(start);
                continue;
            }
            return Ok(Some(decoded));
        }
        Ok(None)
    }
    /// Whether the bounds were too narrow.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }
    /// Counts a field of that many bytes; whether it still fits.
    fn fits(&mut self, len: usize) -> bool {
        self.fields += 1;
        self.bytes = self.bytes.saturating_add(len + ENTRY_OVERHEAD);
        self.overflowed |= self.fields > self.bounds.fields_max || self.bytes > self.bounds.bytes_max;
        !self.overflowed
    }
    /// Section 6.1.
    fn indexed(&mut self, fields: &mut Fields) -> Result<Decoded, Error> {
        let index = integer::read(&mut self.rest, 7)?;
        let (name, value) = self.decoder.entry(index)?;
        let len = name.len() + value.len();
        if !self.fits(len) {
            return Ok(Decoded { name: Text::default(), value: Text::default() });
        }
        let (name, value) = self.decoder.entry(index)?;
        Ok(Decoded { name: fields.store(name), value: fields.store(value) })
    }
    /// Section 6.2: a name by index or as it is, and a value.
    fn literal(&mut self, bits: u32, insert: bool, fields: &mut Fields) -> Result<Decoded, Error> {
        let index = integer::read(&mut self.rest, bits)?;
        let name = match index {
            0 => self.string(fields)?,
            // A long name that nothing will keep is not copied for each octet that refers to it.
            _ if self.overflowed && !insert => self.decoder.entry(index).map(|_| Text::default())?,
            _ => fields.store(self.decoder.entry(index)?.0),
        };
        let value = self.string(fields)?;
        if insert {
            self.decoder.table.insert(fields.bytes(name), fields.bytes(value));
        }
        self.fits(name.len() + value.len());
        Ok(Decoded { name, value })
    }
    /// Section 5.2.
    fn string(&mut self, fields: &mut Fields) -> Result<Text, Error> {
        let coded = self.rest.first().ok_or(Error::Truncated)? & 0x80 != 0;
        let len = integer::read(&mut self.rest, 7)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        if !coded {
            return Ok(fields.store(bytes));
        }
        fields.store_with(|arena| huffman::decode(bytes, arena))
    }
    /// Section 6.3: allowed before the first field only (section 4.2).
    fn resize(&mut self) -> Result<(), Error> {
        let size = integer::read(&mut self.rest, 5)?;
        if self.begun || size > self.decoder.table_max {
            return Err(Error::TableSize);
        }
        self.decoder.table.set_max(size);
        Ok(())
    }
}
