//! What a load has read of the world, written down so that a process can load the same where it cannot reach it: it
//! has changed its root directory, or given up the rights of the start.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::world::System;
use crate::config::{Input, World};
use crate::sample::expr::Files;

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// An error of the system.
    Os(i32),
    /// Another.
    Other(String),
}

impl Failure {
    fn of(error: &io::Error) -> Failure {
        error.raw_os_error().map_or_else(|| Failure::Other(error.to_string()), Failure::Os)
    }
    fn as_error(&self) -> io::Error {
        match self {
            Failure::Os(number) => io::Error::from_raw_os_error(*number),
            Failure::Other(text) => io::Error::other(text.clone()),
        }
    }
}

/// The answers of a world.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// The files of the command line, or why they cannot be read.
    pub(super) inputs: Option<Result<Vec<Input>, String>>,
    files: HashMap<String, Result<Vec<u8>, Failure>>,
    hosts: HashMap<String, Result<Vec<IpAddr>, Failure>>,
    hostname: Option<String>,
}

impl Recorded {
    /// As text, for [`Recorded::read`].
    pub(super) fn write(&self) -> String {
        let failed = |failure: &Failure| match failure {
            Failure::Os(number) => json!({ "os": number }),
            Failure::Other(text) => json!({ "error": text }),
        };
        let inputs = match &self.inputs {
            None => Value::Null,
            Some(Err(text)) => json!({ "error": text }),
            Some(Ok(inputs)) => {
                inputs.iter().map(|input| json!([input.name, BASE64.encode(&input.bytes)])).collect()
            }
        };
        let files = self.files.iter().map(|(path, outcome)| {
            let outcome = outcome.as_ref().map_or_else(failed, |bytes| BASE64.encode(bytes).into());
            (path.clone(), outcome)
        });
        let hosts = self.hosts.iter().map(|(name, outcome)| {
            let outcome = outcome.as_ref().map_or_else(failed, |addresses| {
                addresses.iter().map(|address| Value::from(address.to_string())).collect()
            });
            (name.clone(), outcome)
        });
        let (files, hosts): (Map<_, _>, Map<_, _>) = (files.collect(), hosts.collect());
        json!({ "inputs": inputs, "files": files, "hosts": hosts, "hostname": self.hostname }).to_string()
    }

    /// Reads what [`Recorded::write`] wrote; nothing if it is something else.
    pub(super) fn read(text: &[u8]) -> Option<Recorded> {
        let whole: Value = serde_json::from_slice(text).ok()?;
        let failure = |value: &Value| match (value.get("os"), value.get("error")) {
            (Some(number), _) => Some(Failure::Os(i32::try_from(number.as_i64()?).ok()?)),
            (_, Some(text)) => Some(Failure::Other(text.as_str()?.to_owned())),
            _ => None,
        };
        let bytes = |value: &Value| BASE64.decode(value.as_str()?).ok();
        let mut recorded = Recorded {
            hostname: whole.get("hostname").and_then(Value::as_str).map(str::to_owned),
            ..Recorded::default()
        };
        recorded.inputs = match whole.get("inputs")? {
            Value::Array(inputs) => {
                let input = |input: &Value| {
                    let (name, text) = (input.get(0)?.as_str()?.to_owned(), bytes(input.get(1)?)?);
                    Some(Input { name, bytes: text })
                };
                Some(Ok(inputs.iter().map(input).collect::<Option<_>>()?))
            }
            Value::Null => None,
            other => match failure(other)? {
                Failure::Other(text) => Some(Err(text)),
                Failure::Os(_) => return None,
            },
        };
        for (path, outcome) in whole.get("files")?.as_object()? {
            let outcome = match outcome {
                Value::String(_) => Ok(bytes(outcome)?),
                other => Err(failure(other)?),
            };
            recorded.files.insert(path.clone(), outcome);
        }
        for (name, outcome) in whole.get("hosts")?.as_object()? {
            let outcome = match outcome {
                Value::Array(list) => {
                    Ok(list.iter().map(|address| address.as_str()?.parse().ok()).collect::<Option<_>>()?)
                }
                other => Err(failure(other)?),
            };
            recorded.hosts.insert(name.clone(), outcome);
        }
        Some(recorded)
    }
}

/// The system as it is now, or as another process has found it, with the environment of the start: what the
/// configuration set in it is not found there.
#[derive(Debug, Default)]
pub(super) struct Began {
    pub(super) environment: HashMap<String, String>,
    /// What another process has found.
    pub(super) recorded: Recorded,
    /// What was asked of the system, if that is to be written down.
    pub(super) record: Option<RefCell<Recorded>>,
}

impl Files for Began {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if let Some(outcome) = self.recorded.files.get(path) {
            return outcome.clone().map_err(|failure| failure.as_error());
        }
        let outcome = System.read(path);
        if let Some(record) = &self.record {
            let kept = outcome.as_ref().map(Vec::clone).map_err(Failure::of);
            record.borrow_mut().files.insert(path.to_owned(), kept);
        }
        outcome
    }
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        let known = World::resolve(self, name).ok()?;
        known.iter().find_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None })
    }
}

impl World for Began {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Some(outcome) = self.recorded.hosts.get(host) {
            return outcome.clone().map_err(|failure| failure.as_error());
        }
        let outcome = System.resolve(host);
        if let Some(record) = &self.record {
            let kept = outcome.as_ref().map(Vec::clone).map_err(Failure::of);
            record.borrow_mut().hosts.insert(host.to_owned(), kept);
        }
        outcome
    }
    fn env(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }
    fn env_names(&self) -> Vec<String> {
        self.environment.keys().cloned().collect()
    }
    fn hostname(&self) -> Option<String> {
        let found = self.recorded.hostname.clone().or_else(|| System.hostname());
        if let Some(record) = &self.record {
            record.borrow_mut().hostname.clone_from(&found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read_again() {
        let writer = Began { record: Some(RefCell::default()), ..Began::default() };
        let path = std::env::temp_dir().join(format!("haring-recorded-{}", std::process::id()));
        std::fs::write(&path, b"\0\xffbytes").unwrap();
        let path = path.to_str().unwrap().to_owned();
        assert!(writer.read(&path).is_ok() && writer.read("/nonexistent").is_err());
        assert!(writer.resolve("127.0.0.1").is_ok());
        std::fs::remove_file(&path).unwrap();
        let mut record = writer.record.unwrap().into_inner();
        record.inputs = Some(Ok(vec![Input { name: "a.cfg".into(), bytes: b"global\n".to_vec() }]));
        record.hosts.insert("nowhere".into(), Err(Failure::Other("not known".into())));
        let recorded = Recorded::read(record.write().as_bytes()).expect("it was written so");
        let inputs = recorded.inputs.as_ref().unwrap().as_ref().unwrap();
        assert_eq!((inputs[0].name.as_str(), &inputs[0].bytes[..]), ("a.cfg", &b"global\n"[..]));
        let reader = Began { recorded, ..Began::default() };
        assert_eq!(reader.read(&path).unwrap(), b"\0\xffbytes", "although the file is gone");
        assert_eq!(reader.read("/nonexistent").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(reader.resolve("nowhere").unwrap_err().to_string(), "not known");
        assert_eq!(World::resolve(&reader, "127.0.0.1").unwrap().len(), 1);
        assert!(reader.read("/proc/self/cmdline").is_ok(), "what nobody has asked before is asked now");
        for text in [
            "",
            "{}",
            r#"{"inputs":[[1]],"files":{},"hosts":{}}"#,
            r#"{"inputs":null,"files":{"a":1},"hosts":{}}"#,
        ] {
            assert!(Recorded::read(text.as_bytes()).is_none(), "{text}");
        }
        let failed = Recorded { inputs: Some(Err("no file".into())), ..Recorded::default() };
        let failed = Recorded::read(failed.write().as_bytes()).unwrap();
        assert_eq!(failed.inputs.unwrap().unwrap_err(), "no file");
    }
}
