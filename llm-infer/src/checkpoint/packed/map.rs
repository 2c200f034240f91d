//! The one mapping of the house: a file of the packed cache as memory.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// The content of `file`, read by the system when it is first touched; it is never in anonymous memory.
///
/// # Errors
///
/// A system that does not map the file.
pub fn map(file: &File) -> io::Result<bytes::Bytes> {
    // SAFETY: the bytes must not change while they are mapped. The file is one of the packed cache: it took its name when it was
    // complete, nothing of ours writes to it or shortens it after that, and one that is removed lives on until the mapping ends.
    let map = unsafe { Mmap::map(file)? };
    // In pages as large as the file system has them.
    #[cfg(target_os = "linux")]
    drop(map.advise(memmap2::Advice::HugePage));
    // Begins to read a file that is not in memory; a system that takes no advice reads later.
    #[cfg(unix)]
    drop(map.advise(memmap2::Advice::WillNeed));
    Ok(bytes::Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_its_bytes_even_when_it_is_gone() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"packed").unwrap();
        let map = map(&File::open(file.path()).unwrap()).unwrap();
        file.close().unwrap();
        assert_eq!(&map[..], b"packed");
    }
}
