//! The allocator: mimalloc, with a reserve behind it for the moment when the system gives no more memory.
//!
//! An allocation that fails ends a Rust process, with all its sessions. The reserve is mapped at start, so that
//! allocations go on for a while; each one that it serves is counted, and data threads that see the count move
//! close their newest sessions and accept no others for a moment (`engine`, `Core::relieve`).

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};

use mimalloc::MiMalloc;

/// Bytes of the reserve, at least: enough for what sessions ask for until the newest are closed.
const RESERVE_BYTES: usize = 16 << 20;
/// Buffers that fit, at least: sessions are closed between two turns of a thread, and in one turn each of its
/// sessions may ask for one. Pages that are never touched cost nothing.
const RESERVE_BUFFERS: usize = 1024;
/// The smallest block, and the alignment of all.
const BLOCK_MIN_SHIFT: u32 = 6;
/// Classes of blocks, each twice as large as the one before.
const CLASSES: usize = 23;

static RESERVE: Reserve = Reserve::new();
/// Allocations that only the reserve could serve.
static SHORTAGES: AtomicU64 = AtomicU64::new(0);

/// Gives memory that waits for reuse on this thread back to the system.
pub fn give_back() {
    // SAFETY: no memory is handed over; it may be called at any time on any thread.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// Maps the reserve, for buffers of `bufsize` bytes; false if the system refuses even that.
pub fn reserve(bufsize: usize) -> bool {
    RESERVE.map(RESERVE_BYTES.max(RESERVE_BUFFERS.saturating_mul(bufsize)))
}

/// How many allocations only the reserve could serve so far.
pub fn shortages() -> u64 {
    SHORTAGES.load(Relaxed)
}

/// The allocator of the process.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: a block comes from mimalloc or from the reserve, which its address tells, and goes back to where it came
// from; both keep the promises of the trait.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let block = unsafe { MiMalloc.alloc(layout) };
        if block.is_null() { RESERVE.take(layout) } else { block }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let block = unsafe { MiMalloc.alloc_zeroed(layout) };
        if !block.is_null() {
            return block;
        }
        let block = RESERVE.take(layout);
        if !block.is_null() {
            // SAFETY: the block has at least that many bytes.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if RESERVE.owns(block) {
            return RESERVE.give(block, layout);
        }
        // SAFETY: it is no block of the reserve, so mimalloc has made it; the caller's promise is passed on.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !RESERVE.owns(block) {
            // SAFETY: as above.
            let moved = unsafe { MiMalloc.realloc(block, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller promises that the size, rounded up to the alignment, does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: a layout of a size that is not 0, as the caller promises.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both blocks are live, apart, and at least that long; the old one is given up after.
            unsafe {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}

/// Mapped memory in blocks of powers of two. Its lock is taken only when there is no other memory.
struct Reserve {
    start: AtomicPtr<u8>,
    end: AtomicPtr<u8>,
    locked: AtomicBool,
    /// Where memory begins that was never given out.
    fresh: AtomicPtr<u8>,
    /// The first free block of each class; each holds the address of the next.
    free: [AtomicPtr<u8>; CLASSES],
}

impl Reserve {
    const fn new() -> Self {
        Reserve {
            start: AtomicPtr::new(null_mut()),
            end: AtomicPtr::new(null_mut()),
            locked: AtomicBool::new(false),
            fresh: AtomicPtr::new(null_mut()),
            free: [const { AtomicPtr::new(null_mut()) }; CLASSES],
        }
    }
    fn map(&self, bytes: usize) -> bool {
        if !self.start.load(Acquire).is_null() {
            return true;
        }
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let mapped = unsafe { libc::mmap(null_mut(), bytes, access, kind, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return false;
        }
        let start = mapped.cast::<u8>();
        self.fresh.store(start, Relaxed);
        self.end.store(start.wrapping_add(bytes), Release);
        self.start.store(start, Release);
        true
    }
    fn owns(&self, block: *mut u8) -> bool {
        let start = self.start.load(Acquire);
        !start.is_null() && block >= start && block < self.end.load(Relaxed)
    }
    /// The class whose blocks hold a layout; none if the layout is too large.
    fn class(layout: Layout) -> Option<usize> {
        let bytes =
            layout.size().max(layout.align()).max(1 << BLOCK_MIN_SHIFT).checked_next_power_of_two()?;
        let class = (bytes.trailing_zeros() - BLOCK_MIN_SHIFT) as usize;
        (class < CLASSES).then_some(class)
    }
    fn take(&self, layout: Layout) -> *mut u8 {
        let (Some(class), false) = (Self::class(layout), self.start.load(Acquire).is_null()) else {
            return null_mut();
        };
        SHORTAGES.fetch_add(1, Relaxed);
        self.lock();
        let first = self.free[class].load(Relaxed);
        let block = if first.is_null() {
            self.cut(1 << (class as u32 + BLOCK_MIN_SHIFT))
        } else {
            // SAFETY: a free block holds the address of the next one, written when it was given back.
            self.free[class].store(unsafe { first.cast::<*mut u8>().read() }, Relaxed);
            first
        };
        self.locked.store(false, Release);
        block
    }
    /// A block of memory that was never given out, aligned to its size.
    fn cut(&self, bytes: usize) -> *mut u8 {
        let fresh = self.fresh.load(Relaxed);
        let block = fresh.wrapping_add(fresh.align_offset(bytes));
        let next = block.wrapping_add(bytes);
        if next > self.end.load(Relaxed) {
            return null_mut();
        }
        self.fresh.store(next, Relaxed);
        block
    }
    fn give(&self, block: *mut u8, layout: Layout) {
        let Some(class) = Self::class(layout) else { return };
        self.lock();
        // SAFETY: the block is of this reserve, not in use any more, and has room for an address.
        unsafe { block.cast::<*mut u8>().write(self.free[class].load(Relaxed)) };
        self.free[class].store(block, Relaxed);
        self.locked.store(false, Release);
    }
    fn lock(&self) {
        while self.locked.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_aligned_and_used_again() {
        let reserve = Reserve::new();
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        assert!(reserve.take(layout(8, 8)).is_null(), "nothing is mapped");
        assert!(reserve.map(1 << 20) && reserve.map(1 << 20));
        let mut taken: Vec<(*mut u8, Layout)> = Vec::new();
        for (size, align) in [(1, 1), (64, 8), (65, 8), (3000, 16), (16384, 4096), (100, 512), (200_000, 8)] {
            let layout = layout(size, align);
            let block = reserve.take(layout);
            assert!(reserve.owns(block) && block.addr().is_multiple_of(align), "{layout:?}");
            // SAFETY: the block was taken with this size.
            unsafe { block.write_bytes(taken.len() as u8, size) };
            taken.push((block, layout));
        }
        for (number, (block, layout)) in taken.iter().enumerate() {
            for at in [0, layout.size() - 1] {
                // SAFETY: within the block.
                assert_eq!(unsafe { block.add(at).read() }, number as u8, "{layout:?}");
            }
        }
        let all: Vec<_> = taken.iter().map(|(block, _)| *block).collect();
        for (block, layout) in &taken {
            reserve.give(*block, *layout);
        }
        let again: Vec<_> = taken.iter().rev().map(|(_, layout)| reserve.take(*layout)).collect();
        assert!(again.iter().all(|block| all.contains(block)), "no new memory is needed");
        assert!(reserve.take(layout(4 << 20, 8)).is_null(), "too large");
        while !reserve.take(layout(100_000, 8)).is_null() {}
        assert!(!reserve.owns(std::ptr::from_ref(&reserve).cast::<u8>().cast_mut()));
    }
}
