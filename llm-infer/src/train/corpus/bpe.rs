//! The tokenizer of the embedded model: a byte-level BPE that keeps numbers apart from words, and the files that go with it.

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, SplitDelimiterBehavior, TokenizerBuilder};

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
/// Digits stand apart from all else, two at most in one token: the numbers of a small world are one token each, wherever they
/// stand, and sums and comparisons of them are facts about tokens. The vocabulary holds [`SPECIAL_TOKENS`], the 256 bytes and
/// the most frequent merges, `vocab_size` entries in all. The texts may be rendered ones
/// ([`Dialogue::render`](super::Dialogue::render)): special tokens in them only separate.
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
    let numbers = Split::new(SplitPattern::Regex(r"\p{N}{1,2}".into()), SplitDelimiterBehavior::Isolated, false)?;
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(tokenizers::ModelWrapper::from(BPE::default()))
        .with_normalizer(None::<NormalizerWrapper>)
        .with_pre_tokenizer(Some(Sequence::new(vec![numbers.into(), bytes.into()])))
        .with_post_processor(Some(begin))
        .with_decoder(Some(bytes))
        .build()?;
    let plain = texts.map(|text| SPECIAL_TOKENS.iter().fold(text, |text, token| text.replace(token, "\n")));
    tokenizer.train(&mut trainer, plain)?;
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

#[cfg(test)]
mod tests {
    use tokenizers::Tokenizer;

    use super::super::{Dialogue, Kind, Role, shares, stories_from_file, training};
    use super::*;

    fn trained(vocab_size: usize) -> Tokenizer {
        let json = tokenizer(training(1).take(3_000).map(|dialogue| dialogue.render()), vocab_size).expect("a vocabulary");
        Tokenizer::from_bytes(json).expect("a tokenizer")
    }

    fn pieces(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        tokenizer.encode(text, false).expect("encoded").get_tokens().to_vec()
    }

    #[test]
    fn letters_and_numbers_are_tokens_of_their_own() {
        let tokenizer = trained(1_024);
        assert_eq!(pieces(&tokenizer, "c-a-t."), ["c", "-", "a", "-", "t", "."]);
        assert_eq!(pieces(&tokenizer, "12 + 7"), ["12", "Ġ+", "Ġ", "7"]);
        (0..=20).for_each(|number| assert_eq!(pieces(&tokenizer, &number.to_string()).len(), 1, "{number}"));
        assert_eq!(pieces(&tokenizer, "120"), ["12", "0"]);
        for (id, token) in (0u32..).zip(SPECIAL_TOKENS) {
            assert_eq!(tokenizer.token_to_id(token), Some(id));
        }
        assert_eq!(tokenizer.get_vocab_size(true), 1_024);
    }

    #[test]
    fn every_text_comes_back() {
        let tokenizer = trained(1_024);
        for text in ["Hello! How are you?", "  two  spaces", "naïve 漢字 🦀\n", "3 + 4 = 7."] {
            let ids = tokenizer.encode(text, true).expect("encoded");
            assert_eq!(ids.get_ids()[0], 0);
            assert_eq!(tokenizer.decode(ids.get_ids(), true).expect("decoded"), text);
        }
    }

    #[test]
    fn training_is_deterministic_and_refuses_a_tiny_vocabulary() {
        let train = || tokenizer(training(2).take(500).map(|dialogue| dialogue.render()), 600).expect("a vocabulary");
        assert_eq!(train(), train());
        assert!(matches!(tokenizer(std::iter::empty(), 100), Err(Error::Request { .. })));
    }

    #[test]
    fn the_template_renders_as_dialogues_do() {
        let turns = vec![(Role::System, "Be kind.".to_owned()), (Role::User, "Hi".to_owned()), (Role::Assistant, "Hello!".to_owned())];
        let messages: Vec<Value> = turns.iter().map(|(role, text)| json!({ "role": role.name(), "content": text })).collect();
        let dialogue = Dialogue { kind: Kind::SmallTalk, turns };
        let render = |prompt| {
            let values = json!({ "messages": messages, "add_generation_prompt": prompt });
            minijinja::Environment::new().render_str(CHAT_TEMPLATE, values).expect("rendered")
        };
        assert_eq!(render(false), dialogue.render());
        assert_eq!(render(true), dialogue.render() + "<|assistant|>");
    }

    #[test]
    #[ignore = "prints token statistics"]
    fn print_statistics() {
        let dialogues: Vec<Dialogue> = training(1).take(30_000).collect();
        let corpora = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
        let data = std::env::var("LLM_TEST_DATA").unwrap_or_else(|_| corpora.to_owned());
        let stories = stories_from_file(format!("{data}/corpora/tinystories/tinystories_1000.json")).unwrap_or_default();
        for share in shares() {
            println!("{:12} {:5.1} % {:?}", share.kind.name(), 100.0 * share.share, share.facts);
        }
        for vocab_size in [1_024, 1_536, 2_048] {
            let texts = dialogues.iter().map(Dialogue::render).chain(stories.iter().cloned());
            let json = tokenizer(texts.collect::<Vec<_>>().into_iter(), vocab_size).expect("a vocabulary");
            print_lengths(&Tokenizer::from_bytes(json).expect("a tokenizer"), &dialogues, &stories);
        }
    }

    fn print_lengths(tokenizer: &Tokenizer, dialogues: &[Dialogue], stories: &[String]) {
        let length = |text: &str| tokenizer.encode(text, false).expect("encoded").len();
        let report = |name: &str, lengths: Vec<usize>| {
            let (count, most) = (lengths.len(), lengths.iter().max().copied().unwrap_or(0));
            let long = lengths.iter().filter(|&&length| length > CONTEXT).count();
            let mean = lengths.iter().sum::<usize>() as f64 / count.max(1) as f64;
            println!("{name:12} {count:6} texts, mean {mean:6.1}, longest {most}, {long} beyond the context");
        };
        println!("vocabulary of {}", tokenizer.get_vocab_size(true));
        for kind in Kind::ALL {
            report(
                kind.name(),
                dialogues.iter().filter(|dialogue| dialogue.kind == kind).map(|dialogue| length(&dialogue.render())).collect(),
            );
        }
        report("all", dialogues.iter().map(|dialogue| length(&dialogue.render())).collect());
        report("stories", stories.iter().map(|story| length(story)).collect());
    }
}
