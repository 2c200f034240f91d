//! The tokenizer of the embedded model: a byte-level BPE that keeps digits apart, and the files that go with it.

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, TokenizerBuilder};

use crate::{Error, Result};

/// Opens every text and conversation (id 0).
pub const BEGIN: &str = "<|begin|>";

/// Ends every turn and text (id 4).
pub const END: &str = "<|end|>";

/// The special tokens; each has its index as id.
pub const SPECIAL_TOKENS: [&str; 5] = [BEGIN, "<|system|>", "<|user|>", "<|assistant|>", END];

/// The longest text of the embedded model in tokens.
pub const CONTEXT: usize = 256;

/// The chat template of the embedded model (Jinja).
pub const CHAT_TEMPLATE: &str = "<|begin|>{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}\
                                 {% if add_generation_prompt %}<|assistant|>{% endif %}";

/// Trains a byte-level BPE on `texts` and returns it as `tokenizer.json`.
///
/// Digits are split one by one, so a number is always the same tokens and sums can be learned digit by digit. The vocabulary
/// holds [`SPECIAL_TOKENS`], the 256 bytes and the most frequent merges, `vocab_size` entries in all.
///
/// # Errors
///
/// [`Error::Request`] if `vocab_size` cannot hold the special tokens and bytes, or if the library refuses the training.
pub fn tokenizer(texts: impl Iterator<Item = String> + Send, vocab_size: usize) -> Result<Vec<u8>> {
    let smallest = 256 + SPECIAL_TOKENS.len();
    if vocab_size < smallest {
        return Err(Error::request("vocab_size", vocab_size, format!("at least {smallest}")));
    }
    train(texts, vocab_size).map_err(|error| Error::request("tokenizer", error, "texts that a vocabulary can be trained on"))
}

/// [`tokenizer`] with the errors of the library.
fn train(texts: impl Iterator<Item = String> + Send, vocab_size: usize) -> tokenizers::Result<Vec<u8>> {
    let special = SPECIAL_TOKENS.map(|token| AddedToken::from(token, true)).to_vec();
    let mut trainer: tokenizers::models::TrainerWrapper = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .special_tokens(special)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build()
        .into();
    let begin = TemplateProcessing::builder().try_single(format!("{BEGIN} $A"))?.special_tokens(vec![(BEGIN, 0)]).build()?;
    let bytes = ByteLevel::new(false, true, true);
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(tokenizers::ModelWrapper::from(BPE::default()))
        .with_normalizer(None::<NormalizerWrapper>)
        .with_pre_tokenizer(Some(Sequence::new(vec![Digits::new(true).into(), bytes.into()])))
        .with_post_processor(Some(begin))
        .with_decoder(Some(bytes))
        .build()?;
    tokenizer.train(&mut trainer, texts)?;
    Ok(tokenizers::Tokenizer::from(tokenizer).to_string(true)?.into_bytes())
}

/// The `tokenizer_config.json` that goes with [`tokenizer`].
pub fn tokenizer_config() -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": END,
        "add_prefix_space": false,
        "clean_up_tokenization_spaces": false,
        "model_max_length": CONTEXT,
        "chat_template": CHAT_TEMPLATE,
    })
}

/// The `generation_config.json` that goes with [`tokenizer`].
///
/// A low temperature keeps facts right and still varies stories.
pub fn generation_config() -> Value {
    json!({ "bos_token_id": 0, "eos_token_id": 4, "pad_token_id": 4, "do_sample": true, "temperature": 0.5, "top_p": 0.9 })
}
