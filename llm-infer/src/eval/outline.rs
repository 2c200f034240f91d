//! A model without its weights: enough to refuse a text or a comparison before anything large is loaded.

use llm_model::ModelConfig;

use crate::model::{self, Model};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// The tokenizer and the shape of a model.
#[derive(Debug, Clone)]
pub struct Outline {
    tokenizer: Tokenizer,
    config: ModelConfig,
}

impl Outline {
    /// Reads what lies beside the weights of the model at `path`.
    ///
    /// # Errors
    /// Whatever is wrong with the files.
    pub fn open(path: &str) -> Result<Self> {
        let (checkpoint, tokenizer, _) = model::open(path)?;
        Ok(Self { tokenizer, config: checkpoint.model_config()? })
    }

    /// That of a loaded model.
    pub fn of(model: &Model) -> Self {
        Self { tokenizer: model.tokenizer().clone(), config: model.config().clone() }
    }

    /// The shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The tokens of a text, with what the tokenizer puts around it.
    ///
    /// # Errors
    /// [`Error::Request`] for a text that is too long, or too short to be scored.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if text.is_empty() {
            return Err(Error::request("text", "nothing", "at least 2 tokens"));
        }
        let tokens = self.tokenizer.encode(text, true)?;
        self.require_scorable(&tokens)?;
        Ok(tokens)
    }

    /// Checks that there is a token to score, and that the model knows all of them.
    ///
    /// # Errors
    /// [`Error::Request`] saying what there is.
    pub fn require_scorable(&self, tokens: &[u32]) -> Result<()> {
        if tokens.len() < 2 {
            let got = if tokens.is_empty() { "no tokens" } else { "1 token" };
            return Err(Error::request("text", got, "at least 2").with_hint("a token is scored by those before it"));
        }
        let rows = self.config.vocab_size;
        match tokens.iter().find(|id| **id as usize >= rows) {
            Some(id) => Err(Error::request("text", format!("token {id}"), format!("ids below the vocabulary of {rows}"))),
            None => Ok(()),
        }
    }

    /// Checks that logits of this model and of `reference` are about the same tokens.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first difference.
    pub fn require_same_vocabulary(&self, reference: &Self) -> Result<()> {
        let (size, other) = (self.config.vocab_size, reference.config.vocab_size);
        if size != other {
            return Err(differs(format!("a vocabulary of {other}"), format!("{size} as in the model")));
        }
        let different = (0..size as u32).find(|id| self.tokenizer.token(*id) != reference.tokenizer.token(*id));
        let Some(id) = different else { return Ok(()) };
        let spelled = |outline: &Self| outline.tokenizer.token(id).map_or_else(|| "nothing".to_owned(), |token| format!("`{token}`"));
        Err(differs(format!("{} as token {id}", spelled(reference)), format!("{} as in the model", spelled(self))))
    }

    /// Checks that `reference` reads `text` as the `tokens` that this model reads.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first difference.
    pub fn require_same_tokens(&self, reference: &Self, text: &str, tokens: &[u32]) -> Result<()> {
        let others = reference.tokenizer.encode(text, true)?;
        if others == tokens {
            return Ok(());
        }
        let index = others.iter().zip(tokens).take_while(|(other, token)| other == token).count();
        Err(differs(format!("another tokenization of the text from token {index} on"), "that of the model".to_owned()))
    }
}

fn differs(got: String, expected: String) -> Error {
    let hint = "distributions can be compared over one vocabulary only: give a variant of the same model";
    Error::request("--compare", got, expected).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::builtin;

    #[test]
    fn tokens_are_compared_by_what_they_spell() {
        let model = Outline::open(builtin::NAME).expect("the embedded model");
        model.require_same_vocabulary(&model).expect("the same");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/llama");
        let other = Outline { tokenizer: Tokenizer::open(&folder).expect("a tokenizer"), config: model.config.clone() };
        let error = model.require_same_vocabulary(&other).expect_err("another vocabulary").to_string();
        assert_eq!(error, "--compare: got `<|pad|>` as token 0, expected `<|begin|>` as in the model");
        let tokens = model.encode("a fox").expect("tokens");
        assert!(model.require_same_tokens(&other, "a fox", &tokens).is_err());
        model.require_same_tokens(&model, "a fox", &tokens).expect("the same");
    }
}
