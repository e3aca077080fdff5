//! Layers: what the models are built from.

pub mod attention;
pub mod conv;
pub mod dense;
pub(crate) mod ops;
mod parameters;
mod random;
pub mod resnet;
pub mod transformer;
mod work;

pub use parameters::{Parameter, Parameters, Visitor, each_parameter, move_to};
pub use random::Random;
pub use work::{Work, with_kernels};
