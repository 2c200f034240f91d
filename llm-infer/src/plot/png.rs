//! The container of PNG (<https://www.w3.org/TR/png-3>) around pixels that fdeflate compresses. The crate `png` would turn on
//! features of what Burn is built from, and so build all of Burn anew.

/// Bytes of a pixel: red, green, blue.
const PIXEL: usize = 3;
/// Each byte is the difference from the one above it, so that paper is zeros.
const UP: u8 = 2;

/// The file of an image of `width · height` pixels in RGB.
pub fn encode(pixels: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
    let row = PIXEL * width as usize;
    let mut filtered = Vec::with_capacity(pixels.len() + height as usize);
    let mut above = &vec![0; row][..];
    for line in pixels.chunks_exact(row) {
        filtered.push(UP);
        filtered.extend(line.iter().zip(above).map(|(x, above)| x.wrapping_sub(*above)));
        above = line;
    }
    // Eight bits, RGB, and the only compression, filter method and order that there are, without interlacing.
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", header), (b"IDAT", fdeflate::compress_to_vec(&filtered)), (b"IEND", Vec::new())] {
        chunk(&mut file, name, &data);
    }
    file
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let from = file.len();
    file.extend_from_slice(name);
    file.extend_from_slice(data);
    file.extend(crc32fast::hash(&file[from..]).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and contents of the chunks, whose sums are right.
    fn chunks(file: &[u8]) -> Vec<(&[u8], &[u8])> {
        let (mut rest, mut chunks) = (&file[8..], Vec::new());
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            assert_eq!(rest[8 + length..12 + length], crc32fast::hash(&rest[4..8 + length]).to_be_bytes());
            chunks.push((&rest[4..8], &rest[8..8 + length]));
            rest = &rest[12 + length..];
        }
        chunks
    }

    #[test]
    fn pixels_come_back() {
        let pixels: Vec<u8> = (0..3 * 7 * 5).map(|i| (i * 37) as u8).collect();
        let file = encode(&pixels, (7, 5));
        let chunks = chunks(&file);
        assert_eq!(chunks.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [b"IHDR", b"IDAT", b"IEND"]);
        assert_eq!(chunks[0].1, [0, 0, 0, 7, 0, 0, 0, 5, 8, 2, 0, 0, 0]);
        let filtered = fdeflate::decompress_to_vec(chunks[1].1).unwrap();
        let mut above = vec![0u8; 21];
        let mut back = Vec::new();
        for line in filtered.chunks(22) {
            assert_eq!(line[0], UP);
            above.iter_mut().zip(&line[1..]).for_each(|(above, x)| *above = above.wrapping_add(*x));
            back.extend_from_slice(&above);
        }
        assert_eq!(back, pixels);
    }

    #[test]
    fn the_sum_is_that_of_the_specification() {
        // The last chunk of every PNG.
        let mut file = Vec::new();
        chunk(&mut file, b"IEND", &[]);
        assert_eq!(file, [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82]);
    }
}
