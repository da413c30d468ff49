//! `show servers state`: what a server-state file holds, one line per server (manual: management,
//! section 9.3 `show servers state`).

use crate::health::CheckSpec;
use crate::health::status::Status;
use crate::model::{Proxy, Server};
use crate::state::server::{CheckReport, Endpoint};
use crate::wire::dns::Name;

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
        Endpoint::Unresolved { port, port_offset } => {
            ("-".to_owned(), port_offset.map_or(*port, |offset| offset as u16))
        }
        Endpoint::Unix(_) => ("-".to_owned(), 0),
    };
    let check = state.check.load();
    let agent = state.agent.load();
    let status = if check.status == 0 { Status::Initializing as u8 } else { check.status };
    // A server without a check stands where its first success would put it.
    let health = if check.rise == 0 { 1 } else { check.health };
    let service = server.resolution.as_ref().and_then(|resolution| resolution.service.as_ref());
    // What a service names changes with its answers.
    let fixed = server.hostname.as_deref().filter(|_| service.is_none());
    let service = service.map_or("-", Name::as_str);
    let hostname = state.hostname.load();
    let hostname = hostname.as_deref().map(String::as_str).or(fixed).unwrap_or("-");
    let (check_address, check_port) = target(server.check.as_deref(), &check);
    let (agent_address, agent_port) = target(server.agent.as_deref(), &agent);
    format!(
        "{} {} {} {} {address} {} {} {} {} {} {status} {} {health} {} {} {} {} {hostname} {port} {service} 0 \
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

/// Where a check goes, if not where the traffic goes.
fn target(spec: Option<&CheckSpec>, report: &CheckReport) -> (String, u16) {
    let address = report.address.or(spec.and_then(|spec| spec.server.addr));
    let port = report.port.or(spec.and_then(|spec| spec.server.port)).unwrap_or(0);
    (address.map_or_else(|| "-".to_owned(), |address| address.to_string()), port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::fixture;

    #[test]
    fn writes_the_columns_in_order() {
        let model = fixture::model();
        let proxy = &model.proxies[1];
        let server = &proxy.servers[0];
        let state = &server.state;
        state.last_change_s.store(90, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(
            row(proxy, server, 100),
            "3 be 1 s1 127.0.0.1 2 0 1 1 10 1 0 1 0 0 0 0 - 8001 - 0 0 - - 0\n"
        );
        let mut report = crate::health::status::initial(1, 1, true, true);
        report.address = Some([127, 0, 0, 9].into());
        report.port = Some(99);
        state.agent.store(report.into());
        state.endpoint.store(Endpoint::Unix(b"/s".as_slice().into()).into());
        state.hostname.store(Some("example.org".to_owned().into()));
        assert_eq!(
            row(proxy, server, 100),
            "3 be 1 s1 - 2 0 1 1 10 1 0 1 0 22 0 0 example.org 0 - 0 0 - 127.0.0.9 99\n"
        );
        assert_eq!(HEADER.lines().nth(1).map(|names| names.split(' ').count()), Some(26));
    }
}
