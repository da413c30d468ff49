//! Ceilings for what costs this side work and the peer nothing, and the count of glitches.
//!
//! HAProxy's own limits (`tune.h2.*.glitches-threshold` and its like) are off by default. The ceilings here are
//! built in, far above what a sound peer does: resets (CVE-2023-44487 and, where the peer makes this side
//! reset, CVE-2025-8671), frames that carry nothing (CVE-2019-9512, -9515, -9518) and small pieces of data.

use crate::base::clock::Millis;

/// A bucket from which each event takes one, and that fills again with time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u32,
    max: u32,
    per_second: u32,
    /// Up to when it is filled.
    at: Millis,
}

impl Bucket {
    fn new(max: u32, per_second: u32, now: Millis) -> Bucket {
        Bucket { left: max, max, per_second, at: now }
    }
    /// Takes one; whether there was one.
    fn take(&mut self, now: Millis) -> bool {
        let passed = now.saturating_sub(self.at);
        let earned = passed * u64::from(self.per_second) / 1000;
        if earned > 0 {
            self.left = (u64::from(self.left) + earned).min(u64::from(self.max)) as u32;
            self.at = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
    fn give(&mut self) {
        self.left = self.max.min(self.left + 1);
    }
}

/// Resets at once, and how many of them come back in a second: 1000 in 10 s. A stream that comes to its end allows for
/// another one: a cache in front that asks much may also cancel much.
const RESETS: (u32, u32) = (1000, 100);
/// PING, SETTINGS, PRIORITY, unknown frames and empty DATA at once, and in a second. A frame that does something,
/// in either direction, allows for another one: clients measure round trips while they receive.
const IDLE_FRAMES: (u32, u32) = (2000, 200);
/// DATA frames of less than [`SMALL_DATA`] bytes at once, and in a second; each further one is a glitch.
const SMALL_FRAMES: (u32, u32) = (10_000, 1000);
/// DATA with fewer bytes is mostly overhead.
pub const SMALL_DATA: u32 = 256;

/// What a peer has done on a connection beyond its duties.
#[derive(Clone, Debug)]
pub struct Flood {
    resets: Bucket,
    idle_frames: Bucket,
    small_frames: Bucket,
    glitches: u32,
    glitches_threshold: u32,
}

/// A ceiling is reached: the connection ends with ENHANCE_YOUR_CALM, for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch(pub &'static str);

impl Flood {
    /// Nothing has happened; `glitches_threshold` is HAProxy's, 0 for none.
    pub fn new(glitches_threshold: u32, now: Millis) -> Flood {
        Flood {
            resets: Bucket::new(RESETS.0, RESETS.1, now),
            idle_frames: Bucket::new(IDLE_FRAMES.0, IDLE_FRAMES.1, now),
            small_frames: Bucket::new(SMALL_FRAMES.0, SMALL_FRAMES.1, now),
            glitches: 0,
            glitches_threshold,
        }
    }
    /// The peer resets a stream, or makes this side do so.
    pub fn reset(&mut self, now: Millis) -> Result<(), TooMuch> {
        if self.resets.take(now) { Ok(()) } else { Err(TooMuch("too many streams are reset")) }
    }
    /// A stream has come to its end.
    pub fn completed(&mut self) {
        self.resets.give();
    }
    /// A frame that carries nothing.
    pub fn idle_frame(&mut self, now: Millis) -> Result<(), TooMuch> {
        if self.idle_frames.take(now) { Ok(()) } else { Err(TooMuch("too many frames that carry nothing")) }
    }
    /// A frame that does something, received or sent.
    pub fn useful_frame(&mut self) {
        self.idle_frames.give();
    }
    /// A DATA frame of fewer than [`SMALL_DATA`] bytes.
    pub fn small_frame(&mut self, now: Millis) {
        if !self.small_frames.take(now) {
            self.glitch();
        }
    }
    /// Something that a sound peer does not do.
    pub fn glitch(&mut self) {
        self.glitches = self.glitches.saturating_add(1);
    }
    /// How many glitches there were.
    pub fn glitches(&self) -> u32 {
        self.glitches
    }
    /// Whether there were three quarters of what is tolerated: the peer is asked to go.
    pub fn is_suspect(&self) -> bool {
        let threshold = u64::from(self.glitches_threshold);
        threshold != 0 && u64::from(self.glitches) >= (threshold * 3).div_ceil(4)
    }
    /// Whether there were more than is tolerated.
    pub fn is_intolerable(&self) -> bool {
        self.glitches_threshold != 0 && self.glitches >= self.glitches_threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut event: impl FnMut() -> bool) -> usize {
        (0..100_000).take_while(|_| event()).count()
    }

    #[test]
    fn ceilings_hold_and_recover() {
        let mut flood = Flood::new(0, 0);
        assert_eq!(run(|| flood.reset(0).is_ok()), 1000);
        assert_eq!(run(|| flood.reset(1000).is_ok()), 100);
        assert_eq!(run(|| flood.reset(1_000_000).is_ok()), 1000);
        flood.completed();
        assert_eq!(run(|| flood.reset(1_000_000).is_ok()), 1);
        assert_eq!(run(|| flood.idle_frame(0).is_ok()), 2000);
        flood.useful_frame();
        assert_eq!(run(|| flood.idle_frame(0).is_ok()), 1);
        assert_eq!(flood.glitches(), 0);
        for _ in 0..10_005 {
            flood.small_frame(0);
        }
        assert_eq!(flood.glitches(), 5);
        assert!(!flood.is_suspect() && !flood.is_intolerable(), "without a threshold they are only counted");
    }

    #[test]
    fn slow_events_never_run_out() {
        let mut flood = Flood::new(0, 0);
        // Ticks of the clock that each earn less than one.
        assert_eq!((0..100_000).filter(|now| flood.reset(now * 11).is_err()).count(), 0);
        let mut flood = Flood::new(0, 0);
        let passed = (0..200_000).filter(|tick| flood.reset(tick / 100).is_ok()).count();
        assert_eq!(passed, 1000 + 199, "2 s of 100 in each millisecond");
    }

    #[test]
    fn thresholds_of_glitches() {
        for (threshold, suspect, intolerable) in [(4, 3, 4), (1, 1, 1), (10, 8, 10), (100, 75, 100)] {
            let mut flood = Flood::new(threshold, 0);
            for count in 1..=threshold {
                flood.glitch();
                assert_eq!(flood.is_suspect(), count >= suspect, "{count} of {threshold}");
                assert_eq!(flood.is_intolerable(), count >= intolerable, "{count} of {threshold}");
            }
        }
    }
}
