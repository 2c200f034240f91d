//! Stories written by others, read at training time and never copied.

use std::path::Path;

use crate::{Error, Result};

/// The longest story in bytes: about 250 tokens of the builtin vocabulary.
const LONGEST: usize = 900;

/// The shortest story in bytes that is worth learning from.
const SHORTEST: usize = 200;

/// Stories from a JSON list of strings (the TinyStories sample), those of plain ASCII text, shortened to whole sentences
/// that fit the context.
///
/// Typographic quotes and dashes become their ASCII forms and paragraphs become one; stories with other characters are left
/// out. A shortened story has no end, so it should be trained on without the end token; [`str::len`] tells nothing of this,
/// hence the flag: `true` where the whole story is there.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read, [`Error::Invalid`] if it is not a JSON list of strings.
pub fn stories_from_file(path: impl AsRef<Path>) -> Result<Vec<(String, bool)>> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    let stories: Vec<String> =
        serde_json::from_slice(&bytes).map_err(|error| Error::invalid(path, "stories", error, "a JSON list of strings"))?;
    Ok(stories.iter().filter_map(|story| shorten(&plain(story))).collect())
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
}
