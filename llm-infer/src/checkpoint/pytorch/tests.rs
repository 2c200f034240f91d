//! Files of `torch.save`, real ones and made by hand; `fNN` are the rows of the fault list.

use super::super::tests::{folder_with, require_changes_noticed, shared_data};
use super::*;

/// A zip archive of these entries, as they are.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    archive_by(entries, 0)
}

/// The same, said to be packed by `method`.
fn archive_by(entries: &[(&str, &[u8])], method: u16) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let begin = bytes.len() as u32;
        let sizes = [(data.len() as u32).to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
        let common = [&[20, 0, 0, 0][..], &method.to_le_bytes(), &[0; 8], &sizes, &(name.len() as u16).to_le_bytes(), &[0; 2]].concat();
        bytes.extend([b"PK\x03\x04".as_slice(), &common, name.as_bytes(), data].concat());
        directory.extend([b"PK\x01\x02\x14\0".as_slice(), &common, &[0; 10], &begin.to_le_bytes(), name.as_bytes()].concat());
    }
    let (begin, count) = (bytes.len() as u32, (entries.len() as u16).to_le_bytes());
    let length = (directory.len() as u32).to_le_bytes();
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &length, &begin.to_le_bytes(), &[0; 2]].concat());
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn int(number: i32) -> Vec<u8> {
    [b"J".as_slice(), &number.to_le_bytes()].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".to_vec(), items.concat(), b"t".to_vec()].concat()
}

/// The instructions that make a tensor of the storage `0`, which has `count` numbers of f32.
fn tensor(count: i32, offset: i32, shape: &[i32], stride: &[i32]) -> Vec<u8> {
    let id = tuple(&[text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text("0"), text("cpu"), int(count)]);
    let list = |numbers: &[i32]| tuple(&numbers.iter().map(|number| int(*number)).collect::<Vec<_>>());
    let hooks = b"ccollections\nOrderedDict\n)R".to_vec();
    let arguments = tuple(&[[id, b"Q".to_vec()].concat(), int(offset), list(shape), list(stride), b"\x89".to_vec(), hooks]);
    [b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), arguments, b"R".to_vec()].concat()
}

/// A dictionary with one tensor.
fn pickle_of(tensor: &[u8]) -> Vec<u8> {
    [b"\x80\x02}".to_vec(), text("w"), tensor.to_vec(), b"s.".to_vec()].concat()
}

fn numbers(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

fn open(bytes: &[u8]) -> Result<PyTorch> {
    let folder = folder_with(&[("m.pt", bytes)]);
    PyTorch::open(&folder.path().join("m.pt"))
}

/// What opening an archive with this pickle and twelve numbers says, without the folder.
fn refusal(pickle: &[u8]) -> String {
    let bytes = archive(&[("m/data.pkl", pickle), ("m/data/0", &numbers(12))]);
    let message = open(&bytes).expect_err("it opens").to_string();
    message.split_once("m.pt: ").expect("the file").1.to_owned()
}

/// All numbers of the tensor `w` of a file that stays there.
fn read(pickle: &[u8]) -> Vec<f32> {
    let folder = folder_with(&[("m.pt", &archive(&[("m/data.pkl", pickle), ("m/data/0", &numbers(12))]))]);
    let source = PyTorch::open(&folder.path().join("m.pt")).unwrap();
    source.read("w").unwrap().try_into_vec().unwrap()
}

#[test]
fn tensors_and_views_are_read() {
    assert_eq!(read(&pickle_of(&tensor(12, 0, &[3, 4], &[4, 1]))), (0..12).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(read(&pickle_of(&tensor(12, 2, &[2, 3], &[1, 4]))), [2.0, 6.0, 10.0, 3.0, 7.0, 11.0]);
    assert_eq!(read(&pickle_of(&tensor(12, 5, &[], &[]))), [5.0]);
    assert_eq!(read(&pickle_of(&tensor(12, 12, &[0, 4], &[4, 1]))), [0.0; 0]);
    // A dictionary of a training run, beside what is no tensor.
    let inner = [b"}".to_vec(), text("w"), tensor(12, 4, &[2], &[1]), b"s".to_vec()].concat();
    let run = [b"\x80\x02}(".to_vec(), text("epoch"), int(3), text("state_dict"), inner, b"u.".to_vec()].concat();
    assert_eq!(read(&run), [4.0, 5.0]);
}

#[test]
fn real_files_are_read() {
    let Some(folder) = shared_data("golden/pytorch-pt-small") else { return };
    let open = |name: &str| PyTorch::open(&folder.join(name));
    let source = open("state_dict_base.zip.pt").unwrap();
    let shapes: Vec<_> = source.tensors().iter().map(|info| (info.name.as_str(), info.shape.clone())).collect();
    assert_eq!(shapes, [("conv.weight", vec![2, 3, 2, 2]), ("conv.bias", vec![2])]);
    assert!(source.tensors().iter().all(|info| source.read(&info.name).is_ok()));
    let full = open("state_dict_full.zip.pt").unwrap();
    assert_eq!((full.tensors().len(), full.tensors()[4].name.as_str()), (5, "extra.weight"));
    for name in ["numpy_arrays.zip.pt", "numpy_arrays.legacy.pt"] {
        assert!(open(name).unwrap_err().to_string().contains("`numpy.core.multiarray._reconstruct`"), "{name}");
    }
    // Tensors without names, in both layouts.
    for name in ["noncontiguous_tensor.zip.pt", "noncontiguous_tensor.legacy.pt"] {
        assert_eq!(unnamed(&folder.join(name)), [vec![1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]], "{name}");
    }
    assert_eq!(unnamed(&folder.join("storage_view.legacy.pt")).len(), 0);
    for name in ["tensors.zip.pt", "tensors.legacy.pt", "ordered_dict.zip.pt", "ordered_dict.legacy.pt"] {
        drop(open(name));
    }
}

/// The numbers of the tensor that the whole file is.
fn unnamed(path: &Path) -> Vec<Vec<i64>> {
    let blob = Blob::open(path).unwrap();
    let (pickle, storages) = if path.to_string_lossy().contains("legacy") { legacy::read(&blob) } else { from_zip(&blob) }.unwrap();
    let mut source = PyTorch { blob, tensors: Vec::new(), views: HashMap::new() };
    for (index, object) in pickle.objects.iter().enumerate() {
        if let Object::Tensor(tensor) = object {
            source.add(&index.to_string(), tensor, &pickle, &storages).unwrap();
        }
    }
    let names: Vec<_> = source.tensors.iter().map(|info| info.name.clone()).collect();
    names.iter().map(|name| source.read(name).unwrap().iter::<i64>().collect()).collect()
}

#[test]
fn f25_nothing_in_a_pickle_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("ran");
    let command = text(&format!("touch {}", mark.display()));
    let call = [b"\x80\x02cos\nsystem\n".to_vec(), tuple(&[command]), b"R.".to_vec()].concat();
    assert_eq!(refusal(&call), "pickle: got `os.system`, expected tensors in dictionaries, which need no code of others");
    for (bad, named) in [
        (b"\x80\x02c__builtin__\neval\n".as_slice(), "`__builtin__.eval`"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93", "`posix.system`"),
        (b"(S'x'\nios\nsystem\n.", "the instruction 0x53"),
        (b"\x80\x02\x81.", "the instruction 0x81"),
        (b"\x80\x02ctorch\nload\n.", "`torch.load`"),
    ] {
        assert!(refusal(bad).contains(named), "{}", refusal(bad));
    }
    assert!(!mark.exists());
}

#[test]
fn f26_archives_that_are_none() {
    let pickle = pickle_of(&tensor(12, 0, &[12], &[1]));
    let refused = |bytes: &[u8], part: &str| {
        let message = open(bytes).expect_err(part).to_string();
        assert!(message.contains(part), "{message}, expected {part}");
    };
    let good = archive(&[("m/data.pkl", &pickle), ("m/data/0", &numbers(12))]);
    open(&good).unwrap();
    refused(&archive_by(&[("m/data.pkl", &pickle)], 8), "packed or encrypted data");
    refused(&archive(&[("m/data.pkl", &pickle), ("m/../../x", b"")]), "a name that leads elsewhere");
    refused(&archive(&[("m/data.pkl", &pickle)]), "the storage `0`, which is missing");
    refused(&archive(&[("m/data.pkl", &pickle), ("m/data/0", &numbers(11))]), "12 numbers from 0 on");
    refused(&archive(&[("m/x", b"")]), "no or several `data.pkl`");
    refused(&archive(&[("m/data.pkl", &pickle), ("m/data.pkl", &pickle)]), "two of that name");
    refused(&archive(&[("m/data.pkl", &pickle), ("m/byteorder", b"big")]), "`big`");
    for length in 0..good.len() {
        assert!(open(&good[..length]).is_err(), "{length}");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        // Whatever changed, it is refused or read.
        drop(open(&bad));
    }
}

#[test]
fn f27_pickles_that_lie() {
    let huge = [b"\x80\x02X".as_slice(), &u32::MAX.to_le_bytes(), b"x"].concat();
    assert!(refusal(&huge).contains("the end of the pickle"));
    assert!(refusal(&[b"\x80\x02\x8d".as_slice(), &u64::MAX.to_le_bytes()].concat()).contains("the end of the pickle"));
    // A million tuples in each other, and a list in itself.
    assert!(refusal(&[b"\x80\x02)".to_vec(), vec![0x85; 1 << 20], b".".to_vec()].concat()).contains("no dictionary"));
    assert!(refusal(b"\x80\x02]q\0h\0a.").contains("no dictionary"));
    assert!(refusal(b"\x80\x02}q\0X\x01\0\0\0wh\0s.").contains("without tensors"));
    assert!(refusal(&pickle_of(&tensor(12, 0, &[1 << 20, 1 << 10], &[0, 0]))).contains("a tensor whose numbers are all stored"));
    for bad in [tensor(12, 0, &[3, 4], &[8, 1]), tensor(12, 1, &[12], &[1]), tensor(12, i32::MAX, &[1], &[1])] {
        assert!(refusal(&pickle_of(&bad)).contains("numbers within the storage"));
    }
    for bad in [tensor(12, -1, &[1], &[1]), tensor(12, 0, &[-1], &[1]), tensor(12, 0, &[1, 2], &[1]), tensor(-1, 0, &[1], &[1])] {
        assert!(refusal(&pickle_of(&bad)).starts_with("pickle: got"));
    }
    for bad in [b"\x80\x02.".as_slice(), b"t.", b"R.", b"(R.", b"s.", b"\x87.", b"h\x05.", b"(\x85.", b"Q.", b"b.", b"q\0."] {
        assert!(refusal(bad).starts_with("pickle: got"), "{bad:?}");
    }
}

#[test]
fn f28_sparse_tensors_are_refused_by_name() {
    let folder = folder_with(&[("m.pt", &archive(&[("m/data.pkl", b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n.")]))]);
    let error = PyTorch::open(&folder.path().join("m.pt")).unwrap_err();
    assert!(error.to_string().contains("`torch._utils._rebuild_sparse_tensor`"), "{error}");
    assert!(error.hint().unwrap().contains("convert the checkpoint to safetensors"));
}

#[test]
fn folders_of_pytorch_open() {
    use super::super::Checkpoint;
    let file = archive(&[("m/data.pkl", &pickle_of(&tensor(12, 0, &[3, 4], &[4, 1]))), ("m/data/0", &numbers(12))]);
    let index = br#"{"weight_map": {"w": "pytorch_model-00001-of-00001.bin"}}"#;
    let sets: [&[(&str, &[u8])]; 4] = [
        &[("pytorch_model.bin", &file)],
        &[("pytorch_model.bin.index.json", index), ("pytorch_model-00001-of-00001.bin", &file)],
        &[("consolidated.pth", &file)],
        // Whatever it is called.
        &[("model.safetensors", &file)],
    ];
    for files in sets {
        let folder = folder_with(&[&[("config.json", b"{}".as_slice())], files].concat());
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!((checkpoint.tensors().len(), checkpoint.tensors()[0].shape.clone()), (1, vec![3, 4]));
    }
}

#[test]
fn f35_a_file_of_pytorch_changes_while_reading() {
    for (shape, stride) in [([3, 4], [4, 1]), ([2, 3], [1, 4])] {
        let pickle = pickle_of(&tensor(12, 0, &shape, &stride));
        let folder = folder_with(&[("m.pt", &archive(&[("m/data.pkl", &pickle), ("m/data/0", &numbers(12))]))]);
        let path = folder.path().join("m.pt");
        require_changes_noticed(&path, || PyTorch::open(&path), |source| source.read("w"));
    }
}
