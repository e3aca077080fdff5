//! How the process keeps memory that it will soon need again.

#![allow(unsafe_code)]

/// Asks the C library to keep freed memory instead of handing it back to the system. Training frees and takes the same
/// large buffers in every step; handed back, each of their pages is cleared and mapped anew, a fifth of a codec's step.
/// Does nothing where the C library is not glibc.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes any integers and answers 0 for those it does not like; it touches the allocator's own
    // settings only, under the allocator's lock.
    unsafe {
        // Below this size a buffer comes from the heap; the largest that glibc takes.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        // One heap for all threads: what one of them frees another can use.
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
