//! Which raters listened.

use super::answers::{ANCHOR, Answer, Key, REFERENCE};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Least correlation of a rater's opinions with the mean of the others' (CrowdMOS; Ribeiro et al. 2011).
const LEAST_CORRELATION: f64 = 0.25;

/// A rater who does not count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dropped {
    /// Who.
    pub rater: String,
    /// Why.
    pub why: String,
}

/// Raters who pass: every attention check right, the anchor not above the reference, and overall opinions that go with
/// those of the others, where there are at least three raters.
pub(super) fn screen(key: &Key, answers: &[Answer]) -> (BTreeSet<String>, Vec<Dropped>) {
    let raters: BTreeSet<&str> = answers.iter().map(|a| a.rater.as_str()).collect();
    let (mut kept, mut dropped) = (BTreeSet::new(), Vec::new());
    for rater in &raters {
        let mine = || answers.iter().filter(|a| a.rater == *rater);
        let wrong = mine().filter(|a| key.stimuli.get(&a.stimulus).and_then(|s| s.check).is_some_and(|c| c != a.value));
        let wrong = wrong.count();
        let mean_of = |system: &str| {
            let values = mine().filter(|a| a.scale == "overall" && key.system(&a.stimulus) == system).map(|a| a.value);
            mean(&values.collect::<Vec<_>>())
        };
        let agreement = agreement(key, answers, rater);
        let why = if wrong > 0 {
            Some(format!("{wrong} answers to attention checks are wrong"))
        } else if let (Some(anchor), Some(reference)) = (mean_of(ANCHOR), mean_of(REFERENCE))
            && anchor > reference
        {
            Some(format!("the anchor ({anchor:.1}) is above the reference ({reference:.1})"))
        } else {
            agreement
                .filter(|r| raters.len() >= 3 && *r < LEAST_CORRELATION)
                .map(|r| format!("correlation {r:.2} with the other raters is below {LEAST_CORRELATION}"))
        };
        match why {
            Some(why) => dropped.push(Dropped { rater: (*rater).to_owned(), why }),
            None => {
                kept.insert((*rater).to_owned());
            }
        }
    }
    (kept, dropped)
}

/// Correlation of a rater's overall opinions with the mean of the others' on the same sounds; `None` if either does not
/// vary, which says nothing against a rater.
fn agreement(key: &Key, answers: &[Answer], rater: &str) -> Option<f64> {
    let overall = || answers.iter().filter(|a| a.scale == "overall" && !key.is_check(&a.stimulus));
    let mut others: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for answer in overall().filter(|a| a.rater != rater) {
        others.entry(&answer.stimulus).or_default().push(answer.value);
    }
    let pairs: Vec<(f64, f64)> = overall()
        .filter(|a| a.rater == rater)
        .filter_map(|a| Some((a.value, mean(others.get(a.stimulus.as_str())?)?)))
        .collect();
    let (mx, my) =
        (mean(&pairs.iter().map(|p| p.0).collect::<Vec<_>>())?, mean(&pairs.iter().map(|p| p.1).collect::<Vec<_>>())?);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in &pairs {
        (xy, xx, yy) = (xy + (x - mx) * (y - my), xx + (x - mx).powi(2), yy + (y - my).powi(2));
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
