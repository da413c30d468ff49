//! Counts of allocations by thread, made by the allocator of the process that plays the proxy and read by
//! the test: both map one small file, so that counting and reading cost the proxy no call of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Threads that are told apart; later ones share the last place.
const THREADS_MAX: usize = 64;
/// With `HARING_GUARDS_WHERE=1`: so many allocations of a thread are shown with the way to them.
const SHOWN_MAX: u64 = 40;

/// What the two processes share.
#[repr(C)]
pub struct Page {
    /// Whether a measurement is on.
    pub counting: AtomicU32,
    /// Whether the places of allocations are to be shown.
    show: AtomicU32,
    taken: AtomicU32,
    threads: [Thread; THREADS_MAX],
}

/// The counts of one thread.
#[repr(C)]
struct Thread {
    id: AtomicU32,
    allocations: AtomicU64,
}

static PAGE: AtomicPtr<Page> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
    static SHOWING: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, counted.
pub struct Counting;

fn count() {
    let page = PAGE.load(Relaxed);
    if page.is_null() {
        return;
    }
    // SAFETY: the pointer was made by `map` and is never unmapped.
    let page = unsafe { &*page };
    if page.counting.load(Relaxed) == 0 || SHOWING.get() {
        return;
    }
    if PLACE.get() == usize::MAX {
        PLACE.set((page.taken.fetch_add(1, Relaxed) as usize).min(THREADS_MAX - 1));
        // SAFETY: no memory is involved.
        let id = unsafe { libc::syscall(libc::SYS_gettid) };
        page.threads[PLACE.get()].id.store(id as u32, Relaxed);
    }
    let before = page.threads[PLACE.get()].allocations.fetch_add(1, Relaxed);
    if page.show.load(Relaxed) != 0 && before < SHOWN_MAX {
        SHOWING.set(true);
        eprintln!("allocation {before}:\n{}", std::backtrace::Backtrace::force_capture());
        SHOWING.set(false);
    }
}

// SAFETY: everything is left to the system's allocator; counting neither allocates nor unwinds
// (showing does both, but not in itself).
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Maps the file that both processes share; it is made when it is not there.
pub fn map(path: &Path) -> &'static Page {
    let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.expect("the shared file");
    file.set_len(size_of::<Page>() as u64).expect("room in the shared file");
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of a file that is as long as the mapping.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), size_of::<Page>(), access, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    assert_ne!(address, libc::MAP_FAILED, "the shared file is mapped");
    // SAFETY: the mapping lives as long as the process, zeroes are a valid page, and all of it is atomic.
    unsafe { &*address.cast::<Page>() }
}

/// From now on this process counts its allocations in `page`.
pub fn count_in(page: &'static Page) {
    let show = std::env::var("HARING_GUARDS_WHERE").is_ok_and(|value| value == "1");
    page.show.store(show.into(), Relaxed);
    PAGE.store(std::ptr::from_ref(page).cast_mut(), Relaxed);
}

impl Page {
    /// Allocations counted of the threads that `wanted` picks by their number.
    pub fn allocations(&self, wanted: impl Fn(u32) -> bool) -> u64 {
        let threads = self.threads.iter().filter(|thread| thread.id.load(Relaxed) != 0);
        let picked = threads.filter(|thread| wanted(thread.id.load(Relaxed)));
        picked.map(|thread| thread.allocations.load(Relaxed)).sum()
    }
}
