//! The windows of a finished level looked at again, to see where in the words each of its tokens is.

use orchestrion_data::lyrics::window;
use orchestrion_model::condition::Labels;
use orchestrion_model::prior::{AlignmentConfig, PriorConfig, PriorDecoder, Window};

use crate::{Alignment, Cancel, GenerateError, Session};

/// The alignment of a take's words with the tokens of the prior's level; `None` if the take has no words or no tokens
/// there, or the prior has no attention that follows the words. `done` is told after every window.
///
/// It is the attention of the prior's alignment head over the windows in which the level was made.
///
/// # Errors
/// If the prior does not fit the session, or the run is cancelled.
pub fn align(
    prior: &mut PriorDecoder,
    config: &PriorConfig,
    session: &Session,
    take: usize,
    cancel: &Cancel,
    done: &mut dyn FnMut(),
) -> Result<Option<Alignment>, GenerateError> {
    let level = config.level;
    let failed = |source| GenerateError::Model { level, source };
    let Some(lyrics) = &config.lyrics else { return Ok(None) };
    let (labels, tokens) = (session.labels(level, take), session.stream(level, take));
    let (Some(AlignmentConfig { layer, head }), false, false) =
        (lyrics.alignment, labels.lyrics.is_empty(), tokens.is_empty())
    else {
        return Ok(None);
    };
    let (context, hop) = (config.window(), config.hop_length as u64);
    let layout = session.layout(level, context).map_err(|source| GenerateError::Windows { level, source })?;
    let mut alignment = Alignment::new(tokens.len(), session.shape().seconds(level, 1), labels.lyrics.len());
    for plan in layout.windows(0) {
        if cancel.is_cancelled() {
            let takes = session.request().takes;
            return Err(GenerateError::Interrupted {
                level,
                done: takes * tokens.len(),
                total: takes * session.total(level),
            });
        }
        let Some(known) = tokens.get(plan.start..plan.end()) else { break };
        let Labels { total_length, offset, .. } = labels;
        let begin = offset + plan.start as u64 * hop;
        let places = window(&labels.lyrics, lyrics.tokens, total_length, begin, context as u64 * hop)?.places;
        let window =
            Window { start: plan.start, length: plan.length, labels: std::slice::from_ref(&labels), upper: None };
        let weights = prior.attention(layer, head, &window, &[known]).map_err(failed)?;
        alignment.add(plan.start, &places, &weights);
        done();
    }
    Ok(Some(alignment))
}
