//! The two and four letters of `%ts` and `%tsc` (manual, section 8.5).
