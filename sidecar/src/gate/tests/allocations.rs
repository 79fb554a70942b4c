//! What a call costs in memory: nothing that was not there before. Its records are among it, from the account to the file.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use super::wire::Wire;

/// Counts what this thread allocates, and hands everything on to the system.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no count any more, and no test that asks for it.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// Only so can allocations be counted; every method hands its own arguments to the system's allocator, which asks no more of them.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(at, layout, bytes) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Calls until every pool and buffer has grown to what it needs.
const CALLS_BEFORE: u32 = 2_000;
const CALLS: u32 = 1_000;

#[test]
fn a_unary_call_through_both_sidecars_allocates_nothing() {
    let mut wire = Wire::new();
    let mut calls = |count: u32| {
        for _ in 0..count {
            wire.call(100);
        }
        wire.client.ended
    };
    calls(CALLS_BEFORE);
    let before = ALLOCATIONS.get();
    let last = calls(CALLS);
    let allocated = ALLOCATIONS.get() - before;
    assert_eq!(last, (CALLS_BEFORE + CALLS) * 2 - 1, "every call was answered");
    assert_eq!(allocated, 0, "allocations in {CALLS} calls");
}
