//! SentencePiece's table of replaced characters, which the library walks without a look at its bounds.
//!
//! A table is the length of a trie in bytes, the trie (a double array of 32-bit units, as darts-clone makes them), and the texts that it
//! points to, each with a zero behind it. Whatever can be reached from the root is checked to stay inside.

use std::collections::HashSet;

/// The largest table; known ones have some 300,000 bytes.
const MAX: usize = 16 << 20;

/// Whether the library may walk the table.
pub(super) fn is_sound(table: &[u8]) -> bool {
    is_walkable(table).is_some()
}

fn is_walkable(table: &[u8]) -> Option<()> {
    let length = u32::from_le_bytes(*table.first_chunk()?) as usize;
    let (trie, texts) = table[4..].split_at_checked(length)?;
    let texts = std::str::from_utf8(texts).ok()?;
    if table.len() > MAX || !length.is_multiple_of(4) {
        return None;
    }
    let units: Vec<u32> = trie.chunks_exact(4).map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]])).collect();
    let offset = |unit: u32| ((unit >> 10) as usize) << ((unit & 1 << 9) >> 6);
    let mut open = vec![offset(*units.first()?)];
    let mut seen: HashSet<usize> = open.iter().copied().collect();
    while let Some(node) = open.pop() {
        for byte in 0..=255 {
            let at = node ^ byte;
            let unit = *units.get(at)?;
            if byte == 0 || (unit & (1 << 31 | 0xff)) as usize != byte {
                continue;
            }
            let next = at ^ offset(unit);
            if unit >> 8 & 1 == 1 && !texts.is_char_boundary((*units.get(next)? & !(1 << 31)) as usize) {
                return None;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    Some(())
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in base64, as tokenizer.json has them.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().chain([&0, &0]).take(3).fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The bytes of a text in base64; `None` where it is none.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.as_bytes().chunks(4) {
        let values = group.iter().map(|digit| DIGITS.iter().position(|known| known == digit));
        let word = values.enumerate().try_fold(0, |word, (place, value)| Some(word | value? << (18 - 6 * place)))?;
        bytes.extend((0..group.len() - 1).map(|place| (word >> (16 - 8 * place) & 0xff) as u8));
    }
    (text.len() - digits.len() <= 2 && base64(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        assert!(pairs.iter().all(|(text, coded)| base64(text.as_bytes()) == *coded));
        assert!(pairs.iter().all(|(text, coded)| from_base64(coded).as_deref() == Some(text.as_bytes())));
        assert!(["Zg=", "Z===", "Z?==", "====", "Zh=="].iter().all(|bad| from_base64(bad).is_none()));
    }

    /// A trie that turns `a` into `b`: the root's children are at 256, the end of `a` is at 512.
    fn table(texts: &[u8], value: u32) -> Vec<u8> {
        let mut units = vec![0_u32; 768];
        units[0] = 256 << 10;
        units[256 ^ 0x61] = ((512 ^ 256 ^ 0x61) << 10) | 1 << 8 | 0x61;
        units[512] = 1 << 31 | value;
        let trie: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        [&(trie.len() as u32).to_le_bytes(), trie.as_slice(), texts].concat()
    }

    #[test]
    fn tables_stay_inside() {
        assert!(is_sound(&table(b"b\0", 0)));
        assert!(!is_sound(&table(b"b\0", 3)), "a text behind the end");
        assert!(!is_sound(&table("é\0".as_bytes(), 1)), "a text that begins in mid-character");
        assert!(!is_sound(&table(b"\xff\0", 0)), "no UTF-8");
        let good = table(b"b\0", 0);
        for length in [0, 3, 4, 700, 4 + 4 * 767] {
            assert!(!is_sound(&good[..length]), "{length}");
        }
        let shorter = [&(4 * 700_u32).to_le_bytes(), &good[4..4 + 4 * 700], b"b\0"].concat();
        assert!(!is_sound(&shorter), "units behind the end");
        assert!(!is_sound(&[&u32::MAX.to_le_bytes()[..], &good[4..]].concat()));
    }
}
