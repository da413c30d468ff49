//! Small typed numbers that name things of the model.

/// A proxy's place in `Model::proxies`.
pub type ProxyIndex = u32;
/// A server's place in its backend's `servers`.
pub type ServerIndex = u32;
