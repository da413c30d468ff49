//! The runtime API: `stats socket` (manual: management, section 9.3).
