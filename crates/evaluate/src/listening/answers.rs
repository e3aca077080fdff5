//! Answers as the page saves them, and the key that says what was heard.

use crate::EvaluateError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The columns of a file of answers, in their order.
pub const COLUMNS: [&str; 7] = ["test", "rater", "scale", "stimulus", "other", "value", "seconds"];

/// Longest file of answers, in bytes.
const LONGEST: u64 = 16 << 20;

/// One judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The test it belongs to.
    pub test: String,
    /// Who judged.
    pub rater: String,
    /// `overall`, `coherence`, `musicality`, `diversity` or `novelty` with 1 to 5; `pair` with 1 if the first sound is
    /// better, 0 if the second is, 0.5 if neither.
    pub scale: String,
    /// Code of the sound, or of the first of a pair.
    pub stimulus: String,
    /// Code of the second of a pair.
    pub other: Option<String>,
    /// The judgement.
    pub value: f64,
    /// Seconds that were played before it.
    pub seconds: f64,
}

/// What the codes of a test stand for. It stays with whoever runs the test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The test.
    pub test: String,
    /// Every sound by its code.
    pub stimuli: BTreeMap<String, Stimulus>,
}

/// A sound of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stimulus {
    /// The system that made it; `reference` and `anchor` are the hidden ones.
    pub system: String,
    /// The piece, the same for all systems that are compared.
    pub item: String,
    /// For an attention check: the value that every scale has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<f64>,
}

/// Name of the hidden reference among the systems.
pub const REFERENCE: &str = "reference";
/// Name of the low anchor among the systems: the reference low-passed at 3.5 kHz.
pub const ANCHOR: &str = "anchor";

impl Key {
    /// Whether a code is an attention check.
    pub(super) fn is_check(&self, code: &str) -> bool {
        self.stimuli.get(code).is_some_and(|s| s.check.is_some())
    }

    /// The system behind a code.
    pub(super) fn system(&self, code: &str) -> &str {
        self.stimuli.get(code).map_or("", |s| &s.system)
    }
}

/// Reads a file of answers (CSV, UTF-8, with the header `test,rater,scale,stimulus,other,value,seconds`).
///
/// # Errors
/// If it cannot be read, is too long, belongs to another test or a line is broken; with the line's number.
pub fn read_answers(path: &Path, key: &Key) -> Result<Vec<Answer>, EvaluateError> {
    let place = path.display();
    let bad = |what: String| EvaluateError::Nothing(format!("`{place}`: {what}"));
    let length =
        std::fs::metadata(path).map_err(|e| bad(format!("{e}; hint: give a file saved by a listening page")))?.len();
    if length > LONGEST {
        return Err(bad("longer than 16 MB; hint: that is no file of answers".into()));
    }
    let text =
        std::fs::read_to_string(path).map_err(|e| bad(format!("{e}; hint: give a file saved by a listening page")))?;
    let mut answers = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let broken = |what: String| bad(format!("line {number}: {what}; hint: give the file as the page saved it"));
        let cells = cells(line);
        if number == 1 {
            if cells != COLUMNS {
                return Err(broken(format!("the header is not `{}`", COLUMNS.join(","))));
            }
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        let Ok([test, rater, scale, stimulus, other, value, seconds]) = <[String; 7]>::try_from(cells) else {
            return Err(broken("not seven cells".into()));
        };
        if test != key.test {
            return Err(bad(format!(
                "it belongs to the test `{test}`, not `{}`; hint: give the key of that test",
                key.test
            )));
        }
        let number = |name: &str, text: &str| {
            text.parse::<f64>()
                .ok()
                .filter(|v| v.is_finite())
                .ok_or_else(|| broken(format!("{name} `{text}` is no number")))
        };
        let (value, seconds) = (number("value", &value)?, number("seconds", &seconds)?);
        let fits = if scale == "pair" { [0.0, 0.5, 1.0].contains(&value) } else { (1.0..=5.0).contains(&value) };
        if !fits || (scale == "pair") == other.is_empty() {
            return Err(broken(format!("`{value}` is no answer on the scale `{scale}`")));
        }
        let other = Some(other).filter(|o| !o.is_empty());
        answers.push(Answer { test, rater, scale, stimulus, other, value, seconds });
    }
    Ok(answers)
}

/// The cells of a line; a cell in double quotes may hold commas and doubled quotes.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    cells.push(cell);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_may_hold_commas_and_quotes() {
        assert_eq!(cells("a,\"b, \"\"c\"\"\",,d\r"), ["a", "b, \"c\"", "", "d"]);
    }
}
