//! Raw-slice compute on the CPU: the hot operations of training (convolution, spectral distance) and one-token-ahead
//! decoding of transformers. Knows no tensors, no model family and no files.
//!
//! # Where things are
//!
//! | module | what it computes | layout |
//! |---|---|---|
//! | [`conv`] | dilated convolution and its gradients | `[batch, channels, time]`, weights `[out, in, tap]` |
//! | [`spectral`] | distance of magnitude spectrograms and its gradient | clips `[batch, time]`, spectra `[frame, bin]` |
//! | [`product`] | products of rows with weights, and their gradients | rows of channels, weights `[in, out]` |
//! | [`rows`] | layer norm, QuickGELU and cross-entropy, and their gradients | rows of channels |
//! | [`attention`] | factorised attention over whole sequences, and its gradient | `[batch, time, channels]` |
//! | [`decode`] | logits of the next token, with caches | rows of channels, padded to 16; weights in panels |
//! | `lanes` | the vectors under all kernels but the FFT's | blocks of 16 floats |
//!
//! # How a kernel is written
//!
//! A kernel is a struct of slices that implements `lanes::Kernel`. Its `run` is safe code, generic over `lanes::Simd`: the
//! instruction set, passed as a value that exists only where detection found the instructions. `lanes::Isa::run` compiles
//! `run` once for every set and calls the widest; on a machine without any, the same code runs on plain Rust, which is
//! also the twin that tests compare with. Of all kernels, only [`product`] is written otherwise. `unsafe` stands in `lanes`,
//! [`product`] and `memory`.
//!
//! # Why it is fast
//!
//! A vector has 16 floats, whatever the registers' size. All products are one shape: a *tile* of sums that stays in the
//! registers, up to 6 rows by one or a few vectors; every step loads one vector a column, spreads one float a row over
//! all lanes, and adds the products. AVX2 has 16 registers, two to a vector: 6 by 1 makes 12 sums, and two loads and six
//! spreads feed twelve multiply-adds. AVX-512 holds 6 by 4. `lanes::tile` chooses.
//!
//! What differs is which index lies side by side in the 16 lanes. Outputs in decoding, where weights are packed once and
//! rows of activations are spread. Time in the convolution, where rows of samples are long and a tap is the same row
//! read from another place. Input channels in the gradient of its weight, where time is summed over and a stretch of
//! input is turned for it. Around the tiles, work is cut so that what a tile reads again is in the first-level cache
//! and what a task reads again in the second.
//!
//! # Same bits
//!
//! Every product rounds once (fused multiply-add), every sum has an order that the shapes alone decide, and all operations
//! round as IEEE 754 says. So convolution and decoding give the same bits on any number of threads and with any
//! instruction set. Fourier transforms are the library's, the same on any number of threads, but not across machines.
//! The micro-kernels of [`product`] are a library's too, and the order of its sums is that library's affair: it serves
//! training and other work on whole windows, and decoding does not use it.
//!
//! # Threads
//!
//! Tasks run in the current `rayon` pool, and each gets its own `&mut` chunk of the result.

pub mod attention;
pub mod conv;
pub mod decode;
mod error;
#[cfg(test)]
#[path = "../../../fixtures/jukebox/folder.rs"]
mod fixtures;
mod lanes;
pub mod machine;
mod memory;
pub mod product;
pub mod rows;
pub mod spectral;
mod team;
#[cfg(test)]
mod tests;

pub use error::EngineError;
pub use memory::keep_freed_memory;
