//! Rows 1 to 8: the header of one file.

use burn::tensor::DType;
use proptest::prelude::*;

use super::*;

fn one(entry: &str, data: &[u8]) -> String {
    refusal(&file_bytes(&format!(r#"{{"a":{entry}}}"#), data))
}

#[test]
fn f01_empty_or_seven_bytes() {
    assert_eq!(refusal(b""), "m.safetensors: header: got `0` bytes, expected at least `8`");
    assert_eq!(refusal(b"1234567"), "m.safetensors: header: got `7` bytes, expected at least `8`");
}

#[test]
fn f02_header_length_beyond_the_file() {
    let expected = "m.safetensors: header length: got `18446744073709551615` bytes, expected at most `2`, which is what the file has";
    assert_eq!(refusal(&[&[255; 8], &b"{}"[..]].concat()), expected);
    assert!(refusal(&[&5u64.to_le_bytes(), &b"{}"[..]].concat()).contains("expected at most `2`"));
}

#[test]
fn f02_header_length_within_a_huge_sparse_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, 150_000_000u64.to_le_bytes()).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let message = Safetensors::open(&path).unwrap_err().to_string();
    assert!(message.ends_with("header length: got `150000000` bytes, expected at most `16777216`"), "{message}");
}

#[test]
fn f03_header_that_is_no_json_object() {
    assert_eq!(refusal(&file_bytes("", b"")), "m.safetensors: header: got nothing, expected `{`");
    assert_eq!(refusal(&file_bytes("[]", b"")), "m.safetensors: header: got byte `0x5b`, expected `{`");
    assert!(refusal(&file_bytes("{\"a\"", b"")).contains("JSON at line 1 column 4: got `{\"a\"` (EOF"));
    let mut bad_utf8 = file_bytes(r#"{"?":{}}"#, b"");
    bad_utf8[10] = 0xff;
    assert!(refusal(&bad_utf8).contains("invalid unicode"));
    let deep = format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(100_000));
    assert!(refusal(&file_bytes(&deep, b"")).contains("JSON at line 1"));
    assert!(refusal(&file_bytes(&format!(r#"{{"__metadata__":{}"#, "[".repeat(1_000_000)), b"")).contains("JSON at line 1"));
}

#[test]
fn f03_other_formats_are_named() {
    assert!(refusal(b"GGUF\x03\0\0\0\0").contains("got a GGUF file, expected a safetensors file"));
    assert!(refusal(b"PK\x03\x04....").contains("got a zip archive, as PyTorch writes them"));
}

#[test]
fn f04_duplicate_key() {
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    assert_eq!(
        refusal(&file_bytes(&format!(r#"{{"a":{entry},"a":{entry}}}"#), &[0])),
        "m.safetensors: tensor `a`: got two entries, expected one"
    );
}

#[test]
fn f05_offsets() {
    let reversed = one(r#"{"dtype":"U8","shape":[4],"data_offsets":[4,0]}"#, &[0; 4]);
    assert_eq!(reversed, "m.safetensors: tensor `a`: data_offsets: got `[4, 0]`, expected begin before end");
    let past = one(r#"{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#, &[0; 3]);
    assert_eq!(past, "m.safetensors: tensor `a`: data_offsets: got end `4`, expected at most `3`, which is what the file has");
    let two = |begin: u64| {
        let second = format!(r#"{{"dtype":"U8","shape":[4],"data_offsets":[{begin},{}]}}"#, begin + 4);
        refusal(&file_bytes(&format!(r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},"b":{second}}}"#), &[0; 9]))
    };
    assert_eq!(two(3), "m.safetensors: tensor `b`: data_offsets: got `[3, 7]`, which begins inside another tensor, expected begin `4`");
    assert_eq!(two(5), "m.safetensors: tensor `b`: data_offsets: got `[5, 9]`, which begins after a hole, expected begin `4`");
    assert_eq!(two(4), "m.safetensors: data: got `9` bytes, expected `8`, the end of the last tensor");
}

#[test]
fn f06_shape_against_bytes() {
    let wrong = one(r#"{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}"#, &[0; 20]);
    assert_eq!(wrong, "m.safetensors: tensor `a`: data_offsets: got `20` bytes, expected `24`, as shape `[2, 3]` of F32 needs");
    for shape in ["[4294967296,4294967296,4294967296]", "[9223372036854775808]", "[2305843009213693952,8]"] {
        let overflow = one(&format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}"#), b"");
        assert!(overflow.contains("expected a product that fits 63 bits"), "{overflow}");
    }
    let deep = one(r#"{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}"#, &[0]);
    assert!(deep.contains("more than 8 dimensions"), "{deep}");
    assert!(one(r#"{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}"#, &[0]).contains("invalid value: integer `-1`"));
}

#[test]
fn f07_unknown_dtype() {
    let message = one(r#"{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}"#, &[0]);
    assert_eq!(
        message,
        "m.safetensors: tensor `a`: dtype: got `F8_E4M3`, expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL"
    );
}

#[test]
fn f08_zero_size_tensor_is_accepted_where_unneeded() {
    let folder = folder_with(&[("m.safetensors", &tensor_file(&[("empty", &[0, 4], &[]), ("a", &[1], &[7.0])]))]);
    let file = Safetensors::open(folder.path().join("m.safetensors")).unwrap();
    assert_eq!(file.read("empty").unwrap().shape().to_vec(), [0, 4]);
    assert_eq!(file.read("a").unwrap().as_slice::<f32>().unwrap(), [7.0]);
    assert!(file.read("b").unwrap_err().to_string().contains("tensor `b`: got nothing"));
}

#[test]
fn a_header_of_too_many_tensors_is_refused() {
    let entries: Vec<_> = (0..70_000).map(|i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    assert!(refusal(&file_bytes(&format!("{{{}}}", entries.join(",")), b"")).contains("more than 65536 entries"));
}

#[test]
fn notes_are_kept_apart() {
    let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let file = Safetensors::from_bytes("m", file_bytes(header, &[9]).leak()).unwrap();
    assert_eq!((file.tensors().len(), file.metadata()["format"].as_str()), (1, "pt"));
    assert!(refusal(&file_bytes(r#"{"__metadata__":{"format":1}}"#, b"")).contains("invalid type: integer `1`, expected a string"));
}

#[test]
fn names_with_control_characters_are_refused() {
    assert!(refusal(&file_bytes("{\"\\u001b[2J\":{}}", b"")).contains(r"control characters in the name `\u{1b}[2J`"));
}

#[test]
fn golden_files_read() {
    let Some(folder) = shared_data("golden/safetensors-small") else { return };
    let cases = [
        ("tensor-1d-int32.safetensors", DType::I32, vec![3]),
        ("tensor-2d-float64.safetensors", DType::F64, vec![3, 2]),
        ("tensor-3d-float32.safetensors", DType::F32, vec![2, 2, 3]),
        ("tensor-4d-float32.safetensors", DType::F32, vec![1, 2, 2, 3]),
    ];
    for (name, dtype, rank) in cases {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let file = Safetensors::open(folder.join(name)).unwrap();
        let reference = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for info in file.tensors() {
            let view = reference.tensor(&info.name).unwrap();
            let data = file.read(&info.name).unwrap();
            assert_eq!((info.dtype, info.shape.len()), (dtype, rank.len()), "{name}");
            assert_eq!((data.as_bytes(), data.shape().to_vec()), (view.data(), view.shape().to_vec()), "{name}");
        }
        assert_eq!(file.tensors().len(), reference.len());
    }
}

#[test]
fn malformed_json_is_refused_as_header_and_config() {
    let Some(folder) = shared_data("malformed/json") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let json = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let header = [&(json.len() as u64).to_le_bytes()[..], &json].concat();
        let folder = folder_with(&[("config.json", &json), ("generation_config.json", &json), ("model.safetensors", &header)]);
        let opened = Checkpoint::open(folder.path());
        assert!(opened.is_err() || !name.starts_with("n_"), "{name}");
        if let Ok(checkpoint) = opened {
            assert!(checkpoint.model_config().is_err(), "{name}");
        }
        drop(Safetensors::open(folder.path().join("model.safetensors")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn mutated_headers_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = tensor_file(&[("a.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]), ("b", &[1], &[5.0]), ("c", &[0], &[])]);
        // A wrong length ends the reading at once, so most cases keep it and damage what follows.
        let from = if cut.index(8) == 1 { 0 } else { 8 };
        for (at, byte) in changes {
            let at = from + at.index(bytes.len() - from);
            bytes[at] = byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(file) = Safetensors::from_bytes("m", bytes.leak()) {
            for info in file.tensors() {
                prop_assert!(file.read(&info.name).is_ok());
            }
        }
    }
}

#[test]
fn r2_a_header_whose_length_begins_as_a_pickle_does() {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    for length in [0x280, 0x380, 0x480, 0x580] {
        let file = file_bytes(&format!("{header:length$}"), &[0; 4]);
        assert_eq!(Safetensors::from_bytes("m", file.leak()).unwrap().tensors().len(), 1, "{length}");
    }
    let pickle = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";
    assert!(Safetensors::from_bytes("m", pickle).unwrap_err().to_string().contains("a Python pickle"));
}
