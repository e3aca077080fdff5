//! Mean opinion scores.

use super::answers::{Answer, Key};
use serde::Serialize;
use std::collections::BTreeMap;

/// Mean opinion of one system on one scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Opinion {
    /// The scale.
    pub scale: String,
    /// The system.
    pub system: String,
    /// Opinions counted.
    pub count: usize,
    /// Their mean, 1 to 5.
    pub mean: f64,
    /// Half the width of its 95 % interval, `1.96 s / √n`; none for a single opinion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<f64>,
}

/// By scale, then by system.
pub(super) fn opinions(key: &Key, answers: &[&Answer]) -> Vec<Opinion> {
    let mut found: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for answer in answers.iter().filter(|a| a.other.is_none()) {
        found.entry((&answer.scale, key.system(&answer.stimulus))).or_default().push(answer.value);
    }
    let opinion = |((scale, system), values): ((&str, &str), Vec<f64>)| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Opinion {
            scale: scale.to_owned(),
            system: system.to_owned(),
            count: values.len(),
            mean,
            interval: (values.len() > 1).then(|| 1.96 * (variance / n).sqrt()),
        }
    };
    found.into_iter().map(opinion).collect()
}
