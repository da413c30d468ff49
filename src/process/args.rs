//! The command line: HAProxy's flags, and verbs of our own.
//!
//! Each flag is one row of [`FLAGS`]: its name, what it takes, its line in the usage text and what it
//! does to the [`Options`]. A verb is a first argument without a dash, which HAProxy always refuses,
//! so that no script can mean anything else by it.

use super::manual::Page;
use crate::config::Settings;
use crate::config::features::Switches;
use crate::diag::did_you_mean;

/// Files tried by `check` when none is named.
pub(super) const DEFAULT_FILES: &[&str] = &["/etc/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg"];

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `-v`, `-vv`, `-vq`, ...
    Version(VersionForm),
    /// `--help`.
    Help,
    /// `--help` behind a verb.
    HelpOf(&'static str),
    /// `-cc`.
    Condition(Box<Options>, String),
    /// `-c` or `check`.
    Check(Box<Options>),
    /// `-dC`: show the configuration.
    Dump(Box<Options>, Dump),
    /// Start.
    Run(Box<Options>),
    /// `fmt`.
    Format(FormatOptions),
    /// `doc`; without a keyword it lists them.
    Doc(Option<String>),
    /// `reload`: asks a process to reload.
    Reload(i32),
    /// `doc --reference`, `doc --compatibility`: a page of the manual.
    Manual(Page),
}

/// What `-v` and kin show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionForm {
    /// `-v`.
    Line,
    /// `-vv`.
    Everything,
    /// `-vq`: the version alone.
    Plain,
    /// `-vqs`: without what follows the first dash.
    Short,
    /// `-vqb`: the branch.
    Branch,
}

/// `-dC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// With line numbers.
    pub numbers: bool,
}

/// `fmt`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatOptions {
    /// The file; standard input without one.
    pub file: Option<String>,
    /// `-w`: write it back.
    pub write: bool,
    /// `--check`: only tell whether it would change.
    pub check: bool,
}

/// Every flag that a start or a check heeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// All of it as it was given.
    pub arguments: Vec<String>,
    /// `-f` and what follows `--`: files and directories.
    pub files: Vec<String>,
    /// `-C`.
    pub directory: Option<String>,
    /// `-c`.
    pub check: bool,
    /// `-D`.
    pub daemon: bool,
    /// `-db`.
    pub foreground: bool,
    /// `-d`.
    pub debug: bool,
    /// `-V`.
    pub verbose: bool,
    /// `-q`.
    pub quiet: bool,
    /// `-W`.
    pub master_worker: bool,
    /// `-Ws`.
    pub systemd: bool,
    /// `-S`, in order.
    pub master_sockets: Vec<String>,
    /// `-p`.
    pub pidfile: Option<String>,
    /// `-n`.
    pub maxconn: Option<u32>,
    /// `-N`.
    pub proxy_maxconn: Option<u32>,
    /// `-m`.
    pub memory_mb: Option<u64>,
    /// `-L`.
    pub local_peer: Option<String>,
    /// `-sf`: processes to finish.
    pub finish: Vec<i32>,
    /// `-st`: processes to terminate.
    pub terminate: Vec<i32>,
    /// `-x`.
    pub old_socket: Option<String>,
    /// `-4`.
    pub ipv4_only: bool,
    /// `-dr`.
    pub no_resolve: bool,
    /// `-dW`.
    pub zero_warning: bool,
    /// `-dD`.
    pub diag: bool,
    /// `-dI`.
    pub insecure_fork: bool,
    /// `-dZ`.
    pub no_zero_copy: bool,
    /// `-dL`.
    pub dump_libraries: bool,
    /// `-dK`: classes of keywords to list.
    pub dump_keywords: Option<String>,
    /// `-dS`, `-dR` and kin.
    pub switches: Switches,
    /// `check`: the result tells what was checked.
    pub names_files: bool,
    /// `-cc`.
    pub(super) condition: Option<String>,
    /// `-dC`.
    pub(super) dump: Option<Dump>,
}

impl Options {
    /// What of it changes how a configuration is read.
    pub fn settings(&self) -> Settings {
        Settings {
            no_resolve: self.no_resolve,
            ipv4_only: self.ipv4_only,
            local_peer: self.local_peer.clone(),
            maxconn: self.maxconn,
            master_worker: self.master_worker,
            switches: self.switches.clone(),
        }
    }

    /// Whether messages are held back.
    pub fn is_silent(&self) -> bool {
        self.quiet && !self.verbose
    }
}

/// Why a command line is refused; empty when only the usage is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArgsError(pub String);

/// What a flag takes.
#[derive(Clone, Copy, Debug)]
enum Takes {
    Nothing,
    /// The next argument.
    Value(&'static str),
    /// What is glued to it.
    Glued(&'static str),
    /// The arguments up to the next flag.
    List(&'static str),
}

/// What a flag does with what it takes.
enum Apply {
    Nothing,
    Set(fn(&mut Options)),
    Text(fn(&mut Options, &str) -> Result<(), String>),
}

/// One flag.
struct Flag {
    name: &'static str,
    takes: Takes,
    help: &'static str,
    apply: Apply,
}

const fn set(name: &'static str, help: &'static str, apply: fn(&mut Options)) -> Flag {
    Flag { name, takes: Takes::Nothing, help, apply: Apply::Set(apply) }
}

const fn noted(name: &'static str, takes: Takes, help: &'static str) -> Flag {
    Flag { name, takes, help, apply: Apply::Nothing }
}

const fn text(
    name: &'static str,
    takes: Takes,
    help: &'static str,
    apply: fn(&mut Options, &str) -> Result<(), String>,
) -> Flag {
    Flag { name, takes, help, apply: Apply::Text(apply) }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number that fits here"))
}

fn pids(into: &mut Vec<i32>, text: &str) -> Result<(), String> {
    for word in text.split_ascii_whitespace() {
        match word.parse() {
            Ok(pid) if pid > 0 => into.push(pid),
            _ => return Err(format!("'{word}' is not a process id")),
        }
    }
    Ok(())
}

/// Whether the command line knows a flag.
#[cfg(test)]
pub(super) fn is_flag(name: &str) -> bool {
    FLAGS.iter().any(|flag| flag.name == name)
        || parse(&[name.into()]).is_ok_and(|command| matches!(command, Command::Version(_)))
}

/// Every flag (management guide, section 3).
const FLAGS: &[Flag] = &[
    text(
        "-f",
        Takes::Value("<cfgfile|cfgdir>"),
        "reads a file, or the *.cfg files of a directory; repeatable",
        |o, v| {
            o.files.push(v.into());
            Ok(())
        },
    ),
    text("-C", Takes::Value("<dir>"), "changes to <dir> before loading files", |o, v| {
        o.directory = Some(v.into());
        Ok(())
    }),
    set("-c", "only checks the configuration", |o| o.check = true),
    text(
        "-cc",
        Takes::Value("<condition>"),
        "evaluates a condition: exits with 0 if true, 1 if false, 2 if wrong",
        |o, v| {
            o.condition = Some(v.into());
            Ok(())
        },
    ),
    set("-V", "verbose: undoes -q, confirms a valid configuration", |o| o.verbose = true),
    set("-q", "quiet: no messages", |o| o.quiet = true),
    set("-D", "goes to the background", |o| o.daemon = true),
    set("-db", "stays in the foreground", |o| o.foreground = true),
    set("-d", "debug mode: stays in the foreground", |o| o.debug = true),
    set("-W", "master-worker mode", |o| o.master_worker = true),
    set("-Ws", "master-worker mode that notifies systemd", |o| {
        o.master_worker = true;
        o.foreground = true;
        o.systemd = true;
    }),
    text(
        "-S",
        Takes::Value("<bind>[,<options>]"),
        "accepted with a warning: there is no master process, and no socket appears here",
        |o, v| {
            o.master_sockets.push(v.into());
            Ok(())
        },
    ),
    text("-p", Takes::Value("<pidfile>"), "writes the process id to this file", |o, v| {
        o.pidfile = Some(v.into());
        Ok(())
    }),
    text("-n", Takes::Value("<maxconn>"), "limits the connections of the process", |o, v| {
        o.maxconn = Some(number(v)?);
        Ok(())
    }),
    text("-N", Takes::Value("<maxconn>"), "limits the connections of each proxy", |o, v| {
        o.proxy_maxconn = Some(number(v)?);
        Ok(())
    }),
    text("-m", Takes::Value("<megabytes>"), "limits the memory, by the connections that fit", |o, v| {
        o.memory_mb = Some(number(v)?);
        Ok(())
    }),
    text("-L", Takes::Value("<name>"), "the local peer's name (default: the host's)", |o, v| {
        o.local_peer = Some(v.into());
        Ok(())
    }),
    text(
        "-sf",
        Takes::List("<pid>*"),
        "tells these processes to finish once this one serves; they share their ports meanwhile",
        |o, v| pids(&mut o.finish, v),
    ),
    text("-st", Takes::List("<pid>*"), "terminates these processes once this one serves", |o, v| {
        pids(&mut o.terminate, v)
    }),
    text(
        "-x",
        Takes::Value("<socket>"),
        "takes the listening sockets of the process whose stats socket this is ('expose-fd listeners')",
        |o, v| {
            o.old_socket = Some(v.into());
            Ok(())
        },
    ),
    set("-4", "name resolution at run time asks for IPv4 only", |o| o.ipv4_only = true),
    text("-dC", Takes::Glued("[line]"), "shows the configuration as it is read, and exits", |o, v| {
        let mut dump = Dump::default();
        for word in v.split(',').filter(|word| !word.is_empty()) {
            match word {
                "line" => dump.numbers = true,
                _ => return Err("showing the configuration anonymised is not supported".into()),
            }
        }
        o.dump = Some(dump);
        Ok(())
    }),
    set("-dW", "a warning fails the start", |o| o.zero_warning = true),
    set("-dD", "shows diagnostics about suspicious settings", |o| o.diag = true),
    set("-dr", "a server name that does not resolve is no error", |o| o.no_resolve = true),
    set("-dI", "allows external checks to fork", |o| o.insecure_fork = true),
    noted("-dM", Takes::Glued("[<byte>,...]"), "accepted: there are no memory pools to debug"),
    noted("-dt", Takes::Glued("[<trace>]"), "accepted: there are no trace sources"),
    text(
        "-dK",
        Takes::Glued("<class>[,...]"),
        "lists the keywords (all, cfg, acl, flt, smp, cnv, cli, svc)",
        |o, v| {
            o.dump_keywords = Some(v.into());
            Ok(())
        },
    ),
    set("-dL", "lists the shared libraries after the check", |o| o.dump_libraries = true),
    noted("-dc", Takes::Nothing, "accepted: 'show threads' of the runtime API tells the CPU of each thread"),
    set("-de", "does not use epoll", |o| o.switches.no_epoll = true),
    set("-dS", "does not use splice", |o| o.switches.no_splice = true),
    set("-dG", "does not use getaddrinfo", |o| o.switches.no_getaddrinfo = true),
    set("-dR", "does not use SO_REUSEPORT", |o| o.switches.no_reuseport = true),
    set("-dF", "does not use fast forwarding", |o| o.switches.no_fast_forward = true),
    set("-dV", "does not verify servers' certificates", |o| o.switches.no_server_verify = true),
    set("-dZ", "does not forward without copying", |o| o.no_zero_copy = true),
    noted("-dp", Takes::Nothing, "accepted: poll() is never used"),
    noted("-dk", Takes::Nothing, "accepted: there is no kqueue here"),
    noted("-dv", Takes::Nothing, "accepted: there are no event ports here"),
    noted("-dT", Takes::Nothing, "accepted: kernel TLS is never used"),
];

/// Verbs, their arguments and what they do.
const VERBS: &[(&str, &str, &str)] = &[
    ("check", "[<cfgfile>*] [flags]", "checks a configuration (without a file, the system's) and says so"),
    ("fmt", "[-w] [--check] [<cfgfile>]", "re-indents a configuration (standard input without a file)"),
    (
        "doc",
        "[<keyword> | --reference | --compatibility]",
        "explains a keyword, or prints a page of the manual",
    ),
    ("version", "", "shows the version"),
    ("reload", "<pid>", "has a process read its files again, and fails if that changed nothing"),
];

/// The usage text.
pub(super) fn usage(program: &str) -> String {
    let mut out = format!(
        "Usage : {program} [-f <cfgfile|cfgdir>]* [-- <cfgfile>*] [flags]\n        {program} <verb> [arguments]\n\nFlags :\n"
    );
    out.push_str(&format!("  {:<24} shows the version ; -vv everything about the build ; -vq, -vqs, -vqb the bare version, short, branch\n", "-v"));
    for flag in FLAGS {
        let shown = match flag.takes {
            Takes::Nothing => flag.name.to_string(),
            Takes::Glued(value) => format!("{}{value}", flag.name),
            Takes::Value(value) | Takes::List(value) => format!("{} {value}", flag.name),
        };
        out.push_str(&format!("  {shown:<24} {}\n", flag.help));
    }
    out.push_str("\nVerbs :\n");
    for (verb, arguments, help) in VERBS {
        out.push_str(&format!("  {:<38} {help}\n", format!("{verb} {arguments}")));
    }
    out
}

/// What stands below a mistake: how to ask for more.
pub(super) fn short_usage(program: &str) -> String {
    format!(
        "Usage : {program} [-f <cfgfile|cfgdir>]* [-- <cfgfile>*] [flags]\n        {program} <verb> [arguments]\n\
         '{program} -h' lists the flags and verbs.\n"
    )
}

/// The usage of one verb.
pub(super) fn usage_of(program: &str, verb: &str) -> String {
    let (_, arguments, help) = VERBS.iter().find(|(known, ..)| *known == verb).unwrap_or(&("", "", ""));
    format!("Usage : {program} {verb} {arguments}\n{help}\n")
}

/// Reads the arguments that follow the program's name.
pub(super) fn parse(arguments: &[String]) -> Result<Command, ArgsError> {
    let Some(first) = arguments.first() else { return Err(ArgsError(String::new())) };
    if let Some((verb, ..)) = VERBS.iter().find(|(verb, ..)| verb == first)
        && arguments[1..].iter().any(|argument| argument == "--help" || argument == "-h")
    {
        return Ok(Command::HelpOf(verb));
    }
    match first.as_str() {
        "check" => {
            let mut options = Options { check: true, verbose: true, names_files: true, ..Options::default() };
            if let Some(command) = flags(&arguments[1..], &mut options, true)? {
                return Ok(command);
            }
            if options.files.is_empty() {
                let known = DEFAULT_FILES.iter().find(|file| std::path::Path::new(file).exists());
                let file = known.ok_or_else(|| ArgsError("check expects a configuration file".into()))?;
                options.files.push((*file).into());
            }
            Ok(decide(options))
        }
        "fmt" => format_options(&arguments[1..]),
        "doc" => match &arguments[1..] {
            [] => Ok(Command::Doc(None)),
            [page] if page == "--reference" => Ok(Command::Manual(Page::Reference)),
            [page] if page == "--compatibility" => Ok(Command::Manual(Page::Compatibility)),
            words => Ok(Command::Doc(Some(words.join(" ")))),
        },
        "reload" => match &arguments[1..] {
            [pid] if !pid.trim().is_empty() => {
                let mut of = Vec::new();
                pids(&mut of, pid).map_err(|text| ArgsError(format!("reload : {text}")))?;
                Ok(Command::Reload(of[0]))
            }
            _ => Err(ArgsError("reload expects the process id of a running process".into())),
        },
        "help" | "--help" | "-h" => Ok(Command::Help),
        "version" | "--version" => Ok(Command::Version(VersionForm::Line)),
        verb if !verb.starts_with('-') => {
            let hint = did_you_mean(verb, VERBS.iter().map(|(verb, ..)| *verb));
            let hint = hint.map(|hint| format!(" ; {hint}")).unwrap_or_default();
            Err(ArgsError(format!("unexpected argument '{verb}'{hint}")))
        }
        _ => {
            let mut options = Options::default();
            if let Some(command) = flags(arguments, &mut options, false)? {
                return Ok(command);
            }
            if options.condition.is_none() && options.files.is_empty() {
                return Err(ArgsError("no configuration file was given (-f)".into()));
            }
            if !options.master_sockets.is_empty() && !options.master_worker {
                return Err(ArgsError(
                    "a master CLI socket was defined, but master-worker mode (-W) is not enabled".into(),
                ));
            }
            Ok(decide(options))
        }
    }
}

fn decide(mut options: Options) -> Command {
    if let Some(condition) = options.condition.take() {
        return Command::Condition(Box::new(options), condition);
    }
    if let Some(dump) = options.dump {
        return Command::Dump(Box::new(options), dump);
    }
    if options.check {
        return Command::Check(Box::new(options));
    }
    Command::Run(Box::new(options))
}

/// Reads flags into `options`; `-v` and its kin end the reading with a command of their own.
fn flags(
    arguments: &[String],
    options: &mut Options,
    words_are_files: bool,
) -> Result<Option<Command>, ArgsError> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            options.files.extend(rest.by_ref().cloned());
            break;
        }
        if !argument.starts_with('-') {
            if words_are_files {
                options.files.push(argument.clone());
                continue;
            }
            return Err(ArgsError(format!("unexpected argument '{argument}'")));
        }
        if argument.starts_with("-v") {
            return Ok(Some(Command::Version(match argument.as_str() {
                "-vq" => VersionForm::Plain,
                "-vqs" => VersionForm::Short,
                "-vqb" => VersionForm::Branch,
                text if text.starts_with("-vv") => VersionForm::Everything,
                _ => VersionForm::Line,
            })));
        }
        let flag = FLAGS.iter().find(|flag| flag.name == argument).or_else(|| {
            FLAGS.iter().find(|f| matches!(f.takes, Takes::Glued(_)) && argument.starts_with(f.name))
        });
        let Some(flag) = flag else {
            let hint =
                did_you_mean(argument, FLAGS.iter().map(|flag| flag.name).filter(|name| name.len() > 2));
            let hint = hint.map(|hint| format!(" ; {hint}")).unwrap_or_default();
            return Err(ArgsError(format!("unknown flag '{argument}'{hint}")));
        };
        let value = match flag.takes {
            Takes::Nothing => String::new(),
            Takes::Value(name) => {
                rest.next().cloned().ok_or_else(|| ArgsError(format!("{} expects {name}", flag.name)))?
            }
            Takes::Glued(_) => {
                let glued = argument[flag.name.len()..].to_string();
                let next = rest.as_slice().first();
                match next {
                    // The one flag whose value may stand apart.
                    Some(next) if flag.name == "-dt" && glued.is_empty() && !next.starts_with('-') => {
                        rest.next();
                        next.clone()
                    }
                    _ => glued,
                }
            }
            Takes::List(_) => {
                let len = rest.as_slice().iter().take_while(|word| !word.starts_with('-')).count();
                rest.by_ref().take(len).cloned().collect::<Vec<_>>().join(" ")
            }
        };
        match flag.apply {
            Apply::Nothing => {}
            Apply::Set(apply) => apply(options),
            Apply::Text(apply) => {
                apply(options, &value).map_err(|error| ArgsError(format!("{} : {error}", flag.name)))?;
            }
        }
    }
    Ok(None)
}

fn format_options(arguments: &[String]) -> Result<Command, ArgsError> {
    let mut options = FormatOptions::default();
    for argument in arguments {
        match argument.as_str() {
            "-w" | "--write" => options.write = true,
            "--check" => options.check = true,
            "-" => options.file = None,
            flag if flag.starts_with('-') => return Err(ArgsError(format!("fmt : unknown flag '{flag}'"))),
            file if options.file.is_none() => options.file = Some(file.to_string()),
            _ => return Err(ArgsError("fmt : only one file at a time".into())),
        }
    }
    if options.write && options.file.is_none() {
        return Err(ArgsError("fmt : -w needs a file to write to".into()));
    }
    Ok(Command::Format(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> Result<Command, ArgsError> {
        let arguments: Vec<String> = line.split(' ').filter(|w| !w.is_empty()).map(str::to_string).collect();
        parse(&arguments)
    }

    #[track_caller]
    fn check(line: &str, expected: Options) {
        match ask(line) {
            Ok(Command::Run(options) | Command::Check(options)) => assert_eq!(*options, expected, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_are_read() {
        let base = || Options { files: vec!["a.cfg".into()], ..Options::default() };
        check("-f a.cfg", base());
        check("-c -f a.cfg", Options { check: true, ..base() });
        check(
            "-d -dM -dI -dW -f a.cfg",
            Options { debug: true, insecure_fork: true, zero_warning: true, ..base() },
        );
        check("-dM0x50,no-cache -f a.cfg", base());
        check("-dt h1 -f a.cfg", base());
        check("-dt -f a.cfg", base());
        check(
            "-- a.cfg b.cfg -c",
            Options { files: vec!["a.cfg".into(), "b.cfg".into(), "-c".into()], ..Options::default() },
        );
        check(
            "-D -p pid -f a.cfg -sf 1 2 3 -n 5",
            Options {
                daemon: true,
                pidfile: Some("pid".into()),
                finish: vec![1, 2, 3],
                maxconn: Some(5),
                ..base()
            },
        );
        check(
            "-Ws -S fd@3 -S /x,level,admin -f a.cfg",
            Options {
                master_worker: true,
                foreground: true,
                systemd: true,
                master_sockets: vec!["fd@3".into(), "/x,level,admin".into()],
                ..base()
            },
        );
        check(
            "-L A -m 256 -N 9 -x /s -4 -dr -st 7 -f a.cfg",
            Options {
                local_peer: Some("A".into()),
                memory_mb: Some(256),
                proxy_maxconn: Some(9),
                old_socket: Some("/s".into()),
                ipv4_only: true,
                no_resolve: true,
                terminate: vec![7],
                ..base()
            },
        );
        check("check a.cfg", Options { check: true, verbose: true, names_files: true, ..base() });
        check(
            "check -q -f a.cfg",
            Options { check: true, verbose: true, quiet: true, names_files: true, ..base() },
        );
    }

    #[test]
    fn commands_are_told_apart() {
        for (line, expected) in [
            ("-v", Command::Version(VersionForm::Line)),
            ("-dM -dI -dW -vv", Command::Version(VersionForm::Everything)),
            ("-vqb", Command::Version(VersionForm::Branch)),
            ("--help", Command::Help),
            ("version", Command::Version(VersionForm::Line)),
            ("check --help", Command::HelpOf("check")),
            ("fmt -h", Command::HelpOf("fmt")),
            ("doc --help", Command::HelpOf("doc")),
            ("doc timeout connect", Command::Doc(Some("timeout connect".into()))),
            ("doc", Command::Doc(None)),
            (
                "fmt -w a.cfg",
                Command::Format(FormatOptions { file: Some("a.cfg".into()), write: true, check: false }),
            ),
            ("reload 7", Command::Reload(7)),
            ("fmt", Command::Format(FormatOptions::default())),
        ] {
            assert_eq!(ask(line), Ok(expected), "{line}");
        }
        assert!(matches!(ask("-dW -cc 1"), Ok(Command::Condition(_, text)) if text == "1"));
        assert!(matches!(ask("-dC -f a"), Ok(Command::Dump(_, Dump { numbers: false }))));
        assert!(ask("-dC0,line -f a").is_err());
        assert!(matches!(ask("-dCline -f a"), Ok(Command::Dump(_, Dump { numbers: true }))));
        let empty = parse(&["-cc".into(), String::new()]);
        assert!(matches!(empty, Ok(Command::Condition(_, text)) if text.is_empty()));
    }

    #[test]
    fn mistakes_are_refused() {
        for (line, part) in [
            ("", ""),
            ("-c", "no configuration file"),
            ("-Z", "unknown flag '-Z'"),
            ("-dQ -f a", "unknown flag '-dQ'"),
            ("-f", "expects <cfgfile|cfgdir>"),
            ("-n x -f a", "not a number"),
            ("-sf x -f a", "not a process id"),
            ("-f a b", "unexpected argument 'b'"),
            ("-f a -S /x", "master-worker mode (-W) is not enabled"),
            ("chekc", "did you mean 'check'?"),
            ("fmt -w", "needs a file"),
        ] {
            let ArgsError(text) = ask(line).expect_err(line);
            assert!(text.contains(part), "{line}: {text}");
        }
    }

    #[test]
    fn the_usage_names_every_flag() {
        let usage = usage("haring");
        for flag in FLAGS {
            assert!(usage.contains(&format!("\n  {}", flag.name)), "{}", flag.name);
        }
        let mut names: Vec<&str> = FLAGS.iter().map(|flag| flag.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "no flag twice");
    }
}
