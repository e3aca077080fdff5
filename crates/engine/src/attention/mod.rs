//! Factorised causal attention over whole sequences, forward and backward, without a matrix of all scores.
//!
//! Every pattern falls into *groups*: evenly spaced queries that look at evenly spaced keys, all of them or those up to
//! their own place. A group's keys and values are gathered once, in the layouts that products read; then a few queries at
//! a time are scored, softened and mixed, in memory that stays in the cache. The backward pass scores again instead of
//! keeping what it would need.
//!
//! Source: Dhariwal et al. 2020 (arXiv 2005.00341), appendix A; Child et al. 2019; recomputation as in Dao et al. 2022.

mod backward;
mod forward;
mod gather;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::EngineError;
use crate::decode::AttnFunc;
use crate::lanes::Isa;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Which keys a query sees.
    pub func: AttnFunc,
    /// Sequences.
    pub batch: usize,
    /// Positions of a sequence; whole blocks for all but dense and prime attention.
    pub time: usize,
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub head_width: usize,
    /// Positions of a block.
    pub block: usize,
    /// Keys at the front that prime attention may see.
    pub prime: usize,
}

/// Evenly spaced positions.
#[derive(Debug, Clone, Copy)]
struct Places {
    first: usize,
    step: usize,
    count: usize,
}

impl Places {
    fn iter(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |i| self.first + i * self.step)
    }
}

/// Queries and the keys they look at.
#[derive(Debug, Clone, Copy)]
struct Group {
    queries: Places,
    keys: Places,
    /// Whether the query at place `i` sees the keys up to place `i` only.
    causal: bool,
}

impl Group {
    /// Keys that the query at place `i` sees.
    #[inline(always)]
    fn seen(&self, i: usize) -> usize {
        if self.causal { self.keys.count.min(i + 1) } else { self.keys.count }
    }
}

impl AttentionShape {
    fn state(&self) -> usize {
        self.heads * self.head_width
    }

    pub(crate) fn validate(&self) -> Result<(), EngineError> {
        let Self { func, time, block, prime, .. } = *self;
        let bad = |what: String| Err(EngineError::Request(format!("{what}; hint: check the transformer's sizes")));
        if self.batch * time * self.state() == 0 {
            return bad(format!("attention over nothing: {self:?}"));
        }
        match func {
            AttnFunc::Dense => Ok(()),
            AttnFunc::Block | AttnFunc::TransposeBlock | AttnFunc::PreviousBlock => {
                if block == 0 || !time.is_multiple_of(block) {
                    return bad(format!("{time} positions are not whole blocks of {block}"));
                }
                Ok(())
            }
            AttnFunc::Prime if prime > 0 => Ok(()),
            other => bad(format!("{other:?} attention has no kernel")),
        }
    }

    /// The groups of one sequence. Positions in no group see nothing.
    fn groups(&self) -> Vec<Group> {
        let Self { time, block, .. } = *self;
        let row = |first, count| Places { first, step: 1, count };
        match self.func {
            AttnFunc::Block => (0..time)
                .step_by(block)
                .map(|first| Group { queries: row(first, block), keys: row(first, block), causal: true })
                .collect(),
            AttnFunc::TransposeBlock => (0..block)
                .map(|first| Places { first, step: block, count: time / block })
                .map(|column| Group { queries: column, keys: column, causal: true })
                .collect(),
            AttnFunc::PreviousBlock => (block..time)
                .step_by(block)
                .map(|first| Group { queries: row(first, block), keys: row(first - block, block), causal: false })
                .collect(),
            AttnFunc::Prime => {
                vec![Group { queries: row(0, time), keys: row(0, self.prime.min(time)), causal: true }]
            }
            _ => vec![Group { queries: row(0, time), keys: row(0, time), causal: true }],
        }
    }

    fn check(&self, name: &str, columns: usize, values: &[f32]) -> Result<(), EngineError> {
        let expected = self.batch * self.time * columns;
        if values.len() == expected {
            return Ok(());
        }
        let name = format!("`{name}` [{}, {}, {columns}]", self.batch, self.time);
        Err(EngineError::Length { name, expected, found: values.len() })
    }
}

/// One head of one sequence within `[batch, time, columns]`.
#[derive(Debug, Clone, Copy)]
struct Head<'a> {
    values: &'a [f32],
    columns: usize,
    first: usize,
    width: usize,
}

impl<'a> Head<'a> {
    #[inline(always)]
    fn row(&self, t: usize) -> &'a [f32] {
        &self.values[t * self.columns + self.first..][..self.width]
    }
}

/// The heads of all sequences, in order of sequence and head.
fn heads<'a>(shape: &AttentionShape, values: &'a [f32], parts: usize, part: usize) -> Vec<Head<'a>> {
    let columns = parts * shape.state();
    values
        .chunks_exact(shape.time * columns)
        .flat_map(|values| (0..shape.heads).map(move |head| (values, head)))
        .map(|(values, head)| Head {
            values,
            columns,
            first: part * shape.state() + head * shape.head_width,
            width: shape.head_width,
        })
        .collect()
}

/// What the heads made, `[time, parts * head_width]` each, put side by side: `[batch, time, parts * state]`.
fn join(shape: &AttentionShape, parts: usize, made: &[Vec<f32>]) -> Vec<f32> {
    let (width, columns) = (shape.head_width, parts * shape.state());
    let mut out = vec![0.0; shape.batch * shape.time * columns];
    out.par_chunks_mut(columns).enumerate().with_min_len(32).for_each(|(row, out)| {
        let (clip, t) = (row / shape.time, row % shape.time);
        for (head, made) in made[clip * shape.heads..][..shape.heads].iter().enumerate() {
            let row = &made[t * parts * width..][..parts * width];
            for (part, row) in row.chunks_exact(width).enumerate() {
                out[part * shape.state() + head * width..][..width].copy_from_slice(row);
            }
        }
    });
    out
}

/// Attention of `qkv` `[batch, time, 3 * state]` (queries, keys, values): `[batch, time, state]`; and for the gradient the
/// logarithms of each query's sum of exponentials, `[batch, heads, time]`. Queries that see nothing give zero.
///
/// # Errors
/// If a length does not fit, or the pattern is one that has no kernel (4, 5 and 6).
pub fn attend(shape: &AttentionShape, qkv: &[f32]) -> Result<(Vec<f32>, Vec<f32>), EngineError> {
    shape.validate()?;
    shape.check("qkv", 3 * shape.state(), qkv)?;
    let (isa, groups) = (Isa::detect(), shape.groups());
    let [q, k, v] = [0, 1, 2].map(|part| heads(shape, qkv, 3, part));
    let mut sums = vec![0.0; shape.batch * shape.heads * shape.time];
    let made: Vec<Vec<f32>> = q
        .par_iter()
        .zip(&k)
        .zip(&v)
        .zip(sums.par_chunks_mut(shape.time))
        .map(|(((q, k), v), sums)| {
            let mut out = vec![0.0; shape.time * shape.head_width];
            let mut work = forward::Work::default();
            for group in &groups {
                isa.run(forward::Forward { group, q: *q, k: *k, v: *v, work: &mut work, out: &mut out, sums });
            }
            out
        })
        .collect();
    Ok((join(shape, 1, &made), sums))
}

/// Gradient `[batch, time, 3 * state]` for `qkv`, from what [`attend`] gave and the gradient of its output.
///
/// # Errors
/// As [`attend`].
pub fn attend_grad(
    shape: &AttentionShape,
    qkv: &[f32],
    out: &[f32],
    sums: &[f32],
    grad: &[f32],
) -> Result<Vec<f32>, EngineError> {
    shape.validate()?;
    shape.check("qkv", 3 * shape.state(), qkv)?;
    shape.check("out", shape.state(), out)?;
    shape.check("grad", shape.state(), grad)?;
    shape.check("sums", shape.heads, sums)?;
    let (isa, groups) = (Isa::detect(), shape.groups());
    let [q, k, v] = [0, 1, 2].map(|part| heads(shape, qkv, 3, part));
    let (out, grad) = (heads(shape, out, 1, 0), heads(shape, grad, 1, 0));
    let made: Vec<Vec<f32>> = (0..q.len())
        .into_par_iter()
        .map(|i| {
            let mut slopes = vec![0.0; shape.time * 3 * shape.head_width];
            let mut work = backward::Work::default();
            for group in &groups {
                isa.run(backward::Backward {
                    group,
                    heads: backward::Heads { q: q[i], k: k[i], v: v[i], out: out[i], grad: grad[i] },
                    sums: &sums[i * shape.time..][..shape.time],
                    work: &mut work,
                    slopes: &mut slopes,
                });
            }
            slopes
        })
        .collect();
    Ok(join(shape, 3, &made))
}
