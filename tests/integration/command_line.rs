//! The command line: what scripts and test harnesses of HAProxy ask for.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_haring"))
        .args(arguments)
        .env("TESTVAR", "1")
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn conditions_answer_by_exit_code() {
    for (condition, expected) in [
        ("version_atleast(2.5-dev0)", 0),
        ("version_atleast(1024)", 1),
        ("defined(TESTVAR) && streq(\"$TESTVAR\",\"1\")", 0),
        ("", 1),
        ("200rrr", 2),
        ("streq(a,\"a)", 2),
    ] {
        let output = run(&["-dM", "-dI", "-dW", "-cc", condition]);
        assert_eq!(output.status.code(), Some(expected), "{condition}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{condition}");
        assert_eq!(output.stderr.is_empty(), expected != 2, "{condition}");
    }
    let quiet = run(&["-q", "-cc", "200rrr"]);
    assert!(quiet.stderr.is_empty() && quiet.status.code() == Some(2));
}

#[test]
fn versions_have_haproxys_shape() {
    let output = run(&["-dM", "-vv"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(shown.starts_with("HAProxy version 3.5-dev5-haring "), "{shown}");
    assert!(shown.contains("\n  TARGET  = linux-"), "{shown}");
}

#[test]
fn a_wrong_command_line_shows_the_usage() {
    for arguments in [&[][..], &["-Z"], &["-c"], &["-f"], &["nonsense"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let shown = text(&output.stderr);
        assert!(shown.contains("HAProxy version") && shown.contains("Usage : haring"), "{shown}");
        // A mistake is told first, and nothing pushes it out of sight.
        assert_eq!(shown.contains("\nFlags :\n"), arguments.is_empty(), "{shown}");
        assert!(arguments.is_empty() || shown.lines().count() <= 8, "{shown}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn mistakes_are_told_in_haproxys_form() {
    let path = std::env::temp_dir().join(format!("haring-cli-{}.cfg", std::process::id()));
    let name = path.to_str().expect("a plain name");
    std::fs::write(&path, "globl\nglobal\n    log \"unclosed\n.alert stop\nmore\n").unwrap();
    let output = run(&["-dC", "-f", name]);
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for part in [
        "config : parsing [NAME:1] : unknown keyword 'globl' out of section.\n   | did you mean 'global'?\n",
        "config : parsing [NAME:3] : unmatched quote at position 9:\n  log \"unclosed\n      ^\n",
        "config : parsing [NAME:4] : 'stop'\n",
        "config : Error(s) found in configuration file : NAME\n",
        "config : Fatal errors found in configuration.\n",
    ] {
        let part = part.replace("NAME", name);
        assert!(shown.contains(&part), "{part} in\n{shown}");
    }
    assert!(run(&["-q", "-dC", "-f", name]).stderr.is_empty());
    let formatted = run(&["fmt", name]);
    assert_eq!(text(&formatted.stdout), "globl\nglobal\n    log \"unclosed\n    .alert stop\n    more\n");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn keywords_are_explained() {
    let output = run(&["doc", "streq"]);
    assert!(text(&output.stdout).starts_with("streq(a,b)\n"));
    for (asked, part) in [
        ("path_beg", "compared as '-m beg' does"),
        ("http-request deny", "action, in: "),
        ("%ci", "log alias"),
        ("leastconn", "balance leastconn\n"),
        ("server check", "server option"),
    ] {
        let words: Vec<&str> = std::iter::once("doc").chain(asked.split(' ')).collect();
        let output = run(&words);
        assert!(text(&output.stdout).contains(part), "{asked}: {}", text(&output.stdout));
        assert_eq!(output.status.code(), Some(0), "{asked}");
    }
    for verb in ["check", "fmt", "doc"] {
        let output = run(&[verb, "--help"]);
        assert!(text(&output.stdout).starts_with(&format!("Usage : haring {verb} ")), "{verb}");
        assert_eq!(output.status.code(), Some(0), "{verb}");
    }
    assert!(text(&run(&["version"]).stdout).starts_with("HAProxy version "));
    let output = run(&["doc", "steq"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("did you mean 'streq'?"));
}

#[test]
fn a_check_names_what_it_checked() {
    let path = std::env::temp_dir().join(format!("haring-named-{}.cfg", std::process::id()));
    let name = path.to_str().expect("a plain name");
    std::fs::write(&path, "listen l\n    mode tcp\n    timeout client 1s\n    timeout server 1s\n    timeout connect 1s\n    bind 127.0.0.1:8080\n").unwrap();
    let output = run(&["check", name]);
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains(&format!("Configuration file is valid : {name}\n")), "{shown}");
    std::fs::write(&path, "global\n    server-state-file\nlisten l\n    bind 127.0.0.1:8080\n").unwrap();
    assert_eq!(run(&["check", name]).status.code(), Some(1), "a file of states has a name");
    std::fs::write(&path, "listen l\n    mode tcp\n    bind fd@999\n").unwrap();
    let output = run(&["check", name]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("(Bad file descriptor) for [fd@999]"), "{}", text(&output.stderr));
    let text_of = "global\n    nbthread 2\n    cpu-map 1/1-2 0\n    stats socket /nonexistent/socket\n";
    std::fs::write(&path, text_of).unwrap();
    let output = run(&["check", name]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("maps 2 threads to 1 CPUs"), "{}", text(&output.stderr));
    std::fs::remove_file(&path).unwrap();
}
