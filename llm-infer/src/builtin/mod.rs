//! The small model that the project trained itself, embedded in the library.
//!
//! MODEL_CARD.md beside this file says what it learned from and what it can do; `llm train` makes it again.

use std::path::Path;

use crate::Result;
use crate::chat::ChatTemplate;
use crate::checkpoint::{Checkpoint, write_atomic};
use crate::tokenizer::Tokenizer;

/// The name by which it is asked for.
pub const NAME: &str = "builtin";

const CONFIG: &str = include_str!("config.json");
const GENERATION_CONFIG: &str = include_str!("generation_config.json");
const TOKENIZER: &[u8] = include_bytes!("tokenizer.json");
const TOKENIZER_CONFIG: &[u8] = include_bytes!("tokenizer_config.json");
const WEIGHTS: &[u8] = include_bytes!("model.safetensors");

/// Opens it as if it lay in a folder.
///
/// # Errors
/// None in a sound build; damaged files would be reported as those of a folder are.
pub fn open() -> Result<(Checkpoint, Tokenizer, Result<ChatTemplate>)> {
    let checkpoint = Checkpoint::from_bytes(NAME, CONFIG, Some(GENERATION_CONFIG), WEIGHTS)?;
    let tokenizer = Tokenizer::from_bytes(Path::new(NAME), TOKENIZER, Some(TOKENIZER_CONFIG))?;
    let template = ChatTemplate::from_tokenizer_config(Path::new(NAME), TOKENIZER_CONFIG);
    Ok((checkpoint, tokenizer, template))
}

/// Writes its tokenizer, chat template and generation defaults to `folder`, for a model that shares its vocabulary.
///
/// # Errors
/// [`crate::Error::Io`] when a file cannot be written.
pub fn write_tokenizer(folder: &Path) -> Result<()> {
    write_atomic(folder.join("tokenizer.json"), TOKENIZER)?;
    write_atomic(folder.join("tokenizer_config.json"), TOKENIZER_CONFIG)?;
    write_atomic(folder.join("generation_config.json"), GENERATION_CONFIG.as_bytes())
}
