//! The life of a request as one list, in the order in which its phases run.
//!
//! Each phase is a plain decision of this module or a wait of the engine; the engine's tasks walk
//! the list from top to bottom. TCP mode skips what reads or writes HTTP.

/// One phase of a session or transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// `tcp-request connection` rules, before any byte is read.
    TcpConnection,
    /// `tcp-request session` rules, when the session stands (PROXY protocol and TLS are over).
    TcpSession,
    /// `tcp-request content` rules of the frontend.
    InspectFrontend,
    /// A complete request head, captures, `monitor-uri`.
    ReadRequest,
    /// `http-request` and `redirect` rules of the frontend, and its statistics page.
    RequestFrontend,
    /// `use_backend`, `default_backend`, `force-persist` and `ignore-persist`.
    Switch,
    /// `tcp-request content` rules of the backend.
    InspectBackend,
    /// `http-request` and `redirect` rules of the backend, and its statistics page; then the
    /// persistence cookie, the unique id, `option forwardfor` and `originalto`.
    RequestBackend,
    /// The wait of `http-request tarpit`, if a rule asked for it.
    Tarpit,
    /// `use-server`, then the cookie's server, then that of `stick` rules, then balancing, then the queue.
    SelectServer,
    /// Take a kept connection or make one. Retries and redispatches come back here, and nowhere else.
    Connect,
    /// Send the request's head and what is at hand of its body.
    SendRequest,
    /// A complete response head.
    ReadResponse,
    /// `tcp-response content` rules.
    InspectResponse,
    /// `stick store-request` and `stick store-response`: the server that answered is remembered.
    StoreSticky,
    /// `http-response` rules of the backend, then of the frontend; then the persistence cookie.
    Response,
    /// `http-after-response` rules, for the proxy's own answers too.
    AfterResponse,
    /// Move the bodies, or every byte of a tunnel.
    Forward,
    /// The outcome's letters, the log line, the counters.
    Finish,
}

/// Every phase in order.
pub const PHASES: [Phase; 19] = [
    Phase::TcpConnection,
    Phase::TcpSession,
    Phase::InspectFrontend,
    Phase::ReadRequest,
    Phase::RequestFrontend,
    Phase::Switch,
    Phase::InspectBackend,
    Phase::RequestBackend,
    Phase::Tarpit,
    Phase::SelectServer,
    Phase::Connect,
    Phase::SendRequest,
    Phase::ReadResponse,
    Phase::InspectResponse,
    Phase::StoreSticky,
    Phase::Response,
    Phase::AfterResponse,
    Phase::Forward,
    Phase::Finish,
];

impl Phase {
    /// Whether TCP mode goes through it too.
    pub fn is_for_tcp(self) -> bool {
        use Phase::*;
        !matches!(
            self,
            ReadRequest
                | RequestFrontend
                | RequestBackend
                | Tarpit
                | SendRequest
                | ReadResponse
                | Response
                | AfterResponse
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_whole() {
        assert!(PHASES.is_sorted());
        assert!(PHASES.windows(2).all(|pair| pair[0] != pair[1]));
        let tcp: Vec<_> = PHASES.into_iter().filter(|phase| phase.is_for_tcp()).collect();
        assert_eq!((tcp.first(), tcp.last()), (Some(&Phase::TcpConnection), Some(&Phase::Finish)));
        assert_eq!(tcp.len(), 11);
    }
}
