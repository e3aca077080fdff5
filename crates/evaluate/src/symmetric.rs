//! Eigenvalues of symmetric matrices, which the distances between sets of features stand on.

/// A symmetric matrix taken apart: `A = Σ value[i] · vector[i] vector[i]ᵀ`.
#[derive(Debug, Clone, PartialEq)]
pub struct Eigen {
    /// Eigenvalues, ascending.
    pub values: Vec<f64>,
    /// One unit vector for each, as rows `[n, n]`.
    pub vectors: Vec<f64>,
}

/// Most rounds for one eigenvalue. Two or three are usual.
const ROUNDS: usize = 64;

/// Takes a symmetric matrix `[n, n]` apart: Householder reflections to a tridiagonal matrix, then implicit QL steps
/// (Golub and Van Loan, "Matrix Computations", section 8.3). Only the lower triangle counts.
///
/// Values that are not finite give eigenvalues that are not. A matrix of another size than `n * n` is taken as empty.
#[must_use]
pub fn eigen(matrix: &[f64], n: usize) -> Eigen {
    if n == 0 || matrix.len() != n * n {
        return Eigen { values: Vec::new(), vectors: Vec::new() };
    }
    if matrix.iter().any(|value| !value.is_finite()) {
        return Eigen { values: vec![f64::NAN; n], vectors: vec![f64::NAN; n * n] };
    }
    let mut a: Vec<f64> = (0..n * n).map(|at| matrix[(at / n).max(at % n) * n + (at / n).min(at % n)]).collect();
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    for k in 0..n.saturating_sub(2) {
        reflect(&mut a, &mut vectors, k, n);
    }
    let mut diagonal: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    let mut beside: Vec<f64> = (0..n).map(|i| if i + 1 < n { a[(i + 1) * n + i] } else { 0.0 }).collect();
    (0..n).for_each(|first| iterate(&mut diagonal, &mut beside, &mut vectors, first));
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| diagonal[i].total_cmp(&diagonal[j]));
    Eigen {
        values: order.iter().map(|&i| diagonal[i]).collect(),
        vectors: order.iter().flat_map(|&i| vectors[i * n..(i + 1) * n].iter().copied()).collect(),
    }
}

/// `A ← H A H` with the reflection that clears column `k` below its subdiagonal, and `Q ← H Q` on the rows of vectors.
fn reflect(a: &mut [f64], vectors: &mut [f64], k: usize, n: usize) {
    let mut v: Vec<f64> = (0..n).map(|i| if i > k { a[i * n + k] } else { 0.0 }).collect();
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm == 0.0 {
        return;
    }
    v[k + 1] += norm.copysign(v[k + 1]);
    let scale = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
    let dot = |row: &[f64], v: &[f64]| row[k + 1..].iter().zip(&v[k + 1..]).map(|(a, b)| a * b).sum::<f64>();
    // A is symmetric as a whole, so its rows serve as columns.
    let mut p: Vec<f64> = a.chunks_exact(n).map(|row| scale * dot(row, &v)).collect();
    let half = 0.5 * scale * dot(&p, &v);
    p.iter_mut().zip(&v).for_each(|(p, v)| *p -= half * v);
    for (i, row) in a.chunks_exact_mut(n).enumerate() {
        let (vi, pi) = (v[i], p[i]);
        row.iter_mut().zip(v.iter().zip(&p)).for_each(|(x, (v, p))| *x -= vi * p + pi * v);
    }
    // The rows of `vectors` are the columns of Q: row ← row - v (vᵀ rows).
    let mut sums = vec![0.0; n];
    for (row, v) in vectors.chunks_exact(n).zip(&v).skip(k + 1) {
        sums.iter_mut().zip(row).for_each(|(s, x)| *s += scale * v * x);
    }
    for (row, v) in vectors.chunks_exact_mut(n).zip(&v).skip(k + 1) {
        row.iter_mut().zip(&sums).for_each(|(x, s)| *x -= v * s);
    }
}

/// Implicit QL steps until the first eigenvalue of `first ..` stands alone.
fn iterate(d: &mut [f64], e: &mut [f64], vectors: &mut [f64], first: usize) {
    let n = d.len();
    for _ in 0..ROUNDS {
        let alone = |m: &usize| *m + 1 == n || e[*m].abs() <= f64::EPSILON * (d[*m].abs() + d[*m + 1].abs());
        let last = (first..n).find(alone).unwrap_or(n - 1);
        if last == first {
            return;
        }
        let slope = (d[first + 1] - d[first]) / (2.0 * e[first]);
        let mut g = d[last] - d[first] + e[first] / (slope + slope.hypot(1.0).copysign(slope));
        let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
        let mut broken = false;
        for i in (first..last).rev() {
            let (f, b) = (sine * e[i], cosine * e[i]);
            let r = f.hypot(g);
            e[i + 1] = r;
            if r == 0.0 {
                d[i + 1] -= shift;
                broken = true;
                break;
            }
            (sine, cosine) = (f / r, g / r);
            g = d[i + 1] - shift;
            let turn = (d[i] - g) * sine + 2.0 * cosine * b;
            shift = sine * turn;
            d[i + 1] = g + shift;
            g = cosine * turn - b;
            let (left, right) = vectors.split_at_mut((i + 1) * n);
            for (x, y) in left[i * n..].iter_mut().zip(&mut right[..n]) {
                (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
            }
        }
        if !broken {
            d[first] -= shift;
            e[first] = g;
        }
        e[last] = 0.0;
    }
}

impl Eigen {
    /// `Σ f(value[i]) · vector[i] vector[i]ᵀ`, `[n, n]`: the matrix with a function on its eigenvalues.
    #[must_use]
    pub fn with(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let n = self.values.len();
        let mut out = vec![0.0; n * n];
        for (value, vector) in self.values.iter().zip(self.vectors.chunks_exact(n.max(1))) {
            let value = f(*value);
            for (row, x) in out.chunks_exact_mut(n).zip(vector) {
                row.iter_mut().zip(vector).for_each(|(out, y)| *out += value * x * y);
            }
        }
        out
    }
}

/// The product of two square matrices `[n, n]`.
#[must_use]
pub fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for (row, out) in a.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
        for (x, b) in row.iter().zip(b.chunks_exact(n)) {
            out.iter_mut().zip(b).for_each(|(out, b)| *out += x * b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn symmetric(values: &[f64], n: usize) -> Vec<f64> {
        (0..n * n).map(|at| values[(at / n).max(at % n) * n + (at / n).min(at % n)]).collect()
    }

    proptest! {
        #[test]
        fn values_and_vectors_make_the_matrix_again(n in 1..12usize, values in prop::collection::vec(-3.0..3.0f64, 144)) {
            let a = symmetric(&values[..n * n], n);
            let eigen = eigen(&a, n);
            for (made, given) in eigen.with(|v| v).iter().zip(&a) {
                prop_assert!((made - given).abs() < 1e-12, "{made} for {given}");
            }
            let unit = eigen.with(|_| 1.0);
            for (at, value) in unit.iter().enumerate() {
                prop_assert!((value - f64::from(at / n == at % n)).abs() < 1e-12, "the vectors are orthonormal");
            }
            prop_assert!(eigen.values.windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }

    #[test]
    fn equal_and_vanishing_eigenvalues_are_found() {
        let n = 40;
        // Rank one: every eigenvalue but one is 0.
        let a: Vec<f64> = (0..n * n).map(|at| ((at / n) as f64 + 1.0) * ((at % n) as f64 + 1.0)).collect();
        let values = eigen(&a, n).values;
        let square: f64 = (1..=n).map(|i| (i * i) as f64).sum();
        assert!((values[n - 1] / square - 1.0).abs() < 1e-12);
        assert!(values[..n - 1].iter().all(|v| v.abs() < 1e-9 * square));
        let unit: Vec<f64> = (0..n * n).map(|at| f64::from(at / n == at % n)).collect();
        assert!(eigen(&unit, n).values.iter().all(|v| (v - 1.0).abs() < 1e-15));
        assert!(eigen(&[f64::NAN], 1).values[0].is_nan());
        assert!(eigen(&[1.0], 2).values.is_empty());
    }
}
