//! Writing a `.safetensors` file with quantized tensors, one tensor in memory at a time.
//!
//! All shapes are known before, so the header is written first and the place of the data reserved; a disk that is too small is
//! noticed at once. What was written is read back and compared.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use llm_model::quant::{QuantFormat, QuantMatrix, QuantShape, StoredMatrix};

use super::layout::{Layout, Slot};
use super::new_file::{named, reserve};
use super::safetensors::Safetensors;
use super::source::{TensorInfo, WeightSource};
use super::{notes, quantized};
use crate::{Error, Result};

/// A tensor that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    /// Its name.
    pub name: String,
    /// Its dimensions; two where it is quantized.
    pub shape: Vec<usize>,
    /// How it is stored.
    pub form: Form,
}

/// How a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// As it is.
    Plain(DType),
    /// As values and factors.
    Quantized(QuantFormat),
}

/// A file that is being written.
pub(crate) struct QuantizedFile {
    file: File,
    path: PathBuf,
    layout: Layout,
    /// The slot of each tensor.
    places: HashMap<String, usize>,
    /// What each slot was given, as a hash.
    written: Vec<Option<u64>>,
}

impl QuantizedFile {
    /// Starts the file `path` with these tensors.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], with the bytes that are needed where the disk is too small.
    pub fn create(path: &Path, planned: &[Planned]) -> Result<Self> {
        let layout = Self::layout(path, planned)?;
        let places = layout.slots.iter().enumerate().map(|(index, slot)| (slot.path.clone(), index)).collect();
        let file = File::create_new(path).map_err(|error| Error::io(path, error))?;
        let new = Self { file, path: path.to_owned(), written: vec![None; layout.slots.len()], layout, places };
        new.io(reserve(&new.file, new.bytes()))?;
        new.io((&new.file).write_all(&new.layout.header))?;
        Ok(new)
    }

    /// The bytes that the file with these tensors will have.
    ///
    /// # Errors
    ///
    /// Two tensors of one name.
    pub fn planned_bytes(planned: &[Planned]) -> Result<u64> {
        let layout = Self::layout(Path::new("model.safetensors"), planned)?;
        Ok(layout.header.len() as u64 + layout.data_bytes)
    }

    fn layout(path: &Path, planned: &[Planned]) -> Result<Layout> {
        let (mut slots, mut shapes) = (Vec::new(), Vec::new());
        let mut slot = |name: String, dtype: DType, shape: Vec<usize>| {
            let bytes = (shape.iter().product::<usize>() * dtype.size()) as u64;
            slots.push(Slot {
                path: name.clone(),
                info: TensorInfo { name, dtype, shape, bytes, format: None, packing: None, file: path.into() },
                begin: 0,
            });
        };
        for Planned { name, shape, form } in planned {
            match *form {
                Form::Plain(dtype) => slot(name.clone(), dtype, shape.clone()),
                Form::Quantized(format) => {
                    let shape = QuantShape { format, rows: shape[0], width: shape[1] };
                    quantized::parts(name, shape).into_iter().for_each(|(part, dtype, dims)| slot(part, dtype, dims.to_vec()));
                    shapes.push((name.clone(), shape));
                }
            }
        }
        Layout::new(slots, notes::write(&shapes))
    }

    /// Bytes of the whole file.
    pub fn bytes(&self) -> u64 {
        self.layout.header.len() as u64 + self.layout.data_bytes
    }

    /// Writes the tensor `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    ///
    /// # Panics
    ///
    /// When no such tensor was planned.
    pub fn put(&mut self, name: &str, data: &TensorData) -> Result<()> {
        let index = self.places[name];
        let Slot { info, begin, .. } = &self.layout.slots[index];
        let bytes = data.as_bytes();
        assert!(data.dtype() == info.dtype && bytes.len() as u64 == info.bytes, "`{name}` is not as planned");
        let place = SeekFrom::Start(self.layout.header.len() as u64 + begin);
        self.io((&self.file).seek(place).and_then(|_| (&self.file).write_all(bytes)))?;
        self.written[index] = Some(hash(bytes));
        Ok(())
    }

    /// Writes the quantized tensor `name`, once it was seen that it unpacks to `matrix` again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and scales or minima that f16 cannot hold.
    ///
    /// # Panics
    ///
    /// When no such tensor was planned.
    pub fn put_matrix(&mut self, name: &str, matrix: &QuantMatrix) -> Result<()> {
        let stored = StoredMatrix::from(matrix);
        stored.check().map_err(|flaw| {
            let field = format!("tensor `{name}`: {} at [{}, {}]", flaw.part, flaw.row, flaw.place);
            Error::invalid(&self.path, field, format!("`{}`", flaw.got), flaw.expected)
                .with_hint("its weights are too large for scales in f16")
        })?;
        assert!(stored.matrix() == *matrix, "`{name}` does not unpack to what was packed");
        let QuantShape { rows, .. } = stored.shape;
        let (bytes, factors, blocks) = (stored.shape.row_bytes(), stored.shape.scales(), stored.shape.blocks());
        self.put(&format!("{name}{}", quantized::VALUES), &TensorData::new(stored.values, [rows, bytes]))?;
        if stored.shape.format.has_exponents() {
            self.put(&format!("{name}{}", quantized::EXPONENTS), &TensorData::new(stored.exponents, [rows, factors]))?;
        } else {
            self.put(&format!("{name}{}", quantized::SCALES), &TensorData::new(stored.scales, [rows, factors]))?;
        }
        if stored.shape.format.has_minima() {
            self.put(&format!("{name}{}", quantized::MINIMA), &TensorData::new(stored.minima, [rows, factors]))?;
        }
        if stored.shape.format.steps().is_some() {
            let steps = stored.steps.into_flattened();
            self.put(&format!("{name}{}", quantized::STEPS), &TensorData::new(steps, [rows, 2 * blocks]))?;
        }
        Ok(())
    }

    /// Flushes the file to the disk, and compares what it holds with what was written; `tell` is given the bytes of each tensor.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], a file that does not hold what was written, and what `tell` returns.
    ///
    /// # Panics
    ///
    /// When a planned tensor was not written.
    pub fn finish(self, tell: &dyn Fn(u64) -> Result<()>) -> Result<u64> {
        self.io(self.file.sync_all())?;
        let file = Safetensors::open(&self.path)?;
        for (Slot { info, .. }, written) in self.layout.slots.iter().zip(&self.written) {
            let written = written.unwrap_or_else(|| panic!("`{}` was not written", info.name));
            if hash(file.read(&info.name)?.as_bytes()) != written {
                let expected = "those that were written";
                return Err(Error::invalid(&self.path, format!("tensor `{}`", info.name), "other bytes", expected)
                    .with_hint("the disk does not keep what it is given"));
            }
            tell(info.bytes)?;
        }
        quantized::joined(file)?;
        Ok(self.bytes())
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|error| Error::io(&self.path, named(error, self.bytes())))
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let weights: Vec<f32> = (0..3 * 40).map(|i| i as f32 - 60.0).collect();
        let planned = [
            Planned { name: "a.weight".into(), shape: vec![3, 40], form: Form::Quantized(QuantFormat::Int4Asymmetric) },
            Planned { name: "norm".into(), shape: vec![2], form: Form::Plain(DType::F32) },
        ];
        let matrix = QuantMatrix::nearest(QuantFormat::Int4Asymmetric, &weights, 40);
        let mut file = QuantizedFile::create(&path, &planned).unwrap();
        file.put_matrix("a.weight", &matrix).unwrap();
        file.put("norm", &TensorData::new(vec![1.0f32, 2.0], [2])).unwrap();
        let bytes = file.finish(&|_| Ok(())).unwrap();
        assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
        let source = quantized::joined(Safetensors::open(&path).unwrap()).unwrap();
        let names: Vec<_> = source.tensors().iter().map(|info| (info.name.as_str(), info.type_name(), info.shape.clone())).collect();
        assert_eq!(names, [("norm", "f32".into(), vec![2]), ("a.weight", "int4-asymmetric".into(), vec![3, 40])]);
        assert_eq!(source.read_quantized("a.weight").unwrap().matrix(), matrix);
        assert_eq!(source.read("a.weight").unwrap().try_into_vec::<f32>().unwrap(), matrix.dequantize());
        assert!(source.read_quantized("norm").is_err());
    }

    #[test]
    fn f59_a_full_disk_names_the_bytes() {
        let error = named(io::ErrorKind::StorageFull.into(), 1234);
        assert!(error.to_string().ends_with(": the file needs 1234 bytes"), "{error}");
        #[cfg(target_os = "linux")]
        assert!(reserve(&File::create(tempfile::tempdir().unwrap().path().join("x")).unwrap(), 1 << 60).is_err());
    }
}
