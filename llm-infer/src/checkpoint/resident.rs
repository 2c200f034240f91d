//! Where the weights of a model lie in memory: side by side, in huge pages.

use burn::tensor::{AllocationProperty, Bytes, Device, TensorData};
use bytes::{Buf, BytesMut};
use llm_model::ops::memory::use_huge_pages;

/// Bytes that are allocated at once; what is not used of them is never touched.
const CHUNK: usize = 64 << 20;
/// From this size on, tensors stay where they are.
const LARGE: usize = 8 << 20;
/// Bytes of a cache line.
const LINE: usize = 64;

/// Takes the weights of a model one by one, as they are loaded.
#[derive(Debug)]
pub struct Resident {
    rest: BytesMut,
    in_place: bool,
}

impl Resident {
    /// For weights on `device`; does nothing where these are copied to memory of the device.
    pub fn new(device: &Device) -> Self {
        Self { rest: BytesMut::new(), in_place: computes_in_place(device) }
    }

    /// The same numbers where they shall stay.
    #[must_use]
    pub fn keep(&mut self, data: TensorData) -> TensorData {
        let bytes = data.as_bytes();
        if !self.in_place {
            return data;
        }
        if bytes.len() >= LARGE {
            use_huge_pages(bytes.as_ptr(), bytes.len());
            return data;
        }
        if self.rest.capacity() < bytes.len() + LINE {
            self.rest = BytesMut::with_capacity(CHUNK);
            use_huge_pages(self.rest.as_ptr(), CHUNK);
        }
        let padding = self.rest.as_ptr().align_offset(LINE);
        self.rest.resize(padding, 0);
        self.rest.extend_from_slice(bytes);
        let mut part = self.rest.split();
        part.advance(padding);
        TensorData::from_bytes(Bytes::from_shared(part.freeze(), AllocationProperty::Other), data.shape().clone(), data.dtype())
    }
}

/// Whether `device` computes on the memory that a tensor is made of: the CPU through Flex, outside training.
pub fn computes_in_place(device: &Device) -> bool {
    *device == Device::flex() && !device.is_autodiff()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_keep_their_numbers_and_begin_at_a_line() {
        let mut resident = Resident::new(&Device::flex());
        let sizes = [1, 3, 1000, CHUNK / 4 / 4 - 1, LARGE / 4, 5_000_000, 7];
        let tensors: Vec<_> = sizes.map(|size| TensorData::new((0..size as i32).collect(), [size])).into_iter().collect();
        let kept: Vec<_> = tensors.iter().map(|data| resident.keep(data.clone())).collect();
        for (data, kept) in tensors.iter().zip(&kept) {
            assert_eq!(data, kept);
            assert!(data.as_bytes().len() >= LARGE || (kept.as_bytes().as_ptr() as usize).is_multiple_of(LINE));
        }
    }
}
