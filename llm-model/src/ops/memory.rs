//! What the kernels of the CPU ask of the system's memory and of the processor's caches. The results are the same without it.
#![allow(unsafe_code)]

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Bytes of a huge page.
#[cfg(all(target_os = "linux", not(miri)))]
const HUGE: usize = 2 << 20;

/// Makes the allocator keep what operations free: their results are megabytes that come and go within microseconds, and handing
/// them back to the kernel each time costs more in page faults than many an operation.
pub(super) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
    {
        const MIB: libc::c_int = 1 << 20;
        // SAFETY: sets parameters of the allocator, which it reads under its own lock; a refusal changes nothing.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, 256 * MIB);
            libc::mallopt(libc::M_TRIM_THRESHOLD, 512 * MIB);
        }
    }
}

/// Asks for huge pages for `length` bytes from `start` on, where they are not in memory yet, and moves what is there already to huge
/// pages; the pages at both ends, which others share, stay as they are.
///
/// A model is read from one end to the other for every token. In pages of 4 KiB that is one walk through the page tables for every
/// 64 lines, and a longer one in a virtual machine; in pages of 2 MiB there are hardly any. Linux does it unless transparent huge
/// pages are off; elsewhere nothing happens.
pub fn use_huge_pages(start: *const u8, length: usize) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let start = start as usize;
        let (from, end) = (start.next_multiple_of(HUGE), (start + length) / HUGE * HUGE);
        if from < end {
            let length = end - from;
            let from = from as *mut libc::c_void;
            // SAFETY: advice on how memory is kept changes nothing of what is in it, whosever it is; a refusal, as by a kernel that
            // does not know the advice, is as good as never having asked.
            unsafe {
                libc::madvise(from, length, libc::MADV_HUGEPAGE);
                libc::madvise(from, length, libc::MADV_COLLAPSE);
            }
        }
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (start, length);
}

/// Asks the processor for the cache line at `address`, which is read soon. Any address will do.
///
/// It comes as far as the second cache: a processor has more lines under way there than to the first one.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint, which reads nothing and cannot fail.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(address.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{address}]", address = in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = address;
}

/// Puts all whole huge pages between `start` and `start + length` into memory, by all threads: the system fills them with zeros, which
/// takes longer than writing to them, and two threads that touch the same page first would both do so.
///
/// What is in the memory stays. Linux does it from 5.14 on; elsewhere pages come when they are touched.
pub fn populate(start: *const u8, length: usize) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let start = start as usize;
        let (from, end) = (start.next_multiple_of(HUGE), (start + length) / HUGE * HUGE);
        super::threads::for_each(end.saturating_sub(from) / HUGE, |page| {
            let page = (from + page * HUGE) as *mut libc::c_void;
            // SAFETY: pages that are not there yet appear as if they had been touched; a refusal is as good as never having asked.
            unsafe {
                libc::madvise(page, HUGE, libc::MADV_POPULATE_WRITE);
            }
        });
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (start, length);
}
