//! Weights of a family that stores other tensors than a model has, shown as the model's: cut, transposed, put together.
//!
//! [`arch::layout`] says how; whoever reads the source sees one tensor for each parameter, under its name.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use burn::tensor::{DType, TensorData};
use llm_model::arch::{self, Layout, Piece};
use llm_model::quant::{QuantShape, RowsMut};

use super::rows::QuantRows;
use super::source::{Blob, TensorInfo, WeightSource};
use crate::{Error, Result};

/// A source whose tensors are made of those of another.
pub(super) struct Derived {
    source: Box<dyn WeightSource>,
    tensors: Vec<TensorInfo>,
    /// For each tensor the stored ones it is made of.
    parts: HashMap<String, Vec<Part>>,
    /// What was read last: the next tensor is often another part of it.
    last: Mutex<Option<(String, TensorData)>>,
}

/// A piece, and the stored tensor that it is of.
struct Part {
    stored: TensorInfo,
    piece: Piece,
}

impl Derived {
    /// The tensors of `source` as `layout` says.
    pub fn new(source: Box<dyn WeightSource>, layout: &Layout) -> Result<Self> {
        let mut order = Vec::new();
        let mut found: HashMap<String, BTreeMap<usize, Part>> = HashMap::new();
        for stored in source.tensors() {
            for piece in layout.pieces(&stored.name, &stored.shape) {
                let name = arch::tensor_name(&piece.path);
                let part = Part { stored: stored.clone(), piece };
                part.check()?;
                let parts = found.entry(name.clone()).or_insert_with(|| {
                    order.push(name);
                    BTreeMap::new()
                });
                if let Some(other) = parts.insert(part.piece.order, part) {
                    return Err(Error::invalid(
                        &stored.file,
                        format!("tensor `{}`", stored.name),
                        format!("what `{}` is", other.stored.name),
                        "one of them",
                    ));
                }
            }
        }
        let parts: HashMap<String, Vec<Part>> = found.into_iter().map(|(name, parts)| (name, parts.into_values().collect())).collect();
        let tensors = order.into_iter().map(|name| info(&parts[&name], name)).collect();
        Ok(Self { source, tensors, parts, last: Mutex::new(None) })
    }

    /// The stored tensor `name`.
    fn stored(&self, name: &str) -> Result<TensorData> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, data)) = last.as_ref().filter(|(held, _)| held == name) {
            return Ok(data.clone());
        }
        let data = self.source.read(name)?;
        *last = Some((name.to_owned(), data.clone()));
        Ok(data)
    }
}

/// What a tensor of `parts` looks like; those have one width and one type.
fn info(parts: &[Part], name: String) -> TensorInfo {
    let first = &parts[0].stored;
    let rows = parts.iter().map(|part| part.shape()[0]).sum();
    let mut shape = parts[0].shape();
    shape[0] = rows;
    let dtype = if parts[0].piece.plus_one { DType::F32 } else { first.dtype };
    // Its share of what is stored, in whatever form.
    let (elements, stored) = (shape.iter().product::<usize>(), first.elements().max(1));
    let bytes = (first.bytes as u128 * elements as u128 / stored as u128) as u64;
    TensorInfo { name, dtype, format: first.format, packing: first.packing, shape, bytes, file: first.file.clone() }
}

impl Part {
    /// Rows and width of the stored tensor as it is read: transposed, or as a vector.
    fn table(&self) -> [usize; 2] {
        let shape = &self.stored.shape;
        match shape[..] {
            [inputs, outputs] if self.piece.transposed => [outputs, inputs],
            _ if self.piece.flat => [shape.iter().product(), 1],
            _ => [shape.first().copied().unwrap_or(1), shape.iter().skip(1).product()],
        }
    }

    /// The dimensions of what it gives.
    fn shape(&self) -> Vec<usize> {
        let [all, width] = self.table();
        let rows = self.piece.rows.as_ref().map_or(all, Vec::len);
        if self.stored.shape.len() < 2 || self.piece.flat { vec![rows] } else { vec![rows, width] }
    }

    /// Refuses to be put together with numbers of another type.
    fn require_type_of(&self, other: &Self) -> Result<()> {
        let (stored, other) = (&self.stored, &other.stored);
        if (stored.dtype, stored.format) == (other.dtype, other.format) {
            return Ok(());
        }
        let got = format!("{} beside {} in `{}`", stored.type_name(), other.type_name(), other.name);
        Err(Error::invalid(&stored.file, format!("tensor `{}`", stored.name), got, "one type"))
    }

    /// Refuses rows that the stored tensor does not have, and packed ones that would have to be taken apart.
    fn check(&self) -> Result<()> {
        let rows = self.table()[0];
        if self.stored.format.is_some() && (self.piece.transposed || self.piece.flat || self.piece.plus_one) {
            let field = format!("tensor `{}`", self.stored.name);
            return Err(Error::invalid(&self.stored.file, field, self.stored.type_name(), format!("floats for `{}`", self.piece.path)));
        }
        match self.piece.rows.iter().flatten().max() {
            Some(last) if *last >= rows => {
                let expected = format!("at least {} rows for `{}`", last + 1, self.piece.path);
                Err(Error::invalid(
                    &self.stored.file,
                    format!("tensor `{}`", self.stored.name),
                    format!("{:?}", self.stored.shape),
                    expected,
                )
                .with_hint("config.json and the weights do not belong together"))
            }
            _ => Ok(()),
        }
    }

    /// Appends its numbers to `out`.
    fn append(&self, data: &TensorData, out: &mut Vec<u8>) {
        let ([rows, width], size) = (self.table(), self.stored.dtype.size());
        let bytes = data.as_bytes();
        let mut row = |row: usize| {
            if self.piece.transposed {
                (0..width).for_each(|column| out.extend_from_slice(&bytes[(column * rows + row) * size..][..size]));
            } else {
                out.extend_from_slice(&bytes[row * width * size..][..width * size]);
            }
        };
        match &self.piece.rows {
            Some(chosen) => chosen.iter().for_each(|index| row(*index)),
            None => (0..rows).for_each(row),
        }
    }
}

impl WeightSource for Derived {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let Some(parts) = self.parts.get(name) else { return self.source.read(name) };
        if let [part] = &parts[..]
            && part.piece.is_whole()
        {
            return self.source.read(&part.stored.name);
        }
        if parts[0].stored.format.is_some() {
            let matrix = self.read_quantized(name)?.matrix();
            return Ok(TensorData::new(matrix.dequantize(), [matrix.rows, matrix.width]));
        }
        let mut info = info(parts, name.to_owned());
        let stored = parts[0].stored.dtype;
        let mut bytes = Vec::with_capacity(info.elements() * stored.size());
        for part in parts {
            part.require_type_of(&parts[0])?;
            part.append(&self.stored(&part.stored.name)?, &mut bytes);
        }
        let shape = std::mem::take(&mut info.shape);
        let data = TensorData::from_bytes_vec(bytes, shape.clone(), stored);
        if !parts[0].piece.plus_one {
            return Ok(data);
        }
        Ok(TensorData::new(data.iter::<f32>().map(|w| 1.0 + w).collect::<Vec<_>>(), shape))
    }

    fn quantized_rows(&self, name: &str) -> Result<Box<dyn QuantRows + '_>> {
        let Some(parts) = self.parts.get(name) else { return self.source.quantized_rows(name) };
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            part.require_type_of(&parts[0])?;
            let rows = self.source.quantized_rows(&part.stored.name)?;
            pieces.push(RowsOf { rows, chosen: part.piece.rows.as_deref(), count: part.shape()[0] });
        }
        if let [part] = &parts[..]
            && part.piece.is_whole()
        {
            return Ok(pieces.remove(0).rows);
        }
        let shape = QuantShape { rows: pieces.iter().map(|piece| piece.count).sum(), ..pieces[0].rows.shape() };
        Ok(Box::new(DerivedRows { shape, pieces }))
    }

    fn blobs(&self) -> Vec<&Blob> {
        self.source.blobs()
    }
}

/// Rows of several quantized tensors, one behind the other.
struct DerivedRows<'a> {
    shape: QuantShape,
    pieces: Vec<RowsOf<'a>>,
}

/// Some rows of a stored tensor.
struct RowsOf<'a> {
    rows: Box<dyn QuantRows + 'a>,
    /// Which ones, in their order; `None` is all.
    chosen: Option<&'a [usize]>,
    count: usize,
}

impl RowsOf<'_> {
    /// The stored row that the row `index` is, and how many follow each other from there on, `most` at most.
    fn run(&self, index: usize, most: usize) -> (usize, usize) {
        let most = most.min(self.count - index);
        let Some(chosen) = self.chosen else { return (index, most) };
        let chosen = &chosen[index..index + most];
        (chosen[0], chosen.iter().zip(chosen[0]..).take_while(|(row, next)| *row == next).count())
    }
}

impl QuantRows for DerivedRows<'_> {
    fn shape(&self) -> QuantShape {
        self.shape
    }

    fn read(&self, first: usize, mut out: RowsMut, bytes: &mut Vec<u8>) -> Result<()> {
        let (mut begin, mut done) = (0, 0);
        for piece in &self.pieces {
            while done < out.shape.rows && first + done < begin + piece.count {
                let (row, count) = piece.run(first + done - begin, out.shape.rows - done);
                piece.rows.read(row, out.part(done..done + count), bytes)?;
                done += count;
            }
            begin += piece.count;
        }
        Ok(())
    }
}
