//! What the targets share: a place for the file that is tried, and all that is done with a checkpoint without computing.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use llm_infer::checkpoint::Checkpoint;
use llm_infer::tokenizer::Tokenizer;

/// A folder of this process, in memory where the system has one there.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = root.join(format!("llm-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the file that is tried");
        folder
    })
}

/// Writes the file `name` in a folder of this process.
pub fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, bytes).expect("the file that is tried");
    path
}

/// Does with the checkpoint what `llm inspect --check` does, and tokenizes.
pub fn read_all(path: &Path) {
    let Ok(checkpoint) = Checkpoint::open(path) else { return };
    drop(checkpoint.model_config());
    drop(checkpoint.tokenizer_summary());
    drop(checkpoint.template());
    if let Ok(tokenizer) = checkpoint.tokenizer() {
        use_tokenizer(&tokenizer);
    }
    drop(checkpoint.check(None, None));
}

/// Encodes some texts and decodes some ids, at once and one by one, which has to give the same.
pub fn use_tokenizer(tokenizer: &Tokenizer) {
    for text in ["", "Hello  world\n", "été 你好 🌍\u{301} <s>[INST]</s>", "1234567 aaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        if let Ok(ids) = tokenizer.encode(text, true) {
            let mut stream = tokenizer.streaming_decoder(false);
            let mut shown: String = ids.iter().filter_map(|id| stream.push(*id)).collect();
            shown += &stream.flush();
            assert_eq!(shown, tokenizer.decode(&ids, false));
        }
    }
    drop(tokenizer.decode(&(0..64).collect::<Vec<u32>>(), true));
    drop(tokenizer.pieces(&[0, 1, 2, 3, u32::MAX]));
}
