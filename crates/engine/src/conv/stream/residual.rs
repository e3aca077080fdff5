//! The residual block `x + point(relu(wide(relu(x))))` in one pass.
//!
//! `wide` has three taps `dilation` apart, so the outputs at `t`, `t + dilation`, `t + 2 dilation` and `t + 3 dilation` can be
//! made together, by [`minimal`](super::minimal) filtering: *bases* are the first ones of such fours. Groups of
//! `4 * dilation` outputs are counted from the start of the song, so the result does not depend on how the song came; what
//! is left behind the last whole group is made one by one, as are all outputs if the taps are less than a vector apart:
//! then neighbours in time are no neighbouring bases, and dealing them out would cost more than it saves.
//!
//! Sixteen bases lie side by side in the lanes of a vector, a few vectors make a tile. A tile goes through the whole block
//! while it stays in the second-level cache: inputs of all channels, products with the taps, outputs, ReLU, products with
//! `point`, sum.

use std::ops::Range;

use rayon::prelude::*;

use super::held::Held;
use super::minimal::{Filter, Four, One};
use crate::lanes::tile::{ROWS, accumulate, with_tile};
use crate::lanes::{Block, Isa, Kernel, LANES, Simd};

/// Blocks of a tile.
const TILE: usize = 4;

/// Blocks of input that stay in the first-level cache while all weights pass by: 16 KB.
const NEAR: usize = 256;

/// Weights of a residual block, ready for use.
pub(super) struct Residual {
    dilation: usize,
    width: usize,
    hidden: usize,
    /// See [`planes`].
    one: Vec<f32>,
    four: Vec<f32>,
    wide_bias: Vec<f32>,
    /// `[width][hidden]`.
    point: Vec<f32>,
    point_bias: Vec<f32>,
}

impl Residual {
    /// `wide` is `[hidden, width, 3]`, `point` is `[width, hidden]`; what is added is `scale` times what they make.
    pub(super) fn new(
        dilation: usize,
        [wide, wide_bias]: [&[f32]; 2],
        [point, point_bias]: [&[f32]; 2],
        scale: f32,
    ) -> Self {
        let (hidden, width) = (wide_bias.len(), point_bias.len());
        let scaled = |values: &[f32]| values.iter().map(|value| value * scale).collect();
        Self {
            dilation,
            width,
            hidden,
            one: planes::<One>(wide, width),
            four: planes::<Four>(wide, width),
            wide_bias: wide_bias.to_vec(),
            point: scaled(point),
            point_bias: scaled(point_bias),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Outputs that can be made from `known` inputs.
    pub(super) fn ready(&self, known: usize, last: bool) -> usize {
        if last { known } else { known.saturating_sub(self.dilation) / self.group() * self.group() }
    }

    /// Outputs that are made together.
    fn group(&self) -> usize {
        if self.dilation < LANES { 1 } else { Four::OUTPUTS * self.dilation }
    }

    /// First input that outputs from `done` on need.
    pub(super) fn needed(&self, done: usize) -> usize {
        done.saturating_sub(self.dilation)
    }

    /// Makes the outputs from `from` on, which is a whole number of groups.
    pub(super) fn run(&self, isa: Isa, input: &Held, from: usize, y: Vec<&mut [f32]>) {
        let outputs = y.first().map_or(0, |row| row.len());
        let grouped = if self.group() == 1 { 0 } else { outputs / self.group() * self.group() };
        let (mut whole, mut rest) = (Vec::with_capacity(y.len()), Vec::with_capacity(y.len()));
        for row in y {
            let (left, right) = row.split_at_mut(grouped);
            whole.push(left);
            rest.push(right);
        }
        if grouped > 0 {
            let layout = Layout { from, groups: grouped / self.group(), bases: self.dilation, step: self.dilation };
            self.pass::<Four>(isa, input, layout, whole);
        }
        if outputs > grouped {
            let layout = Layout { from: from + grouped, groups: 1, bases: outputs - grouped, step: self.dilation };
            self.pass::<One>(isa, input, layout, rest);
        }
    }

    fn pass<F: Filter>(&self, isa: Isa, input: &Held, layout: Layout, y: Vec<&mut [f32]>) {
        let parts = layout.parts::<F>(4 * rayon::current_num_threads());
        let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
        tasks.resize_with(parts.len(), Vec::new);
        for mut row in y {
            layout.cut::<F>(&parts, |part, n| {
                let (piece, rest) = std::mem::take(&mut row).split_at_mut(n);
                tasks[part].push(piece);
                row = rest;
            });
        }
        let weights = if F::OUTPUTS == One::OUTPUTS { &self.one } else { &self.four };
        parts.into_par_iter().zip(tasks).for_each_init(Vec::new, |scratch, (part, y)| {
            isa.run(Task::<F> {
                block: self,
                input,
                layout,
                part,
                weights,
                y,
                scratch,
                filter: std::marker::PhantomData,
            });
        });
    }
}

/// What products take: `[product][hidden][inputs of a product, width]` of `[hidden, width, 3]`.
fn planes<F: Filter>(wide: &[f32], width: usize) -> Vec<f32> {
    let taps: Vec<[f32; 6]> = wide.as_chunks::<3>().0.iter().map(|taps| F::taps(*taps)).collect();
    let (rows, each) = (taps.chunks_exact(width), F::INPUTS / F::PRODUCTS);
    let row = |product: usize, row: &[[f32; 6]]| -> Vec<f32> {
        (product * each..(product + 1) * each).flat_map(|input| row.iter().map(move |taps| taps[input])).collect()
    };
    (0..F::PRODUCTS).flat_map(|product| rows.clone().flat_map(move |taps| row(product, taps))).collect()
}

/// Where bases are: base `r` of group `g` is output `from + g * outputs * bases + r`, with its others `step` apart.
#[derive(Clone, Copy)]
struct Layout {
    from: usize,
    groups: usize,
    bases: usize,
    step: usize,
}

/// Some bases of some groups: all of a few, or some of all.
#[derive(Clone)]
struct Part {
    groups: Range<usize>,
    bases: Range<usize>,
}

impl Layout {
    fn group<F: Filter>(&self) -> usize {
        F::OUTPUTS * self.bases
    }

    /// About `wanted` parts, by groups if there are as many, or groups are small.
    fn parts<F: Filter>(&self, wanted: usize) -> Vec<Part> {
        let by_groups = self.groups >= wanted;
        let (all, least) = if by_groups { (self.groups, 1) } else { (self.bases, 2 * LANES) };
        let each = all.div_ceil(wanted).next_multiple_of(least);
        let ranges = (0..all).step_by(each).map(|begin| begin..(begin + each).min(all));
        let part = |range| match by_groups {
            true => Part { groups: range, bases: 0..self.bases },
            false => Part { groups: 0..self.groups, bases: range },
        };
        ranges.map(part).collect()
    }

    /// Says, in the order of the outputs, to which part the next `n` belong.
    fn cut<F: Filter>(&self, parts: &[Part], mut next: impl FnMut(usize, usize)) {
        if parts.iter().all(|part| part.bases.len() == self.bases) {
            for (index, part) in parts.iter().enumerate() {
                next(index, part.groups.len() * self.group::<F>());
            }
            return;
        }
        for _ in 0..self.groups * F::OUTPUTS {
            for (index, part) in parts.iter().enumerate() {
                next(index, part.bases.len());
            }
        }
    }

    /// Which piece of a part's row, as [`cut`](Self::cut) made them, has an output of a base, and where.
    #[inline(always)]
    fn place<F: Filter>(&self, part: &Part, base: Base, output: usize) -> (usize, usize) {
        let group = base.group - part.groups.start;
        if part.bases.len() == self.bases {
            (0, group * self.group::<F>() + output * self.step + base.index)
        } else {
            (group * F::OUTPUTS + output, base.index - part.bases.start)
        }
    }

    /// Pieces of a part's row.
    fn pieces<F: Filter>(&self, part: &Part) -> usize {
        if part.bases.len() == self.bases { 1 } else { part.groups.len() * F::OUTPUTS }
    }
}

/// A base: group, and index within it.
#[derive(Clone, Copy, Default)]
struct Base {
    group: usize,
    index: usize,
}

/// What lies in the lanes of a vector: neighbouring bases from one on, and behind them those of the next group.
#[derive(Clone, Copy, Default)]
struct Run {
    first: Base,
    count: usize,
}

type Lanes = [Run; 2];

/// One thread's part of a pass.
struct Task<'a, F> {
    block: &'a Residual,
    input: &'a Held,
    layout: Layout,
    part: Part,
    weights: &'a [f32],
    /// `[channel][piece]`.
    y: Vec<&'a mut [f32]>,
    scratch: &'a mut Vec<Block>,
    filter: std::marker::PhantomData<F>,
}

impl<F: Filter> Kernel for Task<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (width, hidden) = (self.block.width, self.block.hidden);
        let deep = F::INPUTS / F::PRODUCTS * width;
        let (sizes, outputs) = ([F::PRODUCTS * TILE * deep, F::PRODUCTS * TILE * hidden], F::OUTPUTS * TILE);
        let mut scratch = std::mem::take(self.scratch);
        scratch.resize(sizes[0] + sizes[1] + outputs * (width + hidden), [0.0; LANES]);
        let (seen, rest) = scratch.split_at_mut(sizes[0]);
        let (products, rest) = rest.split_at_mut(sizes[1]);
        let (between, made) = rest.split_at_mut(outputs * hidden);
        let mut tiles = [Lanes::default(); TILE];
        let mut next = Base { group: self.part.groups.start, index: self.part.bases.start };
        while next.group < self.part.groups.end {
            let mut blocks = 0;
            while blocks < TILE && next.group < self.part.groups.end {
                tiles[blocks] = [self.fill(&mut next, LANES), Run::default()];
                tiles[blocks][1] = self.fill(&mut next, LANES - tiles[blocks][0].count);
                blocks += 1;
            }
            for (tile, lanes) in tiles[..blocks].iter().enumerate() {
                for channel in 0..width {
                    self.see(simd, lanes, channel, &mut seen[tile * deep..]);
                }
            }
            for product in 0..F::PRODUCTS {
                let weights = &self.weights[product * hidden * deep..][..hidden * deep];
                let (x, y) = (&seen[product * TILE * deep..], &mut products[product * TILE * hidden..]);
                Product { weights, inputs: deep, bias: &[], x, y }.run(simd, blocks);
            }
            for tile in 0..blocks {
                self.rectify(simd, &products[tile * hidden..], &mut between[tile * F::OUTPUTS * hidden..]);
            }
            let (weights, bias) = (&self.block.point, &self.block.point_bias);
            Product { weights, inputs: hidden, bias, x: between, y: made }.run(simd, blocks * F::OUTPUTS);
            for (tile, lanes) in tiles[..blocks].iter().enumerate() {
                let mut lane = 0;
                for run in lanes.iter().filter(|run| run.count > 0) {
                    self.add(simd, *run, lane, &made[tile * F::OUTPUTS * width..]);
                    lane += run.count;
                }
            }
        }
        *self.scratch = scratch;
    }
}

impl<F: Filter> Task<'_, F> {
    /// The next bases of one group, `most` at most.
    #[inline(always)]
    fn fill(&self, next: &mut Base, most: usize) -> Run {
        let run = Run { first: *next, count: most.min(self.part.bases.end - next.index) };
        if next.group >= self.part.groups.end {
            return Run::default();
        }
        next.index += run.count;
        if next.index == self.part.bases.end {
            *next = Base { group: next.group + 1, index: self.part.bases.start };
        }
        run
    }

    /// Where the first input that a base sees lies in the rows of input; before the song it is negative.
    #[inline(always)]
    fn first_input(&self, base: Base) -> isize {
        let output = self.layout.from + base.group * self.layout.group::<F>() + base.index;
        output as isize - self.layout.step as isize - self.input.first() as isize
    }

    /// What the products take of a channel: `[product]` at `TILE` times the inputs of a product and channels, where they lie as
    /// `[input, channel]`.
    #[inline(always)]
    fn see<S: Simd>(&self, simd: S, lanes: &Lanes, channel: usize, to: &mut [Block]) {
        let (row, step) = (self.input.row(channel), self.layout.step);
        let zero = simd.splat(0.0);
        let mut x = [zero; 6];
        let first = self.first_input(lanes[0].first);
        let inside = first >= 0 && first as usize + (F::INPUTS - 1) * step + LANES <= row.len();
        if inside && lanes[1].count == 0 {
            for (input, x) in x.iter_mut().enumerate().take(F::INPUTS) {
                let from = row[first as usize + input * step..].as_chunks::<LANES>().0;
                *x = simd.max(simd.load(&from[0]), zero);
            }
        } else {
            for (input, x) in x.iter_mut().enumerate().take(F::INPUTS) {
                let mut values = [0.0; LANES];
                let (left, right) = values.split_at_mut(lanes[0].count);
                copy(row, first + (input * step) as isize, left);
                copy(row, self.first_input(lanes[1].first) + (input * step) as isize, &mut right[..lanes[1].count]);
                *x = simd.max(simd.load(&values), zero);
            }
        }
        F::inputs(simd, &mut x);
        let (width, each) = (self.block.width, F::INPUTS / F::PRODUCTS);
        for (input, x) in x.iter().enumerate().take(F::INPUTS) {
            simd.store(*x, &mut to[(input / each * TILE * each + input % each) * width + channel]);
        }
    }

    /// Hidden channels of a block, `[output][hidden]`, out of the products, `[product]` at `TILE * hidden` blocks.
    #[inline(always)]
    fn rectify<S: Simd>(&self, simd: S, products: &[Block], to: &mut [Block]) {
        let hidden = self.block.hidden;
        let zero = simd.splat(0.0);
        for (channel, bias) in self.block.wide_bias.iter().enumerate() {
            let mut m = [zero; 6];
            for (product, m) in m.iter_mut().enumerate().take(F::PRODUCTS) {
                *m = simd.load(&products[product * TILE * hidden + channel]);
            }
            let outputs = F::outputs(simd, &m);
            let bias = simd.splat(*bias);
            for (output, y) in outputs.iter().enumerate().take(F::OUTPUTS) {
                simd.store(simd.max(simd.add(*y, bias), zero), &mut to[output * hidden + channel]);
            }
        }
    }

    /// Adds the input to what was made of a run of bases, which lie from a lane on: `[output][channel]`; the outputs.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, run: Run, lane: usize, made: &[Block]) {
        let (layout, width, pieces) = (self.layout, self.block.width, self.layout.pieces::<F>(&self.part));
        let first = (self.first_input(run.first) + layout.step as isize) as usize;
        for output in 0..F::OUTPUTS {
            let (piece, place) = layout.place::<F>(&self.part, run.first, output);
            for (channel, made) in made[output * width..][..width].iter().enumerate() {
                let x = &self.input.row(channel)[first + output * layout.step..][..run.count];
                let y = &mut self.y[channel * pieces + piece][place..][..run.count];
                if let ([x], [y]) = (x.as_chunks().0, y.as_chunks_mut().0) {
                    simd.store(simd.add(simd.load(made), simd.load(x)), y);
                } else {
                    for ((y, x), made) in y.iter_mut().zip(x).zip(&made[lane..]) {
                        *y = x + made;
                    }
                }
            }
        }
    }
}

/// Copies a row from a place on, with zeros outside of it.
#[inline(always)]
fn copy(row: &[f32], at: isize, to: &mut [f32]) {
    let (zeros, to) = to.split_at_mut(((-at).max(0) as usize).min(to.len()));
    zeros.fill(0.0);
    let row = row.get(at.max(0) as usize..).unwrap_or_default();
    let (to, zeros) = to.split_at_mut(row.len().min(to.len()));
    to.copy_from_slice(&row[..to.len()]);
    zeros.fill(0.0);
}

/// `[block][outputs]` of `[block][inputs]` by weights `[outputs][inputs]`.
struct Product<'a> {
    weights: &'a [f32],
    inputs: usize,
    /// `[outputs]`; none is zero.
    bias: &'a [f32],
    x: &'a [Block],
    y: &'a mut [Block],
}

impl Product<'_> {
    /// The first so many blocks, as many at a time as stay in the first-level cache.
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S, blocks: usize) {
        let outputs = self.weights.len() / self.inputs;
        let near = (NEAR / self.inputs).max(1);
        for from in (0..blocks).step_by(near) {
            let to = (from + near).min(blocks);
            for first in (0..outputs).step_by(ROWS) {
                with_tile!(S, ROWS.min(outputs - first), self.rows(simd, first, from, to));
            }
        }
    }

    /// `R` outputs of some blocks, `C` at a time.
    #[inline(always)]
    fn rows<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, first: usize, from: usize, to: usize) {
        let together = to - (to - from) % C;
        for block in (from..together).step_by(C) {
            self.tile::<S, R, C>(simd, first, block);
        }
        for block in together..to {
            self.tile::<S, R, 1>(simd, first, block);
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "closures don't inherit the instruction set; indices are constants")]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, first: usize, block: usize) {
        let outputs = self.weights.len() / self.inputs;
        let mut rows: [&[f32]; R] = [&[]; R];
        let mut sums = [[simd.splat(0.0); C]; R];
        for r in 0..R {
            rows[r] = &self.weights[(first + r) * self.inputs..];
            if let Some(bias) = self.bias.get(first + r) {
                sums[r] = [simd.splat(*bias); C];
            }
        }
        let mut columns: [&[Block]; C] = [&[]; C];
        for c in 0..C {
            columns[c] = &self.x[(block + c) * self.inputs..];
        }
        accumulate(simd, rows, columns, self.inputs, &mut sums);
        for r in 0..R {
            for c in 0..C {
                simd.store(sums[r][c], &mut self.y[(block + c) * outputs + first + r]);
            }
        }
    }
}
