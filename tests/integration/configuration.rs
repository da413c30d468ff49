//! What is said about a configuration: mistakes with the right words, exit codes, and silence about
//! the files that distributions ship.

use std::process::Command;

use crate::support::*;

/// What a run of the binary left behind.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Checks a configuration with more words on the command line.
fn check(arguments: &[&str], text: &str) -> Said {
    let folder = Folder::new();
    let file = folder.write("test.cfg", text);
    let output = Command::new(env!("CARGO_BIN_EXE_haring"))
        .args(arguments)
        .args(["-f", &file])
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&file, "test.cfg");
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

const VALID: &str = "
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
listen web
    bind 127.0.0.1:8080
    server a 127.0.0.1:80
";

/// Valid, but HAProxy has something to say: no timeouts.
const ODD: &str = "listen web\n    bind 127.0.0.1:8080\n    server a 127.0.0.1:80\n";

#[test]
fn exit_codes_and_results_are_haproxys() {
    let missing = format!("{VALID}    default_backend nowhere\n");
    let unended = VALID.trim_end();
    let empty = "backend alone\n    server a 127.0.0.1:80\n    timeout connect 1s\n    timeout server 1s\n";
    for (arguments, text, code, out, err) in [
        (&["-c"][..], VALID, 0, "", ""),
        (&["-c", "-V"], VALID, 0, "Configuration file is valid\n", ""),
        (&["-c", "-V", "-q"], VALID, 0, "Configuration file is valid\n", ""),
        (&["-c", "-dW"], VALID, 0, "", ""),
        (&["-c"], ODD, 0, "Warnings were found.\n", "missing timeouts for proxy 'web'."),
        (&["-c", "-q"], ODD, 0, "", ""),
        (&["-c", "-dW"], ODD, 1, "", "Some warnings were found and 'zero-warning' is set. Aborting."),
        (&["-c", "-q", "-dW"], ODD, 1, "", ""),
        (&["-dW"], ODD, 1, "", "Some warnings were found"),
        (&["-c"], &missing, 1, "", "unable to find required default_backend: 'nowhere'"),
        (&[], &missing, 1, "", "Fatal errors found in configuration."),
        (&["-c"], unended, 1, "", "Missing LF on last line"),
        (
            &["-c"],
            empty,
            0,
            "No enabled listener found: a process cannot start on this configuration alone.\n",
            "",
        ),
        (&[], empty, 1, "", "no listener"),
    ] {
        let said = check(arguments, text);
        let shown = format!("{arguments:?}\n{text}\n{}", said.err);
        assert_eq!(said.code, Some(code), "{shown}");
        assert_eq!(said.out, out, "{shown}");
        assert!(said.err.contains(err), "no {err:?} in {shown}");
        assert_eq!(said.err.is_empty(), err.is_empty(), "{shown}");
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_line_and_a_suggestion() {
    let said = check(
        &["-c"],
        r#"global
    maxcon 100
defaults
    mode http
    timeout connect 5s
    timeout clinet 10s
    timeout server 10s
frontend www
    bind :8080
    acl is_api path_bge /api
    acl is_img path_beg /img
    http-request set-headr X-A b
    http-request deny if is_igm
    use_backend aip if is_img
    default_backend wbe
backend web
    balance roundrobbin
    option httpchck GET /
    server a 127.0.0.1:80 chek
    server b 127.0.0.1:99999
backend api
    server a 127.0.0.1:80
    http-request set-header X %[req.hdrr(a)]
    http-request set-header Y %[path,lowr]
backedn last
"#,
    );
    assert_eq!(said.code, Some(1), "{}", said.err);
    for (line, name, suggestion) in [
        (2, "maxcon", "maxconn"),
        (6, "clinet", "timeout client"),
        (10, "path_bge", "path_beg"),
        (12, "set-headr", "set-header"),
        (13, "is_igm", "is_img"),
        (14, "aip", "api"),
        (15, "wbe", "web"),
        (17, "balance", "roundrobin"),
        (18, "httpchck", "httpchk"),
        (19, "chek", "check"),
        (20, "99999", ""),
        (23, "req.hdrr", "req.hdr"),
        (24, "lowr", "lower"),
        (25, "backedn", "backend"),
    ] {
        let place = format!("[test.cfg:{line}]");
        // A message and the lines that belong to it.
        let found = said.err.split("\n[").find(|message| message.contains(&place));
        let message = found.unwrap_or_else(|| panic!("nothing about line {line} in\n{}", said.err));
        assert!(message.contains(name), "{line}: {message}");
        if !suggestion.is_empty() {
            assert!(message.contains(&format!("did you mean '{suggestion}'")), "{line}: {message}");
        }
    }
    assert!(said.err.ends_with("config : Fatal errors found in configuration.\n"), "{}", said.err);
}

#[test]
fn what_the_language_allows_is_understood() {
    let text = r#"
global
    log stdout format raw local0 # a comment
    setenv NAME web
.if version_atleast(2.4) && !defined(SURELY_NOT_SET)
    maxconn 100
.else
    nonsense
.endif
.if feature(NO_SUCH_FEATURE)
    nonsense
.elif streq("$NAME",web)
    description 'single "quotes"'
.endif

defaults base
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server "${UNSET_TIMEOUT-10s}"
    log global

defaults other from base
    option httplog

frontend "$NAME" from other
    bind 127.0.0.1:8080,127.0.0.1:8081 name both
    bind 127.0.0.1:60000-60003
    http-request set-header X "a \"b\" c"\ d
    http-request return status 200 content-type text/plain lf-string "%[path]\n" if { path /x } || { path -m beg /y }
    no option http-server-close
"#;
    let crlf = text.replace('\n', "\r\n");
    for text in [text, &crlf] {
        let said = check(&["-c", "-dW", "-V"], text);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    }
}

/// Pages as distributions have them, in a folder of the test.
fn pages(folder: &Folder) -> String {
    [400, 403, 408, 500, 502, 503, 504]
        .map(|status| {
            let page = format!("HTTP/1.0 {status} Page\r\nContent-Type: text/html\r\n\r\n<p>{status}</p>\n");
            format!("    errorfile {status} {}\n", folder.write(&format!("{status}.http"), &page))
        })
        .concat()
}

#[test]
fn the_files_of_distributions_load_without_a_word() {
    let folder = Folder::new();
    let (place, pages) = (folder.path().display(), pages(&folder));
    let debian = format!(
        "global
	log /dev/log	local0
	log /dev/log	local1 notice
	chroot /var/lib/haproxy
	stats socket {place}/admin.sock mode 660 level admin expose-fd listeners
	stats timeout 30s
	user root
	group root
	daemon

	# Default SSL material locations
	ca-base /etc/ssl/certs
	crt-base /etc/ssl/private

        ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256
        ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384
        ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

defaults
	log	global
	mode	http
	option	httplog
	option	dontlognull
        timeout connect 5000
        timeout client  50000
        timeout server  50000
{pages}"
    );
    let red_hat = format!(
        "global
    log         127.0.0.1 local2

    chroot      /var/lib/haproxy
    pidfile     {place}/haproxy.pid
    maxconn     4000
    user        root
    group       root
    daemon

    # turn on stats unix socket
    stats socket {place}/stats

    # utilize system-wide crypto-policies
    ssl-default-bind-ciphers PROFILE=SYSTEM
    ssl-default-server-ciphers PROFILE=SYSTEM

defaults
    mode                    http
    log                     global
    option                  httplog
    option                  dontlognull
    option http-server-close
    option forwardfor       except 127.0.0.0/8
    option                  redispatch
    retries                 3
    timeout http-request    10s
    timeout queue           1m
    timeout connect         10s
    timeout client          1m
    timeout server          1m
    timeout http-keep-alive 10s
    timeout check           10s
    maxconn                 3000

frontend main
    bind *:5000
    acl url_static       path_beg       -i /static /images /javascript /stylesheets
    acl url_static       path_end       -i .jpg .gif .png .css .js

    use_backend static          if url_static
    default_backend             app

backend static
    balance     roundrobin
    server      static 127.0.0.1:4331 check

backend app
    balance     roundrobin
    server  app1 127.0.0.1:5001 check
    server  app2 127.0.0.1:5002 check
    server  app3 127.0.0.1:5003 check
    server  app4 127.0.0.1:5004 check
"
    );
    for text in [debian, red_hat] {
        let said = check(&["-c", "-dW", "-V"], &text);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        assert_eq!(said.out, "Configuration file is valid\n");
    }
}

/// A page of a distribution is served as it stands, by a configuration in two files and a folder.
#[test]
fn error_files_are_served_and_files_add_up() {
    both_drivers(|driver| {
        let folder = Folder::new();
        let more = Folder::new();
        more.write("20-web.cfg", "backend web\n    balance roundrobin\n");
        more.write("ignored.txt", "nonsense\n");
        more.write(".hidden.cfg", "nonsense\n");
        let proxy = Proxy::build(driver)
            .argument("-f")
            .argument(&more.write("10-first.cfg", &format!("{HTTP_DEFAULTS}{}", pages(&folder))))
            .start(&format!("{HTTP_DEFAULTS}{}frontend fe\n    bind @fe@\n", pages(&folder)));
        let response = proxy.client("fe").get("/", "");
        assert_eq!((response.status, response.text().as_str()), (503, "<p>503</p>\n"), "{}", response.head);
        let said = Command::new(env!("CARGO_BIN_EXE_haring"))
            .args(["-c", "-V", "-f"])
            .arg(more.path())
            .output()
            .expect("the binary runs");
        // The folder's files in order: the second finds the defaults of the first; nothing listens.
        assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    });
}

#[test]
fn the_driver_is_chosen_by_the_configuration_and_shown() {
    both_drivers(|driver| {
        let name = driver.name();
        let proxy = Proxy::start(Driver::Epoll, &format!("global\n    tune.driver {name}\n"));
        let info = proxy.admin("show info");
        assert!(info.lines().any(|line| line.contains(name)), "{info}");
    });
    let said = check(&["-c"], &format!("global\n    tune.driver eopll\n{VALID}"));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("did you mean 'epoll'"), "{}", said.err);
}

#[test]
fn a_port_that_is_taken_is_an_error_with_its_line() {
    let holder = std::net::TcpListener::bind((own_address(), 0)).expect("a port");
    let address = holder.local_addr().expect("bound");
    let text = format!("{HTTP_DEFAULTS}\nfrontend fe\n    bind {address}\n    http-request deny\n");
    let Err(said) = Proxy::build(Driver::Epoll).try_start(&text) else { panic!("it started") };
    assert!(said.contains("cannot bind") && said.contains(&address.to_string()), "{said}");
}
