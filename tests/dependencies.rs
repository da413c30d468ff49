//! What Haring is built from, held to `deny.toml` on every machine: licences, sources, unwanted crates.
//!
//! `cargo deny` does this and more (`tests/run` calls it where it is installed), but takes minutes to build;
//! this part needs nothing but cargo. Published weaknesses it does not know: they need a database.

use std::process::Command;

use serde_json::Value;

/// The quoted words between `start` and the next line that begins with a bracket.
fn words<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let after = text.split_once(start).unwrap_or_else(|| panic!("deny.toml has no '{start}'")).1;
    let list = after.split("\n]").next().unwrap_or_default().split("\n[").next().unwrap_or_default();
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

/// Whether an SPDX expression can be met with the licences that are allowed.
fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    let met = any(&mut tokens, allowed);
    met && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    let mut met = every(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        met |= every(tokens, allowed);
    }
    met
}

fn every(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    let mut met = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        met &= one(tokens, allowed);
    }
    met
}

fn one(tokens: &mut Tokens<'_>, allowed: &[&str]) -> bool {
    match tokens.next() {
        Some("(") => {
            let met = any(tokens, allowed);
            tokens.next_if_eq(&")").is_some() && met
        }
        Some(name) => {
            // An exception is a licence of its own, to be allowed as such.
            let exception = tokens.next_if_eq(&"WITH").and_then(|_| tokens.next());
            let name =
                exception.map_or_else(|| name.to_owned(), |exception| format!("{name} WITH {exception}"));
            allowed.contains(&&*name)
        }
        None => false,
    }
}

/// What is wrong with a package.
fn complaint(package: &Value, rules: &str) -> Option<String> {
    let name = package["name"].as_str().expect("a package has a name");
    let wrong = if let Some(source) = package["source"].as_str() {
        let registry = source.strip_prefix("registry+").unwrap_or(source);
        (!words(rules, "\nallow-registry =").contains(&registry)).then(|| format!("comes from {source}"))
    } else {
        (name != env!("CARGO_PKG_NAME")).then(|| "comes from this machine".to_owned())
    };
    let licence = package["license"].as_str().unwrap_or("no licence");
    let unlicensed =
        (!is_met(licence, &words(rules, "\nallow = ["))).then(|| format!("has the licence {licence}"));
    let unwanted = words(rules, "\ndeny = [").contains(&name).then(|| "is unwanted".to_owned());
    wrong.or(unlicensed).or(unwanted).map(|what| format!("{name} {what}"))
}

fn rules() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml");
    std::fs::read_to_string(path).expect("deny.toml is there")
}

#[test]
fn every_dependency_is_as_deny_toml_has_it() {
    let made = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let metadata: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let built = list(&metadata["resolve"]["nodes"]);
    let packages = list(&metadata["packages"]);
    let packages = packages.iter().filter(|package| built.iter().any(|node| node["id"] == package["id"]));
    let (rules, mut count, mut complaints) = (rules(), 0, Vec::new());
    for package in packages {
        count += 1;
        complaints.extend(complaint(package, &rules));
    }
    assert!(count > 50, "{count} packages");
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn rules_about_dependencies_can_fail() {
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    for (name, source, licence, expected) in [
        ("a", registry, "MIT", None),
        ("a", registry, "GPL-3.0", Some("a has the licence GPL-3.0")),
        ("a", registry, "GPL-3.0 OR MIT", None),
        ("a", registry, "GPL-3.0 AND MIT", Some("a has the licence GPL-3.0 AND MIT")),
        ("a", registry, "(MIT OR Apache-2.0) AND Unicode-3.0", None),
        (
            "a",
            registry,
            "Apache-2.0 WITH LLVM-exception",
            Some("a has the licence Apache-2.0 WITH LLVM-exception"),
        ),
        ("a", registry, "Apache-2.0 WITH LLVM-exception OR MIT", None),
        ("a", registry, "MIT/Apache-2.0", None),
        ("a", registry, "(MIT", Some("a has the licence (MIT")),
        ("a", registry, "", Some("a has the licence ")),
        ("openssl-sys", registry, "MIT", Some("openssl-sys is unwanted")),
        ("a", "git+https://example.com/a", "MIT", Some("a comes from git+https://example.com/a")),
    ] {
        let package = serde_json::json!({ "name": name, "source": source, "license": licence });
        assert_eq!(complaint(&package, &rules()).as_deref(), expected, "{name} {source} {licence}");
    }
}
