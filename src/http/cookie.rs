//! Cookies in requests and responses (RFC 6265): find, extract, remove, rewrite in place.
