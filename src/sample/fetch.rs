//! Sample fetches, one row each.
