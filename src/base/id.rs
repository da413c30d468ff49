//! Small typed numbers that name things: places within one model, and identities that outlive models.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A proxy's place in `Model::proxies`. It means nothing in another model.
pub type ProxyIndex = u32;
/// A server's place in its backend's `servers`. It means nothing in another model.
pub type ServerIndex = u32;

macro_rules! identities {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(u32);

        impl $name {
            /// One that nothing has had in this process.
            pub fn next() -> $name {
                static LAST: AtomicU32 = AtomicU32::new(0);
                $name(LAST.fetch_add(1, Relaxed) + 1)
            }
            /// It as a number, to be kept in an atomic.
            pub const fn number(self) -> u32 {
                self.0
            }
            /// The identity that [`Self::number`] came from.
            pub const fn from_number(number: u32) -> $name {
                $name(number)
            }
        }
    )*};
}

identities! {
    /// A proxy for as long as the registry knows it, whatever models say of it.
    ProxyId,
    /// A server for as long as the registry knows it, whatever models say of it.
    ServerId,
    /// A listener: one address of a `bind` line, kept while models in succession have it.
    ListenerId,
    /// A model: one load of the configuration.
    ModelId,
}
