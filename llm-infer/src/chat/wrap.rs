//! The filter `wordwrap`: Python's `textwrap.wrap` for each line, as jinja2 calls it.
//!
//! A line is cut into chunks, which are put together again as long as they fit. Source: CPython's `textwrap.py`, `wordsep_re` and `_wrap_chunks`.

use super::letters::is_space;
use super::lines::split_lines;
use super::render::{Args, Renderer};
use super::text::Text;
use super::value::{Eval, Value};
use std::ops::Range;
use std::rc::Rc;

/// What is asked for.
struct Style {
    width: usize,
    break_long_words: bool,
    break_on_hyphens: bool,
    /// Whether words are cut at hyphens also where they fit: Python asks for `True` itself here.
    cut_at_hyphens: bool,
}

/// `wordwrap(width=79, break_long_words=True, wrapstring=None, break_on_hyphens=True)`.
pub(super) fn wordwrap<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, args: &Args<'t>) -> Eval<Value<'t>> {
    let flag = |position, name| args.get(position, name).is_none_or(Value::truth);
    let lines = split_lines(text.as_str(), false);
    let width = match args.get(0, "width") {
        // Nobody looks at it.
        _ if lines.is_empty() => 79,
        Some(width) => width.int().ok_or_else(|| format!("width must be an integer, not {}", width.type_name()))?,
        None => 79,
    };
    let style = Style {
        width: usize::try_from(width).unwrap_or(0),
        break_long_words: flag(1, "break_long_words"),
        break_on_hyphens: flag(3, "break_on_hyphens"),
        cut_at_hyphens: args.get(3, "break_on_hyphens").is_none_or(|flag| matches!(flag, Value::Bool(true))),
    };
    let end = args.text(2, "wrapstring")?.unwrap_or_else(|| Rc::new(Text::template("\n")));
    let mut wrapped = Vec::new();
    for line in lines {
        if style.width == 0 {
            return Err(format!("invalid width {width} (must be > 0)"));
        }
        let line = text.part(line);
        // A line without words stays, and is empty.
        let pieces = Line::new(line.as_str()).wrap(&style);
        wrapped.push(end.join(pieces.into_iter().map(|range| line.slice(range)).collect::<Vec<_>>().iter()));
        ctx.budget.grow(line.len().saturating_mul(1 + end.len()))?;
    }
    Ok(Value::text(end.join(wrapped.iter())))
}

/// The characters of a line.
struct Line {
    chars: Vec<char>,
    /// Where each begins, and the end.
    bytes: Vec<usize>,
}

impl Line {
    fn new(line: &str) -> Self {
        let bytes = line.char_indices().map(|(at, _)| at).chain([line.len()]).collect();
        Self { chars: line.chars().collect(), bytes }
    }

    fn is(&self, at: usize, test: impl Fn(char) -> bool) -> bool {
        self.chars.get(at).is_some_and(|c| test(*c))
    }

    /// The same, seen from behind.
    fn was(&self, end: usize, back: usize, test: impl Fn(char) -> bool) -> bool {
        end.checked_sub(back).is_some_and(|at| self.is(at, test))
    }

    fn is_blank(&self, chunk: &Range<usize>) -> bool {
        self.chars[chunk.clone()].iter().all(|c| is_space(*c))
    }

    /// The byte ranges of the wrapped lines.
    fn wrap(&self, style: &Style) -> Vec<Range<usize>> {
        let mut chunks = self.chunks(style.cut_at_hyphens);
        chunks.reverse();
        let mut lines = Vec::new();
        while !chunks.is_empty() {
            if !lines.is_empty() && chunks.last().is_some_and(|chunk| self.is_blank(chunk)) {
                chunks.pop();
            }
            // The chunks of a line follow each other in the text.
            let mut line: Vec<Range<usize>> = Vec::new();
            let mut length = 0;
            while let Some(chunk) = chunks.pop_if(|chunk| length + chunk.len() <= style.width) {
                length += chunk.len();
                line.push(chunk);
            }
            if let Some(long) = chunks.pop_if(|chunk| chunk.len() > style.width) {
                if style.break_long_words {
                    let cut = self.cut(&long, style.width - length, style.break_on_hyphens);
                    line.push(long.start..cut);
                    chunks.push(cut..long.end);
                } else if line.is_empty() {
                    line.push(long);
                } else {
                    chunks.push(long);
                }
            }
            line.pop_if(|chunk| self.is_blank(chunk));
            if let (Some(first), Some(last)) = (line.first(), line.last()) {
                lines.push(self.bytes[first.start]..self.bytes[last.end]);
            }
        }
        lines
    }

    /// Where a chunk of which only `room` characters fit is cut: behind its last hyphen there, if anything else is before it.
    fn cut(&self, chunk: &Range<usize>, room: usize, at_hyphens: bool) -> usize {
        let fits = &self.chars[chunk.start..chunk.start + room];
        let hyphen = fits.iter().rposition(|c| *c == '-').filter(|at| at_hyphens && fits[..*at].iter().any(|c| *c != '-'));
        chunk.start + hyphen.map_or(room, |hyphen| hyphen + 1)
    }

    /// Runs of white space, and what is between: whole, or parts of words with hyphens and dashes.
    fn chunks(&self, at_hyphens: bool) -> Vec<Range<usize>> {
        let (mut chunks, mut start) = (Vec::new(), 0);
        while start < self.chars.len() {
            let run = |test: fn(char) -> bool| self.chars[start..].iter().take_while(|c| test(**c)).count();
            let end = if self.is(start, is_blank) {
                start + run(is_blank)
            } else if !at_hyphens {
                start + run(|c| !is_blank(c))
            } else if self.is_dash(start) {
                start + run(|c| c == '-')
            } else {
                self.end_of_part(start)
            };
            chunks.push(start..end);
            start = end;
        }
        chunks
    }

    /// Whether a dash of several hyphens between words begins there.
    fn is_dash(&self, at: usize) -> bool {
        let hyphens = self.chars[at..].iter().take_while(|c| **c == '-').count();
        hyphens >= 2 && self.was(at, 1, ends_word) && self.is(at + hyphens, is_word)
    }

    /// Where the part of a word that begins at `start` ends.
    fn end_of_part(&self, start: usize) -> usize {
        let mut at = start + 1;
        while at < self.chars.len() && !self.is(at, is_blank) && !self.is_dash(at) {
            let behind =
                self.was(at, 1, is_letter) && (self.was(at, 2, is_letter) || self.was(at, 2, |c| c == '-') && self.was(at, 3, is_letter));
            let after = at + 1 + usize::from(self.is(at + 2, |c| c == '-'));
            if self.is(at, |c| c == '-') && behind && self.is(at + 1, is_letter) && self.is(after + 1, is_letter) {
                return at + 1;
            }
            at += 1;
        }
        at
    }
}

/// White space as `textwrap` has it.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_letter(c: char) -> bool {
    is_word(c) && !super::letters::is_decimal(c)
}

/// What may stand before a dash.
fn ends_word(c: char) -> bool {
    is_word(c) || "!\"'&.,?".contains(c)
}
