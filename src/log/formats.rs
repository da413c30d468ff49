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
