//! The page of a listening test: blind, in an order of each rater's own, saved as CSV.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use crate::error::PageError;
use crate::escape;
use crate::layout;
use crate::player::{MAX_SOUND_BYTES, Sound};

const LISTENING_JS: &str = include_str!("assets/listening.js");
const LISTENING_CSS: &str = include_str!("assets/listening.css");

/// A sound under a code that tells nothing of where it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Stimulus {
    /// The code.
    pub code: String,
    /// The sound.
    pub sound: Sound,
}

/// A question of the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// A sound is rated from 1 to 5 on every scale.
    Rate {
        /// Code of the sound.
        code: String,
        /// What the rater is asked to answer, in an attention check; empty otherwise.
        instruction: String,
    },
    /// Which of two sounds is better.
    Pair {
        /// Codes of the two.
        codes: [String; 2],
    },
}

/// The page of a listening test.
#[derive(Debug, Clone, PartialEq)]
pub struct ListeningPage {
    /// Name of the test; answers carry it.
    pub test: String,
    /// What raters are asked, by the name of the scale and a question.
    pub scales: Vec<(String, String)>,
    /// The sounds.
    pub stimuli: Vec<Stimulus>,
    /// The questions; the page shuffles them for every rater.
    pub trials: Vec<Trial>,
}

impl ListeningPage {
    /// The page, one HTML file that needs nothing else. It holds no name of a system.
    ///
    /// # Errors
    /// [`PageError::NoTake`] without a question, [`PageError::SoundTooLarge`].
    pub fn html(&self) -> Result<String, PageError> {
        let bytes = self.stimuli.iter().map(|s| s.sound.bytes.len()).fold(0, usize::saturating_add);
        if bytes > MAX_SOUND_BYTES {
            return Err(PageError::SoundTooLarge { bytes, limit: MAX_SOUND_BYTES });
        }
        if self.trials.is_empty() {
            return Err(PageError::NoTake);
        }
        let trials = self.trials.iter().map(|trial| match trial {
            Trial::Rate { code, instruction } => json!({ "codes": [code], "instruction": instruction }),
            Trial::Pair { codes } => json!({ "codes": codes, "instruction": "" }),
        });
        let sounds = self.stimuli.iter().map(|s| {
            let address = format!("data:{};base64,{}", s.sound.format.mime(), BASE64.encode(&s.sound.bytes));
            (s.code.clone(), address.into())
        });
        let data = json!({
            "test": self.test,
            "scales": self.scales,
            "trials": trials.collect::<Vec<_>>(),
            "sounds": sounds.collect::<serde_json::Map<_, _>>(),
        });
        let body = format!(
            "<style>\n{LISTENING_CSS}</style>\n<section id=\"listening\" class=\"listening\">\n\
             <noscript><p>This page needs scripts to keep the order secret and to save what you say.</p></noscript>\n\
             </section>\n<script type=\"application/json\" id=\"listening-data\">{}</script>\n\
             <script>\n{LISTENING_JS}</script>\n",
            escape::script_json(&data)
        );
        let subtitle =
            format!("{} questions. Headphones, a quiet room, and as many listenings as you like.", self.trials.len());
        Ok(layout::document("listening test", &self.test, &subtitle, &body))
    }
}
