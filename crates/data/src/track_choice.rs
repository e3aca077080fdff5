//! Which track a random crop or window comes from.

use crate::{DataError, Draw, Split};

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
    /// Prepares drawing among candidates; those of weight 0 are never drawn. The split and the number of tracks that were too
    /// short are for the message.
    ///
    /// # Errors
    /// [`DataError::Request`] if no candidate has a weight above 0.
    pub fn new(candidates: &[Candidate], balance: Balance, split: Split, short: usize) -> Result<Self, DataError> {
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
            let name = split.name();
            return Err(match (short, split) {
                (0, Split::Train) => DataError::request(
                    format!("no track of the split `{name}`"),
                    "add tracks to the manifest, or hold fewer of them back",
                ),
                (0, _) => DataError::request(
                    format!("no track of the split `{name}`"),
                    "hold some tracks back, as `orchestrion data scan --valid 0.1 --test 0.1` does",
                ),
                _ => DataError::request(
                    format!("no track of the split `{name}` is left to draw from: {short} are too short"),
                    "add longer ones, or choose a shorter crop or window",
                ),
            });
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
        let choice = TrackChoice::new(&candidates, balance, Split::Train, 0).unwrap();
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
        assert!(TrackChoice::new(&[nothing], Balance::Length, Split::Train, 0).is_err());
        let message = TrackChoice::new(&[], Balance::Artist, Split::Valid, 3).err().unwrap().to_string();
        assert!(message.contains("`valid`") && message.contains("3 are too short"), "{message}");
    }
}
