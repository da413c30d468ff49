//! Addresses of clients: an IPv4 client of a listener for both families is shown as a mapped address, everywhere alike.

use crate::support::*;

#[test]
fn a_mapped_address_has_one_face() {
    both_drivers(|driver| {
        let mut log = Syslog::start();
        let origin = Origin::named("a");
        let builder = Proxy::build(driver);
        builder.write("nets.map", "127.0.0.0/8 four\n::ffff:127.0.0.0/104 mapped\n");
        let proxy = builder.start(&format!(
            "{HTTP_DEFAULTS}\nlisten fe\n    bind @fe@ accept-proxy\n    log {} local0\n    log-format \"<%ci|%[src]>\"\n    \
             option forwardfor\n    stick-table type ip size 10 store gpc0\n    http-request track-sc0 src\n    \
             http-request sc-inc-gpc0(0)\n    http-request set-header x-table %[src,table_gpc0(fe)]%[src_get_gpc0(fe)]\n    \
             http-request set-header x-face \"%[src] %[src,length] %[src,map_ip(@dir@/nets.map,none)] %[fc_src] %[dst]\"\n    \
             http-request set-header x-four yes if {{ src 127.0.0.0/8 }}\n    server s {}\n",
            log.address(),
            origin.address()
        ));
        let mut client = proxy.client("fe");
        client.send("PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.2 1000 80\r\n");
        assert_eq!(client.get("/", "").text(), "a");
        let request = origin.last();
        let face = "::ffff:127.0.0.1 16 mapped 127.0.0.1 ::ffff:127.0.0.2";
        assert_eq!(request.header("x-face"), Some(face));
        assert_eq!(request.header("x-forwarded-for"), Some("::ffff:127.0.0.1"));
        assert_eq!(request.header("x-table"), Some("11"), "a table of IPv4 addresses knows it");
        assert_eq!(request.header("x-four"), Some("yes"), "IPv4 networks match it");
        log.wait_for(&["<::ffff:127.0.0.1|::ffff:127.0.0.1>"]);
    });
}
