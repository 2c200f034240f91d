//! One packed matrix: its tensors, and the numbers in them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{DType, TensorData};
use half::f16;
use llm_model::ops::threads;
use llm_model::quant::{BLOCK, QuantFormat, RowsMut};

use super::super::source::{TensorInfo, WeightSource};
use super::layout::{Method, Packing, awq_place};
use crate::{Error, Result};

/// Outputs that one thread unpacks at a time; whole words of every layout.
const STRIP: usize = 64;

/// The tensors of a matrix.
#[derive(Debug)]
pub struct Parts {
    /// Their names without what each is.
    stem: String,
    packing: Packing,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub width: usize,
    /// Inputs of a group.
    group: usize,
    has_order: bool,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The file that has the numbers.
    pub file: Arc<Path>,
}

impl Parts {
    /// The matrix `stem` of a checkpoint with these tensors.
    ///
    /// # Errors
    /// Tensors that are missing, or do not belong together.
    pub fn new(stem: &str, tensors: &HashMap<&str, &TensorInfo>, packing: Packing) -> Result<Self> {
        let found = |part: &str| tensors.get(format!("{stem}.{part}").as_str()).copied();
        let weights = found("qweight").map(|info| (info.file.clone(), info.shape.clone(), info.dtype));
        let (file, shape, dtype) = weights.unwrap_or((Path::new("").into(), Vec::new(), DType::I32));
        let wrong = |part: &str, got: String, expected: String| {
            Error::invalid(&file, format!("tensor `{stem}.{part}`"), got, expected)
                .with_hint("quantization_config and the weights do not belong together, or the download is incomplete")
        };
        let per_word = packing.per_word();
        let [rows, width] = match (packing.method, &shape[..]) {
            (Method::Gptq { .. }, [words, outputs]) if words * outputs > 0 => [*outputs, words * per_word],
            (Method::Awq, [inputs, words]) if words * inputs > 0 => [words * per_word, *inputs],
            _ => return Err(wrong("qweight", format!("{shape:?}"), "a matrix".to_owned())),
        };
        let group = packing.group.unwrap_or(width).min(width);
        let groups = width.div_ceil(group);
        if !rows.is_multiple_of(per_word) {
            return Err(wrong("qweight", format!("{rows} outputs"), format!("a multiple of {per_word}")));
        }
        let mut bytes = 0;
        let mut part = |part: &str, dtypes: &[DType], expected: &[usize]| {
            let Some(info) = found(part) else { return Err(wrong(part, "nothing".to_owned(), format!("a tensor {expected:?}"))) };
            bytes += info.bytes;
            if info.shape == expected && dtypes.contains(&info.dtype) {
                return Ok(());
            }
            let names: Vec<_> = dtypes.iter().map(|dtype| dtype.name()).collect();
            Err(wrong(part, format!("{} {:?}", info.type_name(), info.shape), format!("{} {expected:?}", names.join(" or "))))
        };
        part("qweight", &[DType::I32], &shape)?;
        part("qzeros", &[DType::I32], &[groups, rows / per_word])?;
        part("scales", &[DType::F16, DType::BF16, DType::F32], &[groups, rows])?;
        let has_order = found("g_idx").is_some();
        if has_order {
            part("g_idx", &[DType::I32], &[width])?;
        }
        debug_assert_eq!(dtype, DType::I32);
        Ok(Self { stem: stem.to_owned(), packing, rows, width, group, has_order, bytes, file: file.clone() })
    }

    /// The format of ours that has exactly its numbers, or what it is called where there is none and it is widened.
    ///
    /// # Errors
    /// Tensors that cannot be read, and groups that there are not.
    pub fn held(&self, source: &dyn WeightSource, keep: bool) -> Result<std::result::Result<QuantFormat, &'static str>> {
        let name = |gptq: &'static str, awq: &'static str| if self.packing.method == Method::Awq { awq } else { gptq };
        let order = self.order(source)?;
        if order.iter().enumerate().any(|(input, group)| *group != input / self.group) {
            return Ok(Err(name("gptq-act-order", "awq-act-order")));
        }
        if self.group < self.width && !self.group.is_multiple_of(BLOCK) {
            return Ok(Err(name("gptq-odd-groups", "awq-odd-groups")));
        }
        if !keep {
            return Ok(Err(name("gptq-joined", "awq-joined")));
        }
        if self.scales_dtype(source) != Some(DType::F16) {
            return Ok(Err(name("gptq-wide-scales", "awq-wide-scales")));
        }
        let zeros = self.zeros(source)?;
        let (least, most) = zeros.iter().fold((u16::MAX, 0), |(least, most), zero| (least.min(*zero), most.max(*zero)));
        let (low, high) = (-i32::from(most), (1 << self.packing.bits) - 1 - i32::from(least));
        let fits = |format: &QuantFormat| {
            let zero = i32::from(format.zero());
            low >= -zero && high < (1 << format.bits()) - zero
        };
        Ok([QuantFormat::Int4, QuantFormat::Int5, QuantFormat::Int8]
            .into_iter()
            .find(fits)
            .ok_or(name("gptq-zero-points", "awq-zero-points")))
    }

    fn tensor(&self, source: &dyn WeightSource, part: &str) -> Result<TensorData> {
        source.read(&format!("{}.{part}", self.stem))
    }

    fn scales_dtype(&self, source: &dyn WeightSource) -> Option<DType> {
        let name = format!("{}.scales", self.stem);
        source.tensors().iter().find(|info| info.name == name).map(|info| info.dtype)
    }

    fn words(&self, source: &dyn WeightSource, part: &str) -> Result<Vec<u32>> {
        let words = self.tensor(source, part)?;
        Ok(words.as_bytes().chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect())
    }

    /// The group of each input.
    fn order(&self, source: &dyn WeightSource) -> Result<Vec<usize>> {
        if !self.has_order {
            return Ok((0..self.width).map(|input| input / self.group).collect());
        }
        let groups = self.width.div_ceil(self.group);
        let order = self.words(source, "g_idx")?;
        match order.iter().position(|group| *group as usize >= groups) {
            Some(input) => {
                let field = format!("tensor `{}.g_idx` at [{input}]", self.stem);
                Err(Error::invalid(&self.file, field, order[input] as i32, format!("a group from 0 to {}", groups - 1)))
            }
            None => Ok(order.into_iter().map(|group| group as usize).collect()),
        }
    }

    /// The zero points, `[groups, rows]`.
    fn zeros(&self, source: &dyn WeightSource) -> Result<Vec<u16>> {
        Ok(self.words(source, "qzeros")?.into_iter().flat_map(|word| self.packing.zeros(word)).collect())
    }

    /// All numbers.
    ///
    /// # Errors
    /// Tensors that cannot be read.
    pub fn read(&self, source: &dyn WeightSource) -> Result<Numbers> {
        let scales = self.tensor(source, "scales")?;
        Ok(Numbers {
            rows: self.rows,
            width: self.width,
            packing: self.packing,
            words: self.words(source, "qweight")?,
            scales: scales.iter::<f32>().collect(),
            zeros: self.zeros(source)?,
            order: self.order(source)?,
        })
    }
}

/// The numbers of a matrix.
pub struct Numbers {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub width: usize,
    packing: Packing,
    /// As stored.
    words: Vec<u32>,
    /// `[groups, rows]`.
    scales: Vec<f32>,
    /// `[groups, rows]`.
    zeros: Vec<u16>,
    /// The group of each input.
    order: Vec<usize>,
}

impl Numbers {
    /// The weights, `[rows, width]`: s·(q − z), rounded once.
    pub fn widened(&self) -> Vec<f32> {
        let mut weights = vec![0.0; self.rows * self.width];
        self.fill(&mut weights, |row, input, value| {
            let at = self.order[input] * self.rows + row;
            self.scales[at] * (f32::from(value) - f32::from(self.zeros[at]))
        });
        weights
    }

    /// The same rows from `first` on in a format that has these numbers, whose blocks lie within groups.
    pub fn put(&self, first: usize, out: RowsMut) {
        let (shape, zero) = (out.shape, out.shape.format.zero());
        for block in 0..shape.blocks() {
            let inputs = block * BLOCK..shape.width.min(block * BLOCK + BLOCK);
            let group = self.order[inputs.start] * self.rows + first;
            for row in 0..shape.rows {
                // What the format takes off each, less what the group does; both are bytes, and so is the sum of them and the number.
                let more = zero.wrapping_sub(self.zeros[group + row] as u8);
                let values = &mut out.values[row * shape.width..][inputs.clone()];
                self.numbers(first + row, inputs.start, values);
                values.iter_mut().for_each(|value| *value = value.wrapping_add(more));
                out.scales[row * shape.blocks() + block] = f16::from_f32(self.scales[group + row]);
            }
        }
    }

    /// The numbers of `row` from `input` on, of whole words.
    fn numbers(&self, row: usize, input: usize, out: &mut [u8]) {
        let (packing, per_word) = (self.packing, self.packing.per_word());
        match packing.method {
            Method::Gptq { .. } => {
                for (word, out) in (input / per_word..).zip(out.chunks_mut(per_word)) {
                    let word = self.words[word * self.rows + row];
                    out.iter_mut().enumerate().for_each(|(place, number)| *number = packing.number(word, place) as u8);
                }
            }
            Method::Awq => {
                let (words, place) = (self.rows / per_word, awq_place(row % per_word));
                let column = self.words[input * words + row / per_word..].iter().step_by(words);
                out.iter_mut().zip(column).for_each(|(number, word)| *number = packing.number(*word, place) as u8);
            }
        }
    }

    /// Fills `out [rows, width]` with what `each` makes of row, input and number, on all threads.
    fn fill<T: Send>(&self, out: &mut [T], each: impl Fn(usize, usize, u16) -> T + Sync) {
        let strips: Vec<_> = out.chunks_mut(STRIP * self.width).map(Mutex::new).collect();
        threads::for_each(strips.len(), |strip| {
            let mut out = strips[strip].lock().unwrap_or_else(PoisonError::into_inner);
            let rows = strip * STRIP..(strip * STRIP + STRIP).min(self.rows);
            for input in 0..self.width {
                for row in rows.clone() {
                    out[(row - rows.start) * self.width + input] = each(row, input, self.number(row, input));
                }
            }
        });
    }

    fn number(&self, row: usize, input: usize) -> u16 {
        let per_word = self.packing.per_word();
        match self.packing.method {
            Method::Gptq { .. } => self.packing.number(self.words[input / per_word * self.rows + row], input % per_word),
            Method::Awq => self.packing.number(self.words[input * (self.rows / per_word) + row / per_word], awq_place(row % per_word)),
        }
    }
}
