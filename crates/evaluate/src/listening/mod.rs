//! What listeners said: from the files that a listening page saves to mean opinions and preferences.

mod answers;
mod opinion;
mod pairs;
mod screening;

pub use answers::{ANCHOR, Answer, Key, REFERENCE, Stimulus, read_answers};
pub use opinion::Opinion;
pub use pairs::Strength;
pub use screening::Dropped;

use crate::EvaluateError;
use serde::Serialize;

/// Result of a listening test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListeningReport {
    /// Raters who count.
    pub raters: usize,
    /// Raters who don't, and why.
    pub dropped: Vec<Dropped>,
    /// Mean opinion of every system on every scale.
    pub opinions: Vec<Opinion>,
    /// Strength of every system in pairs, the strongest first.
    pub strengths: Vec<Strength>,
}

/// Screens the raters and puts what the others said together.
///
/// # Errors
/// If the key does not know a sound that somebody rated, or nobody is left.
pub fn score(key: &Key, answers: &[Answer]) -> Result<ListeningReport, EvaluateError> {
    for answer in answers {
        for code in [Some(&answer.stimulus), answer.other.as_ref()].into_iter().flatten() {
            if !key.stimuli.contains_key(code) {
                return Err(EvaluateError::Nothing(format!(
                    "the key has no sound `{code}`, which `{}` rated; hint: give the key of the same test",
                    answer.rater
                )));
            }
        }
    }
    let (kept, dropped) = screening::screen(key, answers);
    if kept.is_empty() {
        return Err(EvaluateError::Nothing(format!(
            "none of {} raters passes the screening; hint: ask more people",
            dropped.len()
        )));
    }
    let kept: Vec<&Answer> = answers.iter().filter(|a| kept.contains(&a.rater) && !key.is_check(&a.stimulus)).collect();
    let mut raters: Vec<&str> = kept.iter().map(|a| a.rater.as_str()).collect();
    raters.sort_unstable();
    raters.dedup();
    Ok(ListeningReport {
        raters: raters.len(),
        dropped,
        opinions: opinion::opinions(key, &kept),
        strengths: pairs::strengths(key, &kept),
    })
}
