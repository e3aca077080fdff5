//! Which character is sung when: attention of a lyric prior's alignment head, window over window.

use std::ops::Range;

/// Longest time that a row of the matrix stands for.
const ROW_SECONDS: f64 = 0.05;
/// Most values of the matrix.
const MOST_VALUES: usize = 1 << 25;

/// How much each moment of the music attends to each character of the words.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// Tokens whose mean is one row.
    tokens_per_row: usize,
    characters: usize,
    /// `[rows, characters]`, probabilities.
    matrix: Vec<f32>,
    /// Tokens of the music, all rows together.
    total: usize,
    seconds_per_token: f64,
    /// What windows so far have filled: tokens and characters.
    filled: Vec<(Range<usize>, Range<usize>)>,
}

impl Alignment {
    /// A matrix of zeros for `total` tokens of `seconds_per_token` and so many characters. A row stands for a power of two
    /// tokens, at most 50 ms of them, or more where the matrix would become too large.
    pub fn new(total: usize, seconds_per_token: f64, characters: usize) -> Self {
        let mut tokens_per_row = 1;
        while 2.0 * tokens_per_row as f64 * seconds_per_token <= ROW_SECONDS
            || total.div_ceil(tokens_per_row).saturating_mul(characters) > MOST_VALUES && tokens_per_row < total
        {
            tokens_per_row *= 2;
        }
        let matrix = vec![0.0; total.div_ceil(tokens_per_row) * characters];
        Self { tokens_per_row, characters, matrix, total, seconds_per_token, filled: Vec::new() }
    }

    /// Fills in a window: `weights` is row-major `[tokens, lyric tokens]`, from token `start` of the music on, and
    /// `places` says for each lyric token which character it is. What an earlier window has filled stays: of the windows
    /// that see a token with the same characters the first counts, as in the paper's program.
    pub fn add(&mut self, start: usize, places: &[Option<usize>], weights: &[f32]) {
        let known: Vec<usize> = places.iter().flatten().copied().collect();
        let (Some(&first), Some(&last)) = (known.first(), known.last()) else { return };
        for (at, weights) in (start..self.total).zip(weights.chunks_exact(places.len())) {
            let before: Vec<Range<usize>> =
                self.filled.iter().filter(|(tokens, _)| tokens.contains(&at)).map(|(_, c)| c.clone()).collect();
            let row = at / self.tokens_per_row;
            let tokens_in_row = self.tokens_per_row.min(self.total - row * self.tokens_per_row) as f32;
            let row = &mut self.matrix[row * self.characters..][..self.characters];
            for (place, weight) in places.iter().zip(weights) {
                if let Some(place) = *place
                    && let Some(cell) = row.get_mut(place)
                    && !before.iter().any(|characters| characters.contains(&place))
                {
                    *cell += weight / tokens_in_row;
                }
            }
        }
        let end = start + weights.len() / places.len();
        self.filled.push((start..end, first..last + 1));
    }

    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.total.div_ceil(self.tokens_per_row)
    }

    /// Characters of the words: columns of the matrix.
    pub fn characters(&self) -> usize {
        self.characters
    }

    /// Seconds of a row. The last one may be shorter.
    pub fn seconds_per_row(&self) -> f64 {
        self.tokens_per_row as f64 * self.seconds_per_token
    }

    /// The probabilities, row-major `[rows, characters]`.
    pub fn matrix(&self) -> &[f32] {
        &self.matrix
    }

    /// When each character begins and ends, in seconds; `None` for characters before and behind those that are sung.
    ///
    /// It is the way through the matrix that never goes back in the words and gathers the most attention. Characters that
    /// it leaps over share the time from the one before.
    pub fn times(&self) -> Vec<Option<(f64, f64)>> {
        let mut times = vec![None; self.characters];
        let way = self.way();
        let (Some(&last), length) = (way.last(), self.total as f64 * self.seconds_per_token) else { return times };
        // The first row of each character on the way.
        let mut begins: Vec<(usize, f64)> = Vec::new();
        for (row, &character) in way.iter().enumerate() {
            if begins.last().is_none_or(|(known, _)| *known != character) {
                begins.push((character, row as f64 * self.seconds_per_row()));
            }
        }
        begins.push((last + 1, length));
        for pair in begins.windows(2) {
            let [(from, begin), (to, end)] = [pair[0], pair[1]];
            let each = (end - begin) / (to - from) as f64;
            for (step, time) in times[from..to].iter_mut().enumerate() {
                *time = Some((begin + each * step as f64, begin + each * (step + 1) as f64));
            }
        }
        times
    }

    /// The character of each row.
    fn way(&self) -> Vec<usize> {
        if self.matrix.is_empty() {
            return Vec::new();
        }
        // Best sum of attention of a way that ends at a character, and where it was a row before.
        let mut best = vec![0.0f64; self.characters];
        let mut from: Vec<u32> = Vec::with_capacity(self.matrix.len());
        for weights in self.matrix.chunks_exact(self.characters) {
            let (mut place, mut most) = (0, f64::NEG_INFINITY);
            for (character, (best, weight)) in best.iter_mut().zip(weights).enumerate() {
                if *best > most {
                    (place, most) = (character, *best);
                }
                from.push(place as u32);
                *best = most + f64::from(*weight);
            }
        }
        let mut at = best.iter().enumerate().fold(0, |most, (place, sum)| if *sum > best[most] { place } else { most });
        let mut way = Vec::with_capacity(self.rows());
        for from in from.chunks_exact(self.characters).rev() {
            way.push(at);
            at = from[at] as usize;
        }
        way.reverse();
        way
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn earlier_windows_count_where_they_see_the_same_characters() {
        let mut alignment = Alignment::new(5, 0.1, 4);
        alignment.add(0, &[None, Some(0), Some(1)], &[9.0, 0.1, 0.2, 9.0, 0.3, 0.4, 9.0, 0.5, 0.6]);
        alignment.add(2, &[Some(1), Some(2), Some(3)], &[0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]);
        let expected = [[0.1, 0.2, 0.0, 0.0], [0.3, 0.4, 0.0, 0.0], [0.5, 0.6, 0.8, 0.9], [0.0, 1.0, 1.1, 1.2]];
        assert_eq!(alignment.matrix()[..16], expected.concat());
        assert_eq!(alignment.matrix()[16..], [0.0, 1.3, 1.4, 1.5]);
    }

    #[test]
    fn rows_are_means_of_at_most_50_milliseconds() {
        let mut alignment = Alignment::new(5, 0.02, 1);
        assert_eq!((alignment.rows(), alignment.seconds_per_row()), (3, 0.04));
        alignment.add(0, &[Some(0)], &[1.0, 0.0, 0.5, 0.0, 0.25]);
        assert_eq!(alignment.matrix(), [0.5, 0.25, 0.25]);
        let long = Alignment::new(1 << 20, 0.003, 4096);
        assert!(long.matrix().len() <= MOST_VALUES && long.seconds_per_row() > ROW_SECONDS);
    }

    #[test]
    fn times_follow_the_most_attention_and_never_go_back() {
        // Characters 1, 1, 3, 0 (a glance back), 4 of six.
        let mut alignment = Alignment::new(5, 0.1, 6);
        let rows = [1, 1, 3, 0, 4].map(|hot| (0..6).map(|c| if c == hot { 0.9 } else { 0.02 }).collect::<Vec<f32>>());
        alignment.add(0, &(0..6).map(Some).collect::<Vec<_>>(), &rows.concat());
        let times = alignment.times();
        let round = |t: Option<(f64, f64)>| t.map(|(a, b)| ((a * 100.0).round() as i32, (b * 100.0).round() as i32));
        let times: Vec<_> = times.into_iter().map(round).collect();
        assert_eq!(times, [None, Some((0, 10)), Some((10, 20)), Some((20, 40)), Some((40, 50)), None]);
        assert_eq!(Alignment::new(0, 0.1, 3).times(), [None; 3]);
        assert!(Alignment::new(3, 0.1, 0).times().is_empty());
    }

    proptest! {
        #[test]
        fn times_are_in_order_and_fill_the_music(
            (total, characters, weights) in (1usize..40, 1usize..20).prop_flat_map(|(total, characters)| {
                (Just(total), Just(characters), prop::collection::vec(0f32..1.0, total * characters))
            }),
        ) {
            let mut alignment = Alignment::new(total, 0.1, characters);
            alignment.add(0, &(0..characters).map(Some).collect::<Vec<_>>(), &weights);
            let sung: Vec<(f64, f64)> = alignment.times().into_iter().flatten().collect();
            prop_assert!(!sung.is_empty());
            prop_assert!(sung.iter().all(|(begin, end)| begin < end));
            prop_assert!(sung.windows(2).all(|pair| (pair[0].1 - pair[1].0).abs() < 1e-9));
            prop_assert!(sung[0].0 == 0.0 && (sung[sung.len() - 1].1 - total as f64 * 0.1).abs() < 1e-9);
        }
    }
}
