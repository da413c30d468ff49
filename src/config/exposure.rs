//! What a configuration leaves open: looked at with `-dD` only.
//!
//! Nothing here is a mistake. Each finding is a thing that HAProxy's defaults leave open, that an
//! attacker looks for first, and that one line closes. `docs/secure-defaults.md` tells of each.

use crate::diag::{Level, Report, Span};
use crate::model::bind::CliLevel;
use crate::model::proxy::Mode;
use crate::model::{BindAddress, Model};

/// Reports what is open.
pub fn look(model: &Model, report: &mut Report) {
    let mut find = |span: Span, message: String, help: &str| {
        report.push(Level::Diag, span, message).help(help);
    };
    for proxy in model.proxies.iter().filter(|proxy| proxy.is_frontend && !proxy.disabled) {
        if proxy.mode == Mode::Http && proxy.timeouts.http_request_ms.is_none() {
            let message = format!(
                "'{}' has no 'timeout http-request': a head may take as long as 'timeout client' lets a silence last",
                proxy.name
            );
            find(proxy.span, message, "timeout http-request 10s");
        }
    }
    for proxy in model.proxies.iter().filter(|proxy| !proxy.disabled) {
        let Some(stats) = &proxy.stats else { continue };
        if !stats.admin.is_empty() && stats.users.is_empty() && stats.rules.is_empty() {
            let message = format!("'stats admin' of '{}' asks nobody for a password", proxy.name);
            find(proxy.span, message, "add 'stats auth <user>:<password>' or 'stats http-request auth'");
        }
    }
    for socket in &model.global.stats_sockets {
        if let BindAddress::Inet(address) = &socket.address
            && !address.ip().is_loopback()
            && socket.level != CliLevel::User
        {
            let level = socket.level.name();
            let message = format!("'stats socket {address}' gives level '{level}' to whoever reaches it");
            find(socket.span, message, "use a path with 'mode 660', a loopback address, or 'level user'");
        }
    }
    let global = &model.global;
    if global.uid.is_none() {
        let message = "no 'user': started as root, the process stays root".to_owned();
        find(Span::NONE, message, "user haproxy");
    } else if global.gid.is_none() {
        let message = "'user' without 'group': the process keeps the groups it was started with".to_owned();
        find(Span::NONE, message, "group haproxy");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load_text;

    #[test]
    fn findings() {
        let http = "timeout client 1s\n timeout connect 1s\n timeout server 1s\n mode http\n";
        let slow = "'web' has no 'timeout http-request'";
        let root = "no 'user'";
        for (global, web, expected) in [
            ("", "", &[slow, root][..]),
            ("uid 1\n gid 1", "timeout http-request 5s", &[]),
            ("uid 1", "timeout http-request 5s", &["'user' without 'group'"]),
            ("uid 1\n gid 1", "mode tcp", &[]),
            (
                "uid 1\n gid 1",
                "timeout http-request 5s\n stats enable\n stats admin if TRUE",
                &["asks nobody"],
            ),
            (
                "uid 1\n gid 1",
                "timeout http-request 5s\n stats enable\n stats admin if TRUE\n stats auth a:b",
                &[],
            ),
            (
                "uid 1\n gid 1",
                "timeout http-request 5s\n stats enable\n stats admin if TRUE\n stats http-request auth",
                &[],
            ),
            ("uid 1\n gid 1", "timeout http-request 5s\n stats enable", &[]),
            ("uid 1\n gid 1\n stats socket ipv4@0.0.0.0:1 level admin", "mode tcp", &["gives level 'admin'"]),
            ("uid 1\n gid 1\n stats socket ipv4@0.0.0.0:1 level user", "mode tcp", &[]),
            ("uid 1\n gid 1\n stats socket ipv4@127.0.0.1:1 level admin", "mode tcp", &[]),
            ("uid 1\n gid 1\n stats socket /tmp/s level admin", "mode tcp", &[]),
        ] {
            let text = format!("global\n {global}\nlisten web\n {http} bind 127.0.0.1:1\n {web}");
            let (model, _) = load_text(&text);
            let mut report = Report::default();
            look(&model.expect("a model"), &mut report);
            let found: Vec<_> = report.diagnostics.iter().map(|d| &d.message).collect();
            assert_eq!(found.len(), expected.len(), "{text}\n{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{text}\n{found}");
            }
            assert!(report.diagnostics.iter().all(|d| d.level == Level::Diag && d.help.is_some()));
        }
    }
}
