//! Keys and values of one layer and one row of the batch, laid out so that what is read together lies together.

use crate::lanes::{Block, LANES};

/// For each head, strips of keys (in tiles of 16 keys: `[head_width]` blocks with one key a lane) and of values (one row
/// of padded `head_width` after the other).
#[derive(Debug, Default)]
pub(super) struct Cache {
    head_width: usize,
    strips: usize,
    /// Tiles in a strip.
    tiles: usize,
    /// `[heads, strips, tiles, head_width]`.
    keys: Vec<Block>,
    /// `[heads, strips, tiles * 16, head_width / 16]`.
    values: Vec<Block>,
    /// Room for the scores of a strip's keys.
    pub scores: Vec<Block>,
}

impl Cache {
    /// Room for `strips` strips of `slots` keys, or `None` if there is not so much memory.
    pub(super) fn new(heads: usize, head_width: usize, (strips, slots): (usize, usize)) -> Option<Self> {
        let tiles = slots.div_ceil(LANES);
        let rows = heads.checked_mul(strips)?.checked_mul(tiles)?;
        Some(Self {
            head_width,
            strips,
            tiles,
            keys: zeros(rows.checked_mul(head_width)?)?,
            values: zeros(rows.checked_mul(LANES)?.checked_mul(head_width.div_ceil(LANES))?)?,
            scores: zeros(tiles)?,
        })
    }

    /// Keeps the key and the value of a position, each `[heads * head_width]`.
    pub(super) fn write(&mut self, strip: usize, slot: usize, key: &[f32], value: &[f32]) {
        let width = self.head_width;
        let blocks = width.div_ceil(LANES);
        for (head, (key, value)) in key.chunks_exact(width).zip(value.chunks_exact(width)).enumerate() {
            let tile = (head * self.strips + strip) * self.tiles + slot / LANES;
            for (block, k) in self.keys[tile * width..][..width].iter_mut().zip(key) {
                block[slot % LANES] = *k;
            }
            let row = &mut self.values[(tile * LANES + slot % LANES) * blocks..][..blocks];
            row.as_flattened_mut()[..width].copy_from_slice(value);
        }
    }

    /// Keys and values of a head's strip.
    pub(super) fn read(&self, head: usize, strip: usize) -> (&[Block], &[Block]) {
        let tile = (head * self.strips + strip) * self.tiles;
        let blocks = LANES * self.head_width.div_ceil(LANES);
        (
            &self.keys[tile * self.head_width..][..self.tiles * self.head_width],
            &self.values[tile * blocks..][..self.tiles * blocks],
        )
    }
}

fn zeros(blocks: usize) -> Option<Vec<Block>> {
    let mut values = Vec::new();
    values.try_reserve_exact(blocks).ok()?;
    values.resize(blocks, [0.0; LANES]);
    Some(values)
}
