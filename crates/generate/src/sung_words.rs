//! Words with the times at which they are sung: as data, and as an LRC file that players know.

use crate::Alignment;
use orchestrion_data::lyrics::Vocabulary;
use serde::Serialize;

/// A word of the lyrics as they were given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SungWord {
    /// The word.
    pub text: String,
    /// The white space behind it.
    #[serde(skip)]
    pub gap: String,
    /// When it begins, in seconds; none if it is not sung in this music, or the model knows none of its characters.
    pub start: Option<f64>,
    /// When it ends.
    pub end: Option<f64>,
}

/// The words of `text`, a `\` being a new line, with the times of the characters that they are spelt with. Without times
/// none is sung.
pub fn sung_words(text: &str, vocabulary: Vocabulary, times: &[Option<(f64, f64)>]) -> Vec<SungWord> {
    let mut words: Vec<SungWord> = Vec::new();
    let mut at = 0;
    for character in text.chars() {
        let character = if character == '\\' { '\n' } else { character };
        let length = vocabulary.clean(character.encode_utf8(&mut [0; 4])).len();
        let sung = times.get(at..(at + length).min(times.len())).unwrap_or_default();
        at += length;
        if character.is_whitespace() {
            if let Some(word) = words.last_mut() {
                word.gap.push(character);
            }
            continue;
        }
        if words.last().is_none_or(|word| !word.gap.is_empty()) {
            words.push(SungWord { text: String::new(), gap: String::new(), start: None, end: None });
        }
        if let Some(word) = words.last_mut() {
            word.text.push(character);
            for (begin, end) in sung.iter().flatten() {
                word.start = word.start.or(Some(*begin));
                word.end = Some(*end);
            }
        }
    }
    words
}

/// The lines that are sung as an LRC file, each with its time and those of its words.
pub fn lrc(words: &[SungWord]) -> String {
    let mut out = String::new();
    for line in words.split_inclusive(|word| word.gap.contains('\n')) {
        let Some(begin) = line.iter().find_map(|word| word.start) else { continue };
        out.push_str(&format!("[{}]", clock(begin)));
        for (index, word) in line.iter().enumerate() {
            let time = word.start.map(|start| format!("<{}> ", clock(start))).unwrap_or_default();
            out.push_str(if index == 0 && time.is_empty() { "" } else { " " });
            out.push_str(&time);
            out.push_str(&word.text);
        }
        out.push('\n');
    }
    out
}

/// `mm:ss.xx`
fn clock(seconds: f64) -> String {
    let hundredths = (100.0 * seconds).round() as u64;
    format!("{:02}:{:02}.{:02}", hundredths / 6000, hundredths / 100 % 60, hundredths % 100)
}

impl Alignment {
    /// The alignment as compact JSON: the words, the time of every character that the model reads, and the matrix. A row
    /// of the matrix is the place of its first value above 0 and the values from there on, in 255ths.
    pub fn json(&self, text: &str, vocabulary: Vocabulary) -> serde_json::Value {
        let times = self.times();
        let rounded: Vec<Option<[f64; 2]>> =
            times.iter().map(|time| time.map(|(begin, end)| [thousandths(begin), thousandths(end)])).collect();
        let mut words = sung_words(text, vocabulary, &times);
        for time in words.iter_mut().flat_map(|word| [&mut word.start, &mut word.end]).flatten() {
            *time = thousandths(*time);
        }
        let rows: Vec<Vec<usize>> = match self.characters() {
            0 => Vec::new(),
            characters => self.matrix().chunks_exact(characters).map(sparse).collect(),
        };
        serde_json::json!({
            "format": 1,
            "words": words,
            "text": vocabulary.clean(text),
            "characters": rounded,
            "seconds_per_row": self.seconds_per_row(),
            "matrix": rows,
        })
    }
}

fn thousandths(seconds: f64) -> f64 {
    (1000.0 * seconds).round() / 1000.0
}

/// First place above 0 and the values from there to the last above 0, in 255ths; nothing for a row of zeros.
fn sparse(row: &[f32]) -> Vec<usize> {
    let shades: Vec<usize> = row.iter().map(|weight| (255.0 * weight.clamp(0.0, 1.0)).round() as usize).collect();
    let (Some(first), Some(last)) = (shades.iter().position(|s| *s > 0), shades.iter().rposition(|s| *s > 0)) else {
        return Vec::new();
    };
    std::iter::once(first).chain(shades[first..=last].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn word(text: &str, gap: &str, start: Option<f64>, end: Option<f64>) -> SungWord {
        SungWord { text: text.into(), gap: gap.into(), start, end }
    }

    #[test]
    fn words_as_given_have_the_times_of_what_the_model_reads() {
        // `ß` is read as two characters, `#` as none.
        let text = " Süß ♫\\é # x";
        let times: Vec<_> = (0..11).map(|i| (1..10).contains(&i).then(|| (f64::from(i), f64::from(i) + 1.0))).collect();
        assert_eq!(Vocabulary::V3.clean(text).len(), 11);
        let words = sung_words(text, Vocabulary::V3, &times);
        let expected = [
            word("Süß", " ", Some(1.0), Some(5.0)),
            word("♫", "\n", None, None),
            word("é", " ", Some(7.0), Some(8.0)),
            word("#", " ", None, None),
            word("x", "", None, None),
        ];
        assert_eq!(words, expected);
        assert_eq!(lrc(&words), "[00:01.00] <00:01.00> Süß ♫\n[00:07.00] <00:07.00> é # x\n");
        assert!(sung_words(text, Vocabulary::V3, &[]).iter().all(|word| word.start.is_none()));
        assert_eq!(clock(3725.999), "62:06.00");
    }

    #[test]
    fn json_holds_words_characters_and_matrix() {
        let mut alignment = Alignment::new(2, 0.1, 2);
        alignment.add(0, &[Some(0), Some(1)], &[0.0, 1.0, 0.001, 0.5]);
        let json = alignment.json("I", Vocabulary::V2);
        assert_eq!(json["matrix"], serde_json::json!([[1, 255], [1, 128]]));
        assert_eq!(json["characters"], serde_json::json!([null, [0.0, 0.2]]));
        assert_eq!(json["words"], serde_json::json!([{ "text": "I", "start": null, "end": null }]));
        assert_eq!((json["text"].as_str(), json["seconds_per_row"].as_f64()), (Some("I"), Some(0.1)));
    }
}
