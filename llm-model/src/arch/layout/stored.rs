//! The tensors that parameters are stored in: [`Layout::pieces`] the other way.

use std::collections::HashMap;

use super::Layout;

/// A tensor that is to be stored, and the parameters that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name where it is stored.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Whether it is stored with the inputs first; the rows of its parts are those of the transposed one.
    pub transposed: bool,
    /// Whether it is stored less 1.
    pub minus_one: bool,
    /// What fills its rows.
    pub parts: Vec<StoredPart>,
}

impl Stored {
    /// Whether it is one parameter, or the beginning of one, as it is.
    pub fn is_plain(&self) -> bool {
        let in_order = |part: &StoredPart| part.first == 0 && part.rows.iter().enumerate().all(|(row, place)| row == *place);
        !self.transposed && !self.minus_one && self.parts.len() == 1 && in_order(&self.parts[0])
    }
}

/// Rows of a parameter in a stored tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// The parameter's path in a [`crate::Transformer`].
    pub path: String,
    /// Its first row that is here.
    pub first: usize,
    /// Where that row and those behind it stand.
    pub rows: Vec<usize>,
}

/// Norms of queries and keys.
const NORMS: [&str; 2] = [".q_norm.", ".k_norm."];

/// Rows of a parameter that one tensor takes.
struct Taken<'a> {
    path: &'a str,
    shape: &'a [usize],
    first: usize,
    count: usize,
}

impl Layout {
    /// The tensors that `parameters`, by path and dimensions, are stored in, in the order of the first of each.
    ///
    /// # Errors
    /// The path of a parameter that cannot be stored so.
    pub fn stored(&self, parameters: &[(&str, &[usize])]) -> Result<Vec<Stored>, String> {
        let mut order = Vec::new();
        let mut all: HashMap<String, Vec<Taken>> = HashMap::new();
        for (path, shape) in parameters {
            for (name, first, count) in self.places(path, shape.first().copied().unwrap_or(1)) {
                let taken = all.entry(name.clone()).or_default();
                if taken.is_empty() {
                    order.push(name);
                }
                taken.push(Taken { path, shape, first, count });
            }
        }
        order.into_iter().map(|name| self.assembled(&all[&name], name)).collect()
    }

    /// The tensors that the parameter at `path`, of so many rows, goes to, with the first row and the number of rows for each.
    fn places(&self, path: &str, rows: usize) -> Vec<(String, usize, usize)> {
        let mut name = format!(".{path}.");
        let parts = self.splits.iter().flat_map(|split| split.parts.iter().map(|(part, _)| (split.stored, *part)));
        if let Some((stored, part)) = parts.into_iter().find(|(_, part)| name.contains(part)) {
            name = name.replace(part, stored);
        }
        let norm = NORMS.into_iter().find(|norm| name.contains(norm));
        match (self.numbered, norm) {
            (Some(numbered), Some(norm)) if numbered.count > 0 => (0..rows.div_ceil(numbered.count))
                .map(|index| {
                    let name = name.replace(norm, &format!("{}{}{index}.", norm.trim_end_matches('.'), numbered.marker));
                    (self.stored_name(name), index * numbered.count, numbered.count)
                })
                .collect(),
            _ => vec![(self.stored_name(name), 0, rows)],
        }
    }

    /// The name for what is called `name` here, with points around it.
    fn stored_name(&self, mut name: String) -> String {
        let head = name.starts_with(".lm_head.");
        for (theirs, ours) in self.renames.iter().rev() {
            name = name.replace(ours, theirs);
        }
        let bare = name.trim_matches('.');
        if head { bare.to_owned() } else { format!("{}{bare}", self.prefix.unwrap_or("model.")) }
    }

    /// The tensor `name` that takes these rows.
    fn assembled(&self, taken: &[Taken], name: String) -> Result<Stored, String> {
        let first = &taken[0];
        let rows: usize = taken.iter().map(|taken| taken.count).sum();
        let transposed = first.shape.len() == 2 && self.transposed.iter().any(|end| first.path.ends_with(end));
        let mut shape = first.shape.to_vec();
        if let Some(length) = shape.first_mut() {
            *length = rows;
        }
        if transposed {
            shape.reverse();
        }
        let norm = NORMS.iter().any(|norm| first.path.contains(norm.trim_end_matches('.')));
        if let Some(width) = self.head_norms.filter(|width| norm && first.shape.len() == 1 && *width > 0 && rows.is_multiple_of(*width)) {
            shape = vec![rows / width, width];
        }
        // What whoever reads it makes of it says where each row has to stand.
        let pieces = self.pieces(&name, &shape);
        let minus_one = pieces.iter().any(|piece| piece.plus_one);
        let part = |taken: &Taken| {
            let piece = pieces.iter().find(|piece| piece.path == taken.path && piece.transposed == transposed)?;
            let places = piece.rows.clone().unwrap_or_else(|| (0..taken.count).collect());
            let fits = places.len() == taken.count && places.iter().all(|place| *place < rows);
            fits.then(|| StoredPart { path: taken.path.to_owned(), first: taken.first, rows: places })
        };
        let parts = taken.iter().map(|taken| part(taken).ok_or_else(|| taken.path.to_owned())).collect::<Result<_, _>>()?;
        Ok(Stored { name, shape, transposed, minus_one, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Interleaved, Numbered, Rows, Split};
    use super::*;

    #[test]
    fn tensors_are_put_together_as_they_are_taken_apart() {
        let layout = Layout {
            prefix: Some("transformer."),
            renames: &[(".h.", ".layers."), (".attn.", ".self_attn."), (".self_attn.c_proj.", ".self_attn.o_proj.")],
            splits: vec![Split::new(
                ".c_attn.",
                &[
                    (".q_proj.", Rows { first: 0, count: 1, stride: 2, groups: 2 }),
                    (".k_proj.", Rows { first: 1, count: 1, stride: 2, groups: 2 }),
                ],
            )],
            transposed: &[".q_proj.weight", ".k_proj.weight"],
            ..Layout::default()
        };
        let parameters: [(&str, &[usize]); 4] = [
            ("layers.0.self_attn.q_proj.weight", &[2, 3]),
            ("layers.0.self_attn.o_proj.weight", &[3, 2]),
            ("layers.0.self_attn.k_proj.weight", &[2, 3]),
            ("lm_head.weight", &[5, 3]),
        ];
        let [qk, o, head] = &layout.stored(&parameters).unwrap()[..] else { panic!("three tensors") };
        assert_eq!((qk.name.as_str(), &qk.shape[..], qk.transposed), ("transformer.h.0.attn.c_attn.weight", [3, 4].as_slice(), true));
        assert_eq!(qk.parts.iter().map(|part| part.rows.clone()).collect::<Vec<_>>(), [[0, 2], [1, 3]]);
        assert_eq!((o.name.as_str(), o.is_plain()), ("transformer.h.0.attn.c_proj.weight", true));
        assert_eq!((head.name.as_str(), head.is_plain()), ("lm_head.weight", true));
        // Without its keys the tensor has too few rows.
        assert_eq!(layout.stored(&parameters[..2]).unwrap_err(), "layers.0.self_attn.q_proj.weight");
    }

    #[test]
    fn halves_become_neighboring_pairs_and_norms_those_of_heads() {
        let layout = Layout { interleaved: Some(Interleaved { head_dim: 4, dim: 4 }), ..Layout::default() };
        let stored = &layout.stored(&[("layers.0.self_attn.k_proj.bias", &[4])]).unwrap()[0];
        assert_eq!((stored.name.as_str(), &stored.parts[0].rows[..]), ("model.layers.0.self_attn.k_proj.bias", [0, 2, 1, 3].as_slice()));
        let numbered = Layout { numbered: Some(Numbered { marker: ".norms.", count: 2 }), one_plus_norms: true, ..Layout::default() };
        let [first, second] = &numbered.stored(&[("layers.0.self_attn.q_norm.weight", &[4])]).unwrap()[..] else { panic!("two heads") };
        assert_eq!((first.name.as_str(), first.minus_one), ("model.layers.0.self_attn.q_norm.norms.0.weight", true));
        assert_eq!((&second.shape[..], second.parts[0].first, &second.parts[0].rows[..]), ([2].as_slice(), 2, [0, 1].as_slice()));
    }
}
