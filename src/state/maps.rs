//! Live contents of map and ACL files: looked up without a lock by every core, changed by the
//! control thread.

/// The contents of one map or ACL file, shared by every expression that names it.
#[derive(Debug)]
pub struct LiveMap {
    /// Its number in `show map` / `show acl`.
    pub id: u32,
    /// The file's name as configured: its identifier in the runtime API.
    pub name: Box<str>,
    /// A map has values; an ACL's pattern file has none.
    pub is_map: bool,
}

impl LiveMap {
    /// An empty one.
    pub fn new(id: u32, name: &str, is_map: bool) -> Self {
        LiveMap { id, name: name.into(), is_map }
    }
}
