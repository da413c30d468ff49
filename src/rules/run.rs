//! Runs a rule set.

use super::{Rule, Run, Verdict};

/// Runs `rules` from number `from` on.
pub fn run(_rules: &[Rule], _from: usize, _run: &mut Run<'_>) -> Verdict {
    Verdict::Continue
}
