//! What a scrape asks for, from the query string: scopes, metrics, labels.

use std::collections::HashMap;

use crate::http::uri;

/// A family of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Scope {
    Global,
    Frontend,
    Listener,
    Backend,
    Server,
    StickTable,
    Resolver,
}

impl Scope {
    /// Every scope, in the order of the output.
    pub const ALL: [Scope; 7] = [
        Scope::Global,
        Scope::Frontend,
        Scope::Listener,
        Scope::Backend,
        Scope::Server,
        Scope::StickTable,
        Scope::Resolver,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
    /// What the names of its metrics begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Scope::Global => "haproxy_process_",
            Scope::Frontend => "haproxy_frontend_",
            Scope::Listener => "haproxy_listener_",
            Scope::Backend => "haproxy_backend_",
            Scope::Server => "haproxy_server_",
            Scope::StickTable => "haproxy_sticktable_",
            Scope::Resolver => "haproxy_resolver_",
        }
    }
    /// The scopes a value of `scope=` adds, as bits; `None` for a word that is none.
    fn named(value: &[u8]) -> Option<u8> {
        Some(match value {
            b"*" => EVERYTHING,
            b"global" => Scope::Global.bit(),
            b"frontend" => Scope::Frontend.bit(),
            b"listener" => Scope::Listener.bit(),
            b"backend" => Scope::Backend.bit(),
            b"server" => Scope::Server.bit(),
            b"sticktable" => Scope::StickTable.bit(),
            b"resolver" => Scope::Resolver.bit(),
            _ => return None,
        })
    }
}

const EVERYTHING: u8 = (1 << Scope::ALL.len()) - 1;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    scopes: u8,
    /// Metrics by their whole names: wanted, or not.
    metrics: HashMap<Vec<u8>, bool>,
    /// Whether a metric that is not named is wanted.
    others: bool,
    /// Leave out servers in maintenance.
    pub hide_maintenance: bool,
    /// Add the description of the section as the label `desc`.
    pub describe: bool,
}

impl Default for Asked {
    fn default() -> Asked {
        Asked {
            scopes: EVERYTHING,
            metrics: HashMap::new(),
            others: true,
            hide_maintenance: false,
            describe: false,
        }
    }
}

impl Asked {
    /// Reads the query string of a request target. `None` is a bad request: a scope that does not
    /// exist, `scope` or `metrics` without a value, bytes that do not decode. Other parameters mean
    /// nothing, `extra-counters` among them: no module keeps any.
    pub fn parse(target: &[u8]) -> Option<Asked> {
        let mut asked = Asked::default();
        let query = uri::query(target).unwrap_or_default();
        let query = query.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut is_scoped = false;
        for pair in query.split(|byte| *byte == b'&') {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(parts.next().unwrap_or_default())?;
            let value = match parts.next() {
                Some(value) if value.contains(&b'=') => return None,
                Some(value) => Some(decode(value)?),
                None => None,
            };
            match &*name {
                b"scope" => {
                    if !std::mem::replace(&mut is_scoped, true) {
                        asked.scopes = 0;
                    }
                    match value?.as_slice() {
                        b"" => asked.scopes = 0,
                        value => asked.scopes |= Scope::named(value)?,
                    }
                }
                b"metrics" => asked.filter(&value?),
                b"no-maint" => asked.hide_maintenance = true,
                b"desc-labels" => asked.describe = true,
                _ => {}
            }
        }
        Some(asked)
    }

    /// A comma-separated list of names, those behind a minus not wanted.
    fn filter(&mut self, list: &[u8]) {
        for word in list.split(|byte| *byte == b',') {
            let (name, is_wanted) = match word.strip_prefix(b"-") {
                Some(name) => (name, false),
                None => (word, true),
            };
            if !name.is_empty() {
                self.others &= !is_wanted;
                self.metrics.insert(name.to_vec(), is_wanted);
            }
        }
    }
    /// Whether metrics of a scope are wanted.
    pub fn wants(&self, scope: Scope) -> bool {
        self.scopes & scope.bit() != 0
    }
    /// Whether the metric `name` of a scope is wanted.
    pub fn wants_metric(&self, scope: Scope, name: &str) -> bool {
        if self.metrics.is_empty() {
            return true;
        }
        let whole = [scope.prefix(), name].concat();
        self.metrics.get(whole.as_bytes()).copied().unwrap_or(self.others)
    }
}

fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    uri::decode(bytes, true, &mut out)?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_add_up_and_an_empty_one_begins_anew() {
        use Scope::{Backend, Frontend, Global, Resolver, Server, StickTable};
        for (target, expected) in [
            ("/metrics", &Scope::ALL[..]),
            ("/metrics?", &Scope::ALL),
            ("/metrics?extra-counters&foo=bar&&x", &Scope::ALL),
            ("/metrics?scope=server", &[Server]),
            ("/metrics?scope=frontend&scope=backend", &[Frontend, Backend]),
            ("/metrics?scope=*&scope=", &[]),
            ("/metrics?scope=&scope=global", &[Global]),
            ("/metrics?scope=%2A", &Scope::ALL),
            ("/metrics?scope=sticktable#&scope=global", &[StickTable]),
            ("/metrics?scope=resolver", &[Resolver]),
        ] {
            let asked = Asked::parse(target.as_bytes()).unwrap();
            let wanted: Vec<Scope> = Scope::ALL.into_iter().filter(|scope| asked.wants(*scope)).collect();
            assert_eq!(wanted, expected, "{target}");
        }
    }

    #[test]
    fn metrics_are_named_or_left_out() {
        for (query, up, weight) in [
            ("", true, true),
            ("metrics=", true, true),
            ("metrics=-,,-", true, true),
            ("metrics=haproxy_server_weight", false, true),
            ("metrics=-haproxy_server_weight", true, false),
            ("metrics=haproxy_server_weight,-haproxy_server_weight", false, false),
            ("metrics=-haproxy_server_weight&metrics=haproxy_server_weight", false, true),
            ("metrics=haproxy_backend_weight", false, false),
            ("metrics=weight", false, false),
        ] {
            let asked = Asked::parse(format!("/m?{query}").as_bytes()).unwrap();
            let found =
                (asked.wants_metric(Scope::Server, "up"), asked.wants_metric(Scope::Server, "weight"));
            assert_eq!(found, (up, weight), "{query}");
        }
    }

    #[test]
    fn switches_and_mistakes() {
        let asked = Asked::parse(b"/m?no-maint=empty&desc-labels").unwrap();
        assert!(asked.hide_maintenance && asked.describe);
        for bad in ["scope", "scope=all", "scope=a=b", "x=%zz", "%4=1", "metrics", "a=b=c"] {
            assert_eq!(Asked::parse(format!("/m?{bad}").as_bytes()), None, "{bad}");
        }
    }
}
