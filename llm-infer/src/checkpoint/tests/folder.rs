//! Rows 9 to 11 and 34: which files belong to a checkpoint, and which must not be touched.

use serde_json::json;

use super::*;

const INDEX: &str = "model.safetensors.index.json";

fn index(weight_map: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<_> = weight_map.iter().map(|(tensor, shard)| format!("{}:{}", json!(tensor), json!(shard))).collect();
    format!(r#"{{"metadata":{{"total_size":1}},"weight_map":{{{}}}}}"#, entries.join(",")).into_bytes()
}

fn shard(names: &[&str]) -> Vec<u8> {
    tensor_file(&names.iter().map(|name| (*name, &[1usize] as &[usize], &[1.0f32] as &[f32])).collect::<Vec<_>>())
}

fn open_index(folder: &Path) -> std::result::Result<Sharded, String> {
    Sharded::open(folder.join(INDEX)).map_err(|error| error.to_string().replace(&folder.join("").display().to_string(), ""))
}

#[test]
fn shards_read_as_one() {
    let folder = folder_with(&[
        (INDEX, &index(&[("a", "1.safetensors"), ("b", "2.safetensors"), ("c", "1.safetensors")])),
        ("1.safetensors", &tensor_file(&[("a", &[1], &[1.0]), ("c", &[2], &[3.0, 4.0])])),
        ("2.safetensors", &tensor_file(&[("b", &[1], &[2.0])])),
        ("config.json", b"{}"),
    ]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let names: Vec<_> = checkpoint.tensors().iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["a", "c", "b"]);
    assert_eq!(checkpoint.source().read("c").unwrap().as_slice::<f32>().unwrap(), [3.0, 4.0]);
    assert_eq!(checkpoint.source().read("b").unwrap().as_slice::<f32>().unwrap(), [2.0]);
    assert_eq!(checkpoint.folder(), Some(folder.path()));
}

#[test]
fn f09_shard_missing() {
    let folder = folder_with(&[(INDEX, &index(&[("a", "1.safetensors"), ("b", "2.safetensors")])), ("1.safetensors", &shard(&["a"]))]);
    let message = "model.safetensors.index.json: weight_map: got `2.safetensors`, which is missing, expected a file in this folder";
    assert_eq!(open_index(folder.path()).unwrap_err(), message);
}

#[test]
fn f10_names_that_lead_elsewhere() {
    let outside = folder_with(&[("x.safetensors", &shard(&["a"]))]);
    let absolute = outside.path().join("x.safetensors").display().to_string();
    for name in ["../x.safetensors", "sub/x.safetensors", "./x.safetensors", "..", ".", "", "a\\b.safetensors", "x\0", &absolute] {
        let folder = folder_with(&[(INDEX, &index(&[("a", name)]))]);
        let message = open_index(folder.path()).unwrap_err();
        assert!(message.ends_with("expected the name of a file in this folder"), "{name}: {message}");
    }
}

#[cfg(unix)]
#[test]
fn f10_links_that_lead_elsewhere() {
    use std::os::unix::fs::symlink;

    let outside = folder_with(&[("x.safetensors", &shard(&["a"]))]);
    let folder = folder_with(&[(INDEX, &index(&[("a", "x.safetensors")]))]);
    symlink(outside.path().join("x.safetensors"), folder.path().join("x.safetensors")).unwrap();
    let message = open_index(folder.path()).unwrap_err();
    assert!(message.ends_with("expected a file inside the checkpoint's folder"), "{message}");

    let hub = folder_with(&[]);
    let snapshot = hub.path().join("snapshots/0123");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir(hub.path().join("blobs")).unwrap();
    std::fs::write(hub.path().join("blobs/ab"), shard(&["a"])).unwrap();
    std::fs::write(snapshot.join(INDEX), index(&[("a", "x.safetensors")])).unwrap();
    symlink("../../blobs/ab", snapshot.join("x.safetensors")).unwrap();
    assert!(open_index(&snapshot).is_ok(), "the Hugging Face cache links to its blobs");
}

#[test]
fn f11_index_and_shards_disagree() {
    let map: &[_] = &[("a", "1.safetensors"), ("b", "2.safetensors")];
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);
    let cases: [Case; 4] = [
        (map, &["a", "b"], "2.safetensors: tensor `b`: got a second one beside that of `1.safetensors`, expected one"),
        (map, &["c"], "model.safetensors.index.json: weight_map: `a`: got no such tensor there, expected it in `1.safetensors`"),
        (map, &["a", "c"], "1.safetensors: tensor `c`: got a tensor that the index lacks, expected an entry for it"),
        (
            &[map, &[("a", "2.safetensors")]].concat(),
            &["a"],
            "model.safetensors.index.json: weight_map: `a`: got two entries, expected one",
        ),
    ];
    for (map, first, expected) in cases {
        let folder = folder_with(&[(INDEX, &index(map)), ("1.safetensors", &shard(first)), ("2.safetensors", &shard(&["b"]))]);
        assert_eq!(open_index(folder.path()).unwrap_err(), expected);
    }
    let swapped = index(&[("a", "2.safetensors"), ("b", "1.safetensors")]);
    let folder = folder_with(&[(INDEX, &swapped), ("1.safetensors", &shard(&["a"])), ("2.safetensors", &shard(&["b"]))]);
    let message = "model.safetensors.index.json: weight_map: `a`: got it in `1.safetensors`, expected it in `2.safetensors`";
    assert_eq!(open_index(folder.path()).unwrap_err(), message);
}

#[test]
fn a_folder_without_weights_says_what_it_has() {
    let hints = [("gguf", "`.gguf` files"), ("bin", "`.bin` files"), ("txt", "as Hugging Face lays it out")];
    for (ending, hint) in hints {
        let names = ["a", "b"].map(|stem| format!("{stem}.{ending}"));
        let folder = folder_with(&[("config.json", b"{}"), (&names[0], b""), (&names[1], b"")]);
        let error = Checkpoint::open(folder.path()).err().unwrap();
        assert!(error.hint().unwrap().contains(hint), "{error}");
    }
    let folder = folder_with(&[("model.safetensors", &shard(&["a"]))]);
    assert!(Checkpoint::open(folder.path()).err().unwrap().to_string().contains("config.json: got nothing"));
}

#[test]
fn a_single_file_opens_beside_its_config() {
    let folder = folder_with(&[("config.json", br#"{"eos_token_id": 3}"#), ("weights.safetensors", &shard(&["a"]))]);
    for path in [folder.path().join("weights.safetensors"), folder.path().to_owned()] {
        let checkpoint = Checkpoint::open(path).unwrap();
        assert_eq!((checkpoint.folder(), checkpoint.tensors().len()), (Some(folder.path()), 1));
        assert_eq!(checkpoint.generation_config().eos_token_id, [3]);
    }
}

#[test]
fn f34_directory_in_place_of_a_file() {
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        let folder = folder_with(&[]);
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for other in ["config.json", "generation_config.json", "model.safetensors"] {
            if other != name {
                let bytes = if other.ends_with(".json") { b"{}".to_vec() } else { shard(&["a"]) };
                std::fs::write(folder.path().join(other), bytes).unwrap();
            }
        }
        let message = Checkpoint::open(folder.path()).err().unwrap().to_string();
        assert!(message.ends_with(&format!("{name}: file type: got a directory, expected a regular file")), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn f34_pipes_and_devices_are_not_opened() {
    use std::os::unix::fs::symlink;

    let message = Checkpoint::open("/dev/zero").err().unwrap().to_string();
    assert_eq!(message, "/dev/zero: file type: got a pipe or device, expected a folder or a file of weights");
    for name in ["config.json", "model.safetensors"] {
        let folder = folder_with(&[("config.json", b"{}"), ("model.safetensors", &shard(&["a"]))]);
        let path = folder.path().join(name);
        std::fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success());
        if !made {
            symlink("/dev/zero", &path).unwrap();
        }
        let message = Checkpoint::open(folder.path()).err().unwrap().to_string();
        assert!(message.ends_with("got a pipe or device, expected a regular file"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn f34_unreadable_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder_with(&[("config.json", b"{}"), ("model.safetensors", &shard(&["a"]))]);
    let path = folder.path().join("model.safetensors");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        eprintln!("skipped: this user reads everything");
        return;
    }
    assert!(matches!(Checkpoint::open(folder.path()), Err(Error::Io { path: named, .. }) if named == path));
}

#[test]
fn a_huge_config_is_refused() {
    let folder = folder_with(&[("config.json", &vec![b' '; 17 << 20]), ("model.safetensors", &shard(&["a"]))]);
    assert!(Checkpoint::open(folder.path()).err().unwrap().to_string().contains("size: got `17825792` bytes, expected at most `16777216`"));
}

#[cfg(unix)]
#[test]
fn f34_what_lies_beside_the_weights_is_read_only_from_regular_files() {
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"] {
        let folder = folder_with(&[("tokenizer.json", b"{}")]);
        let _ = std::fs::remove_file(folder.path().join(name));
        std::os::unix::fs::symlink("/dev/zero", folder.path().join(name)).unwrap();
        let tokenizer = crate::tokenizer::Tokenizer::open(folder.path()).err();
        let template = crate::chat::ChatTemplate::open(folder.path()).err();
        let messages: Vec<String> = [tokenizer, template].into_iter().flatten().map(|error| error.to_string()).collect();
        let expected = format!("{name}: file type: got a pipe or device, expected a regular file");
        assert!(messages.iter().any(|message| message.ends_with(&expected)), "{messages:?}");
    }
}
