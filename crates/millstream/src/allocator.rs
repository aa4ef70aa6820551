//! What the system's allocator is told.

/// Pieces of this size and more get pages of their own, bytes.
#[cfg(target_env = "gnu")]
const PAGES_OF_THEIR_OWN: libc::c_int = 2 << 20;

/// Has large pieces go back to the system as soon as they are freed.
///
/// Left alone, glibc puts pieces of up to 32 MiB into its heaps once one of that size has been freed, and has a heap for
/// each of the many threads that read and write: 100 readers of records of 10 MiB made the process take 541 MB at most,
/// and with this 195 MB. Other systems' allocators are left as they are.
///
/// To be called before there are other threads.
#[cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "there is no other way to glibc's settings but its environment")
)]
pub(crate) fn give_back_large_pieces() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes two numbers and no pointer, sets a number of the allocator's own, and refuses what it does not
    // know. No other thread allocates meanwhile.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, PAGES_OF_THEIR_OWN);
    }
}
