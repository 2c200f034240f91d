//! How byte-level tokenizers cut a text into words, by the names that GGUF files have for it (`tokenizer.ggml.pre`).
//!
//! The expressions are those of the models' own tokenizer.json files.

use std::path::Path;

use crate::{Error, Result};

/// One way to cut.
#[derive(Debug)]
pub(super) struct Cutting {
    /// Its names.
    pub names: &'static [&'static str],
    /// One after the other, each cuts the pieces that the one before left into what it matches and what it does not.
    pub cuts: &'static [&'static str],
    /// Whether a word that is a token is that token, whatever the merges say.
    pub whole_words: bool,
    /// Whether a text begins with the `bos_token` where the file does not say.
    pub begins: bool,
    /// Whether characters are composed first.
    pub nfc: bool,
}

pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const LATIN: &str = r"\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+";
const HAN: &str = r"[一-龥ࠀ-一가-퟿]+";
const KANA: &str = r"[一-龥぀-ゟ゠-ヿ]+";
const NO_SENTENCE: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const BAILING: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const SEED: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What the rows have in common.
const PLAIN: Cutting = Cutting { names: &[], cuts: &[], whole_words: false, begins: false, nfc: false };

const CUTTINGS: &[Cutting] = &[
    Cutting {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        cuts: &[LLAMA3],
        whole_words: true,
        begins: true,
        nfc: false,
    },
    Cutting { names: &["dbrx", "smaug-bpe", "chatglm-bpe"], cuts: &[LLAMA3], ..PLAIN },
    Cutting { names: &["glm4", "glm5"], cuts: &[LLAMA3], whole_words: true, ..PLAIN },
    Cutting { names: &["qwen2", "deepseek-r1-qwen", "megrez", "kormo", "hunyuan"], cuts: &[QWEN2], nfc: true, ..PLAIN },
    Cutting { names: &["stablelm2", "grok-2", "solar-open"], cuts: &[QWEN2], ..PLAIN },
    Cutting { names: &["qwen35"], cuts: &[QWEN35], ..PLAIN },
    Cutting {
        names: &["gpt-2", "phi-2", "jais", "gigachat", "a.x-4.0", "mellum", "exaone4", "trillion", "granite-docling", "roberta-bpe"],
        cuts: &[GPT2],
        ..PLAIN
    },
    Cutting { names: &["mpt", "olmo"], cuts: &[GPT2], nfc: true, ..PLAIN },
    Cutting { names: &["command-r"], cuts: &[r"\p{N}", GPT2], nfc: true, ..PLAIN },
    Cutting { names: &["starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"], cuts: &[r"\p{N}", GPT2], ..PLAIN },
    Cutting { names: &["falcon"], cuts: &[r"[\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"], ..PLAIN },
    Cutting { names: &["deepseek-coder"], cuts: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN, r"\p{N}"], ..PLAIN },
    Cutting {
        names: &["deepseek-llm"], cuts: &[r"[\r\n]", LATIN, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", HAN, r"\p{N}+"], ..PLAIN
    },
    Cutting { names: &["deepseek-v3", "hunyuan-dense", "joyai-llm"], cuts: &[r"\p{N}{1,3}", KANA, DEEPSEEK3], ..PLAIN },
    Cutting { names: &["tekken"], cuts: &[TEKKEN], whole_words: true, begins: true, nfc: false },
    Cutting { names: &["gpt-4o", "llama4", "kanana2", "minimax-m2"], cuts: &[GPT4O], ..PLAIN },
    Cutting { names: &["poro-chat", "bloom", "gpt3-finnish"], cuts: &[NO_SENTENCE], ..PLAIN },
    Cutting { names: &["viking"], cuts: &[NO_SENTENCE, r"\p{N}"], ..PLAIN },
    Cutting { names: &["bailingmoe", "bailingmoe2", "llada-moe"], cuts: &[BAILING], ..PLAIN },
    Cutting { names: &["seed-coder"], cuts: &[SEED], ..PLAIN },
    Cutting { names: &["default"], cuts: &[r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], ..PLAIN },
];

/// The cutting of that name; without one, what llama.cpp does for files that are older than the key.
///
/// # Errors
/// A name that is not known; the known ones are listed.
pub(super) fn named(path: &Path, name: Option<&str>) -> Result<&'static Cutting> {
    let name = name.unwrap_or("default");
    CUTTINGS.iter().find(|cutting| cutting.names.contains(&name)).ok_or_else(|| {
        let known: Vec<_> = CUTTINGS.iter().flat_map(|cutting| cutting.names).copied().collect();
        let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
        Error::invalid(path, "tokenizer.ggml.pre", format!("`{shown}`"), format!("one of {}", known.join(", ")))
            .with_hint("words would be cut in another way than the model has learned")
    })
}

/// The name of the cutting by `cuts`, one after the other, where `whole_words` and `nfc` are as in [`Cutting`]; with `false` that of the
/// cutting by the last of them, which comes nearest.
pub(super) fn name_of(cuts: &[String], whole_words: bool, nfc: bool) -> Option<(&'static str, bool)> {
    let same = |row: &Cutting, cuts: &[String]| row.cuts.iter().eq(cuts);
    let alike = |row: &&Cutting| same(row, cuts) && (row.whole_words, row.nfc) == (whole_words, nfc);
    if let Some(row) = CUTTINGS.iter().find(alike) {
        return Some((row.names[0], true));
    }
    // Composed characters are the rarest difference.
    let near = |first: usize| CUTTINGS.iter().find(|row| same(row, &cuts[first..]));
    let row = (0..cuts.len()).find_map(near)?;
    Some((row.names[0], false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuttings_have_their_names() {
        let cuts = |cuts: &[&str]| cuts.iter().map(|cut| (*cut).to_owned()).collect::<Vec<_>>();
        assert_eq!(name_of(&cuts(&[GPT2]), false, false), Some(("gpt-2", true)));
        assert_eq!(name_of(&cuts(&[LLAMA3]), true, false), Some(("llama-bpe", true)));
        assert_eq!(name_of(&cuts(&[QWEN2]), false, true), Some(("qwen2", true)));
        assert_eq!(name_of(&cuts(&[QWEN2]), false, false), Some(("stablelm2", true)));
        assert_eq!(name_of(&cuts(&[r"\p{N}{1,2}", GPT2]), false, false), Some(("gpt-2", false)));
        assert_eq!(name_of(&cuts(&["x"]), false, false), None);
    }
}
