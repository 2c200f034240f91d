//! One conversation: its cache, what of it can be reused, and how it is kept on disk.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::DType;
use llm_model::{KvCache, KvData};
use safetensors::tensor::TensorView;

use crate::checkpoint::{Safetensors, WeightSource, write_atomic};
use crate::generate::{Event, GenerateOptions, Generation, generate};
use crate::metrics::{Memory, peak_rss_bytes};
use crate::model::Model;
use crate::{Error, Result};

/// Positions that a session makes room for before it must grow.
const FIRST_CAPACITY: usize = 256;

/// The tensors of a layer in a saved session.
const KINDS: [&str; 2] = ["keys", "values"];

/// A sequence of tokens whose keys and values are kept, so that a prompt that begins alike is not computed again.
pub struct Session {
    model: Model,
    cache: KvCache,
    /// The tokens whose keys and values the cache holds.
    tokens: Vec<u32>,
    context: usize,
    kv_dtype: DType,
    /// The length of the prompt at which the first of the keys were computed.
    begun_at: usize,
}

impl Session {
    /// An empty session with the model's own context length and type of keys and values.
    pub fn new(model: &Model) -> Self {
        let context = model.config().context_length();
        Self::with(model, context, model.kv_dtype())
    }

    /// An empty session for at most `context` positions, with keys and values in `kv_dtype`. Where positions are learned, there are no
    /// more than the model has.
    pub fn with(model: &Model, context: usize, kv_dtype: DType) -> Self {
        let context = model.config().learned_positions.map_or(context, |rows| context.min(rows));
        let cache = KvCache::new(model.config(), 1, FIRST_CAPACITY.min(context), kv_dtype, &model.device().device);
        Self { model: model.clone(), cache, tokens: Vec::new(), context, kv_dtype, begun_at: 0 }
    }

    /// The model that it runs on.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The tokens that are held.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Most positions of prompt and answer together.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Bytes of weights and cache, and the peak of the process.
    pub fn memory(&self) -> Memory {
        Memory { weights_bytes: self.model.report().bytes, kv_cache_bytes: self.cache.bytes() as u64, peak_rss_bytes: peak_rss_bytes() }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.cache.truncate(0, 0);
    }

    /// Answers `prompt`, the whole sequence so far; the part that the cache holds already is not computed again.
    ///
    /// # Errors
    /// [`Error::Request`] for an empty prompt, one that does not fit the context, or senseless options.
    pub fn generate(
        &mut self,
        prompt: &[u32],
        options: &GenerateOptions,
        receive: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Generation> {
        self.check(prompt)?;
        let reused = self.reusable(prompt);
        if reused == 0 {
            self.begun_at = prompt.len();
        }
        self.cache.truncate(0, reused);
        self.tokens.truncate(reused);
        self.cache.reserve((prompt.len() + options.max_tokens.min(FIRST_CAPACITY)).min(self.context));
        let result = generate(&self.model, &mut self.cache, prompt, reused, self.context, options, receive);
        let held = self.cache.lengths()[0];
        let answer = result.as_ref().map_or(&[][..], |done| &done.tokens);
        self.tokens = prompt.iter().chain(answer).copied().take(held).collect();
        result.map(|mut done| {
            done.timings.load_s = self.model.load_s();
            done
        })
    }

    fn check(&self, prompt: &[u32]) -> Result<()> {
        if prompt.is_empty() {
            return Err(Error::request("prompt", "no tokens", "at least one token"));
        }
        if prompt.len() >= self.context {
            let got = format!("{} tokens", prompt.len());
            let error = Error::request("prompt", got, format!("fewer than the context of {} tokens", self.context));
            return Err(error.with_hint("shorten the prompt, or raise `--ctx` where the model allows it"));
        }
        let rows = self.model.config().vocab_size;
        match prompt.iter().find(|id| **id as usize >= rows) {
            Some(id) => Err(Error::request("prompt", format!("token {id}"), format!("ids below the vocabulary of {rows}"))),
            None => Ok(()),
        }
    }

    /// Length of the common beginning; at least the last token of the prompt is computed, for its logits.
    fn reusable(&self, prompt: &[u32]) -> usize {
        if !self.model.keeps_keys(self.begun_at, prompt.len()) {
            return 0;
        }
        let common = self.tokens.iter().zip(prompt).take_while(|(held, asked)| held == asked).count();
        common.min(prompt.len() - 1)
    }

    /// Writes tokens, keys and values to `path` in the safetensors format, with `notes` beside them.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written; an old one is then intact.
    pub fn save(&self, path: impl AsRef<Path>, notes: &HashMap<String, String>) -> Result<()> {
        let path = path.as_ref();
        let ids: Vec<u8> = self.tokens.iter().flat_map(|id| id.to_le_bytes()).collect();
        let mut parts = vec![("tokens".to_owned(), safetensors::Dtype::U32, vec![self.tokens.len()], ids)];
        for (layer, pair) in self.cache.snapshot(0).into_iter().enumerate() {
            for (kind, KvData { numbers, scales }) in KINDS.into_iter().zip(pair) {
                let scales = scales.map(|scales| (format!("layers.{layer}.{kind}.scales"), scales));
                for (name, data) in [(format!("layers.{layer}.{kind}"), numbers)].into_iter().chain(scales) {
                    parts.push((name, stored_dtype(data.dtype()), data.shape().to_vec(), data.bytes().to_vec()));
                }
            }
        }
        let views = parts.iter().map(|(name, dtype, shape, bytes)| {
            let view =
                TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| Error::invalid(path, name, error, "a whole tensor"))?;
            Ok((name, view))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let mut metadata = notes.clone();
        metadata.insert("format".into(), "llm-session-1".into());
        metadata.insert("model".into(), self.fingerprint());
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| Error::invalid(path, "session", error, "tensors"))?;
        write_atomic(path, &bytes)
    }

    /// Replaces this session's state by what [`Session::save`] wrote, and returns the notes.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file is damaged, of another model, or has keys and values of another type; the session is then as
    /// before.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<HashMap<String, String>> {
        let path = path.as_ref();
        let file = Safetensors::open(path)?;
        let mut notes = file.metadata().clone();
        if notes.remove("format").as_deref() != Some("llm-session-1") {
            return Err(Error::invalid(path, "format", "another file", "a session saved by `/save`"));
        }
        let model = notes.remove("model").unwrap_or_default();
        if model != self.fingerprint() {
            return Err(Error::invalid(path, "model", model, self.fingerprint()).with_hint("open it with the model it was saved with"));
        }
        let tokens = file.read("tokens")?;
        let tokens: Vec<u32> = tokens.bytes().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let part = |layer: usize, kind: &str| {
            let name = format!("layers.{layer}.{kind}");
            let numbers = file.read(&name)?;
            if numbers.dtype() != self.kv_dtype {
                let [got, expected] = [numbers.dtype(), self.kv_dtype].map(kv_name);
                let error = Error::invalid(path, format!("tensor `{name}`"), &got, format!("keys and values in {expected}"));
                return Err(error.with_hint(format!("start with `--kv {got}`")));
            }
            let scales = (self.kv_dtype == DType::I8).then(|| file.read(&format!("{name}.scales"))).transpose()?;
            Ok(KvData { numbers, scales })
        };
        let pair = |layer| Ok([part(layer, KINDS[0])?, part(layer, KINDS[1])?]);
        let pairs = (0..self.model.config().num_hidden_layers).map(pair).collect::<Result<Vec<_>>>()?;
        let fits = tokens.len() <= self.context
            && pairs.first().is_some_and(|[keys, _]| keys.numbers.shape().as_slice().get(1) == Some(&tokens.len()));
        if !fits || !self.cache.restore(0, pairs) {
            return Err(Error::invalid(path, "keys and values", "another shape", "those of this model and context"));
        }
        self.begun_at = tokens.len();
        self.tokens = tokens;
        Ok(notes)
    }

    /// What must agree between the model that saved a session and the one that loads it.
    fn fingerprint(&self) -> String {
        let c = self.model.config();
        format!("{} {}x{}x{}x{}", c.model_type, c.num_hidden_layers, c.hidden_size, c.num_key_value_heads, c.head_dim)
    }
}

/// Keys and values of type `dtype` as `--kv` calls them: `int8` for [`DType::I8`], else as `f16`.
pub fn kv_name(dtype: DType) -> String {
    if dtype == DType::I8 { "int8".into() } else { format!("{dtype:?}").to_lowercase() }
}

fn stored_dtype(dtype: DType) -> safetensors::Dtype {
    match dtype {
        DType::I8 => safetensors::Dtype::I8,
        DType::F16 => safetensors::Dtype::F16,
        DType::BF16 => safetensors::Dtype::BF16,
        _ => safetensors::Dtype::F32,
    }
}
