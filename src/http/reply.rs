//! Responses that the proxy makes itself.

/// A response ready to be written: the bytes of its head and body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status, for logs and counters.
    pub status: u16,
    /// Header fields besides those that frame the message, in order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body; its length becomes `Content-Length`.
    pub body: Vec<u8>,
    /// The reason phrase, if not the status's own.
    pub reason: Option<Vec<u8>>,
    /// A whole raw response given by an `errorfile`; when set, it is written as it stands and the
    /// connection closes unless the file's own fields say otherwise.
    pub raw: Option<std::sync::Arc<[u8]>>,
    /// Close the connection after it.
    pub close: bool,
}

impl Reply {
    /// HAProxy's built-in answer of an error or redirect status (manual, section 4.2 `errorfile`).
    pub fn error(_status: u16) -> Reply {
        Reply::default()
    }
}
