//! Which keys a position sees, and where they lie in the cache.

/// Attention pattern of a layer. The window of `context` positions is read as a table of `blocks` rows with
/// `context / blocks` columns; position `t` lies in row `t / columns` and column `t % columns`.
///
/// Functions 4 to 7 are not decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttnFunc {
    /// Function 0: all positions up to and including its own.
    Dense,
    /// Function 1, "row": the positions of its own block up to and including its own.
    Block,
    /// Function 2, "column": its own position and those a whole number of blocks before it.
    TransposeBlock,
    /// Function 3, "previous row": every position of the block before. Positions of the first block see nothing: their
    /// attention output is zero, and the layer adds the bias of its projection alone.
    PreviousBlock,
    /// Function 4: a zero key, and the last position of every block but the last, up to its own.
    Summary,
    /// Function 5: the same with several last positions of a block, and as many zero keys.
    SpreadSummary,
    /// Function 6: all states of an encoder.
    Encoder,
    /// Function 7: the first positions, up to its own.
    Prime,
}

/// A place in a cache: strips are stretches of keys that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Strip and slot that take the position's own key and value.
    pub strip: usize,
    /// See `strip`.
    pub slot: usize,
    /// Strip the position attends to, after its own key was written.
    pub seen_strip: usize,
    /// Number of keys it sees there, from the strip's start; may be 0.
    pub seen: usize,
}

impl AttnFunc {
    /// Strips and keys a strip that a window of `length` positions needs.
    pub(super) fn extent(self, length: usize, columns: usize) -> (usize, usize) {
        match self {
            Self::Dense | Self::Summary | Self::SpreadSummary | Self::Encoder | Self::Prime => (1, length),
            Self::Block => (1, columns.min(length)),
            Self::TransposeBlock => (columns.min(length), length.div_ceil(columns)),
            Self::PreviousBlock => (2, columns.min(length)),
        }
    }

    /// Where position `t` is kept and what it sees.
    pub(super) fn place(self, t: usize, columns: usize) -> Place {
        let (row, column) = (t / columns, t % columns);
        let place = |strip, slot, seen_strip, seen| Place { strip, slot, seen_strip, seen };
        match self {
            Self::Dense | Self::Summary | Self::SpreadSummary | Self::Encoder | Self::Prime => place(0, t, 0, t + 1),
            Self::Block => place(0, column, 0, column + 1),
            Self::TransposeBlock => place(column, row, column, row + 1),
            Self::PreviousBlock => place(row % 2, column, (row + 1) % 2, if row == 0 { 0 } else { columns }),
        }
    }
}
