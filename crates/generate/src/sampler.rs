//! From logits to a token: temperature, top-k, top-p, and the draw by inverse distribution function.

use serde::{Deserialize, Serialize};

/// How the next token is chosen from the logits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerSettings {
    /// Logits are divided by it; 0 takes the most probable token (the first one of equals).
    pub temperature: f64,
    /// Only the `k` most probable tokens, and those equal to the k-th.
    pub top_k: Option<usize>,
    /// Only the smallest set of most probable tokens whose probabilities sum to at least `p`; after top-k.
    pub top_p: Option<f64>,
}

impl Default for SamplerSettings {
    /// Jukebox's: temperature 0.99, no filter.
    fn default() -> Self {
        Self { temperature: 0.99, top_k: None, top_p: None }
    }
}

impl SamplerSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If the temperature is negative or not a number, `top_k` is 0, or `top_p` is outside `(0, 1]`.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(SettingsError::Temperature(self.temperature));
        }
        if self.top_k == Some(0) {
            return Err(SettingsError::TopK);
        }
        match self.top_p {
            Some(p) if !(p > 0.0 && p <= 1.0) => Err(SettingsError::TopP(p)),
            _ => Ok(()),
        }
    }
}

/// Sampler settings out of range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Negative, infinite or not a number.
    #[error("temperature is {0}; hint: use 0 for the most probable token, or a number about 0.9 to 1")]
    Temperature(f64),
    /// Zero tokens to choose from.
    #[error("top-k is 0, which leaves no token to choose; hint: use 1 or more, or leave it out")]
    TopK,
    /// Not a probability above 0.
    #[error("top-p is {0}; hint: use a number above 0, and at most 1")]
    TopP(f64),
}

/// Logits that are no distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// NaN or positive infinity.
    #[error("the logit of token {0} is not a finite number; hint: the model's weights or its arithmetic are broken")]
    NotFinite(usize),
    /// No logits, or all are negative infinity.
    #[error("no token has a probability above 0; hint: the model's weights or its arithmetic are broken")]
    Empty,
}

/// Draws tokens; keeps its work space from draw to draw.
#[derive(Debug)]
pub struct Sampler {
    settings: SamplerSettings,
    /// Unnormalised probability of every token; 0 for those filtered out.
    weights: Vec<f64>,
    ranked_logits: Vec<f32>,
    ranked_tokens: Vec<usize>,
}

impl Sampler {
    /// Sampler of the given settings.
    ///
    /// # Errors
    /// As [`SamplerSettings::validate`].
    pub fn new(settings: SamplerSettings) -> Result<Self, SettingsError> {
        settings.validate()?;
        Ok(Self { settings, weights: Vec::new(), ranked_logits: Vec::new(), ranked_tokens: Vec::new() })
    }

    /// The token that the uniform number `u` in `[0, 1)` selects: the number of cumulative probabilities, in token
    /// order and f64, that are at most `u`.
    ///
    /// # Errors
    /// If a logit is NaN or positive infinity, or none is finite.
    pub fn draw(&mut self, logits: &[f32], u: f64) -> Result<u32, DrawError> {
        let (most_probable, peak) = peak(logits)?;
        if self.settings.temperature == 0.0 {
            return Ok(most_probable as u32);
        }
        self.weigh(logits, peak);
        if let Some(p) = self.settings.top_p {
            self.keep_nucleus(p);
        }
        Ok(self.invert(u) as u32)
    }

    /// `exp((logit - peak) / temperature)` for the top k, 0 for the others.
    fn weigh(&mut self, logits: &[f32], peak: f32) {
        let threshold = match self.settings.top_k {
            Some(k) if k < logits.len() => {
                self.ranked_logits.clear();
                self.ranked_logits.extend_from_slice(logits);
                *self.ranked_logits.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
            }
            _ => f32::NEG_INFINITY,
        };
        let temperature = self.settings.temperature;
        self.weights.clear();
        self.weights.extend(logits.iter().map(|&logit| {
            if logit >= threshold { ((f64::from(logit) - f64::from(peak)) / temperature).exp() } else { 0.0 }
        }));
    }

    /// Zeroes all but the most probable tokens that together reach `p`; the one that crosses it stays.
    fn keep_nucleus(&mut self, p: f64) {
        let weights = &mut self.weights;
        self.ranked_tokens.clear();
        self.ranked_tokens.extend((0..weights.len()).filter(|&token| weights[token] > 0.0));
        // Equal weights in token order, so that the set does not hang on the sort.
        self.ranked_tokens.sort_unstable_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
        let target = p * self.ranked_tokens.iter().map(|&token| weights[token]).sum::<f64>();
        let mut reached = 0.0;
        for &token in &self.ranked_tokens {
            if reached >= target {
                weights[token] = 0.0;
            } else {
                reached += weights[token];
            }
        }
    }

    fn invert(&self, u: f64) -> usize {
        let total: f64 = self.weights.iter().sum();
        let mut cumulative = 0.0;
        let mut last = 0;
        for (token, &weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            cumulative += weight / total;
            last = token;
            if u < cumulative {
                break;
            }
        }
        // Rounding may leave the last sum just below 1 and `u` above it: then it is the last token.
        last
    }
}

/// First token of the largest logit, and that logit.
fn peak(logits: &[f32]) -> Result<(usize, f32), DrawError> {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in logits.iter().enumerate() {
        if logit.is_nan() || logit == f32::INFINITY {
            return Err(DrawError::NotFinite(token));
        }
        if logit > best.1 {
            best = (token, logit);
        }
    }
    if best.1 == f32::NEG_INFINITY { Err(DrawError::Empty) } else { Ok(best) }
}

#[cfg(test)]
mod tests;
