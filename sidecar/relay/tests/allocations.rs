//! No allocation per unary call once as many calls have been under way as there will be: counted by the allocator.

mod steady;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

/// Counts every allocation of the test.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// A global allocator cannot be written without `unsafe`; this one only counts and hands on.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// One test: the count is of the whole process.
#[test]
fn a_unary_call_allocates_nothing_in_the_steady_state() {
    for (clients, streams, bytes) in [(1, 1, 100), (10, 10, 100), (50, 10, 100), (10, 10, 10_240)] {
        let mut steady = steady::Steady::new(clients, streams, bytes);
        for _ in 0..100 {
            steady.round();
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..50 {
            steady.round();
        }
        let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(allocated, 0, "{clients} clients with {streams} calls of {bytes} bytes each");
        assert_eq!(steady.relay.gate().served, (150 * clients * streams) as u64);
    }
}
