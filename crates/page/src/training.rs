//! The page of a training run: its curves, how it sounds now, and its recipe.

use crate::curve::{Chart, Row};
use crate::error::PageError;
use crate::layout;
use crate::player::{Player, Track};

/// The page of one training run, rewritten as the run goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingPage {
    /// The page's title, such as the recipe's name.
    pub title: String,
    /// One line under it, such as `step 12000 of 50000`.
    pub status: String,
    /// Facts about the run (device, time, data), in the order of the page.
    pub facts: Vec<(String, String)>,
    /// The metrics, in any order of steps.
    pub rows: Vec<Row>,
    /// What to draw of them; [`crate::charts_by_name`] makes a choice.
    pub charts: Vec<Chart>,
    /// The latest sounds: the renditions are the original and its reconstructions. May be empty.
    pub sounds: Vec<Track>,
    /// The recipe as text.
    pub recipe: String,
}

impl TrainingPage {
    /// The page, one HTML file that needs nothing else.
    ///
    /// # Errors
    /// [`PageError::NoSound`], [`PageError::Duration`], [`PageError::SoundTooLarge`],
    /// [`PageError::Png`].
    pub fn html(&self) -> Result<String, PageError> {
        let charts: String = self.charts.iter().map(|chart| chart.markup(&self.rows)).collect();
        let mut body = String::new();
        if !charts.is_empty() {
            body.push_str(&format!("<section class=\"charts\" aria-label=\"Curves\">\n{charts}</section>\n"));
        }
        if !self.sounds.is_empty() {
            let player = Player { track_word: "Sound", rendition_word: "Version", start_with_last: false };
            body.push_str("<h2 class=\"part\">How it sounds now</h2>\n");
            body.push_str(&player.markup(&self.sounds, |_| String::new())?);
        }
        body.push_str("<div class=\"details\">\n");
        if !self.facts.is_empty() {
            body.push_str("<section class=\"wide\"><h3>The run</h3>\n");
            body.push_str(&layout::pairs(&self.facts));
            body.push_str("</section>\n");
        }
        body.push_str("<section class=\"wide\"><h3>Recipe</h3>\n");
        body.push_str(&layout::copyable("Recipe", &self.recipe));
        body.push_str("</section>\n</div>\n");
        Ok(layout::document("training run", &self.title, &self.status, &body))
    }
}
