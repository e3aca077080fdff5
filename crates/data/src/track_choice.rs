//! Which track a random crop or window comes from.

use crate::{DataError, Draw};

/// What is balanced when tracks are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Every second of music is as likely as any other; a manifest's `weight` multiplies.
    Length,
    /// Every artist is as likely as any other, and within an artist every second of music.
    Artist,
}

/// What becomes of tracks shorter than the crop or window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortTracks {
    /// They are used: crops are padded with silence at the end, windows are shorter.
    Use,
    /// They are left out, and told.
    Drop,
    /// They are an error that names them.
    Refuse,
}

/// A track as a candidate.
pub(crate) struct Candidate {
    /// Length times the manifest's weight, in any unit.
    pub weight: f64,
    /// Whose track it is, in any numbering.
    pub artist: u64,
}

/// Draws tracks with given probabilities.
pub(crate) struct TrackChoice {
    groups: Vec<Group>,
}

/// Tracks among which weights decide.
#[derive(Default)]
struct Group {
    artist: u64,
    /// Track, and the sum of the weights up to and with it.
    tracks: Vec<(usize, f64)>,
}

impl TrackChoice {
    /// Prepares drawing among candidates; those of weight 0 are never drawn.
    ///
    /// # Errors
    /// [`DataError::Request`] if no candidate has a weight above 0.
    pub fn new(candidates: &[Candidate], balance: Balance) -> Result<Self, DataError> {
        let mut order: Vec<(usize, &Candidate)> = candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| candidate.weight.is_finite() && candidate.weight > 0.0)
            .collect();
        if balance == Balance::Artist {
            order.sort_by_key(|(_, candidate)| candidate.artist);
        }
        let mut groups: Vec<Group> = Vec::new();
        for (track, candidate) in order {
            let new_artist =
                groups.last().is_none_or(|group| balance == Balance::Artist && group.artist != candidate.artist);
            if new_artist {
                groups.push(Group { artist: candidate.artist, tracks: Vec::new() });
            }
            if let Some(group) = groups.last_mut() {
                let before = group.tracks.last().map_or(0.0, |&(_, sum)| sum);
                group.tracks.push((track, before + candidate.weight));
            }
        }
        if groups.is_empty() {
            return Err(DataError::request(
                "no track is left to draw from",
                "add tracks to the split, allow short ones, or choose a shorter crop or window",
            ));
        }
        Ok(Self { groups })
    }

    /// Draws a track: the index of a candidate.
    pub fn draw(&self, draw: &mut Draw) -> usize {
        let group = draw.below(self.groups.len() as u64) as usize;
        // `new` leaves no group empty, so neither fallback is ever taken.
        let tracks = self.groups.get(group).map_or(&[][..], |group| &group.tracks);
        let total = tracks.last().map_or(0.0, |&(_, sum)| sum);
        let place = draw.unit() * total;
        let at = tracks.partition_point(|&(_, sum)| sum <= place);
        // Rounding can bring `place` up to the total itself.
        tracks.get(at).or(tracks.last()).map_or(0, |&(track, _)| track)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn shares(weights: &[(f64, u64)], balance: Balance) -> Vec<f64> {
        let candidates: Vec<Candidate> = weights.iter().map(|&(weight, artist)| Candidate { weight, artist }).collect();
        let choice = TrackChoice::new(&candidates, balance).unwrap();
        let mut shares = vec![0.0; weights.len()];
        for step in 0..20_000 {
            shares[choice.draw(&mut Draw::new("test", 3, step, 0))] += 1.0 / 20_000.0;
        }
        shares
    }

    #[test]
    fn shares_follow_the_balance() {
        let tracks = [(1.0, 7), (0.0, 7), (6.0, 9), (3.0, 7)];
        let near = |shares: Vec<f64>, expected: [f64; 4]| {
            let close = shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.02);
            assert!(close && shares[1] == 0.0, "{shares:?} {expected:?}");
        };
        near(shares(&tracks, Balance::Length), [0.1, 0.0, 0.6, 0.3]);
        near(shares(&tracks, Balance::Artist), [0.125, 0.0, 0.5, 0.375]);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let nothing = Candidate { weight: 0.0, artist: 0 };
        assert!(TrackChoice::new(&[nothing], Balance::Length).is_err());
        assert!(TrackChoice::new(&[], Balance::Artist).is_err());
    }
}
