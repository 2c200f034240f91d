//! Stories written by others, read at training time and never copied.

use std::path::Path;

use super::{BEGIN, END};
use crate::{Error, Result};

/// The longest story in bytes: about 250 tokens with a vocabulary of 1,536.
const LONGEST: usize = 640;

/// The shortest story in bytes that is worth learning from.
const SHORTEST: usize = 200;

/// Stories from a JSON list of strings (the TinyStories sample), those of plain ASCII text, rendered for training.
///
/// Typographic quotes and dashes become their ASCII forms and paragraphs become one; stories with other characters are left
/// out. Each text opens with [`BEGIN`]. A story that does not fit the context is cut after a sentence and then lacks [`END`],
/// so that the model does not learn to stop in the middle.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read, [`Error::Invalid`] if it is not a JSON list of strings.
pub fn stories_from_file(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    let stories: Vec<String> =
        serde_json::from_slice(&bytes).map_err(|error| Error::invalid(path, "stories", error, "a JSON list of strings"))?;
    let render = |(text, whole): (String, bool)| [BEGIN, &text, if whole { END } else { "" }].concat();
    Ok(stories.iter().filter_map(|story| shorten(&plain(story))).map(render).collect())
}

/// One paragraph with ASCII quotes and dashes.
fn plain(story: &str) -> String {
    let text = story.replace(['“', '”'], "\"").replace(['‘', '’'], "'").replace(['–', '—'], "-").replace('…', "...");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As many whole sentences as fit, and whether these are all; nothing if it is not plain text.
fn shorten(text: &str) -> Option<(String, bool)> {
    if !text.is_ascii() {
        return None;
    }
    if text.len() <= LONGEST {
        return (text.len() >= SHORTEST).then(|| (text.to_owned(), true));
    }
    let end = text[..LONGEST].rfind(". ")? + 1;
    (end >= SHORTEST).then(|| (text[..end].to_owned(), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_stories_end_after_a_sentence() {
        let (text, whole) = shorten(&"Tom ran to the park. ".repeat(100)).expect("it is plain");
        assert!(!whole && text.ends_with("park.") && text.len() <= LONGEST);
        assert_eq!(shorten("Too short."), None);
        assert_eq!(shorten(&"é".repeat(300)), None);
        assert_eq!(plain("“Hi,”\n\nsaid  Tom’s dog."), "\"Hi,\" said Tom's dog.");
    }

    #[test]
    fn a_file_that_is_no_list_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "{}").expect("written");
        assert!(matches!(stories_from_file(file.path()), Err(Error::Invalid { .. })));
    }

    #[test]
    fn the_sample_is_read_where_it_is() {
        let data = std::env::var("LLM_TEST_DATA").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").to_owned());
        let path = format!("{data}/corpora/tinystories/tinystories_1000.json");
        if !Path::new(&path).exists() {
            println!("skipped: {path} is not there");
            return;
        }
        let stories = stories_from_file(&path).expect("readable");
        assert!(stories.len() > 500 && stories.iter().all(|story| story.starts_with(BEGIN) && story.is_ascii()));
        assert!(stories.iter().any(|story| story.ends_with(END)) && stories.iter().any(|story| !story.ends_with(END)));
    }
}
