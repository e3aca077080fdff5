//! Strengths from pairs: the model of Bradley and Terry (1952).

use super::answers::{Answer, Key};
use crate::symmetric::eigen;
use serde::Serialize;

/// How strong a system is in pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Strength {
    /// The system.
    pub system: String,
    /// Pairs it was in.
    pub pairs: usize,
    /// Share of them that it won; a tie is half a win.
    pub won: f64,
    /// Natural logarithm of its strength; their mean is 0. The odds of winning are `exp` of the difference.
    pub strength: f64,
    /// Half the width of its 95 % interval, from the Fisher information.
    pub interval: f64,
}

/// Rounds of the maximisation; it converges far earlier.
const ROUNDS: usize = 10_000;

/// Every two systems that met count one tie more: so a system that won always has a finite strength.
const PRIOR: f64 = 0.5;

pub(super) fn strengths(key: &Key, answers: &[&Answer]) -> Vec<Strength> {
    let mut names: Vec<&str> = Vec::new();
    let mut met = Vec::new();
    for answer in answers {
        let Some(other) = &answer.other else { continue };
        let [first, second] = [&answer.stimulus, other].map(|code| {
            let system = key.system(code);
            names.iter().position(|n| *n == system).unwrap_or_else(|| {
                names.push(system);
                names.len() - 1
            })
        });
        let pair = (first, second, answer.value);
        if pair.0 != pair.1 {
            met.push(pair);
        }
    }
    let n = names.len();
    let (mut wins, mut games) = (vec![0.0; n * n], vec![0_usize; n]);
    for (a, b, value) in &met {
        wins[a * n + b] += value;
        wins[b * n + a] += 1.0 - value;
        games[*a] += 1;
        games[*b] += 1;
    }
    let won: Vec<f64> = (0..n).map(|i| wins[i * n..(i + 1) * n].iter().sum::<f64>() / games[i].max(1) as f64).collect();
    for i in 0..n {
        for j in 0..i {
            if wins[i * n + j] + wins[j * n + i] > 0.0 {
                wins[i * n + j] += PRIOR;
                wins[j * n + i] += PRIOR;
            }
        }
    }
    let strength = maximise(&wins, n);
    let error = errors(&wins, &strength, n);
    let mut all: Vec<Strength> = (0..n)
        .map(|i| Strength {
            system: names[i].to_owned(),
            pairs: games[i],
            won: won[i],
            strength: strength[i],
            interval: 1.96 * error[i],
        })
        .collect();
    all.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    all
}

/// Log strengths of mean 0 that make the wins likeliest (Hunter 2004, the MM algorithm).
fn maximise(wins: &[f64], n: usize) -> Vec<f64> {
    let mut p = vec![1.0_f64; n];
    for _ in 0..ROUNDS {
        let new: Vec<f64> = (0..n)
            .map(|i| {
                let pairs = (0..n).map(|j| (wins[i * n + j] + wins[j * n + i]) / (p[i] + p[j]));
                let won: f64 = wins[i * n..(i + 1) * n].iter().sum();
                won / pairs.sum::<f64>().max(f64::MIN_POSITIVE)
            })
            .collect();
        let middle = (new.iter().map(|v| v.ln()).sum::<f64>() / n as f64).exp();
        let moved = p.iter().zip(&new).map(|(old, new)| (new / middle / old - 1.0).abs()).fold(0.0, f64::max);
        p = new.iter().map(|v| v / middle).collect();
        if moved < 1e-12 {
            break;
        }
    }
    p.iter().map(|v| v.ln()).collect()
}

/// Standard errors: the roots of the diagonal of the pseudo-inverse of the information.
fn errors(wins: &[f64], strength: &[f64], n: usize) -> Vec<f64> {
    let mut information = vec![0.0; n * n];
    for i in 0..n {
        for j in (0..n).filter(|j| *j != i) {
            let p = 1.0 / (1.0 + (strength[j] - strength[i]).exp());
            let weight = (wins[i * n + j] + wins[j * n + i]) * p * (1.0 - p);
            information[i * n + j] -= weight;
            information[i * n + i] += weight;
        }
    }
    let parts = eigen(&information, n);
    let most = parts.values.last().copied().unwrap_or(0.0);
    let inverse = parts.with(|value| if value > 1e-9 * most { 1.0 / value } else { 0.0 });
    inverse.iter().step_by(n + 1).map(|v| v.sqrt()).collect()
}
