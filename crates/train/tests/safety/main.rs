//! Training that is stopped, damaged, short of room or fed with the wrong things.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;
mod data;
mod gradients;
mod material;
mod resume;
mod soak;
