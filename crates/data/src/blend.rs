//! Blends of names such as `a:0.7,b:0.3`.

use crate::DataError;

/// Names that one blend may have.
const MOST_BLENDED: usize = 64;

/// Rows of the names of a blend, each with its name's weight; the names' weights sum to 1.
///
/// `whole` holds the rows if the text as a whole is a name. Otherwise it is read as names with weights, where a name
/// without one has weight 1. `find` gives the rows of a name.
pub(crate) fn blend(
    text: &str,
    whole: Option<Vec<u32>>,
    find: impl Fn(&str) -> Result<Vec<u32>, DataError>,
) -> Result<Vec<(u32, f32)>, DataError> {
    let refuse = |what: String| DataError::Blend { text: text.trim().to_string(), what };
    let mut rows = Rows::default();
    if let Some(whole) = whole {
        rows.add(&whole, 1.0);
        return Ok(rows.0);
    }
    let mut sum = 0.0;
    for (count, part) in text.split(',').enumerate() {
        if part.trim().is_empty() {
            return Err(refuse("a name is missing".into()));
        }
        if count == MOST_BLENDED {
            return Err(refuse(format!("more than {MOST_BLENDED} names")));
        }
        let (name, weight) = name_and_weight(part);
        if !(weight.is_finite() && weight > 0.0) {
            return Err(refuse(format!("the weight of `{}` is {weight}, not above 0", name.trim())));
        }
        rows.add(&find(name)?, weight);
        sum += weight;
    }
    if !sum.is_finite() {
        return Err(refuse("the weights are too large".into()));
    }
    for (_, weight) in &mut rows.0 {
        *weight /= sum;
    }
    Ok(rows.0)
}

/// Rows with weights, each row once.
#[derive(Default)]
struct Rows(Vec<(u32, f32)>);

impl Rows {
    fn add(&mut self, rows: &[u32], weight: f32) {
        for &row in rows {
            match self.0.iter_mut().find(|(known, _)| *known == row) {
                Some((_, sum)) => *sum += weight,
                None => self.0.push((row, weight)),
            }
        }
    }
}

/// `name:weight`, or a name alone, which may itself hold a colon.
fn name_and_weight(part: &str) -> (&str, f32) {
    part.rsplit_once(':').and_then(|(name, weight)| Some((name, weight.trim().parse().ok()?))).unwrap_or((part, 1.0))
}
