//! The learning rate over the steps.

use serde::{Deserialize, Serialize};

/// How the rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
pub enum Decay {
    /// Not at all.
    #[default]
    None,
    /// By `factor` every `every` steps.
    Step {
        /// Factor of each fall.
        factor: f64,
        /// Steps between falls.
        every: u64,
    },
    /// In a straight line to zero, over `steps` steps from step `start` on.
    Linear {
        /// First step of the fall.
        start: u64,
        /// Steps to zero.
        steps: u64,
    },
    /// Half a cosine from full to `floor` times the rate at the run's last step.
    Cosine {
        /// What is left at the end, as a fraction.
        floor: f64,
    },
}

/// Warm-up from zero, then decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Full rate.
    pub lr: f64,
    /// Steps until it is reached; the first step has rate zero, as in the paper's program.
    pub warmup: u64,
    /// The fall.
    pub decay: Decay,
    /// Steps of the run.
    pub steps: u64,
}

impl Schedule {
    /// Rate of a step, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        let warm = if self.warmup == 0 { 1.0 } else { (step as f64 / self.warmup as f64).min(1.0) };
        let fall = match self.decay {
            Decay::None => 1.0,
            Decay::Step { factor, every } => factor.powi((step / every.max(1)).min(i32::MAX as u64) as i32),
            Decay::Linear { start, steps } => (1.0 - step.saturating_sub(start) as f64 / steps.max(1) as f64).max(0.0),
            Decay::Cosine { floor } => {
                let done = (step as f64 / self.steps.max(1) as f64).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        };
        self.lr * warm * fall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_paper_s_program() {
        let schedule = |decay| Schedule { lr: 3e-4, warmup: 100, decay, steps: 1000 };
        assert_eq!(schedule(Decay::None).rate(0), 0.0);
        assert_eq!(schedule(Decay::None).rate(50), 1.5e-4);
        assert_eq!(schedule(Decay::None).rate(5000), 3e-4);
        let linear = schedule(Decay::Linear { start: 200, steps: 400 });
        assert!((linear.rate(400) - 1.5e-4).abs() < 1e-12);
        assert_eq!(linear.rate(600), 0.0);
        let cosine = schedule(Decay::Cosine { floor: 0.1 });
        assert!((cosine.rate(1000) - 3e-5).abs() < 1e-12);
        assert!((schedule(Decay::Step { factor: 0.5, every: 300 }).rate(601) - 0.75e-4).abs() < 1e-12);
    }
}
