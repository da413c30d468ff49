//! Files of authorities: show, make, fill, delete (management guide, section 9.3 `new ssl ca-file` and kin).

use std::sync::Arc;

use crate::control::admin::{Call, Command, Flow, Severity};
use crate::model::bind::CliLevel::{Admin, Operator};
use crate::tls::facts;
use crate::tls::store::Store;

/// The rows.
#[rustfmt::skip]
pub(super) static COMMANDS: &[Command] = &[
    Command { words: &["show", "ssl", "ca-file"], arguments: "[[*][\\]<cafile>[:<index>]]", text: "display the SSL CA files used in memory, or the details of a file", level: Operator, run: show },
    Command { words: &["new", "ssl", "ca-file"], arguments: "<cafile>", text: "create a new CA file to be used by servers that are added", level: Admin, run: new },
    Command { words: &["set", "ssl", "ca-file"], arguments: "<cafile> <payload>", text: "replace a CA file that is not in use", level: Admin, run: |call| prepare(call, "set") },
    Command { words: &["add", "ssl", "ca-file"], arguments: "<cafile> <payload>", text: "add a certificate into a CA file that is not in use", level: Admin, run: |call| prepare(call, "add") },
    Command { words: &["commit", "ssl", "ca-file"], arguments: "<cafile>", text: "commit a CA file", level: Admin, run: commit },
    Command { words: &["abort", "ssl", "ca-file"], arguments: "<cafile>", text: "abort a transaction for a CA file", level: Admin, run: abort },
    Command { words: &["del", "ssl", "ca-file"], arguments: "<cafile>", text: "delete an unused CA file", level: Admin, run: delete },
];

fn store(call: &Call<'_>) -> Arc<Store> {
    call.control.model().certificates.clone()
}

/// The name in word 3, or what to say without one.
fn name(call: &mut Call<'_>, verb: &str) -> Option<String> {
    let name = call.arg(3).to_owned();
    if name.is_empty() {
        call.error(&format!("'{verb} ssl ca-file' expects a filename"));
        return None;
    }
    Some(name)
}

fn show(call: &mut Call<'_>) -> Flow {
    let store = store(call);
    let wanted = call.arg(3).to_owned();
    if wanted.is_empty() {
        let (names, transaction) = store.list_authorities();
        if let Some((name, count)) = transaction {
            call.print(format!("# transaction\n*{name} - {count} certificate(s)\n"));
        }
        call.print("# filename\n");
        for (name, count) in names {
            let escape = if name.starts_with('*') { "\\" } else { "" };
            call.print(format!("{escape}{name} - {count} certificate(s)\n"));
        }
        return Flow::Done;
    }
    let numbered =
        wanted.rsplit_once(':').and_then(|(name, number)| Some((name, number.parse::<usize>().ok()?)));
    let (named, number) = numbered.map_or((&*wanted, None), |(name, number)| (name, Some(number)));
    let name = named.strip_prefix('\\').unwrap_or(named);
    let Some(shown) = store.show_authorities(name) else {
        return call.error("Can't display the CA file : Not found!");
    };
    let status = match (shown.certificates.is_empty(), name.starts_with('*'), shown.is_used) {
        (true, ..) => "Empty",
        (_, true, _) => "Uncommitted",
        (.., true) => "Used",
        (.., false) => "Unused",
    };
    call.print(format!("Filename: {name}\nStatus: {status}\n"));
    let rows = shown.certificates.iter().enumerate().map(|(at, certificate)| (at + 1, certificate));
    for (at, certificate) in rows.filter(|(at, _)| number.is_none_or(|number| number == *at)) {
        call.print(format!(" \nCertificate #{at}:\n"));
        call.print(facts::describe(certificate));
    }
    Flow::Done
}

fn new(call: &mut Call<'_>) -> Flow {
    let Some(name) = name(call, "new") else { return Flow::Done };
    match store(call).create_authorities(&name) {
        Ok(()) => call.say(Severity::Notice, &format!("New CA file created '{name}'!")),
        Err(error) => call.error(&error),
    }
}

fn prepare(call: &mut Call<'_>, verb: &str) -> Flow {
    let name = call.arg(3).to_owned();
    let Some(payload) = call.payload.filter(|_| !name.is_empty()) else {
        return call.error(&format!("'{verb} ssl ca-file' expects a filename and CAs as a payload"));
    };
    match store(call).prepare_authorities(&name, payload, verb == "add") {
        Ok(begins) => {
            let what = if begins { "created" } else { "updated" };
            call.say(Severity::Notice, &format!("transaction {what} for CA {name}!"))
        }
        Err(error) => call.error(&error),
    }
}

fn commit(call: &mut Call<'_>) -> Flow {
    let Some(name) = name(call, "commit") else { return Flow::Done };
    match store(call).commit_authorities(&name) {
        Ok(()) => {
            call.print(format!("Committing {name}\nSuccess!\n"));
            Flow::Done
        }
        Err(error) => call.error(&format!("{error}\nCan't commit {name}!")),
    }
}

fn abort(call: &mut Call<'_>) -> Flow {
    let Some(name) = name(call, "abort") else { return Flow::Done };
    match store(call).abort_authorities(&name) {
        Ok(()) => call.say(Severity::Notice, &format!("Transaction aborted for certificate '{name}'!")),
        Err(error) => call.error(&error),
    }
}

fn delete(call: &mut Call<'_>) -> Flow {
    let Some(name) = name(call, "del") else { return Flow::Done };
    match store(call).delete_authorities(&name) {
        Ok(()) => call.say(Severity::Notice, &format!("CA file '{name}' deleted!")),
        Err(error) => call.error(&error),
    }
}
