//! The parts of Burn that this project stands on, under the names that Burn's own umbrella gives them.
//!
//! The umbrella also brings layers, optimisers, records and data sets. Nothing here uses them, and they would be part
//! of every first build.

/// Tensors and devices.
pub use burn_tensor as tensor;

/// What an operation with a backward pass of its own needs.
pub mod backend {
    pub use burn_backend::*;
    pub use burn_backend_extension::backend_extension;
    pub use burn_dispatch::{backend::*, backends::*, device::*, devices::*, tensor::*};
}
