//! Precomputed orders: the cycle of round robin and HAProxy's server map.
//!
//! Both turn weights into a list of servers in which each stands as often as its weight says. The
//! cycle of round robin spreads them as evenly as it can; the map (static-rr and `hash-type
//! map-based`) has HAProxy's own order, since the place of a server in it is what a hash chooses.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The longest cycle of round robin. Weights whose sum, reduced by their common divisor, is larger
/// (warming servers have odd ones) are scaled down to it.
pub(super) const CYCLE_MAX: u64 = 65_536;

/// The order in which round robin takes servers of these weights, none of which is zero: the first
/// cycle of HAProxy's.
///
/// A server is due again after (sum / weight) slots. A slot goes to the server that is due longest;
/// one where none is due goes to the heaviest server that had no turn yet, the first of equals. With
/// equal weights that is the servers' own order.
pub(super) fn round_robin(weights: &[u32]) -> Vec<u32> {
    let weights = reduced(weights);
    let sum: u64 = weights.iter().sum();
    let mut fresh: Vec<usize> = (0..weights.len()).collect();
    // The sort is stable; the heaviest comes last, to be popped first.
    fresh.reverse();
    fresh.sort_by_key(|&server| weights[server]);
    // By due slot, then by what is left of the fraction (lighter servers wait), then by age.
    let mut due: BinaryHeap<Reverse<(u64, i64, u64, usize)>> = BinaryHeap::new();
    let mut remainders = vec![0; weights.len()];
    let mut cycle = Vec::with_capacity(sum as usize);
    for slot in 0..sum {
        let is_due = due.peek().is_some_and(|Reverse((at, ..))| *at <= slot);
        let fresh_one = if is_due { None } else { fresh.pop() };
        let (at, server) = match fresh_one {
            Some(server) => (slot, server),
            None => match due.pop() {
                Some(Reverse((at, _, _, server))) => (at, server),
                None => break,
            },
        };
        cycle.push(server as u32);
        let weight = weights[server];
        let remainder: &mut u64 = &mut remainders[server];
        *remainder += sum % weight;
        let carry = u64::from(*remainder >= weight);
        *remainder -= carry * weight;
        let next = at + sum / weight + carry;
        due.push(Reverse((next, *remainder as i64 - weight as i64, slot, server)));
    }
    cycle
}

fn reduced(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().fold(0, |divisor, &weight| gcd(divisor, weight)).max(1);
    let reduced: Vec<u64> = weights.iter().map(|&weight| u64::from(weight / divisor)).collect();
    let sum: u64 = reduced.iter().sum();
    if sum <= CYCLE_MAX {
        return reduced;
    }
    reduced.iter().map(|weight| (weight * CYCLE_MAX / sum).max(1)).collect()
}

/// The server map for servers of these weights, already divided by [`divisor`].
///
/// Each place goes to the first of the servers whose score is highest, where every server gains its
/// weight per place and the chosen one pays the sum. Scores count in whole sums only, which is what
/// gives the order HAProxy's clients have been hashed to.
pub(super) fn map(weights: &[u32]) -> Vec<u32> {
    let sum: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
    if sum <= 1 || weights.iter().all(|&weight| weight == weights[0]) {
        let once = 0..weights.len() as u32;
        return once.clone().cycle().take(once.len() * weights.first().map_or(0, |&w| w as usize)).collect();
    }
    let mut scores = vec![0_i64; weights.len()];
    let mut map = Vec::with_capacity(sum as usize);
    for _ in 0..sum {
        let (mut best, mut best_rank) = (0, i64::MIN);
        for (server, score) in scores.iter_mut().enumerate() {
            *score += i64::from(weights[server]);
            let rank = (*score + sum) / sum;
            if rank > best_rank {
                (best, best_rank) = (server, rank);
            }
        }
        scores[best] -= sum;
        map.push(best as u32);
    }
    map
}

/// What the weights of a backend's servers are divided by for the map: the common divisor of all
/// configured weights that are not zero.
pub(super) fn divisor(weights: impl Iterator<Item = u32>) -> u32 {
    weights.fold(0, gcd).max(1)
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(list: &[u32]) -> String {
        list.iter().map(u32::to_string).collect()
    }

    #[test]
    fn round_robin_takes_servers_in_haproxys_order() {
        // Answers of HAProxy 2.6 with `balance roundrobin`.
        let cases: &[(&[u32], &str)] = &[
            (&[1], "0"),
            (&[1, 2], "110"),
            (&[2, 1], "001"),
            (&[16, 16, 16], "012"),
            (&[3, 1, 1], "00102"),
            (&[100, 50], "001"),
            (&[5, 5, 2], "010101201010"),
            (&[1, 2, 3, 4], "3231230321"),
            (&[4, 3, 2, 1], "0102103012"),
            (&[9, 8, 7], "010210210210102012012012"),
            (&[1, 10, 1, 10], "1313131313013131313132"),
            (&[3, 5, 1, 10, 2], "313031343130313230413"),
            (&[13, 7, 5, 3, 2], "010201034021001203010210401203"),
        ];
        for (weights, expected) in cases {
            assert_eq!(digits(&round_robin(weights)), *expected, "{weights:?}");
        }
    }

    #[test]
    fn every_server_has_its_share_of_the_cycle() {
        let weights: Vec<u32> = (1..=40).map(|n| n * 7 % 23 + 1).collect();
        let cycle = round_robin(&weights);
        for (server, &weight) in weights.iter().enumerate() {
            let share = cycle.iter().filter(|&&taken| taken as usize == server).count();
            assert!(share.abs_diff(weight as usize) <= 1, "{server}: {share} of {weight}");
        }
        let long = round_robin(&[4095, 4093, 4091, 4079, 1].repeat(10));
        assert!(long.len() as u64 <= CYCLE_MAX + 50);
    }

    #[test]
    fn the_map_is_haproxys() {
        // `balance static-rr` of HAProxy 2.6 walks its map.
        assert_eq!(digits(&map(&[3, 5, 1, 10, 2])), "013231303134303131334");
        assert_eq!(digits(&map(&[1, 1, 1, 1])), "0123");
        assert_eq!(digits(&map(&[2, 2])), "0101");
        assert_eq!(digits(&map(&[1])), "0");
        assert!(map(&[]).is_empty());
        assert_eq!(divisor([0, 100, 50, 0].into_iter()), 50);
        assert_eq!(divisor([0].into_iter()), 1);
    }
}
