//! The texts of the default log formats (manual, sections 8.2.2 to 8.2.5): they are compiled like
//! a `log-format` of the user's.

/// `option httplog`
pub const HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
                        %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";

/// `option httpslog`
pub const HTTPS: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
                         %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r \
                         %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] \
                         %[ssl_fc_sni]/%sslv/%sslc";

/// `option httplog json`, which HAProxy does not have: the fields of `option httplog` and some more,
/// each under a name that needs no manual. A time that was not reached is -1, as in the text form.
pub const HTTP_JSON: &str = "%{+json}o \
    %(time)[request_date(us),us_utime(\"%Y-%m-%dT%H:%M:%S.%6NZ\")] \
    %(client_ip)ci %(client_port)cp %(frontend)f %(backend)b %(server)s \
    %(method)HM %(uri)HU %(path)HPO %(query)HQ %(http_version)HV %(status)ST \
    %(bytes_received)U %(bytes_sent)B \
    %(idle_ms)Ti %(request_ms)TR %(queue_ms)Tw %(connect_ms)Tc %(response_ms)Tr %(data_ms)Td \
    %(active_ms)Ta %(total_ms)Tt \
    %(termination_state)tsc %(retries)rc %(redispatched)[txn.redispatched] \
    %(process_connections)ac %(frontend_connections)fc %(backend_connections)bc %(server_connections)sc \
    %(server_queue)sq %(backend_queue)bq \
    %(captured_request_cookie)CC %(captured_response_cookie)CS \
    %(captured_request_headers)hr %(captured_response_headers)hs \
    %(tls_version)sslv %(tls_cipher)sslc %(unique_id)ID";

/// `option httplog clf`
pub const HTTP_CLF: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp \
                            %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc \
                            %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";

/// `option tcplog`
pub const TCP: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";

/// `option tcplog clf`
pub const TCP_CLF: &str = "%{+Q}o %{-Q}ci - - [%T] \"TCP \" 000 %B \"\" \"\" %cp \
                           %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac %fc %bc \
                           %sc %rc %sq %bq \"\" \"\" ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Span;
    use crate::sample::LogFormat;
    use crate::sample::expr::Phase;
    use crate::sample::facts::ConnectionCounts;
    use crate::sample::testing::{World, told};

    fn written(world: &World, text: &str) -> String {
        let (format, report) =
            world.parsing(Phase::Log, |context| LogFormat::parse(text, Span::NONE, context));
        let mut out = Vec::new();
        format.unwrap_or_else(|| panic!("{text}: {}", told(&report))).write(&world.context(), true, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_of_each_form() {
        let mut world = World::request("GET http://localhost/r/4?q=4 HTTP/1.1", &["Host: localhost"]);
        let start = world.session.accepted.mono_us;
        let time = &mut world.txn.time;
        (time.first_byte_us, time.request_us, time.queued_us) = (start + 5_000, start + 8_000, start + 8_000);
        (time.connected_us, time.response_us, time.end_us) = (start + 9_000, start + 20_000, start + 30_000);
        world.txn.status = 200;
        world.txn.bytes_to_client = 1234;
        world.txn.backend = Some(world.registry.proxy("app"));
        world.txn.server = Some(world.registry.server("app", "s1").0);
        world.txn.conn_counts = ConnectionCounts { process: 4, frontend: 3, backend: 2, server: 1 };
        let date = written(&world, "%tr");
        assert_eq!(date.len(), 24);
        assert_eq!(
            written(&world, HTTP),
            format!(
                "192.0.2.1:50000 [{date}] web app/s1 3/0/1/11/25 200 1234 - - ---- 4/3/2/1/0 0/0 \
                 \"GET http://localhost/r/4?q=4 HTTP/1.1\""
            )
        );
        assert_eq!(
            written(&world, TCP),
            format!("192.0.2.1:50000 [{date}] web app/s1 0/1/30 1234 -- 4/3/2/1/0 0/0")
        );
        assert!(written(&world, HTTP_CLF).starts_with("192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] \"GET"));
        assert!(written(&world, TCP_CLF).contains("\"TCP \" 000 1234 "));
        let json: serde_json::Value = serde_json::from_str(&written(&world, HTTP_JSON)).unwrap();
        assert_eq!((json["server"].as_str(), json["response_ms"].as_i64()), (Some("s1"), Some(11)));
    }
}
