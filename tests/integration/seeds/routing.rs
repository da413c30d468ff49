//! Many microservices behind one port: routes by path, host, header, query, cookie and agent.

use std::fmt::Write;

use crate::support::*;

#[test]
fn each_kind_of_route_reaches_its_service() {
    both_drivers(|driver| {
        let names =
            ["orders", "users", "shop", "north", "beta", "session", "mobile", "inside", "default_service"];
        let origins: Vec<Origin> = names.iter().map(|name| Origin::named(name)).collect();
        let mut config = format!(
            "{HTTP_DEFAULTS}
frontend main
    bind @fe@
    acl is_orders path_beg /orders
    acl is_users path_beg /users
    acl is_shop hdr(host) -i shop.example.com
    acl is_north req.header(X-Region) -i North
    acl is_beta url_param(version) beta
    acl is_session req.cook(group) -m str b
    acl is_mobile hdr_sub(User-Agent) -i android iphone
    acl is_inside src 10.0.0.0/8
    use_backend inside if is_inside
    use_backend orders if is_orders
    use_backend users if is_users
    use_backend shop if is_shop
    use_backend north if is_north
    use_backend beta if is_beta
    use_backend session if is_session
    use_backend mobile if is_mobile
    default_backend default_service
"
        );
        for (name, origin) in names.iter().zip(&origins) {
            writeln!(config, "backend {name}\n    server s {}", origin.address()).unwrap();
        }
        let proxy = Proxy::start(driver, &config);
        let mut client = proxy.client("fe");
        for (path, headers, expected) in [
            ("/orders", "", "orders"),
            ("/orders/7?x", "", "orders"),
            ("/order", "", "default_service"),
            ("/Orders", "", "default_service"),
            ("/users/me", "X-Region: North\r\n", "users"),
            ("/", "X-Region: North\r\n", "north"),
            ("/", "X-Region: nORTH\r\n", "north"),
            ("/", "X-Region: South, North\r\n", "north"),
            ("/", "X-Region: Northern\r\n", "default_service"),
            ("/?a=1&version=beta", "", "beta"),
            ("/?version=betas", "", "default_service"),
            ("/", "Cookie: other=b; group=b\r\n", "session"),
            ("/", "Cookie: group=a\r\n", "default_service"),
            ("/", "User-Agent: Mozilla/5.0 (Linux; Android 14)\r\n", "mobile"),
            ("/", "User-Agent: curl/8\r\n", "default_service"),
        ] {
            assert_eq!(client.get(path, headers).text(), expected, "{path} {headers}");
        }
        for (host, expected) in
            [("shop.example.com", "shop"), ("SHOP.example.COM", "shop"), ("x", "default_service")]
        {
            client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(client.response().text(), expected, "{host}");
        }
    });
}

#[test]
fn four_hundred_servers_behind_one_port() {
    const SERVICES: usize = 200;
    both_drivers(|driver| {
        // Two origins stand for all: each server has its own name in a header the proxy adds.
        let origins = [echo_server("0"), echo_server("1")];
        let mut map = String::new();
        let mut config = format!(
            "{HTTP_DEFAULTS}
    balance roundrobin
frontend main
    bind @fe@
    use_backend %[req.hdr(host),lower,map(@dir@/hosts.map)]
"
        );
        for service in 0..SERVICES {
            writeln!(map, "service{service}.example.com be_{service}").unwrap();
            writeln!(
                config,
                "backend be_{service}\n    http-request set-header X-Service %[be_name]\n    server a {}\n    server b {}",
                origins[0].address(),
                origins[1].address()
            )
            .unwrap();
        }
        let builder = Proxy::build(driver);
        builder.write("hosts.map", &map);
        let proxy = builder.start(&config);
        let mut client = proxy.client("fe");
        for service in 0..SERVICES {
            let mut halves = Vec::new();
            for _ in 0..2 {
                client.send(format!("GET / HTTP/1.1\r\nHost: Service{service}.Example.com\r\n\r\n"));
                let text = client.response().text();
                let (name, half) = text.split_once(' ').unwrap();
                assert_eq!(name, format!("be_{service}"));
                halves.push(half.to_owned());
            }
            assert_ne!(halves[0], halves[1], "both servers of a service take their turn");
        }
    });
}

fn echo_server(half: &'static str) -> Origin {
    Origin::http(move |request| {
        Reply::ok(format!("{} {half}", request.header("X-Service").unwrap_or("nobody")))
    })
}
