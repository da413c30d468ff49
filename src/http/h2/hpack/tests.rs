//! Whole blocks: the examples of RFC 7541, blocks that another implementation wrote, and hostile ones.

use super::*;
use crate::base::rng::Rng;
use crate::http::Fields;

const BOUNDS: Bounds = Bounds { fields_max: 101, bytes_max: 16_384 };

pub(super) fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|byte| char::from(byte).to_digit(16).map(|d| d as u8)).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The fields of a block, one a line, or the error.
fn decoded(decoder: &mut Decoder, block: &[u8], bounds: Bounds) -> Result<String, Error> {
    let (mut fields, mut shown) = (Fields::default(), Vec::new());
    let mut block = decoder.block(block, bounds);
    while let Some(field) = block.next(&mut fields)? {
        let (name, value) = (fields.bytes(field.name), fields.bytes(field.value));
        shown.push(format!("{}: {}", name.escape_ascii(), value.escape_ascii()));
    }
    if block.overflowed() {
        shown.push("and more".into());
    }
    Ok(shown.join("\n"))
}

#[test]
fn appendix_c_examples() {
    let requests = [
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com",
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache",
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value",
    ];
    let date = |second| format!("date: Mon, 21 Oct 2013 20:13:{second} GMT");
    let location = "location: https://www.example.com";
    let responses = [
        format!(":status: 302\ncache-control: private\n{}\n{location}", date(21)),
        format!(":status: 307\ncache-control: private\n{}\n{location}", date(21)),
        format!(
            ":status: 200\ncache-control: private\n{}\n{location}\ncontent-encoding: gzip\nset-cookie: \
             foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            date(22)
        ),
    ];
    let responses = responses.each_ref().map(|text| &text[..]);
    // The responses are for a table of 256 bytes, which a change of size in front orders.
    let cases: [(&str, [&str; 3], [&str; 3]); 4] = [
        (
            "C.3",
            [
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                "8286 84be 5808 6e6f 2d63 6163 6865",
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            ],
            requests,
        ),
        (
            "C.4",
            [
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                "8286 84be 5886 a8eb 1064 9cbf",
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            ],
            requests,
        ),
        (
            "C.5",
            [
                "3fe101 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a \
                 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                "4803 3330 37c1 c0bf",
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a \
                 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d \
                 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
            ],
            responses,
        ),
        (
            "C.6",
            [
                "3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e \
                 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                "4883 640e ffc1 c0bf",
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d \
                 d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 \
                 3d50 07",
            ],
            responses,
        ),
    ];
    for (section, blocks, expected) in cases {
        let mut decoder = Decoder::new(TABLE_SIZE);
        for (block, expected) in blocks.iter().zip(expected) {
            assert_eq!(decoded(&mut decoder, &unhex(block), BOUNDS).as_deref(), Ok(expected), "{section}");
        }
    }
    for (block, expected) in [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header"),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path"),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret"),
        ("82", ":method: GET"),
    ] {
        let mut decoder = Decoder::new(TABLE_SIZE);
        assert_eq!(decoded(&mut decoder, &unhex(block), BOUNDS).as_deref(), Ok(expected), "C.2");
    }
}

/// Five blocks of one connection, written by hpack 4.0 for Python.
#[test]
fn blocks_of_another_implementation() {
    let mut decoder = Decoder::new(TABLE_SIZE);
    for (block, expected) in [
        (
            "8287418cf1e3c2e5f23a6ba0ab9ec9bf448b606c47fe12093e0b02a2077a8825b650c3abbcf2e15383f963e7",
            ":method: GET\n:scheme: https\n:authority: www.example.org\n:path: /a/b?c=d&e=%20\n\
             user-agent: curl/7.88.1\naccept: */*",
        ),
        (
            "8387c1448562dae838e4c05c84089969bf60861c11fda848244086f2b169ad3ebf80",
            ":method: POST\n:scheme: https\n:authority: www.example.org\n:path: /upload\nuser-agent: curl/7.88.1\n\
             content-length: 12345\ncookie: a=b; c=d\nx-empty: ",
        ),
        (
            "885f92497ca589d34d1f6a1271d882a60b532acf7f779234907fffffe7ff7fff7ffbff3fff87ffcffb4086f2b47e92547f8ffffe\
             6fffffbbfffec2891c7ffffd5f",
            ":status: 200\ncontent-type: text/html; charset=utf-8\nset-cookie: id=\\x7f~{}|\\\\<>\n\
             x-bytes: \\x80\\xff\\x01 tab\\t",
        ),
        (
            "3f1d76823d4576834f83ff76823d454085f2b507aa6fa3f7efdfbf7efdfbf7efdfbf7efdfbf7efdfbf7efdfbf7\
             efdfbf7efdfbf7efdfbf7efdfb",
            "server: one\nserver: two\nserver: one\nx-long: zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        ),
        ("3fe11f76036f6e65be", "server: one\nserver: one"),
    ] {
        assert_eq!(decoded(&mut decoder, &unhex(block), BOUNDS).as_deref(), Ok(expected));
    }
}

#[test]
fn hostile_blocks_are_errors() {
    for (what, block, expected) in [
        ("index 0", "80", Error::Index),
        ("an index behind the static table of an empty dynamic one", "be", Error::Index),
        ("a huge index", "ffffffff07", Error::Integer),
        ("a name of index 62", "7e0161", Error::Index),
        ("a name alone", "400161", Error::Truncated),
        ("half a name", "400561", Error::Truncated),
        ("a value longer than the block", "400161056262", Error::Truncated),
        ("a length without end", "4001617f808080", Error::Truncated),
        ("a length of too many octets", "400161ff8080808080808000", Error::Integer),
        ("half an index", "ff", Error::Truncated),
        ("a table larger than announced", "3fe21f", Error::TableSize),
        ("a huge table", "3fffffffff0f", Error::Integer),
        ("a change of size behind a field", "8220", Error::TableSize),
        ("a name with the end of the string in it", "4084fffffffc0161", Error::Huffman),
        ("a value with a whole octet of padding", "40016181ff", Error::Huffman),
        ("an entry that a change of size has pushed out", "20be", Error::Index),
        ("an entry that another one has pushed out", "3f1d 76036f6e65 760374776f bf", Error::Index),
    ] {
        let mut decoder = Decoder::new(TABLE_SIZE);
        assert_eq!(decoded(&mut decoder, &unhex(block), BOUNDS), Err(expected), "{what}");
        assert!(!expected.reason().is_empty());
    }
    // A peer that has seen a smaller size may still use the default until it has acknowledged.
    assert_eq!(decoded(&mut Decoder::new(0), &unhex("3fe11f82"), BOUNDS).as_deref(), Ok(":method: GET"));
    assert_eq!(
        decoded(&mut Decoder::new(65_536), &unhex("3fe1ff0382"), BOUNDS).as_deref(),
        Ok(":method: GET")
    );
}

/// Octets that each stand for 4 KiB (the HPACK bomb, CVE-2016-1544 and its kind).
#[test]
fn what_references_stand_for_is_bounded_while_it_is_decoded() {
    let mut block = vec![0x40, 1, b'a'];
    integer::write(0, 7, 4000, &mut block);
    block.extend_from_slice(&[b'v'; 4000]);
    block.extend_from_slice(&[0xbe; 12_000]);
    let (mut decoder, mut fields, mut count) = (Decoder::new(TABLE_SIZE), Fields::default(), 0);
    let mut bomb = decoder.block(&block, BOUNDS);
    while bomb.next(&mut fields).unwrap().is_some() {
        count += 1;
        assert!(fields.arena_len() <= BOUNDS.bytes_max + 4001);
    }
    assert!(bomb.overflowed());
    assert_eq!(count, 4, "four times 4033 bytes fit");
    // The state is what it would be without bounds.
    assert_eq!(decoded(&mut decoder, &[0xbe], BOUNDS).unwrap().len(), 4003);
    let crumbs = vec![0x82; 200];
    let shown = decoded(&mut decoder, &crumbs, BOUNDS).unwrap();
    assert_eq!(shown.lines().count(), 102, "101 fields and the note");
}

#[test]
fn a_block_beyond_the_bounds_keeps_the_tables_equal() {
    let tight = Bounds { fields_max: 1, bytes_max: 100 };
    let (mut one, mut other) = (Decoder::new(TABLE_SIZE), Decoder::new(TABLE_SIZE));
    let block = unhex("82 400161 0131 400162 0132 be 10 0163 0133 7e 0134");
    assert_eq!(decoded(&mut one, &block, tight).as_deref(), Ok(":method: GET\nand more"));
    assert!(decoded(&mut other, &block, BOUNDS).is_ok());
    for index in 62..=64 {
        let (one, other) =
            (decoded(&mut one, &[0x80 | index], BOUNDS), decoded(&mut other, &[0x80 | index], BOUNDS));
        assert_eq!(one, other);
        assert!(one.is_ok());
    }
}

#[test]
fn what_the_encoder_writes_is_read_back() {
    const NAMES: [&str; 12] = [
        ":status",
        ":authority",
        "server",
        "Content-Type",
        "date",
        "x-forwarded-proto",
        "Cookie",
        "x-a",
        "etag",
        "cache-control",
        "vary",
        "grpc-status",
    ];
    const VALUES: [&str; 6] = ["200", "", "text/html", "a b, c", "no-cache", "0"];
    let mut rng = Rng::new(9);
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(TABLE_SIZE));
    let (mut plain, mut packed) = (0, 0);
    for _ in 0..3000 {
        if rng.below(40) == 0 {
            encoder.set_table_max([0, 100, 300, 4096, 70_000][rng.below(5) as usize]);
        }
        let mut block = Vec::new();
        encoder.begin(&mut block);
        let mut expected = Vec::new();
        for _ in 0..rng.below(12) {
            let name = NAMES[rng.below(12) as usize];
            let value = VALUES[rng.below(6) as usize].repeat(rng.below(4) as usize);
            encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
            plain += name.len() + value.len() + 2;
            expected.push(format!("{}: {value}", name.to_lowercase()));
        }
        packed += block.len();
        assert_eq!(decoded(&mut decoder, &block, BOUNDS), Ok(expected.join("\n")));
    }
    assert!(packed * 3 < plain * 2, "{packed} of {plain}");
}

#[test]
fn random_blocks_do_not_panic() {
    let mut rng = Rng::new(11);
    let mut decoder = Decoder::new(TABLE_SIZE);
    for _ in 0..30_000 {
        let block: Vec<u8> = (0..rng.below(40))
            .map(|_| {
                if rng.below(2) == 0 {
                    [0x40, 0x82, 0x01, b'a', 0xbe, 0x7e, 0x3f][rng.below(7) as usize]
                } else {
                    rng.next_u64() as u8
                }
            })
            .collect();
        if decoded(&mut decoder, &block, BOUNDS).is_err() {
            decoder = Decoder::new(TABLE_SIZE);
        }
    }
}
