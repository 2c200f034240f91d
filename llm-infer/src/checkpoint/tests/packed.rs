//! The packed cache: what is mapped is what was made, and whatever is wrong with the cache, the model loads.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use burn::tensor::{Int, TensorData};
use llm_model::{LogitsAt, TransformerBlock};

use super::*;
use crate::quantize::{Method, QuantizeOptions, quantize};

/// A fixture that a test may change, and a cache.
struct Place {
    folder: TempDir,
}

impl Place {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model");
        fs::create_dir(&model).unwrap();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
        }
        Self { folder }
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    fn cache(&self) -> PackedCache {
        PackedCache::new(self.folder.path().join("deep/cache"))
    }

    fn load(&self, scheme: Option<Scheme>, cache: Option<PackedCache>) -> (Vec<u32>, LoadReport) {
        load(&self.model(), scheme, cache)
    }

    /// Loads with the cache as int4.
    fn int4(&self) -> (Vec<u32>, LoadReport) {
        self.load(Some(Scheme::INT4), Some(self.cache()))
    }

    /// The only file in the cache.
    fn file(&self) -> PathBuf {
        let entries = self.cache().entries().unwrap();
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        entry.path.clone()
    }
}

/// The bits of some logits, and how the model was loaded.
fn load(model: &Path, quantize: Option<Scheme>, cache: Option<PackedCache>) -> (Vec<u32>, LoadReport) {
    let options = LoadOptions { quantize, cache, ..LoadOptions::new(&Device::flex()) };
    let (network, report) = Checkpoint::open(model).unwrap().load::<TransformerBlock>(&options).unwrap();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(vec![1, 17, 4, 200, 33], [1, 5]), &Device::flex());
    let logits = network.forward_step(tokens, &[5], &LogitsAt::All, None).into_data();
    (logits.iter::<f32>().map(f32::to_bits).collect(), report)
}

fn is_written(report: &LoadReport) -> bool {
    report.cache.written.is_some() && report.cache.mapped.is_none()
}

fn is_mapped(report: &LoadReport) -> bool {
    report.cache.mapped.is_some() && report.cache.written.is_none() && report.cache.notices.is_empty()
}

/// Everything of a report but how it came about.
fn what(report: &LoadReport) -> LoadReport {
    LoadReport { bytes_read: 0, seconds: 0.0, cache: CacheReport::default(), ..report.clone() }
}

#[test]
fn the_second_load_is_mapped_and_gives_the_same_bits() {
    for name in ["llama", "qwen2-sharded", "llama-biases", "llama-tied-llama3"] {
        let place = Place::of(name);
        for scheme in [Scheme::INT8, Scheme::INT4] {
            let (exact, plain) = place.load(Some(scheme), None);
            let (first, written) = place.load(Some(scheme), Some(place.cache()));
            let (second, mapped) = place.load(Some(scheme), Some(place.cache()));
            assert!(exact == first && first == second, "{name} {scheme}");
            assert!(is_written(&written) && is_mapped(&mapped), "{name} {scheme}: {:?} {:?}", written.cache, mapped.cache);
            assert_eq!((written.cache.notices.len(), mapped.bytes_read), (0, 0));
            assert!(what(&plain) == what(&written) && what(&written) == what(&mapped), "{name}: {mapped:?}");
        }
        let entries = place.cache().entries().unwrap();
        let mut formats: Vec<_> = entries.iter().map(|entry| (entry.model.as_deref(), entry.format.as_deref())).collect();
        formats.sort_unstable();
        assert_eq!(formats, [(Some("model"), Some("int4")), (Some("model"), Some("int8"))]);
    }
}

#[test]
fn a_quantized_folder_is_mapped_too() {
    let (place, device) = (Place::of("llama"), Device::flex());
    let out = place.folder.path().join("out");
    let scheme = Scheme::new(QuantFormat::Int4Asymmetric);
    let options = QuantizeOptions {
        scheme,
        method: Method::Rtn,
        calibration: None,
        budget: None,
        force: false,
        device,
        progress: None,
        cancel: None,
    };
    quantize(&place.model().to_string_lossy(), &out, &options).unwrap();
    let (exact, _) = load(&out, None, None);
    let (first, written) = load(&out, None, Some(place.cache()));
    let (second, mapped) = load(&out, None, Some(place.cache()));
    assert!(exact == first && first == second && is_written(&written) && is_mapped(&mapped));
    assert_eq!(place.cache().entries().unwrap()[0].format.as_deref(), Some("int4-asymmetric"));
}

#[test]
fn what_is_not_packed_or_computed_elsewhere_is_not_cached() {
    let place = Place::of("llama");
    let (_, report) = place.load(None, Some(place.cache()));
    assert_eq!(report.cache, CacheReport::default());
    let device = Device::flex().autodiff();
    let options = LoadOptions { quantize: Some(Scheme::INT8), cache: Some(place.cache()), ..LoadOptions::new(&device) };
    let (_, report) = Checkpoint::open(place.model()).unwrap().load::<TransformerBlock>(&options).unwrap();
    assert_eq!((report.cache, place.cache().entries().unwrap()), (CacheReport::default(), Vec::new()));
}

#[test]
fn another_content_or_configuration_is_another_model() {
    let place = Place::of("llama");
    let (old, _) = place.int4();
    // A weight changes, and neither length nor time of the file does.
    let weights = place.model().join("model.safetensors");
    let time = fs::metadata(&weights).unwrap().modified().unwrap();
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&3.5f32.to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    File::options().write(true).open(&weights).unwrap().set_modified(time).unwrap();
    let (new, report) = place.int4();
    assert!(is_written(&report) && new != old);
    assert_eq!(new, place.load(Some(Scheme::INT4), None).0);
    // The shapes stay, and the frequencies do not.
    let config = place.model().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("5000.0", "7000.0")).unwrap();
    let (turned, report) = place.int4();
    assert!(is_written(&report) && turned != new);
    fs::write(&config, text).unwrap();
    assert!(is_mapped(&place.int4().1));
    assert_eq!(place.cache().entries().unwrap().len(), 3);
}

#[test]
fn f20_a_damaged_file_is_written_again() {
    type Damage = (fn(&Path), &'static str);
    fn flip(path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let cases: [Damage; 9] = [
        (|path| File::options().write(true).open(path).unwrap().set_len(5000).unwrap(), "it has 5000 bytes of "),
        (|path| File::options().write(true).open(path).unwrap().set_len(20).unwrap(), "it has 20 bytes"),
        (|path| fs::write(path, b"").unwrap(), "it has 0 bytes"),
        (|path| fs::write(path, [7; 9000]).unwrap(), "it is no file of this cache"),
        (|path| flip(path, 8), "its layout is version 3, not 2"),
        (|path| flip(path, 23), "its header is longer than it may be"),
        (|path| flip(path, 40), "the checksum of its header is another"),
        (|path| flip(path, 100), "the checksum of its header is another"),
        (
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            "got a directory",
        ),
    ];
    let place = Place::of("llama");
    let (exact, _) = place.int4();
    let (file, good) = (place.file(), fs::read(place.file()).unwrap());
    for (damage, expected) in cases {
        damage(&file);
        let (bits, report) = place.int4();
        assert!(bits == exact && is_written(&report), "{expected}: {:?}", report.cache);
        let [notice] = &report.cache.notices[..] else { panic!("{:?}", report.cache) };
        assert!(notice.contains(expected) && notice.contains("is written again"), "{notice}");
        assert!(fs::read(&file).unwrap() == good, "{expected}");
        assert!(is_mapped(&place.int4().1));
    }
    // A whole file that belongs to another key.
    place.load(Some(Scheme::INT8), Some(place.cache()));
    let other = place.cache().entries().unwrap().into_iter().find(|entry| entry.path != file).unwrap();
    fs::copy(other.path, &file).unwrap();
    let (bits, report) = place.int4();
    assert!(bits == exact && is_written(&report) && report.cache.notices[0].ends_with("it is for another model"));
    // What is in the way and cannot be replaced.
    fs::remove_file(&file).unwrap();
    fs::create_dir_all(file.join("inner")).unwrap();
    let (bits, report) = place.int4();
    assert!(bits == exact && report.cache.written.is_none() && report.cache.notices.len() == 2, "{:?}", report.cache);
}

#[test]
fn f60_a_cache_that_takes_nothing_is_done_without() {
    let place = Place::of("llama");
    let (exact, _) = place.load(Some(Scheme::INT4), None);
    let file = place.folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let mut useless = vec![file.clone(), file.join("below")];
    if cfg!(target_os = "linux") {
        useless.push("/proc".into());
    }
    for folder in useless {
        let (bits, report) = place.load(Some(Scheme::INT4), Some(PackedCache::new(&folder)));
        assert_eq!((bits == exact, report.cache.written, report.cache.mapped), (true, None, None), "{}", folder.display());
        let [notice] = &report.cache.notices[..] else { panic!("{:?}", report.cache.notices) };
        assert!(notice.starts_with("packed weights are not cached: "), "{notice}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"no folder");
    let (bits, report) = place.load(Some(Scheme::INT4), Some(place.cache().with_limit(1 << 10)));
    assert!(bits == exact && report.cache.notices[0].contains("and the cache may have 0.0 MiB"), "{:?}", report.cache);
    assert_eq!(place.cache().entries().unwrap(), []);
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let place = Place::of("llama");
    let hour = |count: u64| SystemTime::now() - Duration::from_secs(3600 * count);
    let set = |path: &Path, time| File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    place.load(Some(Scheme::INT8), Some(place.cache()));
    let int8 = place.file();
    let (_, report) = place.int4();
    let int4 = report.cache.written.unwrap();
    let folder = place.cache().folder().to_owned();
    let (abandoned, fresh, strange) = (folder.join(".a.packed.1-0.partial"), folder.join(".b.packed.2-0.partial"), folder.join("c.packed"));
    for path in [&abandoned, &fresh, &strange] {
        fs::write(path, "x").unwrap();
    }
    set(&abandoned, hour(3));
    // The older one is used again, so the other goes.
    set(&int8, hour(9));
    set(&int4, hour(5));
    assert!(is_mapped(&place.load(Some(Scheme::INT8), Some(place.cache())).1));
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    let limit = size(&int8) + size(&int4) + 1000;
    let third = Scheme { layers: QuantFormat::Int4, embedding: QuantFormat::Int4 };
    let (_, report) = place.load(Some(third), Some(place.cache().with_limit(limit)));
    assert!(is_written(&report) && int8.exists() && !int4.exists(), "{:?}", report.cache);
    assert!(!abandoned.exists() && fresh.exists() && strange.exists());
    let removed = place.cache().clear().unwrap();
    assert_eq!(removed.len(), 2);
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [strange]);
}

#[test]
fn loads_at_once_do_not_disturb_each_other() {
    let place = Place::of("llama");
    let (exact, _) = place.load(Some(Scheme::INT4), None);
    for _ in 0..8 {
        std::thread::scope(|scope| {
            let loads: Vec<_> = (0..4).map(|_| scope.spawn(|| place.int4())).collect();
            for load in loads {
                let (bits, report) = load.join().unwrap();
                assert!(bits == exact && report.cache.notices.is_empty(), "{:?}", report.cache);
            }
        });
        assert!(is_mapped(&place.int4().1));
        place.file();
        place.cache().clear().unwrap();
        assert_eq!(fs::read_dir(place.cache().folder()).unwrap().count(), 0);
    }
}

#[test]
fn a_cancelled_load_leaves_nothing() {
    let place = Place::of("llama");
    let cancel = AtomicBool::new(false);
    let stop = |progress: &Progress| cancel.store(progress.tensors > 3, std::sync::atomic::Ordering::Relaxed);
    let options = LoadOptions {
        quantize: Some(Scheme::INT4),
        cache: Some(place.cache()),
        progress: Some(&stop),
        cancel: Some(&cancel),
        ..LoadOptions::new(&Device::flex())
    };
    let loaded = Checkpoint::open(place.model()).unwrap().load::<TransformerBlock>(&options);
    assert!(matches!(loaded, Err(Error::Cancelled)));
    assert!(fs::read_dir(place.cache().folder()).unwrap().all(|entry| entry.unwrap().file_name() == "sources.json"));
}

#[test]
fn every_stage_of_a_load_is_told() {
    let place = Place::of("llama");
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |now: &Progress| {
        assert!(now.bytes <= now.total_bytes && now.tensors <= now.total_tensors, "{now:?}");
        told.borrow_mut().push((now.stage, now.bytes == now.total_bytes));
    };
    let options = LoadOptions {
        quantize: Some(Scheme::INT4),
        cache: Some(place.cache()),
        progress: Some(&tell),
        ..LoadOptions::new(&Device::flex())
    };
    for stages in [&[Stage::Hashing, Stage::Tensors, Stage::Writing][..], &[Stage::Hashing, Stage::Tensors]] {
        Checkpoint::open(place.model()).unwrap().load::<TransformerBlock>(&options).unwrap();
        let mut told = told.take();
        // Each ends where it said that it would.
        let ends = |at: usize, told: &[(Stage, bool)]| told.get(at + 1).is_none_or(|next| next.0 != told[at].0);
        assert!((0..told.len()).all(|at| told[at].1 == ends(at, &told)), "{told:?}");
        told.dedup_by_key(|one| one.0);
        assert_eq!(told.iter().map(|one| one.0).collect::<Vec<_>>(), stages);
    }
}
