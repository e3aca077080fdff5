//! The input that a stretch of output needs, gathered where it stays in cache.
//!
//! Output is made a stretch of time at a go. What its taps read of an input row is one piece, the stretch and the
//! kernel's reach; or, where taps are farther apart than a stretch is long, one piece a tap.

use super::ConvShape;
use crate::lanes::{LANES, padded};

/// Stretches are multiples of this, the samples of the widest tile.
pub(super) const STRIP: usize = crate::lanes::tile::WIDEST * LANES;

/// Floats of a window without its reach: a good part of a second-level cache.
const WINDOW: usize = 24_576;

/// How output is cut into stretches, and how a stretch's input lies in its window.
pub(super) struct Windows {
    shape: ConvShape,
    /// Samples of output in a stretch.
    pub stretch: usize,
    /// Stretches of a clip.
    pub stretches: usize,
    /// Places between pieces of a row.
    piece: usize,
    /// Samples of a piece.
    filled: usize,
    pieces: usize,
    /// Places of a row in the window.
    pub row: usize,
}

/// Places for `n` values: an odd number of vectors, so that rows don't compete for the same lines of a cache.
fn staggered(n: usize) -> usize {
    ((padded(n) / LANES) | 1) * LANES
}

impl Windows {
    /// Cuts a convolution with output rows of `length_out`.
    pub(super) fn new(shape: &ConvShape, length_out: usize) -> Self {
        let strips = (WINDOW / shape.channels_in / STRIP).clamp(1, 16);
        let stretch = STRIP * strips.min(length_out.div_ceil(STRIP));
        let (pieces, filled) =
            if shape.dilation > stretch { (shape.kernel, stretch) } else { (1, stretch + shape.reach()) };
        let piece = staggered(filled);
        Self {
            shape: *shape,
            stretch,
            stretches: length_out.div_ceil(stretch),
            piece,
            filled,
            pieces,
            row: staggered(pieces * piece),
        }
    }

    /// Where the taps of an input row begin in its row of the window.
    pub(super) fn taps(&self) -> impl Iterator<Item = usize> + Clone {
        let between = if self.pieces > 1 { self.piece } else { self.shape.dilation };
        (0..self.shape.kernel).map(move |k| k * between)
    }

    /// Copies the stretch that begins at output sample `from` of an input row to its row of the window, with zeros where
    /// the padding is and, on request, through the ReLU.
    #[inline(always)]
    pub(super) fn copy(&self, from: usize, row: &[f32], window: &mut [f32]) {
        for piece in 0..self.pieces {
            let to = &mut window[piece * self.piece..][..self.filled];
            // Where the piece begins in the padded row, and what of it lies before, in and behind the row itself.
            let begin = from + piece * self.shape.dilation;
            let [padding, _] = self.shape.padding;
            let (left, to) = to.split_at_mut(padding.saturating_sub(begin).min(to.len()));
            left.fill(0.0);
            let row = &row[begin.saturating_sub(padding).min(row.len())..];
            let (to, right) = to.split_at_mut(row.len().min(to.len()));
            right.fill(0.0);
            let row = &row[..to.len()];
            if self.shape.relu {
                for (to, &x) in to.iter_mut().zip(row) {
                    *to = if x > 0.0 { x } else { 0.0 };
                }
            } else {
                to.copy_from_slice(row);
            }
        }
    }
}
