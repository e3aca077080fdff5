//! Keys and values of one head, laid out so that what is read together lies together.

use crate::lanes::{Block, LANES};

/// Keys and values of one layer, one row of the batch and one head: strips of keys (in tiles of 16 keys: `[head_width]`
/// blocks with one key a lane) and of values (one row of padded `head_width` after the other).
#[derive(Debug, Default)]
pub(super) struct Cache {
    head_width: usize,
    /// Tiles in a strip.
    tiles: usize,
    /// `[strips, tiles, head_width]`.
    keys: Vec<Block>,
    /// `[strips, tiles * 16, head_width / 16]`.
    values: Vec<Block>,
    /// Room for the scores of a strip's keys.
    pub scores: Vec<Block>,
}

impl Cache {
    /// Room for `strips` strips of `slots` keys, or `None` if there is not so much memory.
    pub(super) fn new(head_width: usize, (strips, slots): (usize, usize)) -> Option<Self> {
        let tiles = slots.div_ceil(LANES);
        let all = strips.checked_mul(tiles)?;
        Some(Self {
            head_width,
            tiles,
            keys: zeros(all.checked_mul(head_width)?)?,
            values: zeros(all.checked_mul(LANES)?.checked_mul(head_width.div_ceil(LANES))?)?,
            scores: zeros(tiles)?,
        })
    }

    /// Keeps the key and the value of a position, each `[head_width]`.
    pub(super) fn write(&mut self, strip: usize, slot: usize, key: &[f32], value: &[f32]) {
        let width = self.head_width;
        let blocks = width.div_ceil(LANES);
        let tile = strip * self.tiles + slot / LANES;
        for (block, k) in self.keys[tile * width..][..width].iter_mut().zip(key) {
            block[slot % LANES] = *k;
        }
        let row = &mut self.values[(tile * LANES + slot % LANES) * blocks..][..blocks];
        row.as_flattened_mut()[..width].copy_from_slice(value);
    }

    /// Keys and values of a strip, and room for its scores.
    pub(super) fn read(&mut self, strip: usize) -> (&[Block], &[Block], &mut [Block]) {
        let (keys, values) = (self.tiles * self.head_width, self.tiles * LANES * self.head_width.div_ceil(LANES));
        (&self.keys[strip * keys..][..keys], &self.values[strip * values..][..values], &mut self.scores)
    }
}

fn zeros(blocks: usize) -> Option<Vec<Block>> {
    let mut values = Vec::new();
    values.try_reserve_exact(blocks).ok()?;
    values.resize(blocks, [0.0; LANES]);
    Some(values)
}
