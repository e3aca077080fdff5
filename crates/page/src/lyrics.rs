//! The words of a song. With times they light up as it plays; without scripts they are simply there to read.

use crate::escape::html;

/// A word of a song.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word.
    pub text: String,
    /// The white space behind it, line breaks included.
    pub gap: String,
    /// When it is sung, in seconds; `None` if that is not known.
    pub start: Option<f64>,
}

/// The panel with the words; nothing if there are none.
pub(crate) fn panel(words: &[Word]) -> String {
    if words.is_empty() {
        return String::new();
    }
    let word = |word: &Word| {
        let (text, gap) = (html(&word.text), html(&word.gap));
        match word.start.filter(|start| start.is_finite()) {
            Some(start) => format!("<span data-start=\"{start:.3}\">{text}</span>{gap}"),
            None => format!("{text}{gap}"),
        }
    };
    let words: String = words.iter().map(word).collect();
    format!(
        "<section class=\"lyrics\"><h3>Lyrics</h3>\n\
         <p class=\"words\" tabindex=\"0\" role=\"region\" aria-label=\"Lyrics\">{words}</p></section>\n"
    )
}
