//! The page of an evaluation: figures with what they mean, pictures, and sounds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::PageError;
use crate::escape::html;
use crate::layout;
use crate::picture::{DecibelRange, Spectrogram};
use crate::player::{Player, Track};
use crate::table::Table;

/// A picture with its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// What it shows.
    pub caption: String,
    /// The values; brightness is the value.
    pub values: Spectrogram,
    /// The darkest and the lightest value; `None` as [`DecibelRange::covering`].
    pub range: Option<DecibelRange>,
}

/// One part of a report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What its figures say, in a paragraph.
    pub words: String,
    /// Its tables.
    pub tables: Vec<Table>,
    /// Its pictures, side by side.
    pub pictures: Vec<Picture>,
    /// The command that makes its figures alone; may be empty.
    pub command: String,
}

/// The page of one `orchestrion eval report`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportPage {
    /// The page's title.
    pub title: String,
    /// One line under it.
    pub subtitle: String,
    /// What was measured, on what, when.
    pub facts: Vec<(String, String)>,
    /// Sounds to listen to; may be empty.
    pub sounds: Vec<Track>,
    /// The parts.
    pub sections: Vec<Section>,
}

impl ReportPage {
    /// The page, one HTML file that needs nothing else.
    ///
    /// # Errors
    /// [`PageError::NoSound`], [`PageError::Duration`], [`PageError::SoundTooLarge`], [`PageError::Png`].
    pub fn html(&self) -> Result<String, PageError> {
        let mut body = String::new();
        if !self.sounds.is_empty() {
            let player = Player { track_word: "Sound", rendition_word: "Version", start_with_last: false };
            body.push_str(&player.markup(&self.sounds, |_| String::new())?);
        }
        for section in &self.sections {
            body.push_str(&section.markup()?);
        }
        body.push_str("<div class=\"details\">\n<section class=\"wide\"><h3>What was measured</h3>\n");
        body.push_str(&layout::pairs(&self.facts));
        body.push_str("</section>\n</div>\n");
        Ok(layout::document("evaluation", &self.title, &self.subtitle, &body))
    }
}

impl Section {
    fn markup(&self) -> Result<String, PageError> {
        let mut out = format!("<section class=\"report\">\n<h2 class=\"part\">{}</h2>\n", html(&self.title));
        if !self.words.is_empty() {
            out.push_str(&format!("<p class=\"lead\">{}</p>\n", html(&self.words)));
        }
        out.extend(self.tables.iter().map(Table::markup));
        if !self.pictures.is_empty() {
            out.push_str("<div class=\"pictures\">\n");
            for picture in &self.pictures {
                let png = BASE64.encode(picture.values.png(picture.range)?);
                let caption = html(&picture.caption);
                out.push_str(&format!(
                    "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{png}\"><figcaption>{caption}</figcaption></figure>\n"
                ));
            }
            out.push_str("</div>\n");
        }
        if !self.command.is_empty() {
            out.push_str(&layout::copyable("Command line", &self.command));
        }
        out.push_str("</section>\n");
        Ok(out)
    }
}
