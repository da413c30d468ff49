//! Counters of name servers: `show stat domain resolvers` and `show resolvers` (management manual, section 9.3).

use super::csv::quote;
use super::field::{Tags, Value};
use super::{json, typed};
use crate::model::Model;
use crate::resolvers::counters::ROWS;
use crate::resolvers::{Nameserver, Resolvers};

/// Tags of names and of counters.
const NAME: Tags = Tags("CGP");
const NUMBER: Tags = Tags("MGP");

/// A name server's fields in order: name, description, tags, value.
fn fields<'a>(
    resolvers: &'a Resolvers,
    nameserver: &'a Nameserver,
) -> impl Iterator<Item = (&'static str, &'static str, Tags, Value<'a>)> {
    let names = [
        ("id", "ID", NAME, Value::text(&*nameserver.name)),
        ("pid", "Parent ID", NAME, Value::text(&*resolvers.name)),
    ];
    let counter = |row: &'static crate::resolvers::counters::Row| {
        (row.name, row.text, NUMBER, Value::U64(nameserver.counters.get(row.counter)))
    };
    names.into_iter().chain(ROWS.iter().map(counter))
}

fn nameservers(model: &Model) -> impl Iterator<Item = (&Resolvers, &Nameserver)> {
    model
        .resolvers
        .iter()
        .flat_map(|resolvers| resolvers.nameservers.iter().map(move |nameserver| (&**resolvers, nameserver)))
}

/// All name servers as comma-separated values, a header line before them.
pub fn csv(model: &Model, out: &mut Vec<u8>) {
    out.extend_from_slice(b"# id,pid,");
    for row in ROWS {
        out.extend_from_slice(row.name.as_bytes());
        out.push(b',');
    }
    out.push(b'\n');
    for (resolvers, nameserver) in nameservers(model) {
        for (.., value) in fields(resolvers, nameserver) {
            match value {
                Value::Text(text) => quote(&text, out),
                value => value.write_plain(out),
            }
            out.push(b',');
        }
        out.push(b'\n');
    }
}

/// All name servers as typed lines; with `describe` each ends with the field's meaning.
pub fn typed(model: &Model, describe: bool, out: &mut Vec<u8>) {
    for (resolvers, nameserver) in nameservers(model) {
        for (at, (name, text, tags, value)) in fields(resolvers, nameserver).enumerate() {
            out.extend_from_slice(format!("N.{at}.{name}:").as_bytes());
            typed::field(&value, tags, false, describe.then_some(text), out);
        }
    }
}

/// All name servers as a JSON array, each an array of its fields.
pub fn json(model: &Model, out: &mut Vec<u8>) {
    out.push(b'[');
    for (number, (resolvers, nameserver)) in nameservers(model).enumerate() {
        out.extend_from_slice(if number == 0 { b"[" } else { b",[" });
        for (at, (name, _, tags, value)) in fields(resolvers, nameserver).enumerate() {
            out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
            json::field(at, name, &value, tags, out);
        }
        out.push(b']');
    }
    out.extend_from_slice(b"]\n");
}

/// `show resolvers`: one section, or all; false if there is no such section.
pub fn show(model: &Model, only: Option<&str>, out: &mut Vec<u8>) -> bool {
    let mut is_known = only.is_none();
    for resolvers in model.resolvers.iter().filter(|known| only.is_none_or(|only| only == &*known.name)) {
        is_known = true;
        out.extend_from_slice(format!("Resolvers section {}\n", resolvers.name).as_bytes());
        for nameserver in &resolvers.nameservers {
            out.extend_from_slice(format!(" nameserver {}:\n", nameserver.name).as_bytes());
            for row in ROWS {
                let label = format!("{}:", row.shown);
                let line = format!("  {label:<12} {}\n", nameserver.counters.get(row.counter));
                out.extend_from_slice(line.as_bytes());
            }
        }
    }
    is_known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Span;
    use crate::resolvers::Transport;
    use crate::resolvers::counters::Counter;
    use crate::stats::fixture;

    fn model() -> Model {
        let mut model = fixture::model();
        let mut resolvers = Resolvers::new("dns", Span::NONE);
        for name in ["a", "b"] {
            resolvers.nameservers.push(Nameserver {
                name: name.into(),
                transport: Transport::Udp,
                address: ([127, 0, 0, 1], 53).into(),
                connections_max: 0,
                counters: Default::default(),
            });
        }
        resolvers.nameservers[1].counters.add(Counter::Outdated);
        model.resolvers = vec![resolvers.into()];
        model
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_form_names_all_counters_in_order() {
        let model = model();
        let lines = text(|out| csv(&model, out));
        assert_eq!(
            lines,
            "# id,pid,sent,send_error,valid,update,cname,cname_error,any_err,nx,timeout,refused,other,invalid,\
             too_big,truncated,outdated,\na,dns,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,\nb,dns,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,\n"
        );
        let lines = text(|out| typed(&model, true, out));
        assert!(lines.starts_with(
            "N.0.id:CGPV:str:a:\"ID\"\nN.1.pid:CGPV:str:dns:\"Parent ID\"\nN.2.sent:MGPV:u64:0:"
        ));
        assert_eq!(lines.lines().count(), 2 * 17);
        let value: serde_json::Value = serde_json::from_str(&text(|out| json(&model, out))).unwrap();
        assert_eq!(value[1][16]["field"]["name"], "outdated");
        assert_eq!(value[1][16]["value"]["value"], 1);
    }

    #[test]
    fn sections_are_shown_one_by_one() {
        let model = model();
        let shown = text(|out| assert!(show(&model, None, out)));
        assert!(
            shown.starts_with("Resolvers section dns\n nameserver a:\n  sent:        0\n  snd_error:   0\n")
        );
        assert!(shown.ends_with("  truncated:   0\n  outdated:    1\n"), "{shown}");
        assert_eq!(text(|out| assert!(show(&model, Some("dns"), out))), shown);
        assert!(!show(&model, Some("other"), &mut Vec::new()));
    }
}
