//! Where the weights of a model lie in memory: side by side, in huge pages.

use burn::tensor::{AllocationProperty, Bytes, DType, Device, TensorData};
use bytes::{Buf, BytesMut};
use llm_model::ops::memory::{LINE, populate, use_huge_pages};

/// Bytes that are allocated at once; what is not used of them is never touched.
const CHUNK: usize = 64 << 20;
/// From this size on, tensors that are in memory stay where they are.
const LARGE: usize = 8 << 20;

/// Takes the weights of a model one by one, as they are loaded.
#[derive(Debug)]
pub struct Resident {
    rest: BytesMut,
    in_place: bool,
}

impl Resident {
    /// For weights on `device`; they are only copied where that has memory of its own.
    pub fn new(device: &Device) -> Self {
        Self { rest: BytesMut::new(), in_place: computes_in_place(device) }
    }

    /// Room for `length` bytes, which are zeros, where they shall stay; [`tensor`] makes a tensor of it.
    pub fn room(&mut self, length: usize) -> BytesMut {
        if !self.in_place {
            return BytesMut::zeroed(length);
        }
        if self.rest.len() < length + LINE {
            self.rest = BytesMut::zeroed(CHUNK.max(length + LINE));
            use_huge_pages(self.rest.as_ptr(), self.rest.len());
        }
        let mut room = self.rest.split_to(self.rest.as_ptr().align_offset(LINE) + length);
        room.advance(room.as_ptr().align_offset(LINE));
        populate(room.as_ptr(), length);
        room
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
        let mut room = self.room(bytes.len());
        room.copy_from_slice(bytes);
        tensor(room, data.shape(), data.dtype())
    }
}

/// The tensor whose bytes are in `room`.
pub fn tensor(room: BytesMut, shape: &[usize], dtype: DType) -> TensorData {
    TensorData::from_bytes(Bytes::from_shared(room.freeze(), AllocationProperty::Other), shape.to_vec(), dtype)
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

    #[test]
    fn room_is_empty_begins_at_a_line_and_is_nobody_elses() {
        for in_place in [true, false] {
            let mut resident = Resident { rest: BytesMut::new(), in_place };
            let mut rooms: Vec<_> = [1, 65, LARGE - 1, LARGE, CHUNK - LINE, 130].map(|length| resident.room(length)).into();
            for (index, room) in rooms.iter_mut().enumerate() {
                assert!(room.iter().all(|byte| *byte == 0));
                assert!(!in_place || (room.as_ptr() as usize).is_multiple_of(LINE));
                room.fill(index as u8 + 1);
            }
            for (index, room) in rooms.into_iter().enumerate() {
                let shape = [room.len()];
                assert_eq!(tensor(room, &shape, DType::U8), TensorData::new(vec![index as u8 + 1; shape[0]], shape));
            }
        }
    }
}
