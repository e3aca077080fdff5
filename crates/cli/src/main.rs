//! orchestrion
fn main() {}
