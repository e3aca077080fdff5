//! How a network is computed: what may change its time and memory, and in bfloat16 its last digits, but not what it is.

use orchestrion_engine::Numbers;
use std::cell::Cell;

/// How a transformer is trained: no part of the model, and not stored with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// In what numbers products multiply; sums, weights and gradients are `f32` always.
    pub numbers: Numbers,
    /// Whether a block keeps its input alone and computes itself again for the gradient: less memory, more time, the same
    /// bits; but where the processor has an instruction for bfloat16, only a block that keeps all uses it.
    pub recompute: bool,
    /// Whether the engine's kernels serve on the CPU; if not, Burn's own operations: the slow path, to compare with. It
    /// knows `f32` alone and keeps all.
    pub kernels: bool,
}

impl Default for Work {
    fn default() -> Self {
        Self { numbers: Numbers::F32, recompute: false, kernels: true }
    }
}

thread_local! {
    static KERNELS: Cell<bool> = const { Cell::new(true) };
}

/// Runs `work` with or without the engine's kernels in all layers that this thread calls in it. Off, they take Burn's own
/// operations on the CPU too; a gradient is made by the operations that its forward pass took. What is switched off outside
/// stays off within.
pub fn with_kernels<T>(on: bool, work: impl FnOnce() -> T) -> T {
    /// Puts the switch back, after a panic too.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            KERNELS.set(self.0);
        }
    }
    let _before = Before(KERNELS.get());
    KERNELS.set(on && KERNELS.get());
    work()
}

/// Whether this thread may use the engine's kernels.
pub(super) fn kernels() -> bool {
    KERNELS.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_ends_with_its_work() {
        assert!(kernels());
        with_kernels(false, || {
            assert!(!kernels() && !with_kernels(true, kernels));
            assert!(std::thread::spawn(kernels).join().is_ok_and(|on| on), "another thread has its own");
        });
        assert!(
            kernels() && std::panic::catch_unwind(|| with_kernels(false, || panic!("within"))).is_err() && kernels()
        );
    }
}
