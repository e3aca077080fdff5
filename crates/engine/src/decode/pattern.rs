//! Which keys a position sees, and where they lie in the cache.

/// Attention pattern of a layer, numbered as the published models have it. The window of `context` positions is read as a
/// table of `blocks` rows with `context / blocks` columns; position `t` lies in row `t / columns` and column
/// `t % columns`.
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
    /// Function 4, "summary": the last position of each block so far. Not decoded here.
    Summary,
    /// Function 5: the last few positions of each block so far. Not decoded here.
    SpreadSummary,
    /// Function 6: every position of an encoder, whose keys and values are the layer's own projection of its states.
    Encoder,
    /// Function 7: of the positions at the front of the window, those up to and including its own.
    Prime,
}

/// An attention function that can be decoded, with the sizes that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// One strip of all positions.
    Dense,
    /// One strip: the positions of the current block.
    Block {
        /// Positions of a block.
        columns: usize,
    },
    /// A strip for each column.
    TransposeBlock {
        /// Positions of a block.
        columns: usize,
    },
    /// Two strips in turn: the current block and the one before.
    PreviousBlock {
        /// Positions of a block.
        columns: usize,
    },
    /// One strip: the encoder's positions.
    Encoder,
    /// One strip: the positions at the front.
    Prime {
        /// How many of them.
        keys: usize,
    },
}

/// A place in a cache: strips are stretches of keys that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Strip and slot that take the position's own key and value; `None` if nobody will look at them.
    pub own: Option<(usize, usize)>,
    /// Strip the position attends to, after its own key was written.
    pub seen_strip: usize,
    /// Number of keys it sees there, from the strip's start; may be 0.
    pub seen: usize,
}

impl Pattern {
    /// The pattern of a layer whose blocks have `columns` positions and whose front has `prime`.
    ///
    /// # Errors
    /// Why there is none, as the rest of a sentence about the layer.
    pub fn of(function: AttnFunc, columns: usize, prime: usize) -> Result<Self, String> {
        match function {
            AttnFunc::Dense => Ok(Self::Dense),
            AttnFunc::Block => Ok(Self::Block { columns }),
            AttnFunc::TransposeBlock => Ok(Self::TransposeBlock { columns }),
            AttnFunc::PreviousBlock => Ok(Self::PreviousBlock { columns }),
            AttnFunc::Encoder => Ok(Self::Encoder),
            AttnFunc::Prime if prime > 0 => Ok(Self::Prime { keys: prime }),
            AttnFunc::Prime => {
                let hint = "hint: `prime` says how many positions that is";
                Err(format!("looks at the front of the window, which has no positions; {hint}"))
            }
            AttnFunc::Summary | AttnFunc::SpreadSummary => Err(format!(
                "has attention function {} ({function:?}), which cannot be run one token ahead; hint: such a model can be \
                 evaluated, but not sampled from",
                function as u8
            )),
        }
    }

    /// Strips and keys a strip that a window of `length` positions beside an encoder's `encoder` needs.
    pub fn extent(self, length: usize, encoder: usize) -> (usize, usize) {
        match self {
            Self::Dense => (1, length),
            Self::Block { columns } => (1, columns.min(length)),
            Self::TransposeBlock { columns } => (columns.min(length), length.div_ceil(columns)),
            Self::PreviousBlock { columns } => (2, columns.min(length)),
            Self::Encoder => (1, encoder),
            Self::Prime { keys } => (1, keys.min(length)),
        }
    }

    /// Where position `t` is kept and what it sees.
    pub fn place(self, t: usize, encoder: usize) -> Place {
        let place = |own, seen_strip, seen| Place { own, seen_strip, seen };
        match self {
            Self::Dense => place(Some((0, t)), 0, t + 1),
            Self::Block { columns } => place(Some((0, t % columns)), 0, t % columns + 1),
            Self::TransposeBlock { columns } => place(Some((t % columns, t / columns)), t % columns, t / columns + 1),
            Self::PreviousBlock { columns } => {
                let row = t / columns;
                place(Some((row % 2, t % columns)), (row + 1) % 2, if row == 0 { 0 } else { columns })
            }
            Self::Encoder => place(None, 0, encoder),
            Self::Prime { keys } => place((t < keys).then_some((0, t)), 0, keys.min(t + 1)),
        }
    }
}
