//! One file a verb.

pub mod bench;
pub mod data;
pub mod decode;
pub mod doctor;
pub mod embed;
pub mod encode;
pub mod eval;
pub mod model;
mod preview;
pub mod sample;
mod sample_alignment;
mod sample_labels;
mod sample_output;
pub mod train;
