//! Every kernel on every instruction set of this machine against the scalar twin, bit for bit; and the exponential
//! against the true one.

use super::*;
use crate::decode::attention::Attend;
use crate::decode::matrix::Matrix;
use crate::decode::norm::PackedNorm;
use crate::decode::product::Finish;
use crate::lanes::exp::exp;
use crate::lanes::{Block, Isa, Kernel, LANES, Simd, padded};
use crate::team::Team;

/// Runs `kernel` on all instruction sets and compares what it wrote.
fn same_everywhere(what: &str, kernel: impl Fn(Isa) -> Vec<f32>) {
    let sets = Isa::available();
    let results: Vec<Vec<u32>> = sets.iter().map(|isa| kernel(*isa).iter().map(|x| x.to_bits()).collect()).collect();
    for (isa, result) in sets.iter().zip(&results) {
        assert!(Some(result) == results.last(), "{what}: {isa:?} differs from the scalar twin");
    }
}

fn rows(n: &mut Numbers, count: usize, width: usize) -> Vec<f32> {
    let mut rows = vec![0.0; count * padded(width)];
    for row in rows.chunks_exact_mut(padded(width)) {
        row[..width].copy_from_slice(&n.many(width, 3.0));
    }
    rows
}

#[test]
fn kernels_agree_with_the_scalar_twin() {
    let mut n = Numbers(11);
    let team = Team::new(2);
    for _ in 0..60 {
        let (count, inputs, outputs) = (1 + n.below(14), 1 + n.below(50), 1 + n.below(200));
        let (w, b) = (n.many(inputs * outputs, 1.0), n.many(outputs, 1.0));
        let precision = PRECISIONS[n.below(3)];
        let matrix = Matrix::pack([inputs, outputs], &b, precision, |i, o| w[i * outputs + o]);
        let (x, added, y) = (rows(&mut n, count, inputs), rows(&mut n, count, outputs), rows(&mut n, count, outputs));
        let residual = Finish::Residual { added: &added, scale: 0.7 };
        for finish in [Finish::Keep, Finish::QuickGelu, residual] {
            same_everywhere(&format!("{precision:?} product {count} x {inputs} x {outputs}, {finish:?}"), |isa| {
                let mut y = y.clone();
                matrix.multiply(&mut team.gather(), isa, &x, &mut y, finish);
                assert!(y.chunks_exact(padded(outputs)).all(|y| y[outputs..].iter().all(|pad| *pad == 0.0)));
                y
            });
        }

        let norm = PackedNorm::pack(&Norm { g: n.many(inputs, 1.0), b: n.many(inputs, 1.0) });
        let plus = rows(&mut n, count, inputs);
        for plus in [None, Some(&plus[..])] {
            same_everywhere(&format!("norm of {inputs}"), |isa| {
                let mut y = vec![f32::NAN; x.len()];
                norm.apply(&mut team.gather(), isa, &x, plus, &mut y);
                y
            });
        }

        let (width, seen) = (1 + n.below(40), 1 + n.below(150));
        let query = n.many(width, 2.0);
        let blocks = |n: &mut Numbers, count: usize| -> Vec<Block> {
            (0..count).map(|_| std::array::from_fn(|_| 2.0 * n.next())).collect()
        };
        let tiles = seen.div_ceil(LANES);
        let (keys, values) = (blocks(&mut n, tiles * width), blocks(&mut n, tiles * LANES * width.div_ceil(LANES)));
        same_everywhere(&format!("attention of {width} over {seen}"), |isa| {
            let (mut scores, mut out) = (vec![[0.0; LANES]; tiles], vec![0.0; width]);
            let (scores, out_) = (&mut scores, &mut out);
            Attend { query: &query, keys: &keys, values: &values, seen, scores, out: out_ }.run_on(isa);
            out
        });
    }
}

struct Exp<'a>(&'a mut [f32]);

impl Kernel for Exp<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for block in self.0.as_chunks_mut::<LANES>().0 {
            simd.store(exp(simd, simd.load(block)), block);
        }
    }
}

#[test]
fn the_exponential_is_within_two_units_of_the_last_place() {
    let inputs: Vec<f32> = (0..1 << 16).map(|i| (i as f32 / (1 << 15) as f32 - 1.0) * 87.0).collect();
    same_everywhere("exp", |isa| {
        let mut found = inputs.clone();
        isa.run(Exp(&mut found));
        for (x, y) in inputs.iter().zip(&found) {
            let truth = f64::from(*x).exp();
            assert!((f64::from(*y) / truth - 1.0).abs() < 2.4e-7, "exp({x}) = {y}, not {truth}");
        }
        found
    });
}
