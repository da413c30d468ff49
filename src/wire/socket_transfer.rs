//! How a process asks another for its listening sockets, and how they are described (HAProxy's `_getsocks`).
//!
//! The one that asks sends [`REQUEST`]. The answer begins with the number of sockets, a native 32-bit integer; then
//! come messages with at most [`BATCH`] descriptors each, whose bytes are one [`Label`] per descriptor, and the one
//! that asks acknowledges each message with four bytes. Addresses are not sent: the sockets know them.

/// The command.
pub const REQUEST: &[u8] = b"_getsocks\n";
/// The most descriptors of one message, as HAProxy's buffers want it.
pub const BATCH: usize = 252;
/// The most sockets that are taken: as many as a process can have by far, and a bound on what a peer can make us keep.
pub const SOCKETS_MAX: u32 = 1 << 20;
/// Bytes of a label's end: listener options before HAProxy 2.3, zero since.
const OPTIONS_BYTES: usize = 4;

/// What cannot be read from the socket itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The network namespace, at most 255 bytes.
    pub namespace: Vec<u8>,
    /// The interface, at most 255 bytes.
    pub interface: Vec<u8>,
}

impl Label {
    /// Appends it as it is sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        for name in [&self.namespace, &self.interface] {
            let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
            out.push(length);
            out.extend_from_slice(&name[..length.into()]);
        }
        out.extend_from_slice(&[0; OPTIONS_BYTES]);
    }
    /// Reads one from the front of `bytes`; nothing if it is not whole.
    pub fn read(bytes: &mut &[u8]) -> Option<Label> {
        let mut rest = *bytes;
        let mut name = || {
            let (length, behind) = rest.split_first()?;
            let (name, behind) = behind.split_at_checked(usize::from(*length))?;
            rest = behind;
            Some(name.to_vec())
        };
        let label = Label { namespace: name()?, interface: name()? };
        *bytes = rest.split_at_checked(OPTIONS_BYTES)?.1;
        Some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_out_as_they_went_in() {
        let labels = [
            Label::default(),
            Label { namespace: b"blue".to_vec(), interface: b"eth0".to_vec() },
            Label { namespace: Vec::new(), interface: vec![b'x'; 255] },
        ];
        let mut bytes = Vec::new();
        labels.iter().for_each(|label| label.write(&mut bytes));
        let mut rest = &bytes[..];
        let read: Vec<_> = std::iter::from_fn(|| Label::read(&mut rest)).collect();
        assert_eq!((&read[..], rest), (&labels[..], &b""[..]));
        for length in 0..Label::default().interface.len() + 6 {
            let mut cut = &bytes[..length];
            assert_eq!(Label::read(&mut cut), None, "{length}");
        }
        let mut long = Vec::new();
        Label { namespace: vec![b'n'; 300], interface: Vec::new() }.write(&mut long);
        assert_eq!(Label::read(&mut &long[..]).map(|label| label.namespace.len()), Some(255));
    }
}
