//! Matchers behind ACLs and maps, and the files that fill them.
#![forbid(unsafe_code)]
