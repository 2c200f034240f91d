//! Files of llama2.c made by hand.

use super::*;

/// Width 4, feed-forward 6, one layer, two heads on one, five tokens, eight positions.
const SIZES: [i32; 7] = [4, 6, 1, 2, 1, 5, 8];
/// Numbers of the layer, the last norm and the embedding.
const NUMBERS: usize = 2 * 4 + 4 * 4 * 2 + 2 * 4 * 2 + 3 * 4 * 6 + 4 + 5 * 4;
/// Numbers of both tables of the first version.
const TABLES: usize = 8 * 2;

fn sizes(sizes: [i32; 7]) -> Vec<u8> {
    sizes.iter().flat_map(|size| size.to_le_bytes()).collect()
}

fn floats(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

fn legacy() -> Vec<u8> {
    [sizes(SIZES), floats(NUMBERS + TABLES)].concat()
}

fn marked(version: u32, numbers: [i32; 7], data: &[u8]) -> Vec<u8> {
    let mut bytes =
        [0x616b_3432_u32.to_le_bytes().to_vec(), version.to_le_bytes().to_vec(), sizes(numbers), vec![1], vec![4, 0, 0, 0]].concat();
    bytes.resize(256, 0);
    bytes.extend(data);
    bytes
}

fn tokens(count: usize) -> Vec<u8> {
    let piece = |text: &[u8]| [&0_f32.to_le_bytes(), &(text.len() as i32).to_le_bytes(), text].concat();
    let names: Vec<Vec<u8>> = (0..count)
        .map(|id| [b"<unk>".to_vec(), b"\n<s>\n".to_vec(), b"\n</s>\n".to_vec(), b"a".to_vec(), b" b".to_vec()][id].clone())
        .collect();
    [4_i32.to_le_bytes().to_vec(), names.iter().flat_map(|name| piece(name)).collect()].concat()
}

fn refusal(files: &[(&str, &[u8])]) -> String {
    let folder = folder_with(files);
    let message = Checkpoint::open(folder.path().join(files[0].0)).err().expect("it opens").to_string();
    message.replace(&folder.path().join("").display().to_string(), "")
}

#[test]
fn every_version_is_read() {
    let groups =
        [floats(12), vec![1; 20], floats(5), vec![1; 16], floats(4), vec![1; 8], floats(2), vec![1; 8], floats(2), vec![1; 16], floats(4)]
            .concat();
    let groups = [groups, [vec![1; 24], floats(6)].concat().repeat(3)].concat();
    for (bytes, rounded) in [(legacy(), false), (marked(1, SIZES, &floats(NUMBERS)), false), (marked(2, SIZES, &groups), true)] {
        let folder = folder_with(&[("model.bin", &bytes), ("tok5.bin", &tokens(5))]);
        let checkpoint = Checkpoint::open(folder.path().join("model.bin")).unwrap();
        checkpoint.check_shapes().unwrap();
        assert_eq!((checkpoint.tensors().len(), checkpoint.generation_config().eos_token_id.clone()), (11, vec![2, 1]));
        assert!(checkpoint.tensors().iter().all(|info| checkpoint.source().read(&info.name).is_ok()));
        assert_eq!(checkpoint.is_rounded(), rounded);
        let tokenizer = checkpoint.tokenizer().unwrap();
        assert_eq!(
            (tokenizer.bos_id(), tokenizer.token(4).as_deref(), tokenizer.decode(&[1, 3, 4], true)),
            (Some(1), Some("▁b"), "a b".to_owned())
        );
    }
}

#[test]
fn f19_llama2c_sizes_that_lie() {
    let short = marked(1, SIZES, &floats(NUMBERS - 1));
    assert_eq!(
        refusal(&[("m.bin", &short)]),
        format!("m.bin: size: got {} bytes, expected {}, as its header says", short.len(), short.len() + 4)
    );
    assert!(refusal(&[("m.bin", &marked(3, SIZES, &[]))]).contains("version: got 3, expected 1 or 2"));
    for bad in [[0, 6, 1, 2, 1, 5, 8], [4, 6, 1, 3, 1, 5, 8], [4, 6, 1, 2, 1, -5, 8], [i32::MAX; 7], [4, 6, i32::MIN, 2, 1, 5, 8]] {
        assert!(refusal(&[("m.bin", &marked(1, bad, &[]))]).starts_with("m.bin: header: got ["), "{bad:?}");
    }
    let largest = [1 << 20, 1 << 20, 4096, 1, 1, 1 << 20, 1 << 20];
    assert!(refusal(&[("m.bin", &marked(1, largest, &[]))]).starts_with("m.bin: size: got 256 bytes"));
    assert!(refusal(&[("m.bin", &marked(1, SIZES, &[])[..100])]).contains("header: got 100 bytes"));
    // A file of the first version that is cut is no such file.
    let good = legacy();
    assert!((0..good.len()).step_by(7).all(|length| refusal(&[("m.bin", &good[..length])]).starts_with("m.bin: config.json")));
}

#[test]
fn tokens_of_another_model_are_refused() {
    let good = legacy();
    let with = |tokens: &[u8]| refusal(&[("m.bin", &good), ("tokenizer.bin", tokens)]);
    assert!(with(&tokens(4)).contains("token 4: got the end of the file, expected 5 tokens"));
    assert!(with(&[tokens(5), vec![0]].concat()).contains("tokens: got more than 5"));
    assert!(with(b"").contains("token 0"));
    let mut negative = tokens(5);
    negative[8..12].copy_from_slice(&(-1_i32).to_le_bytes());
    assert!(with(&negative).contains("token 0"));
    let folder = folder_with(&[("m.bin", &good)]);
    let error = Checkpoint::open(folder.path().join("m.bin")).unwrap().tokenizer().unwrap_err();
    assert!(error.to_string().contains("`tokenizer.bin` beside"), "{error}");
}

#[test]
fn f35_llama2c_changes_while_reading() {
    for bytes in [legacy(), marked(1, SIZES, &floats(NUMBERS))] {
        let folder = folder_with(&[("model.bin", &bytes), ("tokenizer.bin", &tokens(5))]);
        let path = folder.path().join("model.bin");
        require_changes_noticed(&path, || Checkpoint::open(&path), |checkpoint| checkpoint.check(None, None));
    }
}
