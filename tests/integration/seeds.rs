//! Deployments people describe, with real parts.

use crate::support::*;

#[test]
fn round_robin_alternates_strictly() {
    both_drivers(|driver| {
        let (one, two) = (Origin::named("gw1"), Origin::named("gw2"));
        let proxy = Proxy::start(
            driver,
            &format!(
                "{HTTP_DEFAULTS}
global
    nbthread 2
frontend main
    bind @fe@
    default_backend gateways
backend gateways
    balance roundrobin
    server gateway-1 {}
    server gateway-2 {}
",
                one.address(),
                two.address()
            ),
        );
        let names: Vec<String> = (0..20).map(|_| proxy.client("fe").get("/", "").text()).collect();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    });
}
