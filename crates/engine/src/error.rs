//! What the engine refuses.

/// Error of this crate: a shape or a request that does not fit.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A slice has the wrong number of elements.
    #[error("{name}: expected {expected} values, found {found}")]
    Length {
        /// What the slice holds.
        name: String,
        /// Number of values its shape calls for.
        expected: usize,
        /// Number of values it has.
        found: usize,
    },
    /// A value or a call that makes no sense here.
    #[error("{0}")]
    Request(String),
}
