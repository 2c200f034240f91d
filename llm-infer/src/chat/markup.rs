//! The filters about HTML and addresses: `escape`, `striptags`, `xmlattr`, `urlencode`.

use super::letters::is_space;
use super::methods;
use super::render::{Args, Renderer};
use super::text::Text;
use super::value::{Eval, Kind, Value};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The named characters of HTML: name, with its `;` where it has one, and the code points. Made by `tests/differential/entities.py`.
const ENTITIES: &str = include_str!("entities.txt");

/// What numbers of characters that HTML 4 did not allow mean: those of Windows-1252 from 0x80 on, as `html.unescape` has them.
const WINDOWS: [u32; 32] = [
    0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d, 0x017d, 0x8f, 0x90, 0x2018,
    0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e, 0x0178,
];

/// The longest name that is looked for.
const LONGEST_NAME: usize = 32;

pub(super) fn escape(text: &Text) -> Text {
    let mut out = Text::default();
    for (at, c) in text.as_str().char_indices() {
        let user = text.is_user(at);
        match c {
            '&' => out.push_str("&amp;", user),
            '<' => out.push_str("&lt;", user),
            '>' => out.push_str("&gt;", user),
            '\'' => out.push_str("&#39;", user),
            '"' => out.push_str("&#34;", user),
            c => out.push_char(c, user),
        }
    }
    out
}

/// `urlencode`: a text, or the pairs of a dictionary or list as a query.
pub(super) fn urlencode<'t>(ctx: &Renderer<'_>, value: &Value<'t>) -> Eval<Value<'t>> {
    let pairs = match value {
        Value::Dict(_) => methods::items(value, Kind::List)?.iterate(&ctx.budget)?,
        Value::List(list) => list.clone(),
        other => {
            let text = other.to_text(&ctx.budget)?;
            ctx.budget.grow(3 * text.len())?;
            return Ok(Value::text(quoted(&text, false)));
        }
    };
    let mut out = Text::default();
    for (index, pair) in pairs.items.iter().enumerate() {
        let pair = pair.iterate(&ctx.budget)?;
        let [name, value] = &pair.items[..] else { return Err("urlencode takes pairs".into()) };
        out.push_str(if index > 0 { "&" } else { "" }, false);
        out.push(&quoted(&*name.to_text(&ctx.budget)?, true));
        out.push_str("=", false);
        out.push(&quoted(&*value.to_text(&ctx.budget)?, true));
        ctx.budget.grow(out.len() / 16)?;
    }
    ctx.budget.grow(out.len())?;
    Ok(Value::text(out))
}

/// A text as a part of an address; in a query a space is a plus, and a slash is quoted, too.
fn quoted(text: &Text, query: bool) -> Text {
    let mut out = Text::default();
    for (at, byte) in text.as_str().bytes().enumerate() {
        let user = text.is_user(at);
        match byte {
            b' ' if query => out.push_char('+', user),
            b'/' if !query => out.push_char('/', user),
            byte if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) => out.push_char(char::from(byte), user),
            byte => out.push_str(&format!("%{byte:02X}"), user),
        }
    }
    out
}

/// `xmlattr(autospace=True)`: the entries of a dictionary as attributes.
pub(super) fn attributes<'t>(ctx: &Renderer<'_>, value: &Value<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
    let Value::Dict(dict) = value else { return Err(format!("'{}' object has no attribute 'items'", value.type_name())) };
    let spaced = args.get(0, "autospace").is_none_or(Value::truth);
    let mut out = Text::default();
    for (key, value) in &dict.entries {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let Value::Str(name) = key else { return Err(format!("expected string, got '{}'", key.type_name())) };
        if name.as_str().contains([' ', '\t', '\n', '\x0b', '\x0c', '\r', '/', '>', '=']) {
            return Err(format!("invalid character in attribute name: '{}'", name.as_str()));
        }
        if spaced || !out.is_empty() {
            out.push_str(" ", false);
        }
        out.push(&escape(name));
        out.push_str("=\"", false);
        out.push(&escape(&*value.to_text(&ctx.budget)?));
        out.push_str("\"", false);
        ctx.budget.grow(out.len() / 16)?;
    }
    ctx.budget.grow(out.len())?;
    Ok(Value::text(out))
}

/// `striptags`: no tags and comments, one space for each white space, and characters for their names.
pub(super) fn strip_tags(text: &Text) -> Text {
    let source = text.as_str();
    let (mut plain, mut from) = (Text::default(), 0);
    while let Some(begin) = source[from..].find('<').map(|at| from + at) {
        let (skip, close) = if source[begin..].starts_with("<!--") { (4, "-->") } else { (0, ">") };
        let Some(end) = source[begin + skip..].find(close) else { break };
        plain.push_slice(text, from..begin);
        from = begin + skip + end + close.len();
    }
    plain.push_slice(text, from..source.len());
    let words: Vec<Text> = plain.as_str().split(is_space).filter(|word| !word.is_empty()).map(|word| plain.part(word)).collect();
    unescape(&Text::template(" ").join(words.iter()))
}

/// Python's `html.unescape`. What a name stands for is the user's where any part of the name is.
fn unescape(text: &Text) -> Text {
    let source = text.as_str();
    let (mut out, mut from) = (Text::default(), 0);
    while let Some(at) = source[from..].find('&').map(|at| from + at) {
        out.push_slice(text, from..at);
        let (length, characters) = character(&source[at + 1..]).unwrap_or_else(|| (0, "&".to_owned()));
        from = at + 1 + length;
        out.push_str(&characters, (at..from).any(|byte| text.is_user(byte)));
    }
    out.push_slice(text, from..source.len());
    out
}

/// The characters that stand behind an `&`, and the bytes that name them.
fn character(source: &str) -> Option<(usize, String)> {
    if let Some(number) = source.strip_prefix('#') {
        let (digits, radix) = number.strip_prefix(['x', 'X']).map_or((number, 10), |digits| (digits, 16));
        let count = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        if count == 0 {
            return None;
        }
        let length = source.len() - digits.len() + count;
        let semicolon = usize::from(source[length..].starts_with(';'));
        // What is too long for 32 bits is beyond all characters.
        let code = u32::from_str_radix(&digits[..count], radix).unwrap_or(u32::MAX);
        return Some((length + semicolon, numbered(code)));
    }
    let name = source.find(|c: char| "\t\n\x0c <&#;".contains(c)).map_or(source, |end| &source[..end]);
    let end = name.char_indices().nth(LONGEST_NAME).map_or(name.len(), |(at, _)| at);
    let semicolon = usize::from(source[end..].starts_with(';'));
    // The whole name, or the longest beginning of it that is one.
    (2..=end + semicolon)
        .rev()
        .filter(|length| source.is_char_boundary(*length))
        .find_map(|length| Some((length, named(&source[..length])?)))
}

/// The character of a number, as browsers have it.
fn numbered(code: u32) -> String {
    let code = match code {
        0 => 0xfffd,
        0x80..0xa0 => WINDOWS[code as usize - 0x80],
        _ => code,
    };
    match char::from_u32(code) {
        None => '\u{fffd}'.to_string(),
        // No characters.
        Some('\x01'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{fdd0}'..='\u{fdef}') => String::new(),
        Some(_) if code & 0xfffe == 0xfffe => String::new(),
        Some(c) => c.to_string(),
    }
}

/// The characters of a name.
fn named(name: &str) -> Option<String> {
    static CODES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| ENTITIES.lines().filter_map(|line| line.split_once(' ')).collect());
    CODES.get(name)?.split(' ').map(|code| u32::from_str_radix(code, 16).ok().and_then(char::from_u32)).collect()
}
