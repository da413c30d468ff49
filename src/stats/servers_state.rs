//! `show servers state`: what a server-state file holds, one line per server (manual: management,
//! section 9.3 `show servers state`).

use std::net::IpAddr;

use crate::health::CheckSpec;
use crate::health::status::Status;
use crate::model::{Proxy, Server};
use crate::state::server::Endpoint;

/// The version line and the names of the columns, line ends included.
pub const HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state \
    srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result \
    srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn \
    srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n";

/// The line of one server, line end included; `now_s` is the wall clock in seconds.
pub fn row(proxy: &Proxy, server: &Server, now_s: u64) -> String {
    let state = &*server.state;
    let (address, port) = match &**state.endpoint.load() {
        Endpoint::Inet { address, port_offset: None } => (address.ip().to_string(), address.port()),
        // A mapped port is shown as its offset, as the server line gives it.
        Endpoint::Inet { address, port_offset: Some(offset) } => (address.ip().to_string(), *offset as u16),
        Endpoint::Unix(_) | Endpoint::Unresolved => ("-".to_owned(), 0),
    };
    let check = state.check.load();
    let agent = state.agent.load();
    let status = if check.status == 0 { Status::Initializing as u8 } else { check.status };
    // A server without a check stands where its first success would put it.
    let health = if check.rise == 0 { 1 } else { check.health };
    let hostname = state.hostname.load();
    let hostname = hostname.as_deref().map(String::as_str).or(server.hostname.as_deref()).unwrap_or("-");
    let (check_address, check_port) = target(server.check.as_deref());
    let (agent_address, agent_port) = target(server.agent.as_deref());
    format!(
        "{} {} {} {} {address} {} {} {} {} {} {status} {} {health} {} {} {} {} {hostname} {port} - 0 \
         {check_port} {check_address} {agent_address} {agent_port}\n",
        proxy.id,
        proxy.name,
        server.id,
        server.name,
        state.operational() as u8,
        state.admin(),
        state.user_weight(),
        state.initial_weight(),
        now_s.saturating_sub(state.last_change_s.load(std::sync::atomic::Ordering::Relaxed)),
        check.result,
        check.state_flags & 0x0f,
        agent.state_flags & 0x1f,
        u8::from(proxy.id_forced),
        u8::from(server.id_forced),
    )
}

fn target(spec: Option<&CheckSpec>) -> (String, u16) {
    let address: Option<IpAddr> = spec.and_then(|spec| spec.server.addr);
    let port = spec.and_then(|spec| spec.server.port).unwrap_or(0);
    (address.map_or_else(|| "-".to_owned(), |address| address.to_string()), port)
}
