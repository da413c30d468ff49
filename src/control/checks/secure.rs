//! TLS under a check: the session that data threads use, over the control thread's sockets.

use std::io;

use crate::health::machine::Failure;
use crate::tls::buffer::RecordBuffer;
use crate::tls::connector::Connector;
use crate::tls::session::{Received, Session, words};

use super::dial::Raw;

/// A session of a check.
pub(super) struct Secure {
    session: Session,
    input: RecordBuffer,
    output: RecordBuffer,
}

/// The most bytes of a message that wait for its end.
const INPUT_MAX: usize = 96 * 1024;

impl Secure {
    /// Shakes hands over a connection that stands.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub(super) async fn over(
        raw: &Raw,
        connector: &Connector,
        name: Option<&[u8]>,
    ) -> Result<Secure, Failure> {
        let mut output = RecordBuffer::default();
        let session = connector.session(name, &mut output).map_err(|failure| failed(&words(&failure)))?;
        let mut secure = Secure { session, input: RecordBuffer::default(), output };
        secure.flush(raw).await?;
        while secure.session.is_handshaking() {
            if !secure.receive(raw).await.map_err(broken)? {
                return Err(failed("Connection closed during SSL handshake"));
            }
            let received = secure.session.receive(&mut secure.input, &mut secure.output);
            let sent = secure.flush(raw).await;
            match received {
                Ok(Received::NeedsMore) => sent?,
                Ok(Received::Ended) => return Err(failed("Connection closed during SSL handshake")),
                // A server that speaks first: nothing is read before the handshake is over.
                Ok(Received::Plaintext(_)) => return Err(failed("unexpected message")),
                Err(failure) => return Err(failed(&words(&failure))),
            }
        }
        Ok(secure)
    }

    async fn flush(&mut self, raw: &Raw) -> Result<(), Failure> {
        while !self.output.is_empty() {
            let sent = raw.write(self.output.filled()).await.map_err(broken)?;
            self.output.consume(sent);
        }
        Ok(())
    }

    /// Receives once; false at the end.
    async fn receive(&mut self, raw: &Raw) -> io::Result<bool> {
        if self.input.len() > INPUT_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let least = if self.input.len() == self.input.room() { 16384 } else { 1 };
        let read = raw.read(self.input.free(least)).await;
        self.input.add(*read.as_ref().unwrap_or(&0));
        self.input.consume(0);
        Ok(read? > 0)
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) async fn write_all(&mut self, raw: &Raw, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let sealed = self.session.seal(&mut self.input, bytes, &mut self.output);
            let sealed = sealed.map_err(|failure| Failure::Broken(words(&failure).into_owned()))?;
            bytes = &bytes[sealed..];
            self.flush(raw).await?;
        }
        Ok(())
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) async fn read(&mut self, raw: &Raw) -> Result<Vec<u8>, io::Error> {
        loop {
            match self.session.receive(&mut self.input, &mut self.output) {
                Ok(Received::Plaintext(bytes)) => return Ok(bytes),
                Ok(Received::Ended) => return Ok(Vec::new()),
                Ok(Received::NeedsMore) => {
                    if !self.receive(raw).await? {
                        return Ok(Vec::new());
                    }
                }
                Err(failure) => return Err(io::Error::other(words(&failure).into_owned())),
            }
        }
    }

    /// Says goodbye, as far as that goes without waiting.
    pub(super) fn close(&mut self, raw: &Raw) {
        self.session.close(&mut self.input, &mut self.output);
        raw.try_write(self.output.filled());
    }
}

fn failed(words: &str) -> Failure {
    Failure::Handshake(words.to_owned())
}

fn broken(error: io::Error) -> Failure {
    Failure::Broken(super::dial::by_kernel(&error))
}
