//! Certificates and lists of them: show, replace, add, remove (management guide, section 9.3).

use std::sync::Arc;

use crate::control::admin::{Call, Command, Flow, Severity};
use crate::model::bind::CliLevel::{Admin, Operator};
use crate::tls::facts;
use crate::tls::material::Material;
use crate::tls::store::Store;

/// The rows.
#[rustfmt::skip]
pub(super) static COMMANDS: &[Command] = &[
    Command { words: &["show", "ssl", "cert"], arguments: "[[*][\\]<certfile>]", text: "display the SSL certificates used in memory, or the details of a file", level: Operator, run: show },
    Command { words: &["set", "ssl", "cert"], arguments: "<certfile> <payload>", text: "replace a certificate file", level: Admin, run: set },
    Command { words: &["new", "ssl", "cert"], arguments: "<certfile>", text: "create a new certificate file to be used in a crt-list or a directory", level: Admin, run: new },
    Command { words: &["commit", "ssl", "cert"], arguments: "<certfile>", text: "commit a certificate file", level: Admin, run: commit },
    Command { words: &["abort", "ssl", "cert"], arguments: "<certfile>", text: "abort a transaction for a certificate file", level: Admin, run: abort },
    Command { words: &["del", "ssl", "cert"], arguments: "<certfile>", text: "delete an unused certificate file", level: Admin, run: delete },
    Command { words: &["show", "ssl", "crt-list"], arguments: "[-n] [<list>]", text: "show the list of crt-lists or the content of a crt-list or directory", level: Operator, run: show_list },
    Command { words: &["add", "ssl", "crt-list"], arguments: "<list> <cert> [opts]*", text: "add to crt-list file or directory a line or a payload", level: Admin, run: add_line },
    Command { words: &["del", "ssl", "crt-list"], arguments: "<list> <cert[:line]>", text: "delete a line from crt-list file or directory", level: Admin, run: delete_line },
];

fn store(call: &Call<'_>) -> Arc<Store> {
    call.control.model().certificates.clone()
}

fn show(call: &mut Call<'_>) -> Flow {
    let store = store(call);
    let wanted = call.arg(3).to_owned();
    if wanted.is_empty() {
        let (names, transaction) = store.names();
        if let Some(name) = transaction {
            call.print(format!("# transaction\n*{name}\n"));
        }
        call.print("# filename\n");
        for name in names {
            // A star of its own is no mark of a transaction.
            let escape = if name.starts_with('*') { "\\" } else { "" };
            call.print(format!("{escape}{name}\n"));
        }
        return Flow::Done;
    }
    if let Some(name) = wanted.strip_prefix('*') {
        return match store.prepared(name) {
            Some(Ok(material)) => describe(call, &wanted, Some(&material), "Unused"),
            Some(Err(error)) => call.error(&error),
            None => call.error("Can't display the certificate: Not found or the certificate is a bundle!"),
        };
    }
    let name = wanted.strip_prefix('\\').unwrap_or(&wanted);
    match store.get(name) {
        Some(stored) => {
            let status = match (&stored.material, stored.is_used) {
                (None, _) => "Empty",
                (Some(_), true) => "Used",
                (Some(_), false) => "Unused",
            };
            describe(call, name, stored.material.as_deref(), status)
        }
        None => call.error("Can't display the certificate: Not found or the certificate is a bundle!"),
    }
}

fn describe(call: &mut Call<'_>, name: &str, material: Option<&Material>, status: &str) -> Flow {
    call.print(format!("Filename: {name}\nStatus: {status}\n"));
    if let Some(material) = material {
        call.print(facts::describe(&material.leaf));
    }
    Flow::Done
}

fn set(call: &mut Call<'_>) -> Flow {
    let name = call.arg(3).to_owned();
    let Some(payload) = call.payload.filter(|_| !name.is_empty()) else {
        return call.error("'set ssl cert' expects a filename and a certificate as a payload");
    };
    match store(call).prepare(&name, payload) {
        Ok((owner, begins)) => {
            let what = if begins { "created" } else { "updated" };
            call.say(Severity::Notice, &format!("Transaction {what} for certificate {owner}!"))
        }
        Err(error) => call.error(&error),
    }
}

fn new(call: &mut Call<'_>) -> Flow {
    let name = call.arg(3).to_owned();
    if name.is_empty() {
        return call.error("'new ssl cert' expects a filename");
    }
    match store(call).create(&name) {
        Ok(()) => call.say(Severity::Notice, &format!("New empty certificate store '{name}'!")),
        Err(error) => call.error(&error),
    }
}

fn commit(call: &mut Call<'_>) -> Flow {
    let name = call.arg(3).to_owned();
    if name.is_empty() {
        return call.error("'commit ssl cert' expects a filename");
    }
    match store(call).commit(&name) {
        Ok(()) => {
            call.print(format!("Committing {name}.\nSuccess!\n"));
            Flow::Done
        }
        Err(error) => call.error(&format!("{error}\nCan't commit {name}!")),
    }
}

fn abort(call: &mut Call<'_>) -> Flow {
    let name = call.arg(3).to_owned();
    if name.is_empty() {
        return call.error("'abort ssl cert' expects a filename");
    }
    match store(call).abort(&name) {
        Ok(()) => call.say(Severity::Notice, &format!("Transaction aborted for certificate '{name}'!")),
        Err(error) => call.error(&error),
    }
}

fn delete(call: &mut Call<'_>) -> Flow {
    let name = call.arg(3).to_owned();
    if name.is_empty() {
        return call.error("'del ssl cert' expects a certificate name");
    }
    match store(call).delete(&name) {
        Ok(()) => call.say(Severity::Notice, &format!("Certificate '{name}' deleted!")),
        Err(error) => call.error(&error),
    }
}

/// The name of a list: slashes at its end do not count.
fn list_name(text: &str) -> String {
    text.trim_end_matches('/').to_owned()
}

fn show_list(call: &mut Call<'_>) -> Flow {
    let store = store(call);
    let numbered = call.arg(3) == "-n";
    let name = list_name(call.arg(if numbered { 4 } else { 3 }));
    if name.is_empty() {
        for name in store.lists() {
            call.print(format!("{name}\n"));
        }
        return Flow::Done;
    }
    let Some(lines) = store.list(&name) else {
        return call.error("didn't find the specified filename");
    };
    call.print(format!("# {name}\n"));
    for line in lines {
        let number = if numbered { format!(":{}", line.number) } else { String::new() };
        let rest = if line.rest.is_empty() { String::new() } else { format!(" {}", line.rest) };
        call.print(format!("{}{number}{rest}\n", line.certificate));
    }
    Flow::Done
}

fn add_line(call: &mut Call<'_>) -> Flow {
    let name = list_name(call.arg(3));
    let text = match call.payload {
        Some(payload) => String::from_utf8_lossy(payload).into_owned(),
        None => call.arg(4).to_owned(),
    };
    if name.is_empty() || text.trim().is_empty() {
        return call.error("'add ssl crtlist' expects a filename and a certificate name");
    }
    let ignored = call.arg(if call.payload.is_some() { 4 } else { 5 });
    if !ignored.is_empty() {
        return call.error(&format!(
            "'{ignored}' is one word too many: a line with options or filters comes whole as a payload ('<<')"
        ));
    }
    let store = store(call);
    let line = match crate::config::tls::line_at_run_time(&text, &store) {
        Ok(line) => line,
        Err(error) => return call.error(&format!("Can't edit the crt-list: {error}")),
    };
    let certificate = line.certificate.clone();
    match store.extend_list(&name, line) {
        Ok(()) => {
            call.print(format!("Inserting certificate '{certificate}' in crt-list '{name}'.\nSuccess!\n"));
            Flow::Done
        }
        Err(error) => call.error(&format!("Can't edit the crt-list: {error}")),
    }
}

fn delete_line(call: &mut Call<'_>) -> Flow {
    let (name, wanted) = (list_name(call.arg(3)), call.arg(4).to_owned());
    if name.is_empty() || wanted.is_empty() {
        return call.error("'del ssl crtlist' expects a filename and a certificate name");
    }
    let numbered = wanted.rsplit_once(':').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    let (certificate, number) = match numbered {
        Some((certificate, number)) => (certificate, Some(number)),
        None => (&*wanted, None),
    };
    match store(call).shrink_list(&name, certificate, number) {
        Ok(()) => call.say(Severity::Notice, &format!("Entry '{certificate}' deleted in crtlist '{name}'!")),
        Err(error) => call.error(&error),
    }
}
