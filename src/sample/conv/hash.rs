//! Converters that digest: hashes for balancing and cryptographic ones (manual, section 7.3.1).

use std::borrow::Cow;

use base64::Engine;
use hmac::Mac;
use sha1::Digest;

use super::Converter;
use crate::base::hash;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::sample::vars::VarName;

use ArgType::{Int, Str, Variable};

const fn small(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Bin, Type::Int, doc, apply).args(0, &[Int])
}

/// Rows.
pub const TABLE: &[Converter] = &[
    small("crc32", "The CRC32 of the bytes; avalanche mixes it.", crc32),
    small("crc32c", "The CRC32C of the bytes; avalanche mixes it.", crc32c),
    small("djb2", "The DJB2 hash of the bytes; avalanche mixes it.", djb2),
    small("sdbm", "The SDBM hash of the bytes; avalanche mixes it.", sdbm),
    small("wt6", "The WT6 hash of the bytes; avalanche mixes it.", wt6),
    small("xxh32", "The XXH32 hash of the bytes, with a seed.", xxh32),
    small("xxh64", "The XXH64 hash of the bytes, with a seed, as a signed number.", xxh64),
    small("xxh3", "The XXH3 hash of the bytes, with a seed, as a signed number.", xxh3),
    Converter::new("sha1", Type::Bin, Type::Bin, "The SHA-1 digest.", sha1),
    Converter::new("sha2", Type::Bin, Type::Bin, "The SHA-2 digest of 224, 256, 384 or 512 bits.", sha2)
        .args(0, &[Int])
        .check(check_sha2),
    Converter::new("digest", Type::Bin, Type::Bin, "The digest by a named algorithm.", digest)
        .args(1, &[Str])
        .check(check_digest),
    Converter::new(
        "hmac",
        Type::Bin,
        Type::Bin,
        "The keyed digest; the key is base64 text or a variable.",
        hmac_of,
    )
    .args(2, &[Str, Str])
    .check(check_hmac),
    Converter::new(
        "strcmp",
        Type::Str,
        Type::Int,
        "Compares with a variable: 0 same, else as strcmp() does.",
        strcmp,
    )
    .args(1, &[Variable]),
    Converter::new(
        "secure_memcmp",
        Type::Bin,
        Type::Bool,
        "Whether a variable holds the same bytes, in constant time.",
        secure,
    )
    .args(1, &[Variable]),
];

macro_rules! small_hashes {
    ($($function:ident)*) => {
        $(fn $function<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
            let plain = hash::$function(value.bytes()?);
            Some(Value::Int(i64::from(if args.int(0) == 0 { plain } else { hash::avalanche(plain) })))
        })*
    };
}
small_hashes!(crc32 crc32c djb2 sdbm wt6);

fn xxh32<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(i64::from(hash::xxh32(value.bytes()?, args.int(0) as u32))))
}
fn xxh64<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(hash::xxh64(value.bytes()?, args.int(0) as u64) as i64))
}
fn xxh3<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(hash::xxh3(value.bytes()?, args.int(0) as u64) as i64))
}

/// The algorithms by name.
const ALGORITHMS: [&str; 6] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

fn digest_by(algorithm: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match algorithm {
        b"md5" => md5::Md5::digest(bytes).to_vec(),
        b"sha1" => sha1::Sha1::digest(bytes).to_vec(),
        b"sha224" => sha2::Sha224::digest(bytes).to_vec(),
        b"sha256" => sha2::Sha256::digest(bytes).to_vec(),
        b"sha384" => sha2::Sha384::digest(bytes).to_vec(),
        b"sha512" => sha2::Sha512::digest(bytes).to_vec(),
        _ => return None,
    })
}

fn binary<'a>(bytes: Vec<u8>) -> Value<'a> {
    Value::Bin(Cow::Owned(bytes))
}

fn sha1<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    digest_by(b"sha1", value.bytes()?).map(binary)
}

fn check_sha2(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    match args.first() {
        None | Some(Arg::Int(224 | 256 | 384 | 512)) => Ok(()),
        _ => Err(format!("Unsupported number of bits: '{}'", args.as_slice().int(0))),
    }
}
fn sha2<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let algorithm: &[u8] = match args.int(0) {
        224 => b"sha224",
        384 => b"sha384",
        512 => b"sha512",
        _ => b"sha256",
    };
    digest_by(algorithm, value.bytes()?).map(binary)
}

/// Brings the algorithm's name to the form that evaluation knows: `SHA-256` is `sha256`.
fn check_digest(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let given = String::from_utf8_lossy(args.as_slice().text(0)).into_owned();
    let name = given.to_ascii_lowercase().replacen("sha2-", "sha", 1).replace('-', "");
    if !ALGORITHMS.contains(&name.as_str()) {
        return Err(format!("algorithm '{given}' is not supported"));
    }
    args[0] = Arg::Str(name.into_bytes().into());
    Ok(())
}
fn digest<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    digest_by(args.text(0), value.bytes()?).map(binary)
}

/// The key is a variable if it looks like one, else base64 text.
fn check_hmac(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    check_digest(args, check)?;
    let key = String::from_utf8_lossy(args.as_slice().text(1)).into_owned();
    args[1] = match VarName::parse(&key) {
        Ok(name) => Arg::Variable(name),
        Err(_) => Arg::Str(decode_key(key.as_bytes()).ok_or("failed to parse key")?.into()),
    };
    Ok(())
}

fn decode_key(text: &[u8]) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

fn hmac_of<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let held;
    let key = match args.get(1)? {
        Arg::Variable(name) => {
            held = decode_key(&name.get(context)?.into_bytes(Type::Str)?)?;
            &*held
        }
        _ => args.text(1),
    };
    fn run<M: Mac + hmac::digest::KeyInit>(key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let mut mac = <M as Mac>::new_from_slice(key).ok()?;
        mac.update(bytes);
        Some(mac.finalize().into_bytes().to_vec())
    }
    let bytes = value.bytes()?;
    let code = match args.text(0) {
        b"md5" => run::<hmac::Hmac<md5::Md5>>(key, bytes),
        b"sha1" => run::<hmac::Hmac<sha1::Sha1>>(key, bytes),
        b"sha224" => run::<hmac::Hmac<sha2::Sha224>>(key, bytes),
        b"sha256" => run::<hmac::Hmac<sha2::Sha256>>(key, bytes),
        b"sha384" => run::<hmac::Hmac<sha2::Sha384>>(key, bytes),
        _ => run::<hmac::Hmac<sha2::Sha512>>(key, bytes),
    };
    code.map(binary)
}

fn strcmp<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let other = args.variable(0)?.get(context)?.into_bytes(Type::Str)?;
    let mine = value.bytes()?;
    let differs = mine.iter().zip(other.iter()).find(|(a, b)| a != b);
    Some(Value::Int(match differs {
        Some((a, b)) => i64::from(*a) - i64::from(*b),
        // The longer one is the greater; what strcmp() says of it is the sign's matter only.
        None => match mine.len().cmp(&other.len()) {
            std::cmp::Ordering::Less => -1,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => 1,
        },
    }))
}

fn secure<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let other = args.variable(0)?.get(context)?.into_bytes(Type::Bin)?;
    let mine = value.bytes()?;
    // Every byte is looked at whatever came before: the time tells nothing but the length.
    let different = mine.iter().zip(other.iter()).fold(0u8, |seen, (a, b)| seen | (a ^ b));
    Some(Value::Bool(mine.len() == other.len() && std::hint::black_box(different) == 0))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};
    use crate::sample::{Value, vars::VarName};

    #[test]
    fn digests() {
        let world = World::default();
        VarName::parse("txn.hash_same").unwrap().set(&world.context(), Value::text(b"abc"));
        VarName::parse("txn.hash_key").unwrap().set(&world.context(), Value::text(b"a2V5"));
        check(
            &world,
            &[
                ("str(1),digest(sha1),hex,lower", "356a192b7913b04c54574d18c28d46e6395428ab"),
                ("str(1),sha1,hex,lower", "356a192b7913b04c54574d18c28d46e6395428ab"),
                (
                    "str(1),digest(SHA-224),hex,lower",
                    "e25388fde8290dc286a6164fa2d97e551b53498dcbf7bc378eb1f178",
                ),
                ("str(1),sha2,hex,lower", "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"),
                ("str(),digest(md5),hex,lower", "d41d8cd98f00b204e9800998ecf8427e"),
                // RFC 2202-like: HMAC-SHA1("key", "The quick brown fox jumps over the lazy dog").
                (
                    "str('The quick brown fox jumps over the lazy dog'),hmac(sha1,a2V5),hex,lower",
                    "de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9",
                ),
                (
                    "str('The quick brown fox jumps over the lazy dog'),hmac(sha1,txn.hash_key),hex,lower",
                    "de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9",
                ),
                ("str(abc),strcmp(txn.hash_same)", "0"),
                ("str(abd),strcmp(txn.hash_same)", "1"),
                ("str(ab),strcmp(txn.hash_same)", "-1"),
                ("str(abc),strcmp(txn.hash_absent)", "-"),
                ("str(abc),secure_memcmp(txn.hash_same)", "1"),
                ("str(abd),secure_memcmp(txn.hash_same)", "0"),
                ("str(abcd),secure_memcmp(txn.hash_same)", "0"),
            ],
        );
        for (text, message) in [
            ("str(a),sha2(100)", "Unsupported number of bits: '100'"),
            ("str(a),digest(sha7)", "algorithm 'sha7' is not supported"),
            ("str(a),hmac(sha1,'?')", "failed to parse key"),
        ] {
            assert!(alert(text, Phase::HttpRequest).0.contains(message), "{text}");
        }
    }

    #[test]
    fn hashes_are_haproxys() {
        let world = World::default();
        let block: Vec<u8> = (0..=255).collect();
        VarName::parse("txn.hash_block").unwrap().set(&world.context(), Value::Bin(block.into()));
        for (converter, expected) in [
            ("length", "0"),
            ("bytes(1),length", "255"),
            ("crc32", "688229491"),
            ("crc32(1)", "4230317029"),
            ("crc32c", "2621708363"),
            ("crc32c(1)", "2242979626"),
            ("djb2", "2589693061"),
            ("djb2(1)", "600622701"),
            ("sdbm", "905707648"),
            ("sdbm(1)", "3103804144"),
            ("wt6", "4090277559"),
            ("wt6(1)", "1192658767"),
            ("xxh3", "-7779787747613135503"),
            ("xxh3(1)", "5930632130106562027"),
            ("xxh32", "1497633363"),
            ("xxh32(1)", "1070421674"),
            ("xxh64", "2282408585429094475"),
            ("xxh64(1)", "-4689339368900765961"),
            ("sha1,hex", "4916D6BDB7F78E6803698CAB32D1586EA457DFC8"),
        ] {
            check(&world, &[(&format!("var(txn.hash_block),{converter}"), expected)]);
        }
    }
}
