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

/// Python's `str.istitle`: capitals begin words, and stand nowhere else.
pub fn is_title(string: &str) -> bool {
    let (mut within, mut any) = (false, false);
    for c in string.chars() {
        let (upper, lower) = (c.is_uppercase(), c.is_lowercase());
        // Letters like ǅ are neither.
        let begins = upper || !lower && !c.to_lowercase().eq([c]);
        if begins && within || lower && !within {
            return false;
        }
        within = begins || lower;
        any |= within;
    }
    any
}

/// The zeros of all scripts, behind each of which stand its other nine digits.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090,
    0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
    0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950,
    0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// Python's `str.isdecimal`: a digit of some script.
pub fn is_decimal(c: char) -> bool {
    let code = u32::from(c);
    ZEROS[..ZEROS.partition_point(|zero| *zero <= code)].last().is_some_and(|zero| code - zero < 10)
}

/// Python's `str.isdigit`: a decimal, or one that is raised, lowered, circled or in another such form.
pub fn is_digit(c: char) -> bool {
    is_decimal(c)
        || matches!(
            c,
            '²'..='³' | '¹' | '፩'..='፱' | '᧚' | '⁰' | '⁴'..='⁹' | '₀'..='₉' | '①'..='⑨' | '⑴'..='⑼' | '⒈'..='⒐' | '⓪' | '⓵'..='⓽' | '⓿' | '❶'..='❾'
                | '➀'..='➈' | '➊'..='➒' | '\u{10a40}'..='\u{10a43}' | '\u{10e60}'..='\u{10e68}' | '\u{11052}'..='\u{1105a}' | '\u{1f100}'..='\u{1f10a}'
        )
}

/// Python's `str.isidentifier`, where names of other scripts are letters and numbers; marks on letters may follow.
pub fn is_identifier(string: &str) -> bool {
    let begins = |c: char| c == '_' || c.is_alphabetic();
    let goes_on = |c: char| begins(c) || is_decimal(c) || matches!(c, '\u{300}'..='\u{36f}' | '‿'..='⁀' | '⁔' | '·');
    string.chars().next().is_some_and(begins) && string.chars().all(goes_on)
}
