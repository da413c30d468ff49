//! The server's side of an exchange: where the request goes, and by what right.

use std::sync::Arc;

use super::idle::ServerConnection;
use super::select::Assigned;
use crate::http::h1::as_sent::AsSent;
use crate::model::Proxy;
use crate::session::cookie::{Persistence, RequestCookie};
use crate::session::sticking::Stores;

/// Where the request of an exchange goes.
pub(super) struct Reach<'a> {
    /// The backend, once it is chosen; the frontend's own proxy for a `listen`.
    pub(super) backend: Option<&'a Arc<Proxy>>,
    /// What the persistence cookie said.
    pub(super) cookie: RequestCookie,
    /// How far persistence counts.
    pub(super) persistence: Persistence,
    /// What `stick` rules keep once the server answered.
    pub(super) stores: Stores,
    /// The slot on the server.
    pub(super) assigned: Option<Assigned>,
    /// What the server was asked: its answer is read by this.
    pub(super) sent: AsSent,
    /// The server connection of this client's connection under `http-reuse never`.
    pub(super) attached: &'a mut Option<Box<ServerConnection>>,
}

impl<'a> Reach<'a> {
    /// That of an exchange that begins.
    pub(super) fn new(attached: &'a mut Option<Box<ServerConnection>>) -> Self {
        Reach {
            backend: None,
            cookie: RequestCookie::default(),
            persistence: Persistence::default(),
            stores: Stores::default(),
            assigned: None,
            sent: AsSent::default(),
            attached,
        }
    }
}
