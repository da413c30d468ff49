//! Servers and backends that come and go: add, delete, publish.

use std::sync::atomic::Ordering::Relaxed;

use crate::control::admin::{Call, Command, Flow, Severity};
use crate::control::servers::roster;
use crate::model::bind::CliLevel::{Admin, User};
use crate::model::maker::NewBackend;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["add", "server"], arguments: "<bk>/<srv> <addr> [opts]*", text: "create a new server; 'add server help' lists its options", level: Admin, run: add_server },
    Command { words: &["del", "server"], arguments: "<bk>/<srv>", text: "remove a server that is in maintenance and unused", level: Admin, run: delete_server },
    Command { words: &["add", "backend"], arguments: "<bk> from <defaults> [mode <mode>] [guid <guid>]", text: "add a new backend", level: Admin, run: add_backend },
    Command { words: &["del", "backend"], arguments: "<bk>", text: "delete a backend that is unpublished and unused", level: Admin, run: delete_backend },
    Command { words: &["publish", "backend"], arguments: "<bk>", text: "mark backend as ready for traffic", level: Admin, run: |call| publish(call, true) },
    Command { words: &["unpublish", "backend"], arguments: "<bk>", text: "remove backend for any traffic selection", level: Admin, run: |call| publish(call, false) },
    Command { words: &["show", "defaults"], arguments: "", text: "list the named defaults sections that backends may be made from", level: User, run: show_defaults },
    Command { words: &["show", "default-server"], arguments: "[<bk>]", text: "list default-server instances in all or a single backend", level: User, run: show_default_servers },
];

/// Words from number `at` on.
fn words_from(call: &Call<'_>, at: usize) -> Vec<String> {
    (at..call.words.len()).map(|index| call.arg(index).to_owned()).collect()
}

fn add_server(call: &mut Call<'_>) -> Flow {
    let model = call.control.model();
    let Some(maker) = model.maker.clone() else {
        return call.error("No server can be added to this configuration.");
    };
    if call.arg(2) == "help" {
        call.print("List of keywords supported for dynamic server:\n");
        for option in maker.options() {
            call.print(format!("{option}\n"));
        }
        return Flow::Done;
    }
    let named = call.arg(2).split_once('/').filter(|(_, server)| !server.is_empty());
    let Some((backend, name)) = named.map(|(backend, name)| (backend.to_owned(), name.to_owned())) else {
        return call.error("Require 'backend/server'.");
    };
    let Some(backend) = model.backend(&backend) else { return call.error("No such backend.") };
    if let Some(why) = roster::fixed(backend) {
        return call.error(&format!("Backend does not support dynamic servers : {why}."));
    }
    if backend.servers.iter().any(|server| *server.name == *name) {
        return call.error("Already exists a server with the same name in backend.");
    }
    let mut words = words_from(call, 3);
    if let Some(address) = words.first_mut() {
        *address = expanded(address);
    }
    let made = maker.server(&model, backend, &name, &words);
    match made.thing {
        Some(server) => {
            roster::add_server(call.control, backend, server);
            let mut lines = made.told;
            lines.push("New server registered.".to_owned());
            call.say(Severity::Info, &lines.join("\n"))
        }
        None => call.error(&made.told.join("\n")),
    }
}

/// An address with the variables of the environment that it names as `${name}`, which are empty if unset.
fn expanded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = rest.split_once("${").and_then(|(before, rest)| {
        let (name, after) = rest.split_once('}')?;
        Some((before, name, after))
    }) {
        out.push_str(before);
        out.push_str(&std::env::var(name).unwrap_or_default());
        rest = after;
    }
    out + rest
}

fn delete_server(call: &mut Call<'_>) -> Flow {
    let named = call.arg(2).split_once('/').filter(|(_, server)| !server.is_empty());
    let Some((backend, name)) = named else { return call.error("Require 'backend/server'.") };
    match roster::removable_server(call.control, backend, name) {
        Ok((backend, server)) => {
            roster::remove_server(call.control, &backend, &server);
            call.say(Severity::Info, "Server deleted.")
        }
        Err(obstacle) => call.error(obstacle.text()),
    }
}

/// The character that a name of a proxy must not have, if it has one.
fn bad_character(name: &str) -> Option<char> {
    name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.:".contains(*c))
}

fn add_backend(call: &mut Call<'_>) -> Flow {
    match new_backend(call) {
        Ok(text) => call.say(Severity::Info, &text),
        Err(text) => call.error(&text),
    }
}

fn new_backend(call: &Call<'_>) -> Result<String, String> {
    let model = call.control.model();
    let (name, from) = (call.arg(2), call.arg(4));
    if name.is_empty() {
        return Err("Require backend name.".into());
    }
    if let Some(bad) = bad_character(name) {
        return Err(format!("Invalid character '{bad}' in backend name."));
    }
    if call.arg(3) != "from" || from.is_empty() {
        return Err("Usage: add backend <name> from <defproxy>.".into());
    }
    let (mut mode, mut guid) = (None, None);
    let mut at = 5;
    while !call.arg(at).is_empty() {
        let value = call.arg(at + 1);
        match call.arg(at) {
            "mode" if !value.is_empty() && mode.is_none() => mode = Some(value),
            "guid" if !value.is_empty() && guid.is_none() => guid = Some(value),
            _ => {
                let usage = "Usage: add backend <name> from <defproxy> [mode <px_mode>] [guid <val>].";
                return Err(usage.into());
            }
        }
        at += 2;
    }
    match mode {
        None | Some("tcp" | "http") => {}
        Some("log" | "spop" | "syslog" | "peers" | "haterm") => {
            return Err("Dynamic backends are compatible with only TCP or HTTP mode.".into());
        }
        Some(_) => return Err("Unknown proxy mode.".into()),
    }
    let Some(maker) = model.maker.clone() else {
        return Err("No backend can be added to this configuration.".into());
    };
    let others = model.proxies.iter().filter(|proxy| proxy.is_frontend || proxy.is_backend);
    let holder = others.clone().find(|proxy| *proxy.name == *name).map(|proxy| {
        match (proxy.is_frontend, proxy.is_backend) {
            (true, true) => "proxy",
            (true, false) => "frontend",
            _ => "backend",
        }
    });
    if let Some(kind) = holder.or_else(|| maker.defaults().contains(&name).then_some("defaults")) {
        let why = format!("name is already used by other proxy '{kind} {name}'");
        return Err(format!("Error during backend creation : {why}."));
    }
    let id = others.map(|proxy| proxy.id).max().unwrap_or(1) + 1;
    let order = NewBackend { name, from, mode, guid, id, index: model.free_place() };
    let made = maker.backend(&model, &order);
    let Some(backend) = made.thing else { return Err(made.told.join("\n")) };
    let fixed = roster::fixed(&backend);
    roster::add_backend(call.control, backend);
    Ok(match fixed {
        Some(why) => format!("New backend registered (no support for dynamic servers: {why})."),
        None => "New backend registered.".to_owned(),
    })
}

fn delete_backend(call: &mut Call<'_>) -> Flow {
    if !call.arg(3).is_empty() {
        return call.error("Usage: del backend <name>.");
    }
    match roster::removable_backend(call.control, call.arg(2)) {
        Ok(backend) => {
            roster::remove_backend(call.control, &backend);
            call.say(Severity::Info, "Backend deleted.")
        }
        Err(obstacle) => call.error(obstacle.text()),
    }
}

fn publish(call: &mut Call<'_>, is_published: bool) -> Flow {
    if call.arg(2).is_empty() {
        call.error("A backend name is expected.");
    }
    let model = call.control.model();
    let Some(backend) = model.backend(call.arg(2)) else { return call.error("No such backend.") };
    if backend.disabled {
        return call.error("No effect on a disabled backend.");
    }
    backend.state.is_unpublished.store(!is_published, Relaxed);
    call.say(Severity::Info, if is_published { "Backend published." } else { "Backend unpublished." })
}

fn show_defaults(call: &mut Call<'_>) -> Flow {
    let model = call.control.model();
    for name in model.maker.iter().flat_map(|maker| maker.defaults()) {
        call.print(format!("{name}\n"));
    }
    Flow::Done
}

fn show_default_servers(call: &mut Call<'_>) -> Flow {
    let model = call.control.model();
    let wanted = call.arg(2).to_owned();
    if !wanted.is_empty() && model.backend(&wanted).is_none() {
        return call.error("Can't find backend.");
    }
    let Some(maker) = &model.maker else { return Flow::Done };
    let backends = model.proxies.iter().filter(|proxy| proxy.is_backend);
    for backend in backends.filter(|proxy| wanted.is_empty() || *proxy.name == *wanted) {
        for (at, name) in maker.default_servers(backend).iter().enumerate() {
            let (mark, slash) = (if at == 0 { '*' } else { ' ' }, if name.is_empty() { "" } else { "/" });
            call.print(format!("{mark} {}{slash}{name}\n", backend.name));
        }
    }
    Flow::Done
}

#[cfg(test)]
mod tests;
