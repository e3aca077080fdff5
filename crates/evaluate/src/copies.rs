//! Stretches of a song that stand in the training set as they are, token by token.

use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// The longest run of tokens that a song shares with the training set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// Tokens of the run.
    pub tokens: usize,
    /// How many of them differ from each other: silence and held notes repeat a few.
    pub different: usize,
    /// First token in the song.
    pub at: usize,
    /// The training track.
    pub track: usize,
    /// First token in that track.
    pub track_at: usize,
}

/// The stretch of a song that comes nearest to one of the training set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct NearCopy {
    /// Largest share of equal tokens in a window of the song laid on one of a training track.
    pub share: f64,
    /// First token of the window in the song.
    pub at: usize,
    /// The training track.
    pub track: usize,
    /// First token in that track.
    pub track_at: usize,
}

/// All runs of a song in one automaton (Blumer et al. 1985), through which tracks are passed once: time and memory grow
/// with song plus tracks, not with their product.
struct Automaton {
    next: Vec<HashMap<u32, usize>>,
    link: Vec<usize>,
    longest: Vec<usize>,
    /// A place in the song where the state's runs end.
    end: Vec<usize>,
}

impl Automaton {
    fn new(song: &[u32]) -> Self {
        let mut a = Self { next: vec![HashMap::new()], link: vec![usize::MAX], longest: vec![0], end: vec![0] };
        let mut last = 0;
        for (i, token) in song.iter().enumerate() {
            let state = a.add(HashMap::new(), 0, i + 1, i + 1);
            let mut from = last;
            while from != usize::MAX && !a.next[from].contains_key(token) {
                a.next[from].insert(*token, state);
                from = a.link[from];
            }
            if from != usize::MAX {
                let to = a.next[from][token];
                a.link[state] = if a.longest[to] == a.longest[from] + 1 {
                    to
                } else {
                    let copy = a.add(a.next[to].clone(), a.link[to], a.longest[from] + 1, a.end[to]);
                    while from != usize::MAX && a.next[from].get(token) == Some(&to) {
                        a.next[from].insert(*token, copy);
                        from = a.link[from];
                    }
                    a.link[to] = copy;
                    copy
                };
            }
            last = state;
        }
        a
    }

    fn add(&mut self, next: HashMap<u32, usize>, link: usize, longest: usize, end: usize) -> usize {
        self.next.push(next);
        self.link.push(link);
        self.longest.push(longest);
        self.end.push(end);
        self.next.len() - 1
    }

    /// The longest run shared with a track: length, end in the song, end in the track.
    fn longest_in(&self, track: &[u32]) -> (usize, usize, usize) {
        let (mut state, mut length, mut best) = (0, 0, (0, 0, 0));
        for (i, token) in track.iter().enumerate() {
            while state != 0 && !self.next[state].contains_key(token) {
                state = self.link[state];
                length = self.longest[state];
            }
            if let Some(&to) = self.next[state].get(token) {
                (state, length) = (to, length + 1);
            }
            if length > best.0 {
                best = (length, self.end[state], i + 1);
            }
        }
        best
    }
}

/// The longest run of tokens that a song has in common with any of the tracks, which are given with their numbers.
pub fn longest_copy<'a>(song: &[u32], tracks: impl Iterator<Item = (usize, &'a [u32])>) -> Copy {
    let automaton = Automaton::new(song);
    let mut best = Copy::default();
    for (track, codes) in tracks {
        let (tokens, end, track_end) = automaton.longest_in(codes);
        if tokens > best.tokens {
            let run = song.get(end - tokens..end).unwrap_or_default();
            let different = run.iter().collect::<HashSet<_>>().len();
            best = Copy { tokens, different, at: end - tokens, track, track_at: track_end - tokens };
        }
    }
    best
}

/// Equal tokens in a row that a window with 80 % of equal tokens has at least: 20 % of unequal ones leave no room for
/// shorter runs only.
const SEED: usize = 4;

/// The window of `tokens` of a song with the largest share of tokens equal to those of a track at the same distance.
///
/// Every window with a share of 0.8 or more is found, because it has four equal tokens in a row somewhere; smaller
/// shares are found where such a run is.
pub fn nearest_copy<'a>(song: &[u32], tokens: usize, tracks: impl Iterator<Item = (usize, &'a [u32])>) -> NearCopy {
    let mut seeds: HashMap<&[u32], Vec<usize>> = HashMap::new();
    for (at, seed) in song.windows(SEED).enumerate() {
        seeds.entry(seed).or_default().push(at);
    }
    let mut best = NearCopy::default();
    let mut most = 0;
    for (track, codes) in tracks {
        let mut diagonals: HashSet<isize> = HashSet::new();
        for (at, seed) in codes.windows(SEED).enumerate() {
            diagonals.extend(seeds.get(seed).into_iter().flatten().map(|song_at| at as isize - *song_at as isize));
        }
        for diagonal in diagonals {
            let (from, track_from) = ((-diagonal).max(0) as usize, diagonal.max(0) as usize);
            let pairs = song.iter().skip(from).zip(codes.iter().skip(track_from));
            let equal: Vec<bool> = pairs.map(|(a, b)| a == b).collect();
            let mut count = 0;
            for (i, same) in equal.iter().enumerate() {
                count += usize::from(*same);
                count -= usize::from(i >= tokens && equal[i - tokens]);
                if i + 1 >= tokens && count > most {
                    most = count;
                    let start = i + 1 - tokens;
                    let share = count as f64 / tokens.max(1) as f64;
                    best = NearCopy { share, at: from + start, track, track_at: track_from + start };
                }
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition.
    fn longest(song: &[u32], tracks: &[Vec<u32>]) -> usize {
        let at = |a: &[u32], b: &[u32]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let mut best = 0;
        for track in tracks {
            for i in 0..song.len() {
                best = (0..track.len()).map(|j| at(&song[i..], &track[j..])).max().unwrap_or(0).max(best);
            }
        }
        best
    }

    fn numbered(tracks: &[Vec<u32>]) -> impl Iterator<Item = (usize, &[u32])> {
        tracks.iter().enumerate().map(|(i, t)| (i, t.as_slice()))
    }

    proptest! {
        #[test]
        fn the_longest_run_is_that_of_the_definition(
            song in prop::collection::vec(0..3u32, 0..40),
            tracks in prop::collection::vec(prop::collection::vec(0..3u32, 0..40), 0..4),
        ) {
            let copy = longest_copy(&song, numbered(&tracks));
            prop_assert_eq!(copy.tokens, longest(&song, &tracks));
            if copy.tokens > 0 {
                let run = &song[copy.at..copy.at + copy.tokens];
                prop_assert_eq!(run, &tracks[copy.track][copy.track_at..copy.track_at + copy.tokens]);
            }
        }

        #[test]
        fn a_window_that_is_four_fifths_equal_is_found(
            song in prop::collection::vec(0..50u32, 60),
            holes in prop::collection::vec(0..40usize, 8),
            at in 0..20usize,
        ) {
            // 40 tokens of the song with at most 8 changed, somewhere in a track.
            let mut track: Vec<u32> = vec![99; 30];
            track.extend(&song[at..at + 40]);
            holes.iter().for_each(|hole| track[30 + hole] = 98);
            let copy = nearest_copy(&song, 40, std::iter::once((7, track.as_slice())));
            prop_assert!(copy.share >= 0.8, "{}", copy.share);
            let equal = (0..40).filter(|i| song[copy.at + i] == track[copy.track_at + i]).count();
            prop_assert_eq!((copy.track, copy.share), (7, equal as f64 / 40.0));
        }
    }
}
