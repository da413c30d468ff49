//! A single choice, per algorithm (manual, section 4.2 `balance`).

use std::sync::atomic::Ordering::Relaxed;

use super::ring::Ring;
use super::{Affinity, Algorithm, Candidate, Key, Pick, Picker, Table};
use crate::base::clock;
use crate::base::rng::Rng;
use crate::state::ProxyState;
use crate::state::places::{effective_maxconn, free_slots};

/// Places of the cycle that round robin takes before it looks for any server with room: taking one
/// per full server keeps the alternation of the others exact, but costs a shared write each.
const SLOTS_TAKEN_MAX: usize = 16;

/// Servers that leastconn compares. Their counts lie in a cache line each that other cores write to;
/// above this number each choice looks at the next so many of the list, which leaves the
/// load as even as can be told (the best of two random ones already is nearly so) at a bounded cost.
const COMPARED_MAX: usize = 64;

/// The scale of leastconn's load: connections per highest weight (256 in 1/16).
const LOAD_SCALE: u64 = 256 * 16;

impl Picker {
    pub(super) fn candidate(&self, place: usize) -> &Candidate {
        &self.candidates[self.usable[place].candidate as usize]
    }

    /// Chooses among two servers or more.
    pub(super) fn choose(&self, pick: &mut Pick<'_>) -> usize {
        match (&self.table, self.settings.algorithm) {
            (Table::List(order), Algorithm::First) => self.first(order, pick),
            (Table::List(map), Algorithm::Hash) => match self.hash_of(pick) {
                Some(hash) => self.by_map(map, hash, pick),
                None => self.in_turn(map, pick, |place| place as usize),
            },
            (Table::List(cycle), _) => self.in_turn(cycle, pick, |place| place as usize),
            (Table::Weights { even, draws }, _) => self.at_random(*even, *draws, pick),
            (Table::Ring(ring), _) => match self.hash_of(pick) {
                Some(hash) => self.by_ring(ring, hash, pick),
                // Without a key the servers take turns.
                None => self.in_turn(ring.servers(), pick, |server| self.places[server as usize] as usize),
            },
            (Table::Servers, _) => self.least_loaded(pick),
        }
    }

    fn hash_of(&self, pick: &Pick<'_>) -> Option<u32> {
        Some(match pick.key? {
            Key::Bytes(bytes) => self.settings.hash.hash(bytes),
            Key::Hash(hash) => self.settings.hash.finish(hash),
        })
    }

    /// Whether a server has a free slot and no request waits for it.
    fn has_room(&self, place: usize, backend: &ProxyState) -> bool {
        let state = &self.candidate(place).state;
        if state.maxconn.load(Relaxed) == 0 {
            return true;
        }
        state.queue.is_empty() && free_slots(backend, state, clock::cached().millis()) != Some(0)
    }

    fn is_avoided(&self, place: usize, pick: &Pick<'_>) -> bool {
        pick.avoid == Some(self.candidate(place).index)
    }

    /// The next server of a list that has room.
    fn in_turn(&self, list: &[u32], pick: &Pick<'_>, place_of: impl Fn(u32) -> usize) -> usize {
        let mut turn = 0;
        let mut second_best = None;
        for _ in 0..self.usable.len().min(SLOTS_TAKEN_MAX) {
            turn = pick.backend.cursor.fetch_add(1, Relaxed) as usize;
            let place = place_of(list[turn % list.len()]);
            if self.is_avoided(place, pick) {
                continue;
            }
            if self.has_room(place, pick.backend) {
                return place;
            }
            second_best.get_or_insert(place);
        }
        let count = self.usable.len();
        let others = || (0..count).map(|step| (turn + step) % count).filter(|&at| !self.is_avoided(at, pick));
        others()
            .find(|&place| self.has_room(place, pick.backend))
            .or(second_best)
            .or_else(|| others().next())
            .unwrap_or(0)
    }

    /// The first server by number that has room.
    fn first(&self, order: &[u32], pick: &Pick<'_>) -> usize {
        let places = || order.iter().map(|&place| place as usize);
        places()
            .find(|&place| !self.is_avoided(place, pick) && self.has_room(place, pick.backend))
            .or_else(|| places().find(|&place| self.has_room(place, pick.backend)))
            .or_else(|| places().next())
            .unwrap_or(0)
    }

    fn by_map(&self, map: &[u32], hash: u32, pick: &Pick<'_>) -> usize {
        let at = hash as usize % map.len();
        let choice = map[at] as usize;
        if !self.is_avoided(choice, pick) {
            return choice;
        }
        let following = map[at..].iter().chain(&map[..at]).map(|&place| place as usize);
        following.clone().find(|&place| !self.is_avoided(place, pick)).unwrap_or(choice)
    }

    fn by_ring(&self, ring: &Ring, hash: u32, pick: &Pick<'_>) -> usize {
        let total = self.slots_of_all(pick);
        self.on_ring(ring, hash, |place| {
            !self.is_avoided(place, pick)
                && total.is_none_or(|total| self.is_within_share(place, total))
                && self.keeps_its_keys(place, pick)
        })
    }

    /// Whether `hash-preserve-affinity` leaves a server its keys with the load it has.
    fn keeps_its_keys(&self, place: usize, pick: &Pick<'_>) -> bool {
        if self.affinity == Affinity::Always {
            return true;
        }
        let state = &self.candidate(place).state;
        let limit = effective_maxconn(pick.backend, state, clock::cached().millis());
        let maxqueue = self.usable[place].maxqueue;
        let served = || state.served.load(Relaxed);
        match self.affinity {
            Affinity::Always => true,
            Affinity::MaxConn => limit == 0 || served() < limit,
            Affinity::MaxQueue => {
                let room = limit.saturating_add(maxqueue);
                limit == 0 || maxqueue == 0 || served().saturating_add(state.queue.len()) < room
            }
        }
    }

    /// The server nearest to `hash` or, from there on, the first one that suits. If none does: the nearest, or
    /// with `hash-preserve-affinity` the last of that walk, since each was left for the next (manual, section
    /// 4.2).
    fn on_ring(&self, ring: &Ring, hash: u32, suits: impl Fn(usize) -> bool) -> usize {
        let servers = ring.servers();
        let at = ring.nearest(hash);
        let place = |&server: &u32| self.places[server as usize] as usize;
        let mut places = servers[at..].iter().chain(&servers[..at]).map(place);
        places.find(|&place| suits(place)).unwrap_or_else(|| match self.affinity {
            Affinity::Always => place(&servers[at]),
            Affinity::MaxConn | Affinity::MaxQueue => {
                place(&servers[at.checked_sub(1).unwrap_or(servers.len() - 1)])
            }
        })
    }

    /// Slots that all servers share under `hash-balance-factor`: the sessions there are, with this
    /// one, times the factor (Mirrokni, Thorup and Zadimoghaddam, arXiv:1608.01350).
    fn slots_of_all(&self, pick: &Pick<'_>) -> Option<u64> {
        let factor = u64::from(self.settings.hash_balance_factor);
        if factor == 0 {
            return None;
        }
        let count = if self.usable.len() <= COMPARED_MAX {
            let served = |place| u64::from(self.candidate(place).state.served.load(Relaxed));
            (0..self.usable.len()).map(served).sum()
        } else {
            u64::from(pick.backend.backend_current.load(Relaxed))
        };
        Some(((count + 1) * factor).div_ceil(100))
    }

    /// Whether a server holds less than its share of `total` slots: whole slots per unit of weight,
    /// the rest spread in order, and never none at all.
    fn is_within_share(&self, place: usize, total: u64) -> bool {
        let last = self.usable[self.usable.len() - 1];
        let sum = u64::from(last.weight_before + last.weight);
        let one = self.usable[place];
        let (weight, before) = (u64::from(one.weight), u64::from(one.weight_before));
        let rest = total % sum;
        let share = weight * (total / sum) + (before + weight) * rest / sum - before * rest / sum;
        u64::from(self.candidate(place).state.served.load(Relaxed)) < share.max(1)
    }

    /// A server drawn by weight or, if it does not suit, the next one that does.
    fn draw(&self, even: bool, rng: &mut Rng, suits: impl Fn(usize) -> bool) -> usize {
        let count = self.usable.len();
        let drawn = if even {
            rng.below(count as u64) as usize
        } else {
            let last = self.usable[count - 1];
            let part = rng.below(u64::from(last.weight_before + last.weight)) as u32;
            self.usable.partition_point(|one| one.weight_before <= part) - 1
        };
        (drawn..count).chain(0..drawn).find(|&place| suits(place)).unwrap_or(drawn)
    }

    /// The less loaded of some servers drawn by weight.
    fn at_random(&self, even: bool, draws: u32, pick: &mut Pick<'_>) -> usize {
        let (avoid, backend) = (pick.avoid, pick.backend);
        let may_be = |place: usize| avoid != Some(self.candidate(place).index);
        let mut best = self.draw(even, pick.rng, may_be);
        for _ in 1..draws {
            let drawn = self.draw(even, pick.rng, may_be);
            if drawn != best && self.is_lighter(drawn, best) {
                best = drawn;
            }
        }
        if self.has_room(best, pick.backend) {
            return best;
        }
        let other = self.draw(even, pick.rng, |place| may_be(place) && self.has_room(place, backend));
        if self.has_room(other, pick.backend) { other } else { best }
    }

    /// Whether `a` is to be preferred to `b`: it serves less for its weight or, if both serve alike,
    /// it is not the one that got more sessions lately.
    fn is_lighter(&self, a: usize, b: usize) -> bool {
        let load = |place: usize| u64::from(self.candidate(place).state.served.load(Relaxed));
        let (weight_a, weight_b) = (u64::from(self.usable[a].weight), u64::from(self.usable[b].weight));
        let (load_a, load_b) = (load(a) * weight_b, load(b) * weight_a);
        if load_a != load_b {
            return load_a < load_b;
        }
        let now = clock::cached().millis();
        let rate = |place: usize| u64::from(self.candidate(place).state.session_rate.read(now));
        rate(b) * weight_a >= rate(a) * weight_b
    }

    /// The server with the fewest sessions, served or waiting, for its weight; equals take turns.
    fn least_loaded(&self, pick: &Pick<'_>) -> usize {
        let turn = pick.backend.cursor.fetch_add(1, Relaxed) as usize;
        let count = self.usable.len();
        let compared = count.min(COMPARED_MAX);
        let start = if count == compared { 0 } else { turn.wrapping_mul(COMPARED_MAX) % count };
        let window = || (start..start + compared).map(|at| at % count);
        let mut best = u64::MAX;
        let mut equals = 0;
        for place in window() {
            let load = self.load(place, pick);
            if load < best {
                (best, equals) = (load, 1);
            } else if load == best {
                equals += 1;
            }
        }
        // Others may have changed the loads since: then any of those compared will do.
        let nth = turn % equals.max(1);
        window().filter(|&place| self.load(place, pick) == best).nth(nth).unwrap_or(start)
    }

    /// What leastconn compares; full servers come after all others, the avoided one last.
    fn load(&self, place: usize, pick: &Pick<'_>) -> u64 {
        const FULL: u64 = 1 << 62;
        const AVOIDED: u64 = 1 << 63;
        let state = &self.candidate(place).state;
        let sessions = u64::from(state.served.load(Relaxed)) + u64::from(state.queue.len());
        let weight = u64::from(self.usable[place].weight.max(1));
        // An idle server is an idle server, whatever its weight.
        let load = if sessions == 0 { 0 } else { (sessions + 1) * LOAD_SCALE / weight };
        let full = if self.has_room(place, pick.backend) { 0 } else { FULL };
        let avoided = if self.is_avoided(place, pick) { AVOIDED } else { 0 };
        avoided | full | load
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{HashFunction, HashKey, HashType, Settings};
    use super::*;
    use crate::base::rng::Rng;
    use crate::state::server::Operational;
    use crate::state::{ProxyState, ServerState};

    struct Bench {
        backend: ProxyState,
        candidates: Vec<Candidate>,
        rng: Rng,
    }

    impl Bench {
        fn new(weights: &[u32]) -> Bench {
            let candidate = |(place, &weight): (usize, &u32)| {
                let state = ServerState::new("b", &format!("s{place}"), 1);
                state.set_initial_weight(weight);
                let index = place as u32;
                Candidate {
                    state: Arc::new(state),
                    index,
                    id: index + 1,
                    backup: false,
                    hash_key: HashKey::Id,
                }
            };
            Bench {
                backend: ProxyState::new("b", 1),
                candidates: weights.iter().enumerate().map(candidate).collect(),
                rng: Rng::new(1),
            }
        }

        fn picker(&self, settings: Settings) -> Picker {
            Picker::new(1, self.candidates.clone(), settings)
        }

        fn pick(&mut self, picker: &Picker, key: Option<Key<'_>>, avoid: Option<u32>) -> Option<u32> {
            picker.pick(&mut Pick { backend: &self.backend, key, avoid, rng: &mut self.rng })
        }

        /// The servers of `count` picks, as digits.
        fn picks(&mut self, settings: Settings, count: usize) -> String {
            let picker = self.picker(settings);
            (0..count).map(|_| self.pick(&picker, None, None).unwrap().to_string()).collect()
        }

        fn serve(&self, place: usize, sessions: u32) {
            self.candidates[place].state.served.store(sessions, Relaxed);
        }

        fn limit(&self, place: usize, maxconn: u32) {
            self.candidates[place].state.maxconn.store(maxconn, Relaxed);
        }
    }

    fn algorithm(algorithm: Algorithm) -> Settings {
        Settings { algorithm, ..Settings::default() }
    }

    fn hashing(consistent: bool, function: HashFunction, avalanche: bool) -> Settings {
        let hash = HashType { consistent, function, avalanche };
        Settings { algorithm: Algorithm::Hash, hash, ..Settings::default() }
    }

    #[test]
    fn hashes_choose_what_haproxy_chooses() {
        // HAProxy 2.6: `balance hdr(x-key)`, servers 0 to 4 of weights 3, 5, 1, 10 and 2, keys
        // `key-0` to `key-62`.
        use HashFunction::{Crc32, Djb2, Sdbm, Wt6};
        let renumbered = |place: usize| 1000 + 7 * place as u32;
        for (settings, ids, expected) in [
            (
                hashing(false, Sdbm, false),
                false,
                "323130313432313031343340132313031313340131343031312313031343340",
            ),
            (
                hashing(false, Djb2, true),
                false,
                "122331042434043123010213410340111131034113333131234134303132330",
            ),
            (
                hashing(true, Sdbm, false),
                false,
                "333333333322222222222222222222222222222222222222222222222222222",
            ),
            (
                hashing(true, Wt6, true),
                false,
                "130033431412043032133313033133013333113333413111031101314113134",
            ),
            (
                hashing(true, Crc32, true),
                false,
                "310411313130143133433442313033333304311232013333313313023103131",
            ),
            (
                hashing(true, Djb2, true),
                true,
                "131341132420134033334333044401303333313311430433313213042333330",
            ),
        ] {
            let mut bench = Bench::new(&[3, 5, 1, 10, 2]);
            for place in (0..5).filter(|_| ids) {
                bench.candidates[place].id = renumbered(place);
            }
            let picker = bench.picker(settings);
            let found: String = (0..63)
                .map(|key| {
                    let key = format!("key-{key}");
                    bench.pick(&picker, Some(Key::Bytes(key.as_bytes())), None).unwrap().to_string()
                })
                .collect();
            assert_eq!(found, expected, "{settings:?}");
        }
    }

    #[test]
    fn a_number_is_its_own_hash() {
        let settings = hashing(false, HashFunction::None, false);
        let mut bench = Bench::new(&[1, 1, 1]);
        let picker = bench.picker(settings);
        for (key, expected) in [("4", 1), ("5x", 2), ("", 0), ("+7", 1), ("-1", u32::MAX % 3)] {
            assert_eq!(bench.pick(&picker, Some(Key::Bytes(key.as_bytes())), None), Some(expected), "{key}");
        }
        // `balance source`: 10.0.0.1 and 10.0.0.2 are neighbours in the map.
        for (address, expected) in [("10.0.0.1", 0x0a00_0001 % 3), ("10.0.0.2", 0x0a00_0002 % 3)] {
            let hash = crate::base::hash::address(address.parse().unwrap());
            assert_eq!(bench.pick(&picker, Some(Key::Hash(hash)), None), Some(expected), "{address}");
        }
    }

    #[test]
    fn another_server_moves_few_hosts() {
        for settings in [hashing(true, HashFunction::Sdbm, true), hashing(true, HashFunction::Crc32, true)] {
            let (mut before, mut after) = (Bench::new(&[100; 10]), Bench::new(&[100; 11]));
            let (picker_before, picker_after) = (before.picker(settings), after.picker(settings));
            let mut moved = 0;
            for host in 0..10_000 {
                let host = format!("host-{host}.example.com");
                let key = Some(Key::Bytes(host.as_bytes()));
                let (old, new) =
                    (before.pick(&picker_before, key, None), after.pick(&picker_after, key, None));
                if old != new {
                    assert_eq!(new, Some(10), "a host moves to the new server or not at all");
                    moved += 1;
                }
            }
            assert!((500..=1500).contains(&moved), "{moved} of 10000 hosts moved");
        }
    }

    #[test]
    fn turns() {
        let round_robin = algorithm(Algorithm::RoundRobin);
        assert_eq!(Bench::new(&[1, 1, 1]).picks(round_robin, 7), "0120120");
        assert_eq!(Bench::new(&[1, 0, 1]).picks(round_robin, 4), "0202");
        assert_eq!(Bench::new(&[1, 2]).picks(round_robin, 6), "110110");
        assert_eq!(Bench::new(&[2, 1]).picks(algorithm(Algorithm::StaticRoundRobin), 6), "001001");
        // Without a key, hashing takes turns.
        assert_eq!(Bench::new(&[1, 1]).picks(hashing(false, HashFunction::Sdbm, false), 4), "0101");
    }

    #[test]
    fn full_servers_are_passed_over_until_all_are() {
        let mut bench = Bench::new(&[1, 1, 1]);
        bench.limit(1, 2);
        bench.serve(1, 2);
        for algorithm in [Algorithm::RoundRobin, Algorithm::StaticRoundRobin, Algorithm::LeastConn] {
            bench.backend.cursor.store(0, Relaxed);
            assert_eq!(bench.picks(self::algorithm(algorithm), 5), "02020", "{algorithm:?}");
        }
        assert_eq!(bench.picks(algorithm(Algorithm::First), 3), "000");
        for place in [0, 2] {
            bench.limit(place, 1);
            bench.serve(place, 1);
        }
        for algorithm in
            [Algorithm::RoundRobin, Algorithm::LeastConn, Algorithm::First, Algorithm::Random { draws: 2 }]
        {
            let picker = bench.picker(self::algorithm(algorithm));
            assert!(bench.pick(&picker, None, None).is_some(), "{algorithm:?}");
        }
    }

    #[test]
    fn first_fills_servers_by_number() {
        let mut bench = Bench::new(&[1, 1, 1]);
        for (place, id) in [(0, 9), (1, 3), (2, 5)] {
            bench.candidates[place].id = id;
            bench.limit(place, 1);
        }
        let picker = bench.picker(algorithm(Algorithm::First));
        for expected in [1, 2, 0] {
            assert_eq!(bench.pick(&picker, None, None), Some(expected));
            bench.serve(expected as usize, 1);
        }
    }

    #[test]
    fn the_least_loaded_is_chosen_and_equals_take_turns() {
        let mut bench = Bench::new(&[1, 1, 1, 2]);
        for (place, sessions) in [(0, 3), (1, 1), (2, 1), (3, 4)] {
            bench.serve(place, sessions);
        }
        assert_eq!(bench.picks(algorithm(Algorithm::LeastConn), 4), "1212");
        bench.serve(3, 1);
        assert_eq!(bench.picks(algorithm(Algorithm::LeastConn), 3), "333");
        let mut many = Bench::new(&[1; 300]);
        let picker = many.picker(algorithm(Algorithm::LeastConn));
        for _ in 0..3000 {
            let choice = many.pick(&picker, None, None).unwrap();
            many.candidates[choice as usize].state.served.fetch_add(1, Relaxed);
        }
        let counts: Vec<u32> = many.candidates.iter().map(|one| one.state.served.load(Relaxed)).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least <= 2, "{least} to {most} sessions per server");
    }

    #[test]
    fn random_prefers_the_lighter_of_its_draws() {
        let mut bench = Bench::new(&[1; 20]);
        let picker = bench.picker(algorithm(Algorithm::Random { draws: 2 }));
        for _ in 0..2000 {
            let choice = bench.pick(&picker, None, None).unwrap();
            bench.candidates[choice as usize].state.served.fetch_add(1, Relaxed);
        }
        let counts: Vec<u32> = bench.candidates.iter().map(|one| one.state.served.load(Relaxed)).collect();
        assert!(counts.iter().all(|count| (80..=120).contains(count)), "{counts:?}");
    }

    #[test]
    fn random_draws_by_weight() {
        let mut bench = Bench::new(&[1, 5, 0, 10, 4]);
        let picker = bench.picker(algorithm(Algorithm::Random { draws: 1 }));
        let mut counts = [0; 5];
        for _ in 0..20_000 {
            counts[bench.pick(&picker, None, None).unwrap() as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([1000, 5000, 0, 10_000, 4000]) {
            assert!((expected * 9 / 10..=expected * 11 / 10).contains(&count), "{counts:?}");
        }
        for _ in 0..100 {
            assert_ne!(bench.pick(&picker, None, Some(3)), Some(3));
        }
    }

    #[test]
    fn backups_stand_in_for_active_servers_only() {
        for algorithm in [
            Algorithm::RoundRobin,
            Algorithm::StaticRoundRobin,
            Algorithm::LeastConn,
            Algorithm::First,
            Algorithm::Random { draws: 2 },
            Algorithm::Hash,
        ] {
            let mut bench = Bench::new(&[1, 1, 1, 1]);
            bench.candidates[1].backup = true;
            bench.candidates[3].backup = true;
            let all = Settings { all_backups: true, ..self::algorithm(algorithm) };
            for settings in [self::algorithm(algorithm), all] {
                assert!(bench.picks(settings, 8).chars().all(|c| c == '0' || c == '2'), "{algorithm:?}");
            }
            for place in [0, 2] {
                bench.candidates[place].state.set_operational(Operational::Stopped);
            }
            assert_eq!(bench.picks(self::algorithm(algorithm), 4), "1111", "{algorithm:?}");
            let found = bench.picks(all, 20);
            let both = found.contains('1') && (found.contains('3') || algorithm == Algorithm::First);
            assert!(both, "{algorithm:?} {found}");
            for place in [1, 3] {
                bench.candidates[place].state.set_operational(Operational::Stopped);
            }
            let picker = bench.picker(all);
            assert_eq!(bench.pick(&picker, None, None), None);
        }
    }

    #[test]
    fn a_redispatched_request_leaves_its_server_if_it_can() {
        for settings in [
            algorithm(Algorithm::RoundRobin),
            algorithm(Algorithm::StaticRoundRobin),
            algorithm(Algorithm::LeastConn),
            algorithm(Algorithm::First),
            algorithm(Algorithm::Random { draws: 1 }),
            hashing(false, HashFunction::Sdbm, false),
            hashing(true, HashFunction::Sdbm, true),
        ] {
            let mut bench = Bench::new(&[1, 5]);
            let picker = bench.picker(settings);
            for avoid in [0, 1, 0, 0, 1, 1] {
                let found = bench.pick(&picker, Some(Key::Bytes(b"key")), Some(avoid));
                assert_eq!(found, Some(1 - avoid), "{settings:?}");
            }
            let mut alone = Bench::new(&[1]);
            let picker = alone.picker(settings);
            assert_eq!(alone.pick(&picker, None, Some(0)), Some(0), "{settings:?}");
        }
    }

    #[test]
    fn bounded_loads_spill_to_the_next_server() {
        let settings = Settings { hash_balance_factor: 150, ..hashing(true, HashFunction::Sdbm, true) };
        let mut bench = Bench::new(&[1; 4]);
        let picker = bench.picker(settings);
        let key = Some(Key::Bytes(b"hot"));
        for _ in 0..100 {
            let choice = bench.pick(&picker, key, None).unwrap();
            bench.candidates[choice as usize].state.served.fetch_add(1, Relaxed);
        }
        for one in &bench.candidates {
            // 1.5 times the mean of 25, and one for rounding.
            assert!(one.state.served.load(Relaxed) <= 39, "{:?}", one.state.served);
        }
    }

    #[test]
    fn affinity_ends_where_it_is_told_to() {
        let mut bench = Bench::new(&[1; 3]);
        let settings = hashing(true, HashFunction::Sdbm, true);
        let key = Some(Key::Bytes(b"key"));
        let picker = bench.picker(settings);
        let own = bench.pick(&picker, key, None).unwrap();
        bench.limit(own as usize, 2);
        bench.serve(own as usize, 2);
        for (affinity, maxqueue, stays) in [
            (Affinity::Always, 0, true),
            (Affinity::MaxConn, 0, false),
            (Affinity::MaxQueue, 0, true),
            (Affinity::MaxQueue, 1, true),
        ] {
            let picker = bench.picker(settings).with_affinity(affinity, |_| maxqueue);
            assert_eq!(bench.pick(&picker, key, None) == Some(own), stays, "{affinity:?} {maxqueue}");
        }
        bench.serve(own as usize, 3);
        let picker = bench.picker(settings).with_affinity(Affinity::MaxQueue, |_| 1);
        assert_ne!(bench.pick(&picker, key, None), Some(own));
    }

    #[test]
    fn where_all_are_full_the_last_server_of_the_walk_has_the_key() {
        let mut bench = Bench::new(&[1; 3]);
        (0..3).for_each(|server| bench.limit(server, 1));
        let settings = hashing(true, HashFunction::Sdbm, true);
        for key in 0..20 {
            let key = format!("key{key}");
            let key = Some(Key::Bytes(key.as_bytes()));
            // Each has the key once those before it on the ring are full.
            let picker = bench.picker(settings).with_affinity(Affinity::MaxConn, |_| 0);
            let mut walk = Vec::new();
            while walk.len() < 3 {
                let next = bench.pick(&picker, key, None).unwrap();
                assert!(!walk.contains(&next));
                walk.push(next);
                bench.serve(next as usize, 1);
            }
            let mut rng = Rng::new(1);
            let pick = Pick { backend: &bench.backend, key, avoid: None, rng: &mut rng };
            let hash = picker.hash_of(&pick).unwrap();
            let Table::Ring(ring) = &picker.table else { panic!("no ring") };
            let before = ring.servers().iter().cycle().nth(ring.nearest(hash) + ring.servers().len() - 1);
            assert_eq!(bench.pick(&picker, key, None), before.copied());
            (0..3).for_each(|server| bench.serve(server, 0));
        }
    }

    #[test]
    fn turns_are_exact_across_cores() {
        let bench = Bench::new(&[1, 1, 1, 1]);
        let counts: [std::sync::atomic::AtomicU32; 4] = Default::default();
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let (bench, counts) = (&bench, &counts);
                scope.spawn(move || {
                    let picker = bench.picker(algorithm(Algorithm::RoundRobin));
                    let mut rng = Rng::new(seed);
                    for _ in 0..1000 {
                        let mut pick =
                            Pick { backend: &bench.backend, key: None, avoid: None, rng: &mut rng };
                        counts[picker.pick(&mut pick).unwrap() as usize].fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(counts.each_ref().map(|count| count.load(Relaxed)), [1000; 4]);
    }
}
