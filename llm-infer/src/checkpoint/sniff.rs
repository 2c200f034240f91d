//! What a weight file is, by its content; names say what their givers like.

use std::path::Path;

use super::source::Blob;
use super::{llama2c, pytorch};
use crate::Result;

/// The formats that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// safetensors, and what is none of the others: its reader says what is wrong.
    Safetensors,
    /// The index of files that belong together.
    Index,
    /// GGUF.
    Gguf,
    /// A file of `torch.save`.
    PyTorch,
    /// A checkpoint of llama2.c.
    Llama2c,
}

/// The format of the file `path`.
pub(super) fn format(path: &Path) -> Result<Format> {
    let blob = Blob::open(path)?;
    let mut head = [0; 28];
    let count = blob.len().min(head.len() as u64) as usize;
    blob.read_exact_at(0, &mut head[..count])?;
    Ok(match head {
        [b'G', b'G', b'U', b'F', ..] => Format::Gguf,
        _ if pytorch::is_one(&head[..count]) => Format::PyTorch,
        // The header of a safetensors file begins after its length.
        _ if head[7] == 0 && head[8] == b'{' => Format::Safetensors,
        [b'{', ..] => Format::Index,
        _ if llama2c::is_one(&head[..count], blob.len()) => Format::Llama2c,
        _ => Format::Safetensors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f29_formats_are_known_by_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let files: [(&[u8], Format); 8] = [
            (b"GGUF\x03\0\0\0\0", Format::Gguf),
            (b"\x7b\0\0\0\0\0\0\0{", Format::Safetensors),
            (b"{\n \"weight_map\"", Format::Index),
            (b"", Format::Safetensors),
            (b"GG", Format::Safetensors),
            (b"PK\x03\x04", Format::PyTorch),
            (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9", Format::PyTorch),
            (b"24ka\x01\0\0\0", Format::Llama2c),
        ];
        for (bytes, expected) in files {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(format(&path).unwrap(), expected, "{bytes:?}");
        }
    }
}
