//! The compute pool: the one thing that is process-wide, because operations of a backend have no receiver.
//!
//! The caller takes part in its own work. Each thread has a share of neighboring chunks, so that it reads memory from one end to the
//! other, takes them from the front, one by one or in runs, and when it has none left takes those of others from their end. A share is
//! claimed from by compare-and-swap on one word that holds epoch, end and next chunk together, so that a worker that wakes late can never
//! claim a chunk of work that is over. Workers spin briefly between operations, as these follow each other within microseconds, fetch what they
//! read next (`ahead.rs`) meanwhile, and park when idle.
//! Work submitted while the pool is busy, also from inside a chunk, runs on its caller.
#![allow(unsafe_code)]

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Condvar, Mutex, OnceLock, TryLockError};
use std::time::{Duration, Instant};

const SPIN: Duration = Duration::from_micros(100);
const BITS: u32 = 20;
const MASK: u64 = (1 << BITS) - 1;

static POOL: OnceLock<Pool> = OnceLock::new();

/// The pool runs already, with another number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the compute pool already runs with {0} threads")]
pub struct AlreadyStarted(pub usize);

/// Starts the pool with `threads` threads, the caller counted in; without this call it has one for each core.
///
/// # Errors
/// [`AlreadyStarted`] when the pool runs with another number.
pub fn start(threads: usize) -> Result<(), AlreadyStarted> {
    let pool = POOL.get_or_init(|| Pool::new(threads.max(1)));
    if pool.threads == threads.max(1) { Ok(()) } else { Err(AlreadyStarted(pool.threads)) }
}

/// Threads that work on an operation, the caller counted in.
pub fn count() -> usize {
    pool().threads
}

/// Runs `work` for each of `0..chunks` on all threads, each of which begins with a part of its own; returns when all are done.
///
/// # Panics
/// When `work` panics, once the other chunks are done.
pub fn for_each(chunks: usize, work: impl Fn(usize) + Sync) {
    share_out(chunks, false, &|run| run.for_each(&work));
}

/// As [`for_each`], for runs of neighboring chunks: a thread claims half of what is left at once. When it claims, a processor waits for all
/// that it has asked memory for, so claims should be few, and what others can take over at the end small. The chunks of a run that panics
/// after the one that does are not run.
pub fn for_each_run(chunks: usize, work: impl Fn(Range<usize>) + Sync) {
    share_out(chunks, true, &work);
}

fn share_out(chunks: usize, runs: bool, work: &(dyn Fn(Range<usize>) + Sync)) {
    let pool = pool();
    let turn = match pool.submit.try_lock() {
        // Work that panicked is over all the same.
        Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
        turn => turn.ok(),
    };
    if turn.is_some() && pool.threads > 1 && chunks > 1 && chunks < MASK as usize {
        pool.run(chunks, runs, work);
    } else {
        drop(turn);
        work(0..chunks);
    }
}

/// Cuts `out` into pieces of `length` (the last may be shorter) and runs `work(index, piece)` for each on all threads.
pub fn for_each_piece(out: &mut [f32], length: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let (start, total) = (AtomicPtr::new(out.as_mut_ptr()), out.len());
    for_each(total.div_ceil(length), |index| {
        let from = index * length;
        // SAFETY: pieces are disjoint, each index is run once, and `out` is borrowed until all are done.
        let piece = unsafe { std::slice::from_raw_parts_mut(start.load(Relaxed).add(from), length.min(total - from)) };
        work(index, piece);
    });
}

fn pool() -> &'static Pool {
    POOL.get_or_init(|| Pool::new(std::thread::available_parallelism().map_or(1, usize::from)))
}

/// A closure behind a thin pointer; lives on the submitter's stack while its chunks run.
struct Work<'a> {
    call: &'a (dyn Fn(Range<usize>) + Sync),
}

/// epoch · 2⁴⁰ + end · 2²⁰ + next chunk, in cache lines of its own.
#[repr(align(128))]
struct Share(AtomicU64);

impl Share {
    /// Claims one chunk, or half of those left: the next ones of its owner, the last ones of others.
    fn claim(&self, owner: bool, runs: bool) -> Option<Range<usize>> {
        let mut state = self.0.load(SeqCst);
        loop {
            let (next, end) = (state & MASK, (state >> BITS) & MASK);
            if next >= end {
                return None;
            }
            let count = if runs { (end - next).div_ceil(2) } else { 1 };
            let (first, rest) = if owner { (next, state + count) } else { (end - count, state - (count << BITS)) };
            match self.0.compare_exchange_weak(state, rest, SeqCst, SeqCst) {
                Ok(_) => return Some(first as usize..(first + count) as usize),
                Err(now) => state = now,
            }
        }
    }
}

struct Pool {
    threads: usize,
    submit: Mutex<()>,
    /// Counts the work that was submitted; written once all of `shares` are.
    epoch: AtomicU64,
    /// The chunks of each thread that are left, the caller's first.
    shares: Vec<Share>,
    work: AtomicPtr<Work<'static>>,
    /// Whether half of what is left is claimed at once. One who reads that of other work claims more or less, which is as good.
    runs: AtomicBool,
    completed: AtomicUsize,
    panicked: AtomicBool,
    sleepers: AtomicUsize,
    /// The processor from which sleepers were woken last.
    woken_from: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Pool {
    fn new(threads: usize) -> Self {
        super::memory::keep_freed();
        for index in 1..threads {
            // A worker that cannot be started leaves its chunks to the others.
            let _ = std::thread::Builder::new().name(format!("llm-compute-{index}")).spawn(move || pool().worker(index));
        }
        Self {
            threads,
            submit: Mutex::new(()),
            epoch: AtomicU64::new(0),
            shares: (0..threads).map(|_| Share(AtomicU64::new(0))).collect(),
            work: AtomicPtr::new(std::ptr::null_mut()),
            runs: AtomicBool::new(false),
            completed: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            woken_from: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        }
    }

    fn run(&self, chunks: usize, runs: bool, call: &(dyn Fn(Range<usize>) + Sync)) {
        let work = Work { call };
        self.runs.store(runs, Relaxed);
        self.completed.store(0, Relaxed);
        self.work.store((&raw const work).cast_mut().cast(), Relaxed);
        let epoch = self.epoch.load(Relaxed) + 1;
        for (thread, share) in self.shares.iter().enumerate() {
            let [next, end] = [thread, thread + 1].map(|part| (part * chunks / self.threads) as u64);
            share.0.store(epoch << (2 * BITS) | end << BITS | next, SeqCst);
        }
        self.epoch.store(epoch, SeqCst);
        if self.sleepers.load(SeqCst) > 0 {
            self.woken_from.store(processor::current(), Relaxed);
            drop(self.lock.lock());
            self.wake.notify_all();
        }
        self.take_part(0);
        while self.completed.load(Acquire) < chunks {
            super::ahead::fetch();
            std::hint::spin_loop();
        }
        if self.panicked.swap(false, Relaxed) {
            resume_unwind(Box::new("a chunk of work on the compute pool panicked"));
        }
    }

    /// Runs chunks as `thread` until there are none.
    fn take_part(&self, thread: usize) {
        let mut done = 0;
        for (index, share) in (thread..thread + self.threads).map(|share| &self.shares[share % self.threads]).enumerate() {
            while let Some(run) = share.claim(index == 0, self.runs.load(Relaxed)) {
                done += run.len();
                self.chunks(run);
            }
        }
        // Once for all, as every thread writes here.
        if done > 0 {
            self.completed.fetch_add(done, Release);
        }
    }

    /// Runs chunks that were claimed and are not completed yet.
    fn chunks(&self, run: Range<usize>) {
        // SAFETY: a claimed chunk keeps its submitter waiting in `run`, where `Work` lives, until it is completed.
        let work = unsafe { &*self.work.load(Relaxed) };
        if catch_unwind(AssertUnwindSafe(|| (work.call)(run))).is_err() {
            self.panicked.store(true, Relaxed);
        }
    }

    fn worker(&self, thread: usize) {
        let mut seen = 0;
        loop {
            let idle = Instant::now();
            while self.epoch.load(SeqCst) == seen && (super::ahead::fetch() || idle.elapsed() < SPIN) {
                std::hint::spin_loop();
            }
            if self.epoch.load(SeqCst) == seen {
                self.park(seen);
                processor::leave(self.woken_from.load(Relaxed));
            }
            // What is submitted from here on is seen the next time, if its chunks are not taken already.
            seen = self.epoch.load(SeqCst);
            self.take_part(thread);
        }
    }

    /// Sleeps until there is work after that of epoch `seen`.
    fn park(&self, seen: u64) {
        let Ok(mut guard) = self.lock.lock() else { return };
        self.sleepers.fetch_add(1, SeqCst);
        while self.epoch.load(SeqCst) == seen {
            match self.wake.wait(guard) {
                Ok(woken) => guard = woken,
                Err(_) => break,
            }
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }
}

/// Where threads run. A system that is busy wakes a thread where its waker runs, so that each would wait for the other while another processor
/// is idle, again and again, as a thread that wakes takes the processor over.
#[cfg(all(target_os = "linux", not(miri)))]
mod processor {
    use std::mem::{size_of, zeroed};

    /// The processor of this thread.
    pub fn current() -> usize {
        // SAFETY: it takes nothing and returns a number, or -1.
        unsafe { libc::sched_getcpu() as usize }
    }

    /// Goes to another processor, if this thread may run on any and is on `processor`.
    pub fn leave(processor: usize) {
        let size = size_of::<libc::cpu_set_t>();
        if current() != processor || processor >= 8 * size {
            return;
        }
        let Some(allowed) = allowed() else { return };
        let mut others = allowed;
        // SAFETY: the sets are plain bits of this size, and `processor` is one of them. Where a call fails the thread stays where it may be.
        unsafe {
            libc::CPU_CLR(processor, &mut others);
            if libc::sched_setaffinity(0, size, &others) == 0 {
                libc::sched_setaffinity(0, size, &allowed);
            }
        }
    }

    /// The processors that this thread may run on.
    pub(super) fn allowed() -> Option<libc::cpu_set_t> {
        // SAFETY: a set is plain bits of this size, which the call fills.
        unsafe {
            let mut allowed = zeroed();
            (libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed) == 0).then_some(allowed)
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod processor {
    pub fn current() -> usize {
        0
    }

    pub fn leave(_: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_once() {
        for chunks in if cfg!(miri) { vec![0, 1, 7] } else { vec![0, 1, 2, 7, 1000] } {
            let seen: Vec<_> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
            let count = |chunk: usize| {
                seen[chunk].fetch_add(1, Relaxed);
            };
            let times = if cfg!(miri) { 2 } else { 50 };
            for _ in 0..times {
                for_each(chunks, count);
                for_each_run(chunks, |run| run.for_each(count));
            }
            assert!(seen.iter().all(|n| n.load(Relaxed) == 2 * times));
        }
    }

    #[test]
    fn a_run_is_half_of_what_is_left() {
        let lengths = |owner: bool| {
            let share = Share(AtomicU64::new(19 << BITS | 3));
            std::iter::from_fn(|| share.claim(owner, true)).collect::<Vec<_>>()
        };
        assert_eq!(lengths(true), [3..11, 11..15, 15..17, 17..18, 18..19]);
        assert_eq!(lengths(false), [11..19, 7..11, 5..7, 4..5, 3..4]);
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn a_thread_that_leaves_a_processor_may_come_back() {
        let allowed = || {
            let set = processor::allowed().unwrap();
            // SAFETY: the numbers are below the size of a set.
            (0..1024).filter(|processor| unsafe { libc::CPU_ISSET(*processor, &set) }).collect::<Vec<_>>()
        };
        let before = allowed();
        before.iter().for_each(|processor| processor::leave(*processor));
        assert_eq!(allowed(), before);
    }

    #[test]
    fn pieces_cover_the_slice() {
        let mut out = vec![0.0; 103];
        for_each_piece(&mut out, 10, |index, piece| piece.fill(index as f32));
        assert_eq!((out[0], out[99], out[102]), (0.0, 9.0, 10.0));
    }

    #[test]
    fn nested_and_concurrent_work_completes() {
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for_each(20, |_| {
                        for_each(5, |_| {
                            total.fetch_add(1, Relaxed);
                        });
                    });
                });
            }
        });
        assert_eq!(total.load(Relaxed), 400);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let caught = catch_unwind(|| for_each(8, |i| assert!(i != 3, "chunk")));
        assert!(caught.is_err());
        every_chunk_runs_once();
    }
}
