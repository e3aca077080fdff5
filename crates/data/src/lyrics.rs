//! Words of a song as a lyric prior reads them: one token a character, and the window of them that belongs to a window
//! of music (Jukebox, section 4.4 of the paper).

use crate::DataError;

/// Most characters of a song's words.
pub const MAX_LYRICS: usize = 100_000;

/// Everything but `+`, which only the older vocabulary has, between `-` and `'`.
const BEFORE_PLUS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?-";
const AFTER_PLUS: &str = "'\"()[] \t\n";

/// The characters that a model knows. Token 0 stands for none: it pads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// 80 tokens: letters, digits, punctuation and `+` (the paper's 5b models and upsamplers).
    V2,
    /// 79 tokens: without `+` (the paper's 1b model).
    V3,
}

impl Vocabulary {
    /// The vocabulary with this many tokens.
    ///
    /// # Errors
    /// If there is none.
    pub fn of_size(tokens: usize) -> Result<Self, DataError> {
        [Self::V2, Self::V3].into_iter().find(|known| known.size() == tokens).ok_or_else(|| {
            DataError::request(
                format!("no vocabulary has {tokens} tokens"),
                "lyric models of the paper have 80 (v2) or 79 (v3)",
            )
        })
    }

    /// Number of tokens, padding included.
    #[must_use]
    pub fn size(self) -> usize {
        1 + self.characters().count()
    }

    /// The characters in order of their tokens, which count from 1.
    fn characters(self) -> impl Iterator<Item = char> {
        let plus = if self == Self::V2 { "+" } else { "" };
        BEFORE_PLUS.chars().chain(plus.chars()).chain(AFTER_PLUS.chars())
    }

    fn token(self, character: char) -> Option<u32> {
        let place = self.characters().position(|known| known == character)?;
        u32::try_from(place + 1).ok()
    }

    /// The words in the vocabulary's characters: other scripts and accents are written in ASCII, a `\` becomes a new
    /// line, and what is then still unknown is left out.
    #[must_use]
    pub fn clean(self, text: &str) -> String {
        text.chars().flat_map(|character| self.spell(character)).collect()
    }

    /// Characters of which nothing is left after cleaning, each once, in order of appearance.
    #[must_use]
    pub fn dropped(self, text: &str) -> Vec<char> {
        let mut dropped = Vec::new();
        for character in text.chars() {
            if self.spell(character).next().is_none() && !dropped.contains(&character) {
                dropped.push(character);
            }
        }
        dropped
    }

    /// Tokens of the cleaned words, one a character.
    #[must_use]
    pub fn tokenise(self, text: &str) -> Vec<u32> {
        text.chars().flat_map(|character| self.spell(character)).filter_map(|known| self.token(known)).collect()
    }

    /// What a character is written as.
    fn spell(self, character: char) -> impl Iterator<Item = char> {
        let ascii = character.is_ascii().then_some(character);
        let spelt = match ascii {
            None if !is_picture(character) => deunicode::deunicode_char(character).unwrap_or(""),
            _ => "",
        };
        let lines = |ascii| if ascii == '\\' { '\n' } else { ascii };
        ascii.into_iter().chain(spelt.chars()).map(lines).filter(move |&ascii| self.token(ascii).is_some())
    }
}

/// Pictures have names in the transliteration table, but nobody sings them.
fn is_picture(character: char) -> bool {
    matches!(character, '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}')
}

/// The words that belong to a window of music.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LyricWindow {
    /// Tokens; 0 where there is no character.
    pub tokens: Vec<u32>,
    /// For each of them its place in the whole song's words; `None` for padding.
    pub places: Vec<Option<usize>>,
}

/// The `count` lyric tokens around the place where a window of music would be if words were spread evenly over the song.
/// `total` is the song's length, `offset` where the window begins in it and `duration` the window's length, all in
/// samples. Fewer words than `count` are padded in front.
///
/// The arithmetic is that of the paper's program, in `f64` and in its order.
///
/// # Errors
/// If `count` is odd, or the song has no length.
pub fn window(tokens: &[u32], count: usize, total: u64, offset: u64, duration: u64) -> Result<LyricWindow, DataError> {
    if !count.is_multiple_of(2) {
        return Err(DataError::request(
            format!("a window of {count} lyric tokens has no middle"),
            "a model's `lyrics.tokens` is even",
        ));
    }
    if total == 0 {
        return Err(DataError::request("a song of 0 samples has no place for words", "give the song's length"));
    }
    let half = count / 2;
    let first = if tokens.len() < count {
        0
    } else {
        let middle = tokens.len() as f64 * (offset as f64 + duration as f64 / 2.0) / total as f64;
        (middle as usize).clamp(half, tokens.len() - half) - half
    };
    let sung = &tokens[first..tokens.len().min(first + count)];
    let padding = count - sung.len();
    Ok(LyricWindow {
        tokens: std::iter::repeat_n(0, padding).chain(sung.iter().copied()).collect(),
        places: std::iter::repeat_n(None, padding).chain((first..first + sung.len()).map(Some)).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_spelt_in_the_vocabulary() {
        assert_eq!((Vocabulary::V2.size(), Vocabulary::V3.size()), (80, 79));
        assert_eq!(Vocabulary::of_size(79).unwrap(), Vocabulary::V3);
        assert!(Vocabulary::of_size(81).unwrap_err().to_string().contains("; hint: "));
        let text = "Łódź \u{266b}\r\n☂ Привет\\你好 1+1 😀#";
        assert_eq!(Vocabulary::V2.clean(text), "Lodz \n Privet\nNi Hao  1+1 ");
        assert_eq!(Vocabulary::V3.clean(text), "Lodz \n Privet\nNi Hao  11 ");
        assert_eq!(Vocabulary::V3.dropped(text), ['\u{266b}', '\r', '☂', '+', '😀', '#']);
        assert_eq!(Vocabulary::V3.tokenise("Aa\n\u{0}"), [1, 27, 78]);
    }

    #[test]
    fn windows_that_cannot_be_are_refused() {
        for (count, total) in [(7, 100), (8, 0)] {
            assert!(window(&[1; 9], count, total, 0, 10).unwrap_err().to_string().contains("; hint: "));
        }
    }

    proptest! {
        #[test]
        fn cleaned_words_are_one_token_a_character(text in any::<String>()) {
            for vocabulary in [Vocabulary::V2, Vocabulary::V3] {
                let clean = vocabulary.clean(&text);
                let tokens = vocabulary.tokenise(&text);
                prop_assert_eq!(tokens.len(), clean.len());
                prop_assert!(tokens.iter().all(|&token| 0 < token && (token as usize) < vocabulary.size()));
                prop_assert_eq!(vocabulary.clean(&clean), clean);
            }
        }

        #[test]
        fn a_window_is_a_stretch_of_the_words(
            length in 0usize..900, half in 0usize..300, total in 1u64.., offset in any::<u64>(), duration in any::<u64>(),
        ) {
            let words: Vec<u32> = (1..=length as u32).collect();
            let LyricWindow { tokens, places } = window(&words, 2 * half, total, offset, duration).unwrap();
            prop_assert_eq!(tokens.len(), 2 * half);
            let known: Vec<usize> = places.iter().flatten().copied().collect();
            prop_assert_eq!(known.len(), length.min(2 * half));
            prop_assert!(known.windows(2).all(|pair| pair[1] == pair[0] + 1));
            for (token, place) in tokens.iter().zip(&places) {
                prop_assert_eq!(*token, place.map_or(0, |place| words[place]));
            }
        }
    }
}
