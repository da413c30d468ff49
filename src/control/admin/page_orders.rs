//! Carries out what users order on the statistics page.

use super::Control;
use crate::control::servers::{self, AdminOrder, CheckKind};
use crate::net::timer::Kill;
use crate::stats::post::{Action, PageOrder};

/// Carries out one order. The page has checked that it is possible; what has become impossible
/// since then changes nothing, and the next look at the page shows so.
pub fn carry_out(control: &Control, order: &PageOrder) {
    let server = &order.server;
    let administer = |order: AdminOrder| {
        servers::set_admin(control, server, order, "");
        Ok(())
    };
    let _ = match order.action {
        Action::Ready => administer(AdminOrder::Ready),
        Action::Drain => administer(AdminOrder::Drain),
        Action::Maint => administer(AdminOrder::Maint),
        Action::DisableHealth => servers::enable_check(server, CheckKind::Health, false),
        Action::EnableHealth => servers::enable_check(server, CheckKind::Health, true),
        Action::HealthUp => servers::set_health(control, server, "up"),
        Action::HealthNolb => servers::set_health(control, server, "stopping"),
        Action::HealthDown => servers::set_health(control, server, "down"),
        Action::DisableAgent => servers::enable_check(server, CheckKind::Agent, false),
        Action::EnableAgent => servers::enable_check(server, CheckKind::Agent, true),
        Action::AgentUp => servers::set_agent(control, server, "up"),
        Action::AgentDown => servers::set_agent(control, server, "down"),
        Action::Shutdown => {
            control.cores.shutdown_server_sessions(server, Kill::Operator);
            Ok(())
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::mock;
    use crate::state::server::admin;

    #[test]
    fn orders_change_servers() {
        let control = mock::control();
        let server = control.model().proxies[1].servers[0].state.clone();
        for (action, flags) in [
            (Action::Maint, admin::FMAINT),
            (Action::Ready, 0),
            (Action::Drain, admin::FDRAIN),
            (Action::Ready, 0),
        ] {
            carry_out(&control, &PageOrder { server: server.clone(), action });
            assert_eq!(server.admin(), flags, "{action:?}");
        }
        mock::calls();
        carry_out(&control, &PageOrder { server, action: Action::Shutdown });
        assert_eq!(mock::calls(), ["shutdown sessions be/s1"]);
    }
}
