//! Python's view of characters: their cases and kinds.

use super::text::Text;

/// Python's `str.isspace`: Unicode white space and the four separators of ASCII.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

pub fn is_lower(string: &str) -> bool {
    string.chars().any(char::is_lowercase) && !string.chars().any(char::is_uppercase)
}

pub fn lowered(c: char) -> Vec<char> {
    c.to_lowercase().collect()
}

pub fn lower(text: &Text) -> Text {
    if !text.as_str().contains('Σ') {
        return text.map_chars(char::to_lowercase);
    }
    // At the end of a word it has another form, which the standard library finds in the whole text.
    let whole = text.as_str().to_lowercase();
    let mut lowered = whole.chars();
    text.map_chars(|c| lowered.by_ref().take(c.to_lowercase().count()).collect::<Vec<_>>())
}

/// Python's `str.casefold` for one character, for all scripts but Cherokee.
pub fn folded(c: char) -> Vec<char> {
    match c {
        'ı' => vec![c],
        c => c.to_uppercase().flat_map(char::to_lowercase).collect(),
    }
}

/// The form of a letter that begins a word, which is not always its upper case.
pub fn titled(c: char) -> Vec<char> {
    match c {
        'Ǆ'..='ǆ' => vec!['ǅ'],
        'Ǉ'..='ǉ' => vec!['ǈ'],
        'Ǌ'..='ǌ' => vec!['ǋ'],
        'Ǳ'..='ǳ' => vec!['ǲ'],
        // Georgian has capitals for whole words only.
        'ა'..='ჿ' => vec![c],
        '\u{1f80}'..='\u{1faf}' => char::from_u32(u32::from(c) | 8).into_iter().collect(),
        'ᾳ' => vec!['ᾼ'],
        'ῃ' => vec!['ῌ'],
        'ῳ' => vec!['ῼ'],
        _ => c.to_uppercase().enumerate().flat_map(|(at, c)| if at == 0 { vec![c] } else { lowered(c) }).collect(),
    }
}

pub fn capitalize(text: &Text) -> Text {
    let mut first = true;
    text.map_chars(|c| if std::mem::take(&mut first) { titled(c) } else { lowered(c) })
}

/// What `begin` makes of every character behind one for which `inside` is false, lower case elsewhere.
pub fn title(text: &Text, inside: impl Fn(char) -> bool, begin: impl Fn(char) -> Vec<char>) -> Text {
    let mut within = false;
    text.map_chars(|c| {
        let mapped = if within { lowered(c) } else { begin(c) };
        within = inside(c);
        mapped
    })
}

/// Python's `str.isprintable`: Rust escapes the same Unicode categories, and combining marks only at the start of a text.
pub fn is_printable(c: char) -> bool {
    c.is_ascii_graphic()
        || c == ' '
        || matches!(c, '\'' | '"' | '\\')
        || !['a', c].iter().collect::<String>().escape_debug().to_string().contains('\\')
}
