//! Checkpoints of llama2.c, `.bin` files of three versions, with the tokens in a file beside them.
//!
//! The first version has no mark: it is known by its size, which its seven numbers give to the byte. The others begin with `ak42` and a
//! header of 256 bytes. Version 2 has signed bytes with a factor for each group, where groups run over the ends of rows, so its weights
//! are widened when they are read. Format: <https://github.com/karpathy/llama2.c> (export.py, run.c).

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use llm_model::arch::{Interleaved, Layout};
use serde_json::{Value, json};

use super::derived::Derived;
use super::json::read_bounded;
use super::source::{Blob, TensorInfo, WeightSource};
use crate::tokenizer::{Segmentation, TokenKind, Vocabulary};
use crate::{Error, Result};

/// `ak42`.
const MAGIC: u32 = 0x616b_3432;
/// Bytes of the header that begins with it.
const HEADER: u64 = 256;
/// Larger sizes than any model of the format has; products of three still fit.
const MAX_SIZE: i32 = 1 << 20;
/// The largest file of tokens; that of Llama 2 has 434 kB.
const MAX_TOKENS_BYTES: u64 = 16 << 20;

/// The seven numbers of every version, and how the file goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    dim: u64,
    hidden: u64,
    layers: u64,
    heads: u64,
    kv_heads: u64,
    vocab: u64,
    length: u64,
    /// Whether the embedding is the head, too.
    shared: bool,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Legacy,
    Floats,
    /// Signed bytes, so many to a factor.
    Groups(u64),
}

/// How a tensor is stored.
#[derive(Debug)]
struct Place {
    begin: u64,
    /// Numbers to a factor; none where they are floats.
    group: Option<u64>,
}

/// The tensors of a file.
#[derive(Debug)]
pub(super) struct Llama2c {
    blob: Blob,
    tensors: Vec<TensorInfo>,
    places: HashMap<String, Place>,
    /// Where the next tensor begins.
    end: u64,
}

/// Whether a file of `length` bytes that begins like this is of the format.
pub(super) fn is_one(head: &[u8], length: u64) -> bool {
    match head.get(..4).map(|magic| u32::from_le_bytes([magic[0], magic[1], magic[2], magic[3]])) {
        Some(MAGIC) => true,
        _ => head.get(..28).and_then(legacy).is_some_and(|header| header.legacy_bytes() == Some(length)),
    }
}

/// The seven numbers, where all are in range; the vocabulary may be negative.
fn seven(bytes: &[u8]) -> Option<[i32; 7]> {
    let mut numbers = [0; 7];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    let [dim, hidden, layers, heads, kv_heads, vocab, length] = numbers;
    let sizes = [dim, hidden, layers, heads, kv_heads, vocab.checked_abs()?, length];
    let fits = sizes.iter().all(|size| (1..=MAX_SIZE).contains(size)) && layers <= 4096 && dim % heads == 0 && heads % kv_heads == 0;
    (fits && dim / heads % 2 == 0).then_some(numbers)
}

fn legacy(bytes: &[u8]) -> Option<Header> {
    let numbers = seven(bytes)?;
    Some(Header::new(numbers, numbers[5] > 0, Version::Legacy))
}

impl Header {
    fn new(numbers: [i32; 7], shared: bool, version: Version) -> Self {
        let [dim, hidden, layers, heads, kv_heads, vocab, length] = numbers.map(|number| u64::from(number.unsigned_abs()));
        Self { dim, hidden, layers, heads, kv_heads, vocab, length, shared, version }
    }

    fn kv_dim(&self) -> u64 {
        self.dim / self.heads * self.kv_heads
    }

    /// The bytes of a file of the first version.
    fn legacy_bytes(&self) -> Option<u64> {
        let layer = 2 * self.dim + 2 * self.dim * (self.dim + self.kv_dim()) + 3 * self.dim * self.hidden;
        let tables = self.length.checked_mul(self.dim / self.heads)?;
        let embeddings = self.vocab.checked_mul(self.dim)?.checked_mul(if self.shared { 1 } else { 2 })?;
        let numbers = layer.checked_mul(self.layers)?.checked_add(tables)?.checked_add(embeddings)?.checked_add(self.dim)?;
        numbers.checked_mul(4)?.checked_add(28)
    }

    fn read(blob: &Blob) -> Result<Self> {
        let wrong = |field: &str, got: String, expected: &str| Error::invalid(blob.path(), field, got, expected);
        let mut head = [0; 41];
        let count = blob.len().min(41) as usize;
        blob.read_exact_at(0, &mut head[..count])?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if word(0) != MAGIC {
            return legacy(&head).ok_or_else(|| wrong("header", "other numbers".to_owned(), "seven sizes of a llama2.c checkpoint"));
        }
        if blob.len() < HEADER {
            return Err(wrong("header", format!("{} bytes", blob.len()), "256"));
        }
        let sizes = "sizes above 0, heads that divide the width, and key heads that divide the heads";
        let numbers = seven(&head[8..36]).filter(|numbers| numbers[5] > 0);
        let numbers =
            numbers.ok_or_else(|| wrong("header", format!("{:?}", (0..7).map(|i| word(8 + 4 * i) as i32).collect::<Vec<_>>()), sizes))?;
        let version = match word(4) {
            1 => Version::Floats,
            2 => Version::Groups(u64::from(word(37))),
            other => return Err(wrong("version", other.to_string(), "1 or 2")),
        };
        if let Version::Groups(size) = version
            && (size == 0 || size > 1 << 20)
        {
            return Err(wrong("group_size", size.to_string(), "a whole number from 1 to 1048576"));
        }
        match head[36] {
            shared @ 0..=1 => Ok(Self::new(numbers, shared == 1, version)),
            other => Err(wrong("shared_classifier", other.to_string(), "0 or 1")),
        }
    }

    /// What config.json would say.
    fn config(&self) -> Value {
        json!({
            "model_type": "llama", "hidden_size": self.dim, "intermediate_size": self.hidden, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads, "vocab_size": self.vocab,
            "max_position_embeddings": self.length, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
            "tie_word_embeddings": self.shared, "bos_token_id": 1,
            // Texts were trained one after the other, so that the beginning of the next ends one, too.
            "eos_token_id": [2, 1],
        })
    }
}

/// Opens the file `path`; returns the weights, what config.json would say, and the tokens where a file beside it has them.
///
/// # Errors
/// A file that is none of the format, or not as long as its header says, and damaged tokens.
pub(super) fn open(path: &Path) -> Result<(Box<dyn WeightSource>, Value, Option<Vocabulary>)> {
    let blob = Blob::open(path)?;
    let header = Header::read(&blob)?;
    let config = header.config();
    let begin = if header.version == Version::Legacy { 28 } else { HEADER };
    let mut source = Llama2c { blob, tensors: Vec::new(), places: HashMap::new(), end: begin };
    source.lay_out(&header)?;
    if source.end != source.blob.len() {
        let expected = format!("{}, as its header says", source.end);
        return Err(Error::invalid(path, "size", format!("{} bytes", source.blob.len()), expected)
            .with_hint("the file may be cut off: download it again"));
    }
    let names = [format!("tok{}.bin", header.vocab), "tokenizer.bin".to_owned()];
    let tokens = names.iter().map(|name| path.with_file_name(name)).find(|path| path.symlink_metadata().is_ok());
    let vocabulary = tokens.map(|path| vocabulary(&path, header.vocab as usize)).transpose()?;
    // Rows of queries and keys lie for a rotation of neighbours.
    let head_dim = (header.dim / header.heads) as usize;
    let layout = Layout { interleaved: Some(Interleaved { head_dim, dim: head_dim }), ..Layout::default() };
    Ok((Box::new(Derived::new(Box::new(source), &layout)?), config, vocabulary))
}

impl Llama2c {
    /// Adds all tensors in the order of the file.
    fn lay_out(&mut self, header: &Header) -> Result<()> {
        let Header { dim, hidden, layers, vocab, .. } = *header;
        let group = match header.version {
            Version::Groups(size) => Some(size),
            Version::Legacy | Version::Floats => None,
        };
        let layer = |part: &str| {
            let part = part.to_owned();
            move |index: u64| format!("model.layers.{index}.{part}.weight")
        };
        let norms = ["input_layernorm", "post_attention_layernorm"].map(layer);
        let matrices = [
            ("self_attn.q_proj", [dim, dim]),
            ("self_attn.k_proj", [header.kv_dim(), dim]),
            ("self_attn.v_proj", [header.kv_dim(), dim]),
            ("self_attn.o_proj", [dim, dim]),
            ("mlp.gate_proj", [hidden, dim]),
            ("mlp.down_proj", [dim, hidden]),
            ("mlp.up_proj", [hidden, dim]),
        ]
        .map(|(part, shape)| (layer(part), shape));
        let mut list: Vec<(String, Vec<u64>, Option<u64>)> = Vec::new();
        let embedding = |name: &str| (format!("{name}.weight"), vec![vocab, dim], group);
        let norm_of_all =
            |list: &mut Vec<_>, name: &dyn Fn(u64) -> String| list.extend((0..layers).map(|index| (name(index), vec![dim], None)));
        let legacy = header.version == Version::Legacy;
        if legacy {
            list.push(embedding("model.embed_tokens"));
        }
        norm_of_all(&mut list, &norms[0]);
        if !legacy {
            norm_of_all(&mut list, &norms[1]);
            list.push(("model.norm.weight".to_owned(), vec![dim], None));
            list.push(embedding("model.embed_tokens"));
        }
        for (at, (name, shape)) in matrices.iter().enumerate() {
            if legacy && at == 4 {
                norm_of_all(&mut list, &norms[1]);
            }
            list.extend((0..layers).map(|index| (name(index), shape.to_vec(), group)));
        }
        if legacy {
            list.push(("model.norm.weight".to_owned(), vec![dim], None));
        }
        for (name, shape, group) in list {
            self.add(name, &shape, group)?;
        }
        if legacy {
            // Cosines and sines, which are computed.
            self.end += 4 * header.length * (dim / header.heads);
        }
        if !header.shared {
            let (name, shape, group) = embedding("lm_head");
            self.add(name, &shape, group)?;
        }
        Ok(())
    }

    /// Adds the tensor that comes next.
    fn add(&mut self, name: String, shape: &[u64], group: Option<u64>) -> Result<()> {
        let count: u64 = shape.iter().product();
        let bytes = match group {
            None => 4 * count,
            Some(size) if count.is_multiple_of(size) => count + 4 * (count / size),
            Some(size) => {
                let expected = format!("a divisor of the {count} numbers of `{name}`");
                return Err(Error::invalid(self.blob.path(), "group_size", size, expected));
            }
        };
        let shape: Vec<usize> = shape.iter().map(|size| *size as usize).collect();
        let place = Place { begin: self.end, group };
        self.end += bytes;
        let packing = group.map(|_| "q8");
        let file = self.blob.path().clone();
        self.places.insert(name.clone(), place);
        self.tensors.push(TensorInfo { name, dtype: DType::F32, format: None, packing, shape, bytes, file });
        Ok(())
    }
}

impl WeightSource for Llama2c {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let found = self.places.get(name).zip(self.tensors.iter().find(|info| info.name == name));
        let (place, info) = found.ok_or_else(|| Error::invalid(self.blob.path(), format!("tensor `{name}`"), "nothing", "a tensor"))?;
        let mut bytes = vec![0; info.bytes as usize];
        self.blob.read_exact_at(place.begin, &mut bytes)?;
        if let Some(size) = place.group {
            bytes = widened(&bytes, info.elements(), size as usize);
        }
        let numbers: Vec<f32> = bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        Ok(TensorData::new(numbers, info.shape.clone()))
    }

    fn blobs(&self) -> Vec<&Blob> {
        vec![&self.blob]
    }
}

/// The bytes in f32 of `count` signed bytes and, behind them, a factor for every `size`.
fn widened(bytes: &[u8], count: usize, size: usize) -> Vec<u8> {
    let (values, factors) = bytes.split_at(count);
    let factor = |word: &[u8]| f32::from_le_bytes([word[0], word[1], word[2], word[3]]);
    let groups = values.chunks(size).zip(factors.chunks_exact(4).map(factor));
    groups.flat_map(|(values, factor)| values.iter().flat_map(move |value| (f32::from(*value as i8) * factor).to_le_bytes())).collect()
}

/// The `count` tokens of the file `path`.
fn vocabulary(path: &Path, count: usize) -> Result<Vocabulary> {
    let bytes = read_bounded(path, MAX_TOKENS_BYTES)?;
    let mut rest = bytes.get(4..).unwrap_or_default();
    let (mut tokens, mut scores) = (Vec::new(), Vec::new());
    for id in 0..count {
        let record = rest.split_at_checked(8).and_then(|(head, rest)| {
            let score = f32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let length = i32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            let (piece, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((score, piece, rest))
        });
        let Some((score, piece, after)) = record else {
            return Err(Error::invalid(path, format!("token {id}"), "the end of the file", format!("{count} tokens"))
                .with_hint("the tokens are of another model, or the file is cut off"));
        };
        tokens.push(String::from_utf8_lossy(piece).into_owned());
        scores.push(score);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Error::invalid(path, "tokens", format!("more than {count}"), format!("{count}, as the model has"))
            .with_hint("the tokens are of another model"));
    }
    // Written as run.c prints them.
    for token in tokens.iter_mut().take(3) {
        *token = token.trim().to_owned();
    }
    let kinds = tokens.iter_mut().enumerate().map(|(id, token)| match id {
        0 => TokenKind::Unknown,
        1 | 2 => TokenKind::Control,
        3..=258 if token.len() == 6 && token.starts_with("<0x") => TokenKind::Byte,
        _ => {
            *token = token.replace(' ', "▁");
            TokenKind::Normal
        }
    });
    let kinds = kinds.collect();
    let named = |id: u32| Some(id).filter(|id| (*id as usize) < count);
    Ok(Vocabulary {
        path: path.to_owned(),
        tokens,
        kinds,
        segmentation: Segmentation::Scores(scores),
        space_prefix: None,
        add_bos: None,
        add_eos: None,
        bos: named(1),
        eos: named(2),
        unknown: named(0),
        padding: None,
        json: None,
    })
}
