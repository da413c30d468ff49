//! Request targets (RFC 9112 section 3.2): forms, path, query, authority.
