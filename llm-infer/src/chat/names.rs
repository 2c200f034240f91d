//! Filters that do not exist, which jinja2 refuses before it renders anything, except below an `if`.

use super::filters;
use super::value::Eval;
use minijinja::machinery::Token;

/// Follows the tokens of a template.
#[derive(Default)]
pub(super) struct FilterNames {
    /// The open `if` tags.
    conditions: usize,
    /// Whether the tag at hand has an `if`.
    conditional: bool,
    begins: bool,
    /// What stands behind a `|`, as far as it was seen.
    filter: Option<String>,
}

impl FilterNames {
    /// Takes the next token.
    ///
    /// # Errors
    /// The name of a filter that does not exist; jinja2 reads `a.b` as one name.
    pub fn check(&mut self, token: &Token<'_>) -> Eval<()> {
        match (token, &mut self.filter) {
            (Token::Ident(name), Some(filter)) if filter.is_empty() || filter.ends_with('.') => {
                filter.push_str(name);
                return Ok(());
            }
            (Token::Dot, Some(filter)) => {
                filter.push('.');
                return Ok(());
            }
            _ => {}
        }
        let soft = self.conditions > 0 || self.conditional || matches!(token, Token::Ident("if"));
        let unknown = self.filter.take().filter(|filter| !soft && !filters::NAMES.contains(&filter.as_str()));
        if let Some(filter) = unknown {
            return Err(format!("no filter named '{filter}'"));
        }
        match token {
            Token::Pipe => self.filter = Some(String::new()),
            Token::Ident("if") if self.begins => self.conditions += 1,
            Token::Ident("endif") if self.begins => self.conditions = self.conditions.saturating_sub(1),
            Token::Ident("if") => self.conditional = true,
            Token::VariableEnd | Token::BlockEnd => self.conditional = false,
            _ => {}
        }
        self.begins = matches!(token, Token::BlockStart);
        Ok(())
    }
}
