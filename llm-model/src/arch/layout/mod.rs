//! How stored tensors become parameters, where a family stores others than a [`crate::Transformer`] has: as data, without files.
//!
//! Parts of names are written with the points around them, so that `.attn.` is not found in `.self_attn.`.

mod stored;

pub use stored::{Stored, StoredPart};

/// The rules of a family; the default is that each parameter is stored as it is, under its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// What the names of all tensors but the head's begin with where they are written, `model.` where it is absent.
    pub prefix: Option<&'static str>,
    /// Parts of names and what stands for them here, applied in order; undone from the last to the first.
    pub renames: &'static [(&'static str, &'static str)],
    /// Tensors that hold several parameters.
    pub splits: Vec<Split>,
    /// Ends of names, as they are here, of matrices that are stored with the inputs first.
    pub transposed: &'static [&'static str],
    /// Whether the norms of the family multiply by 1 + w.
    pub one_plus_norms: bool,
    /// That neighboring numbers of queries and keys are rotated together.
    pub interleaved: Option<Interleaved>,
    /// Norms of queries and keys that are stored head by head.
    pub numbered: Option<Numbered>,
    /// Width of the heads whose norms are the rows of one tensor where they are written; read they are one vector in any case.
    pub head_norms: Option<usize>,
    /// Whether the matrices of all experts are stored in one tensor, inputs first or in MXFP4, as gpt-oss has them; whoever reads a
    /// checkpoint takes them apart before the other rules apply.
    pub stacked_experts: bool,
    /// Parts of other models that the file holds, too, by the name that comes first or behind `model.`.
    pub others: &'static [&'static str],
    /// Ends of stored names that are no weights.
    pub computed: &'static [&'static str],
}

/// Tensors that make up one parameter, counted in their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The part of the name behind which the number stands.
    pub marker: &'static str,
    /// Numbers in each.
    pub count: usize,
}

/// A tensor whose rows are those of several parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    stored: &'static str,
    parts: Vec<(&'static str, Rows)>,
}

impl Split {
    /// Of tensors whose name has `stored`; it becomes the names in `parts`, whose rows are given.
    pub fn new(stored: &'static str, parts: &[(&'static str, Rows)]) -> Self {
        Self { stored, parts: parts.to_vec() }
    }

    /// The part of the stored name.
    pub fn stored(&self) -> &'static str {
        self.stored
    }
}

/// Some rows of a stored tensor: from `first` on `count`, and so on every `stride` rows, `groups` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// The first row.
    pub first: usize,
    /// Neighboring rows.
    pub count: usize,
    /// From the beginning of one group to that of the next.
    pub stride: usize,
    /// Groups.
    pub groups: usize,
}

impl Rows {
    /// Neighboring rows.
    pub fn range(first: usize, count: usize) -> Self {
        Self { first, count, stride: 0, groups: 1 }
    }

    fn indices(self) -> impl Iterator<Item = usize> {
        (0..self.groups).flat_map(move |group| (0..self.count).map(move |row| self.first + group * self.stride + row))
    }
}

/// Heads of which the first `dim` numbers are rotated in neighboring pairs, where we rotate halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interleaved {
    /// Width of a head.
    pub head_dim: usize,
    /// Numbers of it that are rotated.
    pub dim: usize,
}

impl Interleaved {
    /// The place, as stored, of what stands at `row` here: first the even numbers of the rotated part, then the odd ones.
    pub fn stored(self, row: usize) -> usize {
        let (head, at) = (row / self.head_dim * self.head_dim, row % self.head_dim);
        let half = self.dim / 2;
        head + match at {
            at if at < half => 2 * at,
            at if at < self.dim => 2 * (at - half) + 1,
            at => at,
        }
    }
}

/// What a stored tensor gives to a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The parameter's path in a [`crate::Transformer`].
    pub path: String,
    /// Its place among the pieces of that parameter.
    pub order: usize,
    /// Whether it is stored with the inputs first.
    pub transposed: bool,
    /// The rows, of the transposed one where it is so, in order; `None` is all.
    pub rows: Option<Vec<usize>>,
    /// Whether 1 is added.
    pub plus_one: bool,
    /// Whether its numbers are taken as a vector, whatever dimensions are stored.
    pub flat: bool,
}

impl Piece {
    /// Whether the stored tensor is the parameter.
    pub fn is_whole(&self) -> bool {
        !self.transposed && self.rows.is_none() && !self.plus_one && !self.flat && self.order == 0
    }
}

impl Layout {
    /// What the tensor `stored` of the dimensions `shape` holds; nothing where it is no weight.
    pub fn pieces(&self, stored: &str, shape: &[usize]) -> Vec<Piece> {
        if self.is_computed(stored) {
            return Vec::new();
        }
        let bare = ["model.", "transformer.", "gpt_neox."].iter().find_map(|prefix| stored.strip_prefix(prefix)).unwrap_or(stored);
        let mut name = format!(".{bare}.");
        for (theirs, ours) in self.renames {
            name = name.replace(theirs, ours);
        }
        let order = self.take_number(&mut name);
        let split = self.splits.iter().find(|split| name.contains(split.stored));
        match split {
            Some(split) => {
                split.parts.iter().map(|(part, rows)| self.piece(&name.replace(split.stored, part), order, Some(*rows), shape)).collect()
            }
            None => vec![self.piece(&name, order, None, shape)],
        }
    }

    /// Whether the tensor `stored` is written although it is no weight.
    pub fn is_computed(&self, stored: &str) -> bool {
        self.computed.iter().any(|end| stored.ends_with(end))
    }

    /// The part of another model that the tensor `stored` belongs to.
    pub fn other(&self, stored: &str) -> Option<&'static str> {
        let first = stored.strip_prefix("model.").unwrap_or(stored).split('.').next();
        self.others.iter().find(|other| Some(**other) == first).copied()
    }

    /// Takes `.norms.3.` out of a name and returns 3.
    fn take_number(&self, name: &mut String) -> usize {
        let Some((before, after)) = self.numbered.and_then(|numbered| name.split_once(numbered.marker)) else { return 0 };
        let Some((number, rest)) = after.split_once('.') else { return 0 };
        let Ok(number) = number.parse() else { return 0 };
        *name = format!("{before}.{rest}");
        number
    }

    /// The piece for the parameter that is called `name`, with points around it.
    fn piece(&self, name: &str, order: usize, rows: Option<Rows>, shape: &[usize]) -> Piece {
        let path = name.trim_matches('.').to_owned();
        let transposed = shape.len() == 2 && self.transposed.iter().any(|end| name.ends_with(&format!("{end}.")));
        let is_norm = path.ends_with("norm.weight");
        let flat = shape.len() > 1 && is_norm;
        let turned = [".q_proj.", ".k_proj.", ".q_norm.", ".k_norm."].iter().any(|part| name.contains(part));
        let all = if flat { shape.iter().product() } else { shape.get(usize::from(transposed)).copied().unwrap_or(0) };
        // One more than there can be shows whoever checks them that there are too few, however many a configuration asks for.
        let mut rows = rows.map(|rows| rows.indices().take(all + 1).collect::<Vec<_>>());
        if let Some(interleaved) = self.interleaved.filter(|_| turned) {
            let stored = rows.unwrap_or_else(|| (0..all).collect());
            rows = Some((0..stored.len()).filter_map(|row| stored.get(interleaved.stored(row)).copied()).collect());
        }
        Piece { path, order, transposed, rows, plus_one: self.one_plus_norms && is_norm, flat }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_renamed_and_cut_into_their_rows() {
        let layout = Layout {
            renames: &[(".h.", ".layers."), (".attn.", ".self_attn.")],
            splits: vec![Split::new(
                ".c_attn.",
                &[(".q_proj.", Rows::range(0, 2)), (".k_proj.", Rows { first: 2, count: 1, stride: 2, groups: 2 })],
            )],
            transposed: &[".q_proj.weight"],
            ..Layout::default()
        };
        let [q, k] = &layout.pieces("transformer.h.0.attn.c_attn.weight", &[3, 6])[..] else { panic!("two pieces") };
        assert_eq!((q.path.as_str(), q.transposed, &q.rows), ("layers.0.self_attn.q_proj.weight", true, &Some(vec![0, 1])));
        assert_eq!((k.path.as_str(), k.transposed, &k.rows), ("layers.0.self_attn.k_proj.weight", false, &Some(vec![2, 4])));
        assert!(layout.pieces("lm_head.weight", &[3, 6])[0].is_whole());
    }

    #[test]
    fn a_language_model_is_found_among_other_parts() {
        let layout = Layout {
            renames: &[(".language_model.model.", "."), (".language_model.", ".")],
            others: &["vision_tower"],
            ..Layout::default()
        };
        for stored in ["language_model.model.layers.3.mlp.up_proj.weight", "model.language_model.layers.3.mlp.up_proj.weight"] {
            assert_eq!(layout.pieces(stored, &[4, 4])[0].path, "layers.3.mlp.up_proj.weight");
        }
        for stored in ["language_model.lm_head.weight", "lm_head.weight"] {
            assert_eq!(layout.pieces(stored, &[4, 4])[0].path, "lm_head.weight");
        }
        let others =
            ["vision_tower.x.weight", "model.vision_tower.x.weight", "model.layers.0.vision_tower.weight"].map(|name| layout.other(name));
        assert_eq!(others, [Some("vision_tower"), Some("vision_tower"), None]);
    }

    #[test]
    fn neighboring_pairs_become_halves() {
        let layout = Layout { interleaved: Some(Interleaved { head_dim: 6, dim: 4 }), ..Layout::default() };
        let pieces = layout.pieces("model.layers.0.self_attn.k_proj.bias", &[12]);
        assert_eq!(pieces[0].rows, Some(vec![0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11]));
    }

    #[test]
    fn norms_of_heads_are_put_together_and_norms_get_their_one() {
        let layout = Layout { numbered: Some(Numbered { marker: ".norms.", count: 8 }), one_plus_norms: true, ..Layout::default() };
        let piece = &layout.pieces("model.layers.0.self_attn.q_norm.norms.3.weight", &[8])[0];
        assert_eq!((piece.path.as_str(), piece.order, piece.plus_one), ("layers.0.self_attn.q_norm.weight", 3, true));
    }
}
