//! The page of one sampling run: every take at every level, and how to make it again.

use crate::error::PageError;
use crate::escape::html;
use crate::layout;
use crate::lyrics::{self, Word};
use crate::picture::Spectrogram;
use crate::player::{Mark, Player, Rendition, Sound, Track};
use crate::waveform::Waveform;

/// A take as one level of the model left it.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelSound {
    /// The level; 0 is the finest, the finished music.
    pub level: usize,
    /// Samples a token stands for at this level.
    pub hop_length: usize,
    /// The decoded sound.
    pub sound: Sound,
    /// Its outline.
    pub waveform: Waveform,
    /// Its spectrogram.
    pub spectrogram: Spectrogram,
}

/// What was measured on the finest level of a take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurements {
    /// Integrated loudness in LUFS; negative infinity for silence.
    pub loudness: f64,
    /// Highest absolute sample in dBFS; negative infinity for silence.
    pub peak: f64,
    /// Share of the time (0..=1) that is silent.
    pub silence: f64,
}

/// One take of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// Its name, such as `Take 1`.
    pub name: String,
    /// Length in seconds, above 0.
    pub seconds: f64,
    /// Samples per second.
    pub sample_rate: u32,
    /// Seconds of the recording that primed it, if one did.
    pub prompt_seconds: Option<f64>,
    /// The finished levels in any order, at least one.
    pub levels: Vec<LevelSound>,
    /// The words that were to be sung; none without lyrics.
    pub lyrics: Vec<Word>,
    /// Model, seed, labels, temperature and the like, in the order of the page.
    pub settings: Vec<(String, String)>,
    /// The command line that makes this take again.
    pub command: String,
    /// What was measured.
    pub measurements: Measurements,
}

/// The page of one run of `orchestrion sample`.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplePage {
    /// The page's title.
    pub title: String,
    /// The takes, at least one.
    pub takes: Vec<Take>,
}

impl SamplePage {
    /// The page, one HTML file that needs nothing else.
    ///
    /// # Errors
    /// [`PageError::NoTake`], [`PageError::NoSound`], [`PageError::Duration`],
    /// [`PageError::SoundTooLarge`], [`PageError::Png`].
    pub fn html(&self) -> Result<String, PageError> {
        let first = self.takes.first().ok_or(PageError::NoTake)?;
        let tracks: Vec<Track> = self.takes.iter().map(Take::track).collect();
        let player = Player { track_word: "Take", rendition_word: "Level", start_with_last: true };
        let body = player.markup(&tracks, |index| self.takes.get(index).map(Take::details).unwrap_or_default())?;
        let count = match self.takes.len() {
            1 => "One take".to_owned(),
            many => format!("{many} takes"),
        };
        let subtitle =
            format!("{count} of {:.1} seconds at {:.2} kHz", first.seconds, f64::from(first.sample_rate) / 1000.0);
        Ok(layout::document("sample", &self.title, &subtitle, &body))
    }
}

impl Take {
    /// The take for the player, coarsest level first.
    fn track(&self) -> Track {
        let mut levels: Vec<&LevelSound> = self.levels.iter().collect();
        levels.sort_by_key(|level| std::cmp::Reverse(level.level));
        let top = levels.first().map_or(0, |level| level.level);
        let renditions = levels.into_iter().map(|level| Rendition {
            name: level_name(level.level, top),
            detail: format!("level {} · hop {}", level.level, level.hop_length),
            sound: level.sound.clone(),
            waveform: level.waveform.clone(),
            spectrogram: level.spectrogram.clone(),
        });
        let prompt_end = self.prompt_seconds.map(|seconds| Mark { seconds, text: "prompt ends".to_owned() });
        Track {
            name: self.name.clone(),
            seconds: self.seconds,
            marks: prompt_end.into_iter().collect(),
            renditions: renditions.collect(),
        }
    }

    /// Words, measurements, settings and command.
    fn details(&self) -> String {
        let measured = self.measurements;
        let numbers = [
            ("Loudness", decibels(measured.loudness), "LUFS"),
            ("Peak", decibels(measured.peak), "dBFS"),
            ("Silence", format!("{:.1}", 100.0 * measured.silence), "%"),
        ];
        let numbers: String = numbers
            .iter()
            .map(|(name, value, unit)| {
                format!("<div><dt>{name}</dt><dd>{} <span>{unit}</span></dd></div>\n", html(value))
            })
            .collect();
        format!(
            "{}<div class=\"details\">\n<section><h3>Measured</h3>\n<dl class=\"numbers\">\n{numbers}</dl></section>\n\
             <section><h3>Settings</h3>\n{}</section>\n\
             <section class=\"wide\"><h3>Make it again</h3>\n{}</section>\n</div>\n",
            lyrics::panel(&self.lyrics),
            layout::pairs(&self.settings),
            layout::copyable("Command line", &self.command),
        )
    }
}

/// What a level is to the listener, given the coarsest level of the take.
fn level_name(level: usize, top: usize) -> String {
    match level {
        0 => "Final".to_owned(),
        level if level == top => "Top preview".to_owned(),
        1 if top == 2 => "Middle preview".to_owned(),
        level => format!("Level {level} preview"),
    }
}

fn decibels(value: f64) -> String {
    if value.is_finite() { format!("{value:.1}").replace('-', "−") } else { crate::axis::significant(value) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn levels_are_named_for_listeners() {
        let names: Vec<String> = (0..3).map(|level| level_name(level, 2)).collect();
        assert_eq!(names, ["Final", "Middle preview", "Top preview"]);
        assert_eq!(level_name(2, 4), "Level 2 preview");
        assert_eq!(level_name(0, 0), "Final");
    }
}
