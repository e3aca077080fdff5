//! One file a verb.

pub mod data;
mod preview;
pub mod train;
