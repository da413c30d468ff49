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
