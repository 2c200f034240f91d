//! `llm tokenize`: text to ids and pieces, and back.

use std::io::Write;

use llm_infer::tokenizer::Tokenizer;
use serde_json::json;

use super::{Environment, print_json};
use crate::args::TokenizeArgs;
use crate::ui::Failure;
use crate::{input, models};

pub fn run(args: &TokenizeArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let text = input::prompt(args.prompt.as_deref())?;
    let (_, tokenizer, _) = llm_infer::open(&models::resolve(&args.model)?)?;
    if args.decode { decode(&tokenizer, &text, args, environment, out) } else { encode(&tokenizer, &text, args, environment, out) }
}

fn encode(tokenizer: &Tokenizer, text: &str, args: &TokenizeArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let ids = tokenizer.encode(text, !args.no_special)?;
    let pieces = tokenizer.pieces(&ids);
    if environment.common.json {
        return print_json(&json!({"tokens": ids, "pieces": pieces}), out);
    }
    for (id, piece) in ids.iter().zip(&pieces) {
        writeln!(out, "{id:>7}  {}", piece.escape_debug())?;
    }
    Ok(())
}

fn decode(tokenizer: &Tokenizer, text: &str, args: &TokenizeArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let ids = parse_ids(text)?;
    if let Some(id) = ids.iter().find(|id| tokenizer.token(**id).is_none()) {
        return Err(Failure::usage(format!("id: got `{id}`, expected ids below {}", tokenizer.vocab_size())).into());
    }
    let text = tokenizer.decode(&ids, args.no_special);
    if environment.common.json {
        return print_json(&json!({"tokens": ids, "text": text}), out);
    }
    Ok(writeln!(out, "{text}")?)
}

/// Ids separated by spaces or commas, in brackets or not.
fn parse_ids(text: &str) -> Result<Vec<u32>, Failure> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']')).filter(|word| !word.is_empty());
    words.map(|word| word.parse().map_err(|_| Failure::usage(format!("id: got `{word}`, expected a whole number")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_any_spelling() {
        for text in ["1 22 3", "1,22,3", "[1, 22, 3]", " 1\n22\t3\n"] {
            assert_eq!(parse_ids(text).expect(text), [1, 22, 3]);
        }
        assert_eq!(parse_ids("1 x").expect_err("no number").to_string(), "id: got `x`, expected a whole number");
        assert!(parse_ids("-1").is_err());
    }
}
