//! How much work a level is, before any of it is done.

use crate::{Session, WindowError};

/// Work that is left for one level, all takes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelForecast {
    /// Windows still to make.
    pub windows: usize,
    /// Tokens to draw, one after the other in each take.
    pub drawn: usize,
    /// Known tokens that windows run through the prior again before they draw: the price of the context.
    pub prefilled: usize,
    /// Steps of one token ahead: a batch of takes makes one step together.
    pub steps: usize,
    /// Positions that are cached at once, all takes of a batch together. Times the cache's bytes for a position, it
    /// is the memory needed besides the weights.
    pub cached: usize,
}

impl LevelForecast {
    /// Seconds of work, given how many seconds a step of a batch takes and how many tokens a second are prefilled.
    pub fn seconds(&self, seconds_per_step: f64, prefilled_per_second: f64) -> f64 {
        self.steps as f64 * seconds_per_step + self.prefilled as f64 / prefilled_per_second
    }
}

/// Forecast of what is left of a level, with a prior of the given context.
///
/// # Errors
/// If the context makes no windows (see [`Session::layout`]).
pub fn forecast_level(session: &Session, level: usize, context: usize) -> Result<LevelForecast, WindowError> {
    let takes = session.request().takes;
    let batch = takes.min(session.request().max_batch);
    let mut forecast = LevelForecast { windows: 0, drawn: 0, prefilled: 0, steps: 0, cached: 0 };
    for plan in session.layout(level, context)?.windows(session.done(level)) {
        forecast.windows += 1;
        forecast.drawn += takes * plan.new_tokens();
        forecast.prefilled += takes * plan.known;
        forecast.steps += takes.div_ceil(batch) * plan.new_tokens();
        forecast.cached = forecast.cached.max(batch * plan.length);
    }
    Ok(forecast)
}
