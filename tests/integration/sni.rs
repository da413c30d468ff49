//! TCP mode that looks before it connects: TLS by server name, HTTP by what the request says, whatever
//! else by the default; the bytes arrive untouched.

use std::process::{Command, Stdio};

use crate::support::programs::ProgramOrigin;
use crate::support::*;

/// Whose certificate a client gets that asks for `name` (or for none).
fn certificate_for(proxy: &Proxy, name: Option<&str>, more: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &proxy.address("fe").to_string()]).args(more);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let told = command.stdin(Stdio::null()).output().expect("openssl runs");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let subject = told.lines().find_map(|line| line.trim().strip_prefix("subject="));
    subject.unwrap_or_default().replace(' ', "").trim_start_matches("CN=").to_owned()
}

#[test]
fn backends_are_chosen_by_the_name_in_the_hello() {
    let (Some(alpha), Some(beta), Some(other)) =
        (ProgramOrigin::tls("alpha"), ProgramOrigin::tls("beta"), ProgramOrigin::tls("other"))
    else {
        return;
    };
    both_drivers(|driver| {
        let plain = Origin::raw(|mut stream, _, _| {
            let _ = std::io::Write::write_all(&mut stream, b"plain\n");
        });
        let builder = Proxy::build(driver);
        builder.write("names.map", "mapped.example beta\n");
        let map = builder.path("names.map");
        let proxy = builder.start(&format!(
            "{TCP_DEFAULTS}
frontend fe
    bind @fe@
    tcp-request inspect-delay 60s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    tcp-request content accept if !{{ req.ssl_hello_type 1 }}
    use_backend plain unless {{ req.ssl_hello_type 1 }}
    use_backend alpha if {{ req.ssl_sni -i alpha.example }}
    use_backend alpha if {{ req_ssl_sni -m end .alpha.example }}
    use_backend beta if {{ req.ssl_alpn h2 }}
    use_backend beta if {{ req.ssl_ver lt 3.3 }}
    use_backend %[req.ssl_sni,lower,map({map})] if {{ req.ssl_sni,lower,map({map}) -m found }}
    default_backend other
backend alpha
    server s {}
backend beta
    server s {}
backend other
    server s {}
backend plain
    server s {}
",
            alpha.address(),
            beta.address(),
            other.address(),
            plain.address()
        ));
        for (name, more, expected) in [
            (Some("alpha.example"), &[][..], "alpha"),
            (Some("ALPHA.example"), &[], "alpha"),
            (Some("deep.alpha.example"), &[], "alpha"),
            (Some("Mapped.Example"), &[], "beta"),
            (Some("unknown.example"), &[], "other"),
            (Some("unknown.example"), &["-alpn", "http/1.1,h2"], "beta"),
            (None, &[], "other"),
        ] {
            assert_eq!(certificate_for(&proxy, name, more), expected, "{name:?} {more:?}");
        }
        // Another protocol is known by its first byte: the delay's end is not waited for.
        let mut client = proxy.client("fe");
        client.send("S");
        assert_eq!(client.read_to_end(), b"plain\n");
    });
}

#[test]
fn http_is_recognised_in_tcp_mode() {
    both_drivers(|driver| {
        let web = Origin::named("web");
        let posts = Origin::named("posts");
        let other = Origin::raw(|mut stream, _, _| {
            let mut first = [0; 4];
            let _ = std::io::Read::read_exact(&mut stream, &mut first);
            let _ = std::io::Write::write_all(&mut stream, &[b"other:", &first[..]].concat());
        });
        let proxy = Proxy::start(
            driver,
            &format!(
                "{TCP_DEFAULTS}
frontend fe
    bind @fe@
    tcp-request inspect-delay 60s
    tcp-request content accept if HTTP
    tcp-request content accept if !HTTP
    use_backend posts if METH_POST {{ hdr(host) -i posts.example }}
    use_backend web if {{ req.proto_http }} {{ path_beg / }}
    default_backend other
backend posts
    server s {}
backend web
    server s {}
backend other
    server s {}
",
                posts.address(),
                web.address(),
                other.address()
            ),
        );
        let mut client = proxy.client("fe");
        client.send("POST /x HTTP/1.1\r\nHo");
        client.send("st: posts.example\r\nX-Odd:  kept \r\nContent-Length: 2\r\n\r\nab");
        assert_eq!(client.response().text(), "posts");
        assert_eq!(posts.last().body, b"ab");
        let mut client = proxy.client("fe");
        assert_eq!(client.get("/y", "").text(), "web");
        for bytes in ["\x16\x03\x01\x01", "SSH-2.0-x\r\n", "\0\0\0\0"] {
            let mut client = proxy.client("fe");
            client.send(bytes);
            let expected = [b"other:", &bytes.as_bytes()[..4]].concat();
            assert_eq!(client.read_to_end(), expected, "{bytes:?}");
        }
    });
}
