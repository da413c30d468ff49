//! Fetches whose data only a live connection has: the kernel's figures, reuse, bytes, calls.

use crate::support::*;

#[test]
fn live_connections_tell_their_figures() {
    both_drivers(|driver| {
        let origin = Origin::named("web");
        let mut log = Syslog::start();
        let proxy = Proxy::start(
            driver,
            &format!(
                "global
    log {} local0
{HTTP_DEFAULTS}
    timeout tunnel 30s
    log global
frontend fe
    bind @fe@
    redirect scheme https code 301 if {{ path /tls }} !{{ ssl_fc }}
    http-request set-var(txn.front) 'fc_rtt(us),add(0)' if {{ fc_unacked ge 0 }} {{ dst_conn ge 1 }} {{ fe_defbe be }}
    http-response set-header X-Reused %[bc_reused]
    http-response set-header X-To %[bc_dst]:%[bc_dst_port]
    http-response set-header X-Known 1 if {{ bc_rtt(us) ge 0 }} {{ var(txn.front) -m found }} {{ bc_src 127.0.0.0/8 }}
    http-response set-header X-Timeouts %[be_server_timeout]/%[cur_server_timeout]/%[cur_tunnel_timeout]
    log-format \"calls:%[cpu_calls,bool] %[req.bytes_in,bool] %[req.bytes_out,bool] %[res.bytes_in,bool] %[bc_rtt]end\"
    default_backend be
backend be
    http-request set-timeout server 4s if {{ path /slow }}
    server s {}
",
                log.address(),
                origin.address()
            ),
        );
        // `dst_conn` is not compared with 1: another core may just have taken a place to look for a client in vain.
        let mut client = proxy.client("fe");
        for (path, reused, timeouts) in [("/", "0", "60000/60000/30000"), ("/slow", "1", "60000/4000/30000")]
        {
            let response = client.get(path, "");
            assert_eq!(response.header("x-reused"), Some(reused), "{path}");
            assert_eq!(response.header("x-to"), Some(&*origin.address().to_string()), "{path}");
            assert_eq!(response.header("x-known"), Some("1"), "{path}");
            assert_eq!(response.header("x-timeouts"), Some(timeouts), "{path}");
            // The server's connection serves another client by then.
            log.wait_for(&["calls:1 1 1 1 -end"]);
        }
        let response = client.get("/tls", "");
        assert_eq!(response.status, 301);
        assert!(response.header("location").is_some_and(|to| to.starts_with("https://")));
    });
}
