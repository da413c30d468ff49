//! Stick tables and maps, small and with a million entries.
//!
//! The bound: a lookup among a million costs at most 0.3 microseconds more than among ten.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use divan::{Bencher, black_box};
use haring::pattern::{Kind, Subject};
use haring::state::maps::LiveMap;
use haring::state::table::{Data, KeyType, ServerKeyType, Settings, Stored, Table};

const ENTRIES: &[u32] = &[10, 1_000_000];

/// Steps through all numbers below `count` in an order that no cache foresees.
fn next(number: &mut u64, count: u32) -> u32 {
    *number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (((*number >> 32) * u64::from(count)) >> 32) as u32
}

/// Made once per size: divan calls a benchmark more than once.
fn table(count: u32) -> Arc<Table> {
    thread_local!(static MADE: RefCell<HashMap<u32, Arc<Table>>> = RefCell::default());
    let make = || {
        let stored = vec![
            Stored { data: Data::Gpc0, count: 1, period_ms: 0 },
            Stored { data: Data::HttpReqRate, count: 1, period_ms: 10_000 },
        ];
        let table = Table::new(
            "t",
            Settings {
                key: KeyType::Ip,
                size: 1 << 20,
                expire_ms: Some(3_600_000),
                nopurge: false,
                stored,
                server_key: ServerKeyType::Name,
                write_to: None,
                brates_factor: 1,
            },
        );
        for key in 0..count {
            assert!(table.find_or_create(&key.to_be_bytes(), 1_000).is_some());
        }
        table
    };
    MADE.with_borrow_mut(|made| made.entry(count).or_insert_with(make).clone())
}

#[divan::bench(args = ENTRIES)]
fn table_get(bencher: Bencher, count: u32) {
    let (table, mut number) = (table(count), 1);
    bencher.bench_local(move || {
        let key = next(&mut number, count).to_be_bytes();
        black_box(table.with(&key, 2_000, |cells| cells.get(Data::Gpc0, 0)))
    });
}

#[divan::bench(args = ENTRIES)]
fn table_update(bencher: Bencher, count: u32) {
    let (table, mut number) = (table(count), 1);
    bencher.bench_local(move || {
        let key = next(&mut number, count).to_be_bytes();
        black_box(table.update(&key, 2_000, |cells| cells.add(Data::HttpReqRate, 0, 1)))
    });
}

/// New keys in a full table: the oldest makes room.
#[divan::bench]
fn table_insert_when_full(bencher: Bencher) {
    let table = table(1_000_000);
    let mut key = 1u32 << 30;
    bencher.bench_local(move || {
        key += 1;
        black_box(table.find_or_create(&key.to_be_bytes(), 2_000).is_some())
    });
}

fn map(kind: &'static str, count: u32, line: impl Fn(u32) -> String) -> Arc<LiveMap> {
    thread_local!(static MADE: RefCell<HashMap<(&'static str, u32), Arc<LiveMap>>> = RefCell::default());
    let make = || {
        let map = LiveMap::new("bench.map", true);
        let text: String = (0..count).map(|number| format!("{} backend-{number}\n", line(number))).collect();
        map.load_text(text.as_bytes()).expect("a map");
        Arc::new(map)
    };
    MADE.with_borrow_mut(|made| made.entry((kind, count)).or_insert_with(make).clone())
}

/// Keys made beforehand: more than the caches keep the way to.
const KEYS: usize = 1 << 16;

/// Looks keys up in an order that no cache foresees.
fn look<K>(bencher: Bencher, count: u32, key: impl Fn(u32) -> K, found: impl Fn(&K) -> bool) {
    let mut number = 1;
    let keys: Vec<K> = (0..KEYS).map(|_| key(next(&mut number, count))).collect();
    assert!(keys.iter().all(&found));
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % KEYS;
        found(black_box(&keys[at]))
    });
}

fn host(number: u32) -> String {
    format!("host-{number}.example.com")
}

#[divan::bench(args = ENTRIES)]
fn map_str(bencher: Bencher, count: u32) {
    let map = map("str", count, host);
    map.use_as(Kind::Str, false).expect("strings");
    look(bencher, count, host, |key| {
        map.load().find(Kind::Str, false, Subject::Bytes(key.as_bytes())).is_some()
    });
}

#[divan::bench(args = ENTRIES)]
fn map_ip(bencher: Bencher, count: u32) {
    let address = |number: u32| std::net::Ipv4Addr::from(0x0a00_0000 + number);
    let map = map("ip", count, |number| address(number).to_string());
    map.use_as(Kind::Ip, false).expect("addresses");
    look(bencher, count, address, |key| {
        map.load().find(Kind::Ip, false, Subject::Ip((*key).into())).is_some()
    });
}

#[divan::bench(args = ENTRIES)]
fn map_beg(bencher: Bencher, count: u32) {
    let path = |number: u32| format!("/site-{number}/");
    let map = map("beg", count, path);
    map.use_as(Kind::Beg, false).expect("beginnings");
    look(
        bencher,
        count,
        |number| path(number) + "index.html",
        |key| map.load().find(Kind::Beg, false, Subject::Bytes(key.as_bytes())).is_some(),
    );
}
