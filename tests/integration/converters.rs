//! Converters whose effect is outside the expression: what `debug` tells, what captures keep, what
//! names are found, and bytes that are no UTF-8.

use std::time::Duration;

use crate::support::*;

#[test]
fn effects_are_seen_outside() {
    both_drivers(|driver| {
        let origin = Origin::named("one");
        let config = format!(
            "{HTTP_DEFAULTS}
global
    stats socket @cli@ level admin
ring trace
    size 32768
frontend fe
    bind @fe@
    declare capture request len 4
    http-request set-var(txn.dest) path,lower,debug(path)
    http-request set-var(txn.kept) path,capture-req(0),debug(kept,trace)
    http-response set-header X-Captured %[capture.req.hdr(0)]
    http-response set-header X-Up %[str(be/s1),srv_is_up]-%[str(be),nbsrv]-%[str(fe),fe_exists]-%[str(be),fe_exists]
    http-response set-header X-Raw %[str(-\\xE0-),hex]
    http-response set-header X-Forwarded %[str(x),when(forwarded)]-%[str(x),when(toapplet)]
    default_backend be
backend be
    server s1 {}
",
            origin.address()
        );
        let proxy = Proxy::start(driver, &config);
        let response = proxy.client("fe").get("/Path", "");
        assert_eq!(response.status, 200);
        for (name, expected) in
            [("x-captured", "/Pat"), ("x-up", "1-1-1-0"), ("x-raw", "2DE02D"), ("x-forwarded", "x-")]
        {
            assert_eq!(response.header(name), Some(expected), "{name}");
        }
        assert!(wait_until(Duration::from_secs(5), || {
            proxy.admin("show events buf0").contains("[debug] path: type=str </path>")
                && proxy.admin("show events trace").contains("[debug] kept: type=str </Path>")
        }));
    });
}
