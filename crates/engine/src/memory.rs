//! How the process keeps memory that it will soon need again.

#![allow(unsafe_code)]

/// Asks the C library to keep freed memory instead of handing it back to the system. Training frees and takes the same
/// large buffers in every step; handed back, each of their pages is cleared and mapped anew, a fifth of a codec's step.
/// Does nothing where the C library is not glibc.
///
/// To be called first thing: it does nothing once there is a second thread, since the allocator reads its settings
/// without a lock.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1) {
        // SAFETY: `mallopt` takes any integers and answers 0 for those it does not like. It touches the allocator's own
        // settings only, and nobody else reads them: this is the only thread, and it starts none here.
        unsafe {
            // Below this size a buffer comes from the heap; the largest that glibc takes.
            libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
            // Few heaps for all threads: what one of them frees another can use.
            libc::mallopt(libc::M_ARENA_MAX, 2);
        }
    }
}
