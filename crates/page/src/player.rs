//! The player: several sounds, each in several renditions, heard and seen at the same instant.
//!
//! The markup is whole without scripts (every rendition shows its pictures above the browser's
//! own audio controls); `assets/player.js` then folds it into one player.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::axis;
use crate::error::PageError;
use crate::escape::html;
use crate::picture::{DecibelRange, Spectrogram};
use crate::waveform::Waveform;

/// The most sound bytes one page embeds: browsers do not read text much above 512 MB.
pub const MAX_SOUND_BYTES: usize = 256 << 20;

/// Frames of a spectrogram drawn at most: more than the pixels of a wide page.
const MAX_FRAMES: usize = 1600;

/// The container of an embedded sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundFormat {
    /// RIFF wave, `audio/wav`.
    Wav,
    /// Native FLAC, `audio/flac`.
    Flac,
}

impl SoundFormat {
    /// The media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
        }
    }
}

/// An encoded sound file.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// The file as it would lie on disk.
    pub bytes: Vec<u8>,
    /// Its container.
    pub format: SoundFormat,
    /// The name under which a listener saves it, such as `take-1.flac`.
    pub file_name: String,
}

/// One way a track sounds: its finished form, a coarser level, the original.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendition {
    /// What the switch says, such as `Final`.
    pub name: String,
    /// What stands beside it, such as `level 0 · hop 32`; may be empty.
    pub detail: String,
    /// The sound.
    pub sound: Sound,
    /// Its outline.
    pub waveform: Waveform,
    /// Its spectrogram. All renditions of a track are drawn in one decibel range.
    pub spectrogram: Spectrogram,
}

/// A moment worth a line through the pictures, such as the end of the prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Seconds from the start.
    pub seconds: f64,
    /// What happens there.
    pub text: String,
}

/// Something to listen to in one or more renditions of the same length.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The name on the switch, such as `Take 1`.
    pub name: String,
    /// Length in seconds, above 0.
    pub seconds: f64,
    /// Lines through the pictures; those outside the track are not drawn.
    pub marks: Vec<Mark>,
    /// The renditions, in the order of the switch.
    pub renditions: Vec<Rendition>,
}

/// The words and the choice a player starts with.
pub(crate) struct Player<'a> {
    /// What the tracks are called together, such as `Take`.
    pub track_word: &'a str,
    /// What the renditions are called together, such as `Level`.
    pub rendition_word: &'a str,
    /// Whether the last rendition is chosen first, rather than the first.
    pub start_with_last: bool,
}

impl Player<'_> {
    /// The player's markup. `details` gives what stands below each track, already escaped.
    pub fn markup(&self, tracks: &[Track], details: impl Fn(usize) -> String) -> Result<String, PageError> {
        check(tracks)?;
        let mut names: Vec<&str> = Vec::new();
        for rendition in tracks.iter().flat_map(|track| &track.renditions) {
            if !names.contains(&rendition.name.as_str()) {
                names.push(&rendition.name);
            }
        }
        let start = if self.start_with_last { "last" } else { "first" };
        let mut out =
            format!("<section class=\"player\" aria-label=\"Player\" data-start=\"{start}\">\n{}", transport());
        let track_names: Vec<&str> = tracks.iter().map(|track| track.name.as_str()).collect();
        out.push_str("<div class=\"switches\">\n");
        out.push_str(&switch("track", self.track_word, &track_names));
        out.push_str(&switch("rendition", self.rendition_word, &names));
        out.push_str("</div></div>\n<p class=\"trouble\" role=\"status\"></p>\n");
        for (index, track) in tracks.iter().enumerate() {
            out.push_str(&format!("<article class=\"track\" data-track=\"{index}\">\n"));
            out.push_str(&format!("<h2>{}</h2>\n", html(&track.name)));
            let range = DecibelRange::covering(track.renditions.iter().map(|r| &r.spectrogram));
            for rendition in &track.renditions {
                out.push_str(&figure(track, rendition, range)?);
            }
            out.push_str(&details(index));
            out.push_str("</article>\n");
        }
        out.push_str(HELP);
        out.push_str("</section>\n");
        Ok(out)
    }
}

/// The keys, told where they are needed.
const HELP: &str = "<p class=\"keys\"><kbd>Space</kbd> plays and pauses <span>·</span> \
    <kbd>←</kbd> <kbd>→</kbd> move by 2 s <span>·</span> switching keeps the moment</p>\n";

fn check(tracks: &[Track]) -> Result<(), PageError> {
    let mut total = 0_usize;
    for track in tracks {
        if !(track.seconds.is_finite() && track.seconds > 0.0) {
            return Err(PageError::Duration { track: track.name.clone(), seconds: track.seconds });
        }
        if track.renditions.is_empty() {
            return Err(PageError::NoSound { track: track.name.clone() });
        }
        let bytes = track.renditions.iter().map(|rendition| rendition.sound.bytes.len());
        total = bytes.fold(total, usize::saturating_add);
    }
    if total > MAX_SOUND_BYTES {
        return Err(PageError::SoundTooLarge { bytes: total, limit: MAX_SOUND_BYTES });
    }
    Ok(())
}

/// Play, time, repeat and save; the switches follow inside the same bar.
fn transport() -> String {
    "<div class=\"transport\">\n\
     <button type=\"button\" class=\"play\" aria-label=\"Play\">\
     <svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path class=\"when-paused\" d=\"M8 5.2v13.6L19 12z\"/>\
     <path class=\"when-playing\" d=\"M7 5h3.6v14H7zM13.4 5H17v14h-3.6z\"/></svg></button>\n\
     <p class=\"time\"><span class=\"now\">0:00.0</span><span class=\"whole\"></span></p>\n\
     <button type=\"button\" class=\"quiet repeat\" aria-pressed=\"false\" aria-label=\"Repeat\" title=\"Repeat\">\
     <svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"M17 3l3 3-3 3M20 6H8a4 4 0 0 0-4 4v1M7 21l-3-3 3-3M4 18h12a4 4 0 0 0 4-4v-1\"/></svg></button>\n\
     <a class=\"quiet save\" aria-label=\"Save this sound\" title=\"Save this sound\">\
     <svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14\"/></svg></a>\n"
        .to_owned()
}

/// A row of choices of which one holds.
fn switch(kind: &str, word: &str, names: &[&str]) -> String {
    let mut out = format!("<fieldset class=\"switch\" data-switch=\"{kind}\"><legend>{}</legend>\n", html(word));
    for (index, name) in names.iter().enumerate() {
        let name = html(name);
        out.push_str(&format!(
            "<label><input type=\"radio\" name=\"{kind}\" value=\"{index}\" data-name=\"{name}\">\
             <span>{name}</span></label>\n"
        ));
    }
    out.push_str("</fieldset>\n");
    out
}

/// Waveform over spectrogram, with axes, and the sound they show.
fn figure(track: &Track, rendition: &Rendition, range: DecibelRange) -> Result<String, PageError> {
    let (name, detail) = (html(&rendition.name), html(&rendition.detail));
    let sound = &rendition.sound;
    let label = html(&format!("Position in {}, {}", track.name, rendition.name));
    let (path, columns) = rendition.waveform.path();
    let wave = |class: &str| {
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {columns} 2000\" preserveAspectRatio=\"none\" \
             aria-hidden=\"true\"><path d=\"{path}\"/></svg>"
        )
    };
    let spectrogram = rendition.spectrogram.narrowed(MAX_FRAMES);
    let picture = BASE64.encode(spectrogram.png(Some(range))?);
    let seconds = track.seconds;
    let mut out = format!(
        "<figure class=\"rendition\" data-name=\"{name}\" data-seconds=\"{seconds}\">\n\
         <figcaption><b>{name}</b> <span>{detail}</span></figcaption>\n\
         <div class=\"stage\" tabindex=\"0\" role=\"slider\" aria-label=\"{label}\" aria-valuemin=\"0\" \
         aria-valuemax=\"{seconds:.2}\" aria-valuenow=\"0\" aria-valuetext=\"0:00\">\n\
         <div class=\"wave\">{}{}</div>\n\
         <div class=\"spectrum\"><img alt=\"\" draggable=\"false\" \
         src=\"data:image/png;base64,{picture}\">{}</div>\n{}\
         <div class=\"cursor\"></div></div>\n",
        wave("ahead"),
        wave("played"),
        frequency_axis(&rendition.spectrogram),
        marks(track),
    );
    out.push_str("<div class=\"times\" aria-hidden=\"true\">");
    out.push_str(&axis::labels(&axis::time_ticks(seconds), "left"));
    out.push_str(&format!(
        "</div>\n<audio controls preload=\"none\" data-file=\"{}\" aria-label=\"{label}\" \
         src=\"data:{};base64,",
        html(&sound.file_name),
        sound.format.mime()
    ));
    BASE64.encode_string(&sound.bytes, &mut out);
    out.push_str("\"></audio>\n</figure>\n");
    Ok(out)
}

fn frequency_axis(spectrogram: &Spectrogram) -> String {
    let bins = spectrogram.bins() as f32;
    let inside = spectrogram.labels.iter().filter(|label| (0.0..=bins).contains(&label.bin));
    let labels = inside.map(|label| {
        let bottom = 100.0 * label.bin / bins;
        format!("<span style=\"bottom:{bottom:.2}%\">{}</span>", html(&label.text))
    });
    format!("<div class=\"frequencies\" aria-hidden=\"true\">{}</div>", labels.collect::<String>())
}

fn marks(track: &Track) -> String {
    let inside = track.marks.iter().filter(|mark| (0.0..=track.seconds).contains(&mark.seconds));
    let lines = inside.map(|mark| {
        let left = 100.0 * mark.seconds / track.seconds;
        let side = if left > 75.0 { " leftward" } else { "" };
        format!("<div class=\"mark-line{side}\" style=\"left:{left:.3}%\"><span>{}</span></div>\n", html(&mark.text))
    });
    lines.collect()
}
