//! The packed cache: weights as they lie in memory, written at the first load of a quantized model and mapped at the next ones.
//!
//! A mapped load reads, packs and copies nothing, and the weights are no anonymous memory: the system drops and reads them as it
//! needs. What is wrong with the cache, a full disk or a damaged file, is said and never fails a load. Bytes of a file that rot on
//! the disk are not noticed, as to look for them would be to read all of it.
//!
//! Embedded models are not cached, as they are in memory already and small.

mod file;
mod key;
mod map;
mod store;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, TensorData};
use serde_json::Value;

pub use self::file::Slot;
use self::file::{Label, Mapped, Plan, Writer};
pub use self::store::{CacheEntry, PackedCache};
use super::options::{LoadOptions, Progress, Stage, require_uncancelled};
use super::resident::computes_in_place;
use super::source::{Blob, WeightSource};
use crate::{Error, Result};

/// What the packed cache did for a load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheReport {
    /// The file that the weights are mapped from.
    pub mapped: Option<PathBuf>,
    /// The file that they were written to.
    pub written: Option<PathBuf>,
    /// What went wrong; the load did without.
    pub notices: Vec<String>,
}

/// The packed weights of one load: mapped, being written, or neither.
pub(super) struct Packed {
    state: State,
    report: CacheReport,
}

enum State {
    Off,
    Mapped(Mapped, Plan),
    New(Box<Writer>, PathBuf),
}

impl Packed {
    /// No cache.
    pub fn off() -> Self {
        Self { state: State::Off, report: CacheReport::default() }
    }

    /// Looks for the weights that `slots` describe, which `source` and `config` would fill; `path` names the model.
    ///
    /// # Errors
    ///
    /// A source that cannot be read, and [`Error::Cancelled`]; never the cache.
    pub fn open(
        source: &dyn WeightSource,
        path: &Path,
        config: &Value,
        slots: Vec<Slot>,
        format: String,
        options: &LoadOptions,
    ) -> Result<Self> {
        let Some(cache) = options.cache.as_ref().filter(|_| is_mappable(&options.device)) else { return Ok(Self::off()) };
        let sources = source.blobs();
        if sources.is_empty() || sources.iter().any(|source| matches!(source, Blob::Memory { .. })) {
            return Ok(Self::off());
        }
        let mut packed = Self::off();
        if let Err(error) = cache.create() {
            packed.notice(format!("packed weights are not cached: {error}"));
            return Ok(packed);
        }
        let plan = Plan::new(slots);
        let total_bytes = sources.iter().map(|source| source.len()).sum();
        let mut bytes = 0;
        let mut step = |more: u64| {
            bytes += more;
            if let Some(progress) = options.progress {
                progress(&Progress { stage: Stage::Hashing, bytes, total_bytes, ..Progress::default() });
            }
            require_uncancelled(options.cancel)
        };
        let (key, failure) = key::key(cache.folder(), &sources, config, &plan, &mut step)?;
        if let Some(error) = failure {
            packed.notice(format!("packed cache: the next start will read all weights again: {error}"));
        }
        let file = cache.file(&key);
        if file.symlink_metadata().is_ok() {
            match file::open(&file, &key, &plan) {
                Ok(mapped) => {
                    packed.state = State::Mapped(mapped, plan);
                    packed.report.mapped = Some(file);
                    return Ok(packed);
                }
                Err(reason) => packed.notice(format!("packed cache: {} is written again: {reason}", file.display())),
            }
            // What is no file cannot be replaced by one.
            drop(std::fs::remove_dir(&file));
        }
        let label = Label { model: name(path), format };
        let room = cache.make_room(Writer::size(&key, &label, &plan));
        match room.and_then(|()| Writer::create(&file, &key, &label, plan).map_err(|error| error.to_string())) {
            Ok(writer) => packed.state = State::New(Box::new(writer), file),
            Err(reason) => packed.notice(format!("packed weights are not cached: {reason}")),
        }
        Ok(packed)
    }

    /// Whether the weights are mapped.
    pub fn is_mapped(&self) -> bool {
        matches!(self.state, State::Mapped(..))
    }

    /// The mapped tensor `name`; `None` where it has to be made.
    pub fn tensor(&self, name: &str) -> Option<TensorData> {
        if let State::Mapped(mapped, plan) = &self.state { mapped.tensor(plan, name) } else { None }
    }

    /// Takes a tensor that was made.
    pub fn put(&mut self, name: &str, data: &TensorData) {
        let State::New(writer, _) = &mut self.state else { return };
        if let Err(error) = writer.put(name, data) {
            self.fail(&error);
        }
    }

    /// Bytes of the file that is being written; 0 where none is.
    pub fn bytes(&self) -> u64 {
        if let State::New(writer, _) = &self.state { writer.len() } else { 0 }
    }

    /// Completes the file, if one is written.
    pub fn finish(mut self) -> CacheReport {
        match std::mem::replace(&mut self.state, State::Off) {
            State::New(writer, path) => match writer.finish() {
                Ok(()) => self.report.written = Some(path),
                Err(error) => self.fail(&error),
            },
            State::Off | State::Mapped(..) => {}
        }
        self.report
    }

    fn fail(&mut self, error: &Error) {
        self.state = State::Off;
        self.notice(format!("packed weights are not cached: {error}"));
    }

    fn notice(&mut self, text: String) {
        self.report.notices.push(text);
    }
}

/// Whether `device` computes on mapped memory in place.
fn is_mappable(device: &Device) -> bool {
    computes_in_place(device) && cfg!(target_endian = "little")
}

/// The last part of where the model lies.
fn name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}
