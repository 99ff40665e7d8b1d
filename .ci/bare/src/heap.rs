//! An allocator that counts bytes and allocations.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

use embedded_alloc::LlffHeap;

const SIZE: usize = 3 * 1024;

struct Counting {
    heap: LlffHeap,
    live: Cell<usize>,
    peak: Cell<usize>,
    count: Cell<usize>,
}

// SAFETY: there is one core, and no interrupt allocates.
unsafe impl Sync for Counting {}

#[global_allocator]
static HEAP: Counting =
    Counting { heap: LlffHeap::empty(), live: Cell::new(0), peak: Cell::new(0), count: Cell::new(0) };

// SAFETY: the heap does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.live.set(self.live.get() + layout.size());
        self.peak.set(self.peak.get().max(self.live.get()));
        self.count.set(self.count.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { self.heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        self.live.set(self.live.get() - layout.size());
        // SAFETY: as the caller promises.
        unsafe { self.heap.dealloc(at, layout) }
    }
}

pub fn init() {
    static mut MEMORY: [u8; SIZE] = [0; SIZE];
    // SAFETY: called once, before anything is allocated.
    unsafe { HEAP.heap.init(&raw mut MEMORY as usize, SIZE) }
}

/// Returns the allocated bytes, and their peak and the number of allocations since the last call.
#[cfg(feature = "token")]
pub fn take() -> (usize, usize, usize) {
    let taken = (HEAP.live.get(), HEAP.peak.get(), HEAP.count.get());
    HEAP.peak.set(HEAP.live.get());
    HEAP.count.set(0);
    taken
}
