//! Vocabulary that at least two modules need and that knows no rule of the domain.
#![forbid(unsafe_code)]

pub mod calls;
pub mod clock;
pub mod core_id;
pub mod doc;
pub mod hash;
pub mod id;
pub mod rate;
pub mod rng;
pub mod text;
pub mod units;
