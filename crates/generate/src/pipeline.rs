//! The algorithm: level by level from the top, window by window, token by token (Jukebox, section 4.5 of the paper).

use std::ops::Range;
use std::time::Instant;

use orchestrion_model::ModelError;
use orchestrion_model::condition::Labels;
use orchestrion_model::prior::{TokenModel, Window};

use crate::{Cancel, Event, GenerateError, Progress, RequestError, Sampler, Session, SessionFile, WindowPlan, uniform};

/// Gives the priors of a model. Only one is alive at a time. Any `FnMut(level)` that opens a prior does.
pub trait Priors {
    /// Opens the prior of a level.
    ///
    /// # Errors
    /// If there is none, or its weights cannot be read.
    fn open(&mut self, level: usize) -> Result<Box<dyn TokenModel>, ModelError>;
}

impl<F: FnMut(usize) -> Result<Box<dyn TokenModel>, ModelError>> Priors for F {
    fn open(&mut self, level: usize) -> Result<Box<dyn TokenModel>, ModelError> {
        self(level)
    }
}

/// Makes the tokens of sessions.
///
/// What the session holds decides what is sampled: an empty one ancestrally; one with a prompt goes on after it at
/// every level; one with complete upper levels is upsampled; an interrupted or lengthened one is continued.
pub struct Run<'a> {
    /// Where priors come from.
    pub priors: &'a mut dyn Priors,
    /// Where the session is saved after every window; `None` keeps it in memory only.
    pub file: Option<&'a SessionFile>,
    /// Who is told.
    pub progress: &'a mut dyn Progress,
    /// Stops the run before the next token.
    pub cancel: &'a Cancel,
}

impl Run<'_> {
    /// Makes all levels that the session's request asks for.
    ///
    /// # Errors
    /// As [`Run::make_level`].
    pub fn make_all(&mut self, session: &mut Session) -> Result<(), GenerateError> {
        session.pending_levels().into_iter().try_for_each(|level| self.make_level(session, level))
    }

    /// Makes one level to its end, after the levels above. Does nothing if it is complete.
    ///
    /// # Errors
    /// [`GenerateError::Interrupted`] if cancelled; otherwise what the prior, the level's lengths or the session's file
    /// have against it. The session then holds all windows that were finished, in memory and in its file.
    pub fn make_level(&mut self, session: &mut Session, level: usize) -> Result<(), GenerateError> {
        if session.is_complete(level) {
            return Ok(());
        }
        let mut prior = self.priors.open(level).map_err(|source| GenerateError::Model { level, source })?;
        check_prior(prior.as_ref(), session, level)?;
        let layout =
            session.layout(level, prior.context()).map_err(|source| GenerateError::Windows { level, source })?;
        let mut sampler = sampler(session, level)?;

        let takes = session.request().takes;
        let total = takes * session.total(level);
        let before = takes * session.done(level);
        self.progress.report(&Event::LevelStarted { level, done: before, total });
        let clock = Instant::now();
        let pace = |done: usize| (done - before) as f64 / clock.elapsed().as_secs_f64().max(1e-9);

        for plan in layout.windows(session.done(level)) {
            let mut rows = Vec::with_capacity(takes);
            for batch in batches(takes, session.request().max_batch) {
                rows.extend(self.make_window(prior.as_mut(), &mut sampler, session, level, plan, batch)?);
            }
            session.append(level, &rows);
            if let Some(file) = self.file {
                file.save(session)?;
            }
            let done = takes * session.done(level);
            self.progress.report(&Event::WindowDone { level, done, total, tokens_per_second: pace(done) });
        }
        self.progress.report(&Event::LevelFinished { level, total, tokens_per_second: pace(total) });
        Ok(())
    }

    /// The new tokens of one window for a batch of takes, one row a take.
    fn make_window(
        &mut self,
        prior: &mut dyn TokenModel,
        sampler: &mut Sampler,
        session: &Session,
        level: usize,
        plan: WindowPlan,
        batch: Range<usize>,
    ) -> Result<Vec<Vec<u32>>, GenerateError> {
        let failed = |source| GenerateError::Model { level, source };
        let WindowPlan { start, length, known } = plan;
        let labels: Vec<Labels> = batch.clone().map(|take| session.labels(level, take)).collect();
        let upper = upper_codes(session, level, plan, batch.clone())?;
        prior.begin(&Window { start, length, labels: &labels, upper: upper.as_deref() }).map_err(failed)?;

        let (takes, total) = (session.request().takes, session.total(level));
        let done = takes * session.done(level) + batch.start * plan.new_tokens();
        let mut rows = vec![Vec::with_capacity(plan.new_tokens()); batch.len()];
        for (step, position) in (start + known..plan.end()).enumerate() {
            if self.cancel.is_cancelled() {
                return Err(GenerateError::Interrupted {
                    level,
                    done: takes * session.done(level),
                    total: takes * total,
                });
            }
            let seen: Vec<&[u32]> = if step == 0 {
                batch.clone().map(|take| &session.stream(level, take)[start..position]).collect()
            } else {
                rows.iter().map(|row: &Vec<u32>| &row[step - 1..]).collect()
            };
            let logits = prior.advance(&seen).map_err(failed)?;
            let size = prior.codebook_size();
            if logits.len() != batch.len() * size {
                let what = format!("{} logits for {} takes of {size} tokens", logits.len(), batch.len());
                return Err(GenerateError::PriorMismatch { level, what });
            }
            for ((take, row), logits) in batch.clone().zip(&mut rows).zip(logits.chunks_exact(size)) {
                let u = uniform(session.request().seed, take as u32, level as u32, position as u64);
                let token = sampler.draw(logits, u);
                row.push(token.map_err(|source| GenerateError::Draw { level, take, position, source })?);
            }
            let done = done + (step + 1) * batch.len();
            self.progress.report(&Event::TokensDrawn { level, done, total: takes * total });
        }
        Ok(rows)
    }
}

/// Takes that run through a prior together: as many as may, and at last those that are left.
fn batches(takes: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..takes).step_by(most).map(move |first| first..takes.min(first.saturating_add(most)))
}

/// A prior of another codec would draw tokens that mean something else.
fn check_prior(prior: &dyn TokenModel, session: &Session, level: usize) -> Result<(), GenerateError> {
    let mismatch = |what| Err(GenerateError::PriorMismatch { level, what });
    let Some(expected) = session.shape().levels.get(level) else {
        return Err(RequestError::Level { level, count: session.shape().levels.len() }.into());
    };
    let facts = [
        ("level", prior.level(), level),
        ("hop length", prior.hop_length(), expected.hop_length),
        ("codebook size", prior.codebook_size(), expected.codebook_size),
    ];
    if let Some((name, found, expected)) = facts.into_iter().find(|(_, found, expected)| found != expected) {
        return mismatch(format!("{name} {found}, the codec {expected}"));
    }
    match (prior.upper_ratio(), session.shape().ratio(level)) {
        (found, expected) if found == expected => Ok(()),
        (None, _) => mismatch("no conditioner for the level above".into()),
        (Some(found), expected) => mismatch(format!(
            "{found} tokens for one of the level above, the codec {}",
            expected.map_or("no level above".into(), |ratio| ratio.to_string())
        )),
    }
}

fn sampler(session: &Session, level: usize) -> Result<Sampler, GenerateError> {
    let settings = session.request().sampling.get(level).map(|sampling| sampling.sampler).unwrap_or_default();
    Sampler::new(settings).map_err(|source| GenerateError::Sampler { level, source })
}

/// For each take of the batch, the codes of the level above for exactly this window; `None` at the top.
fn upper_codes(
    session: &Session,
    level: usize,
    plan: WindowPlan,
    batch: Range<usize>,
) -> Result<Option<Vec<&[u32]>>, GenerateError> {
    let Some(ratio) = session.shape().ratio(level) else { return Ok(None) };
    let codes = |take| session.stream(level + 1, take).get(plan.start / ratio..plan.end() / ratio);
    let codes: Option<Vec<&[u32]>> = batch.map(codes).collect();
    codes.map(Some).ok_or(RequestError::MissingAbove { level, above: level + 1 }.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// Splits printed by the original program.
    #[test]
    fn batches_jukebox_parity() {
        let folder = crate::fixtures::folder();
        let text = std::fs::read_to_string(folder.join("values.json")).unwrap();
        let values: serde_json::Value = serde_json::from_str(&text).unwrap();
        for case in values["chunks"].as_array().unwrap() {
            let count = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
            let split: Vec<usize> =
                batches(count(&case["length"]), count(&case["size"])).map(|batch| batch.len()).collect();
            let golden: Vec<usize> = case["out"].as_array().unwrap().iter().map(count).collect();
            assert_eq!(split, golden, "{case}");
        }
    }
}
