//! What connections to clients take, by the configuration.

use crate::http::h2::Settings;
use crate::model::{Bind, Global, Proxy};

/// The settings of a client's connection.
pub(super) fn towards_clients(global: &Global, frontend: &Proxy, bind: &Bind) -> Settings {
    let size = u32::try_from(global.bufsize).unwrap_or(u32::MAX);
    Settings {
        buffer_size: size,
        fields_max: u32::try_from(global.headers_max).unwrap_or(u32::MAX),
        accept_unsafe: frontend.options.accept_unsafe_request,
        idle_ping: bind.idle_ping_ms.unwrap_or(0),
        stall_timeout: frontend.timeouts.client_ms.unwrap_or(0),
        ..global.h2.clone()
    }
}
