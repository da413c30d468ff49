//! `observe`: what traffic says about a server's health (manual, section 5.2 `observe`,
//! `error-limit`, `on-error`).
//!
//! Data threads count here, with one atomic operation in the good case; when the limit is reached
//! they raise a flag, and the control thread acts.

use std::sync::atomic::Ordering::*;

use crate::state::ServerState;

/// `observe`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Observe {
    #[default]
    None,
    Layer4,
    Layer7,
}

/// What happened on a connection to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// The connection stands.
    Connected = 1,
    /// It could not be made.
    ConnectFailed = 2,
    /// A correct response.
    ResponseOk = 3,
    /// A response with a wrong status: 5xx but for 501 and 505, or below 100.
    ResponseStatus = 4,
    /// A response whose head is not HTTP.
    ResponseHead = 5,
    /// A response that is not valid otherwise.
    ResponseInvalid = 6,
    /// Reading failed.
    ReadError = 7,
    /// The response did not come in time.
    ReadTimeout = 8,
    /// The server closed before the response.
    Closed = 9,
}

impl Event {
    const TEXTS: [&'static str; 10] = [
        "Unknown",
        "L4 successful connection",
        "L4 unsuccessful connection",
        "Correct http response",
        "Wrong http response",
        "Invalid http response (headers)",
        "Invalid http response",
        "Read error (http)",
        "Read timeout (http)",
        "Close from server (http)",
    ];
    /// The text of event number `number`.
    pub fn text(number: u8) -> &'static str {
        Self::TEXTS.get(usize::from(number)).unwrap_or(&Self::TEXTS[0])
    }
    /// The event that a response with that status is.
    pub fn of_status(status: u16) -> Event {
        // The manual: 100 to 499, 501 and 505 are valid responses.
        if (100..500).contains(&status) || status == 501 || status == 505 {
            Event::ResponseOk
        } else {
            Event::ResponseStatus
        }
    }
    /// Whether it counts against the server (`Some(true)`), for it, or not at all.
    fn is_error(self, observe: Observe) -> Option<bool> {
        match (observe, self) {
            (Observe::Layer4, Event::Connected) => Some(false),
            (Observe::Layer4, Event::ConnectFailed) => Some(true),
            (Observe::Layer7, Event::ResponseOk) => Some(false),
            (Observe::Layer7, Event::Connected) => None,
            (Observe::Layer7, _) => Some(true),
            (Observe::Layer4 | Observe::None, _) => None,
        }
    }
}

/// Counts an event on a server that is observed; `limit` is its `error-limit`.
#[inline]
pub fn record(state: &ServerState, observe: Observe, limit: u32, event: Event) {
    match event.is_error(observe) {
        // Mostly zero already: do not fight over the cache line.
        Some(false) if state.consecutive_errors.load(Relaxed) != 0 => {
            state.consecutive_errors.store(0, Relaxed);
        }
        Some(false) | None => {}
        Some(true) => {
            state.last_error.store(event as u8, Relaxed);
            if state.consecutive_errors.fetch_add(1, AcqRel) + 1 >= limit {
                state.error_limit_hit.store(true, Release);
            }
        }
    }
}

/// Counts the end of a connection attempt.
#[inline]
pub fn record_l4(state: &ServerState, observe: Observe, limit: u32, success: bool) {
    record(state, observe, limit, if success { Event::Connected } else { Event::ConnectFailed });
}

/// Counts a response, by its status, or the failure to get one.
#[inline]
pub fn record_l7(state: &ServerState, observe: Observe, limit: u32, result: Result<u16, Event>) {
    record(state, observe, limit, result.map_or_else(|event| event, Event::of_status));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_consecutive_errors_of_its_layer() {
        let state = ServerState::new("be", "srv", 1);
        let count = || state.consecutive_errors.load(Relaxed);
        record_l7(&state, Observe::Layer4, 3, Ok(500));
        record_l4(&state, Observe::None, 3, false);
        assert_eq!(count(), 0);
        record_l7(&state, Observe::Layer7, 3, Ok(503));
        record_l4(&state, Observe::Layer7, 3, true);
        record_l7(&state, Observe::Layer7, 3, Err(Event::Closed));
        assert_eq!(count(), 2);
        record_l7(&state, Observe::Layer7, 3, Ok(501));
        assert_eq!(count(), 0);
        (0..3).for_each(|_| record_l4(&state, Observe::Layer4, 3, false));
        assert!(state.error_limit_hit.load(Relaxed));
        assert_eq!(Event::text(state.last_error.load(Relaxed)), "L4 unsuccessful connection");
    }
}
