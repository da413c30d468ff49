//! Converters that encrypt and decrypt with AES (manual, `aes_gcm_enc` and its like).
//!
//! Nonces, keys, tags and additional data are Base64 text, given or held by a variable. What does
//! not fit yields nothing: a key that is too short, a tag that is not right, padding that is wrong.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{
    BlockCipher, BlockDecrypt, BlockDecryptMut, BlockEncrypt, BlockEncryptMut, BlockSizeUser, InnerIvInit,
    KeyInit, StreamCipher, consts::U16,
};
use base64::Engine;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

use super::Converter;
use super::encode::STANDARD;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::sample::vars::VarName;

use ArgType::{Int, Str, Variable};

const fn row(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Bin, Type::Bin, doc, apply).check(check)
}

/// Rows.
pub const TABLE: &[Converter] = &[
    row("aes_gcm_enc", "Encrypts with AES-GCM of <bits>; the tag goes to the variable.", gcm_encrypt)
        .args(4, &[Int, Str, Str, Variable, Str]),
    row("aes_gcm_dec", "Decrypts with AES-GCM of <bits>, if the tag is right.", gcm_decrypt)
        .args(4, &[Int, Str, Str, Str, Str]),
    row("aes_cbc_enc", "Encrypts with AES-CBC of <bits>.", cbc_encrypt).args(3, &[Int, Str, Str, Str]),
    row("aes_cbc_dec", "Decrypts with AES-CBC of <bits>.", cbc_decrypt).args(3, &[Int, Str, Str, Str]),
];

/// A block of AES.
const BLOCK: usize = 16;
/// Bytes of a tag; a shorter one would be easier to guess.
const TAG: usize = 16;

fn check(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    if !matches!(args.as_slice().int(0), 128 | 192 | 256) {
        return Err("key size must be 128, 192 or 256 (bits).".into());
    }
    let is_gcm = check.keyword.contains("gcm");
    for (at, arg) in args.iter_mut().enumerate().skip(1) {
        let what = match at {
            1 => "nonce",
            2 => "key",
            3 if is_gcm => "aead_tag",
            _ => "aad",
        };
        if let Arg::Str(text) = arg {
            *arg = secret(text).ok_or_else(|| format!("failed to parse {what} : not base64"))?;
        }
    }
    Ok(())
}

/// A variable if it looks like one, else what the Base64 text means.
pub(super) fn secret(text: &[u8]) -> Option<Arg> {
    let name = std::str::from_utf8(text).ok().and_then(|name| VarName::parse(name).ok());
    match name {
        Some(name) => Some(Arg::Variable(name)),
        None => STANDARD.decode(text).ok().map(|bytes| Arg::Str(bytes.into())),
    }
}

/// The bytes of such an argument; nothing if the variable has no value that is Base64 text.
pub(super) fn secret_bytes(arg: Option<&Arg>, context: &Context<'_>) -> Option<Vec<u8>> {
    match arg? {
        Arg::Variable(name) => STANDARD.decode(name.get(context)?.into_bytes(Type::Str)?).ok(),
        Arg::Str(bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}

/// Runs one of the ciphers by the configured size of the key, which may be longer than needed.
macro_rules! by_bits {
    ($bits:expr, $key:expr, |$cipher:ident| $run:expr) => {
        match $bits {
            128 => {
                let $cipher = aes::Aes128::new_from_slice($key.get(..16)?).ok()?;
                $run
            }
            192 => {
                let $cipher = aes::Aes192::new_from_slice($key.get(..24)?).ok()?;
                $run
            }
            _ => {
                let $cipher = aes::Aes256::new_from_slice($key.get(..32)?).ok()?;
                $run
            }
        }
    };
}

/// The three sizes of AES.
trait Aes: BlockCipher + BlockEncrypt + BlockDecrypt + BlockSizeUser<BlockSize = U16> + Clone {}
impl<C: BlockCipher + BlockEncrypt + BlockDecrypt + BlockSizeUser<BlockSize = U16> + Clone> Aes for C {}

/// The hash of GCM over blocks padded with zeros and their lengths in bits (NIST SP 800-38D).
fn ghash(key: &[u8; BLOCK], additional: &[u8], text: &[u8]) -> [u8; BLOCK] {
    let mut hash = GHash::new(key.into());
    hash.update_padded(additional);
    hash.update_padded(text);
    let bits = |bytes: &[u8]| (bytes.len() as u64 * 8).to_be_bytes();
    let mut lengths = [0; BLOCK];
    lengths[..8].copy_from_slice(&bits(additional));
    lengths[8..].copy_from_slice(&bits(text));
    hash.update(&[lengths.into()]);
    hash.finalize().into()
}

/// Encrypts or decrypts in place and returns the tag: GCM is counter mode and a hash over what was
/// encrypted. A nonce may have any length but 0, which the `aes-gcm` crate does not offer.
fn gcm(
    cipher: impl Aes,
    nonce: &[u8],
    additional: &[u8],
    data: &mut [u8],
    encrypts: bool,
) -> Option<[u8; TAG]> {
    let mut hash_key = [0; BLOCK];
    cipher.encrypt_block((&mut hash_key).into());
    let first = match nonce.len() {
        0 => return None,
        12 => {
            let mut block = [0; BLOCK];
            block[..12].copy_from_slice(nonce);
            block[15] = 1;
            block
        }
        _ => ghash(&hash_key, b"", nonce),
    };
    if !encrypts {
        // The tag is of what was encrypted, so it is made before that is gone.
        let tag = tag(&cipher, &hash_key, &first, additional, data);
        count(cipher, &first, data);
        return Some(tag);
    }
    count(cipher.clone(), &first, data);
    Some(tag(&cipher, &hash_key, &first, additional, data))
}

fn tag(
    cipher: &impl Aes,
    key: &[u8; BLOCK],
    first: &[u8; BLOCK],
    additional: &[u8],
    text: &[u8],
) -> [u8; TAG] {
    let mut mask = *first;
    cipher.encrypt_block((&mut mask).into());
    let mut tag = ghash(key, additional, text);
    tag.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    tag
}

/// Counter mode from the block after the first, counting 32 bits.
fn count(cipher: impl Aes, first: &[u8; BLOCK], data: &mut [u8]) {
    let core = ctr::CtrCore::<_, ctr::flavors::Ctr32BE>::inner_iv_init(cipher, first.into());
    let mut stream = aes::cipher::StreamCipherCoreWrapper::from_core(core);
    let mut skipped = [0; BLOCK];
    stream.apply_keystream(&mut skipped);
    stream.apply_keystream(data);
}

fn gcm_encrypt<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let nonce = secret_bytes(args.get(1), context)?;
    let key = secret_bytes(args.get(2), context)?;
    let additional = match args.get(4) {
        None => Vec::new(),
        arg => secret_bytes(arg, context)?,
    };
    let mut data = value.bytes()?.to_vec();
    let tag = by_bits!(args.int(0), key, |cipher| gcm(cipher, &nonce, &additional, &mut data, true))?;
    let tag = Value::string(STANDARD.encode(tag).into_bytes());
    args.variable(3)?.set(context, tag).then_some(Value::Bin(data.into()))
}

fn gcm_decrypt<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let nonce = secret_bytes(args.get(1), context)?;
    let key = secret_bytes(args.get(2), context)?;
    let given = secret_bytes(args.get(3), context)?;
    let additional = match args.get(4) {
        None => Vec::new(),
        arg => secret_bytes(arg, context)?,
    };
    let mut data = value.bytes()?.to_vec();
    let tag = by_bits!(args.int(0), key, |cipher| gcm(cipher, &nonce, &additional, &mut data, false))?;
    // Every byte is looked at, whatever came before.
    let differs = tag.iter().zip(&given).fold(0, |seen, (a, b)| seen | (a ^ b));
    let is_right = given.len() == TAG && std::hint::black_box(differs) == 0;
    is_right.then_some(Value::Bin(data.into()))
}

/// What CBC needs: the key, and a vector of one block, which is padded with zeros or cut. Its
/// additional data have no effect, but must be there if they are named.
fn cbc(args: &[Arg], context: &Context<'_>) -> Option<([u8; BLOCK], Vec<u8>)> {
    let nonce = secret_bytes(args.get(1), context)?;
    let mut vector = [0; BLOCK];
    let len = nonce.len().min(BLOCK);
    vector[..len].copy_from_slice(&nonce[..len]);
    if args.len() > 3 {
        secret_bytes(args.get(3), context)?;
    }
    Some((vector, secret_bytes(args.get(2), context)?))
}

fn cbc_encrypt<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (vector, key) = cbc(args, context)?;
    let data = value.bytes()?;
    let out = by_bits!(args.int(0), key, |cipher| {
        cbc::Encryptor::inner_iv_init(cipher, &vector.into()).encrypt_padded_vec_mut::<Pkcs7>(data)
    });
    Some(Value::Bin(out.into()))
}

fn cbc_decrypt<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let (vector, key) = cbc(args, context)?;
    let data = value.bytes()?;
    let out = by_bits!(args.int(0), key, |cipher| {
        cbc::Decryptor::inner_iv_init(cipher, &vector.into()).decrypt_padded_vec_mut::<Pkcs7>(data).ok()
    });
    out.map(|bytes| Value::Bin(bytes.into()))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};
    use crate::sample::{Value, vars::VarName};

    #[test]
    fn aes() {
        let world = World::default();
        let set = |name: &str, value: &'static [u8]| {
            assert!(VarName::parse(name).unwrap().set(&world.context(), Value::text(value)));
        };
        set("txn.aes_nonce", b"MDEyMzQ1Njc4OWFi");
        set("txn.aes_bad", b"?");
        // "Zm9vb2Zvb29mb29wZm9vbw==" is sixteen bytes of a key, the nonce "0123456789ab".
        const KEY: &str = "Zm9vb2Zvb29mb29wZm9vbw==";
        const KEY_256: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        for (text, expected) in [
            // FIPS 197's and SP 800-38D's own: an all-zero key, nonce and block.
            (
                "bin(00000000000000000000000000000000),\
                 aes_gcm_enc(128,AAAAAAAAAAAAAAAA,AAAAAAAAAAAAAAAAAAAAAA==,txn.aes_tag),hex,lower"
                    .to_owned(),
                "0388dace60b6a392f328c2b971b2fe78",
            ),
            ("var(txn.aes_tag),b64dec,hex,lower".to_owned(), "ab6e47d42cec13bdf53a67b21257bddf"),
            (
                format!(
                    "str(text),aes_gcm_enc(128,txn.aes_nonce,{KEY},txn.aes_tag),\
                         aes_gcm_dec(128,txn.aes_nonce,{KEY},txn.aes_tag)"
                ),
                "text",
            ),
            (
                format!(
                    "str(text),aes_gcm_enc(256,YWI=,{KEY_256},txn.aes_tag,QUFE),\
                         aes_gcm_dec(256,YWI=,{KEY_256},txn.aes_tag,QUFE)"
                ),
                "text",
            ),
            (
                format!(
                    "str(text),aes_gcm_enc(256,YWI=,{KEY_256},txn.aes_tag,QUFE),\
                         aes_gcm_dec(256,YWI=,{KEY_256},txn.aes_tag,QUFF)"
                ),
                "-",
            ),
            (format!("str(text),aes_gcm_dec(128,txn.aes_nonce,{KEY},AAAA)"), "-"),
            (format!("str(text),aes_gcm_enc(256,txn.aes_nonce,{KEY},txn.aes_tag)"), "-"),
            (format!("str(text),aes_gcm_enc(128,txn.aes_bad,{KEY},txn.aes_tag)"), "-"),
            (format!("str(text),aes_gcm_enc(128,txn.aes_absent,{KEY},txn.aes_tag)"), "-"),
            (format!("str(text),aes_cbc_enc(128,txn.aes_nonce,{KEY}),length"), "16"),
            (
                format!(
                    "str(text),aes_cbc_enc(192,txn.aes_nonce,{KEY_256}),aes_cbc_dec(192,txn.aes_nonce,{KEY_256})"
                ),
                "text",
            ),
            (format!("str(0123456789abcdef),aes_cbc_enc(256,txn.aes_nonce,{KEY_256}),length"), "32"),
            (format!("str(text),aes_cbc_dec(128,txn.aes_nonce,{KEY})"), "-"),
            // SP 800-38A, F.2.1: the first block of CBC-AES128.
            (
                "bin(6bc1bee22e409f96e93d7e117393172a),\
                 aes_cbc_enc(128,AAECAwQFBgcICQoLDA0ODw==,K34VFiiu0qar9xWICc9PPA==),bytes(0,16),hex,lower"
                    .to_owned(),
                "7649abac8119b246cee98e9b12e9197d",
            ),
        ] {
            check(&world, &[(&text, expected)]);
        }
        for (text, message) in [
            ("str(a),aes_gcm_enc(100,AA==,AA==,txn.t)", "key size must be 128, 192 or 256 (bits)."),
            ("str(a),aes_gcm_enc(128,AA==,AA==,AA==)", "must be start by its scope"),
            ("str(a),aes_gcm_enc(128,?,AA==,txn.t)", "failed to parse nonce"),
            ("str(a),aes_gcm_dec(128,AA==,?,AA==)", "failed to parse key"),
            ("str(a),aes_gcm_dec(128,AA==,AA==,?)", "failed to parse aead_tag"),
            ("str(a),aes_cbc_dec(128,AA==,AA==,?)", "failed to parse aad"),
            ("str(a),aes_cbc_dec(128,AA==)", "missing arguments (got 2/3)"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
