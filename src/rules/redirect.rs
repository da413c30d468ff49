//! Redirections: `redirect` and `http-request redirect` (manual, section 4.2 `redirect`).

/// A parsed redirection.
#[derive(Debug)]
pub struct Redirect {}
