//! When checks run: the three intervals, random spreading, and the start.
//!
//! Pure arithmetic; the control thread sleeps.

use super::ServerCheck;
use super::status;
use crate::base::rng::Rng;
use crate::state::server::CheckReport;

/// Intervals below this do not shorten the staggering of the others at the start.
pub const STAGGER_MIN_MS: u64 = 1000;

/// How long to wait for the next check (manual, section 5.2 `inter`): `inter` while all is well,
/// `downinter` while it is down for good, `fastinter` on the way between; `forced_fast` is `observe`'s.
pub fn interval_ms(check: &ServerCheck, report: &CheckReport, is_stopped: bool, forced_fast: bool) -> u64 {
    if !forced_fast && report.health == status::health_max(report) {
        check.inter_ms
    } else if is_stopped && report.health == 0 {
        check.downinter_ms.unwrap_or(check.inter_ms)
    } else {
        check.fastinter_ms.unwrap_or(check.inter_ms)
    }
}

/// The interval moved by up to `spread-checks` percent either way.
pub fn spread_ms(interval_ms: u64, percent: u32, rng: &mut Rng) -> u64 {
    let width = interval_ms * u64::from(percent.min(50)) / 100;
    interval_ms - width + rng.below(2 * width + 1)
}

/// The span over which the checks of the process start: the shortest interval that is not very short.
pub fn stagger_ms(intervals: impl Iterator<Item = u64>) -> u64 {
    intervals.filter(|interval| *interval >= STAGGER_MIN_MS).min().unwrap_or(0)
}

/// When check number `position` of `count` runs first, in milliseconds from the start.
pub fn first_ms(stagger_ms: u64, interval_ms: u64, position: usize, count: usize, spread_max_ms: u64) -> u64 {
    let mut over = stagger_ms.max(interval_ms);
    if spread_max_ms != 0 {
        over = over.min(spread_max_ms);
    }
    over * position as u64 / count.max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_the_interval_of_the_state() {
        let check = ServerCheck {
            inter_ms: 2000,
            fastinter_ms: Some(500),
            downinter_ms: Some(9000),
            ..ServerCheck::default()
        };
        for (health, stopped, forced, expected) in [
            (4, false, false, 2000),
            (4, false, true, 500),
            (3, false, false, 500),
            (1, true, false, 500),
            (0, true, false, 9000),
            (0, false, false, 500),
        ] {
            let mut report = status::initial(2, 3, true, false);
            report.health = health;
            assert_eq!(
                interval_ms(&check, &report, stopped, forced),
                expected,
                "{health} {stopped} {forced}"
            );
        }
        let plain = ServerCheck::default();
        assert_eq!(interval_ms(&plain, &status::initial(2, 3, true, false), true, false), 2000);
    }

    #[test]
    fn staggers_the_start() {
        assert_eq!(stagger_ms([200, 5000, 3000].into_iter()), 3000);
        assert_eq!(stagger_ms([200].into_iter()), 0);
        assert_eq!([0, 1, 3].map(|at| first_ms(0, 200, at, 4, 0)), [0, 50, 150]);
        assert_eq!(first_ms(3000, 200, 1, 2, 0), 1500);
        assert_eq!(first_ms(3000, 200, 1, 2, 100), 50, "max-spread-checks bounds it");
    }

    #[test]
    fn spreads_both_ways_within_the_limit() {
        let mut rng = Rng::new(1);
        let all: Vec<_> = (0..1000).map(|_| spread_ms(1000, 20, &mut rng)).collect();
        assert!(all.iter().all(|ms| (800..=1200).contains(ms)));
        assert!(all.iter().any(|ms| *ms < 900) && all.iter().any(|ms| *ms > 1100));
        assert_eq!(spread_ms(1000, 0, &mut rng), 1000);
    }
}
