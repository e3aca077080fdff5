//! Dealing tracks into train, valid and test.

use crate::{DataError, Entry, Manifest, Split, normalise};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Shares of the tracks that are held back; the rest is for training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Share for validation, from 0 to 1.
    pub valid: f64,
    /// Share for the final test, from 0 to 1.
    pub test: f64,
}

/// Tracks in each split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SplitCounts {
    /// Tracks for training.
    pub train: usize,
    /// Tracks for validation.
    pub valid: usize,
    /// Tracks for the final test.
    pub test: usize,
}

/// Gives every entry without a split one, by whole track.
///
/// A track's place follows from a hash of what it is: its title and artist, or its path where it has no title. So
/// two files of one track share a split, other tracks don't matter, and a grown data set is dealt the same way.
/// Splits that entries already have are kept, and taken over by other files of the same track. Only where a share
/// above 0 got no track at all (small sets) does one training track, the nearest by hash, move into it, as long as
/// two others stay.
///
/// # Errors
/// [`DataError::Request`] if a share is not from 0 to 1, or if nothing is left for training.
pub fn assign_splits(manifest: &mut Manifest, shares: Shares) -> Result<SplitCounts, DataError> {
    let sound = |share: f64| (0.0..=1.0).contains(&share);
    if !(sound(shares.valid) && sound(shares.test) && shares.valid + shares.test < 1.0) {
        return Err(DataError::request(
            format!("shares of {} (valid) and {} (test) leave nothing for training", shares.valid, shares.test),
            "choose shares from 0 to 1 with a sum below 1, such as 0.05 and 0.05",
        ));
    }
    let mut tracks: BTreeMap<String, Option<Split>> = BTreeMap::new();
    for entry in &manifest.entries {
        let split = tracks.entry(track_key(entry)).or_default();
        *split = split.or(entry.split);
    }
    let mut dealt: BTreeMap<String, Split> = BTreeMap::new();
    let mut free: Vec<(f64, String)> = Vec::new();
    for (key, split) in tracks {
        let place = place(&key);
        if split.is_none() {
            free.push((place, key.clone()));
        }
        let by_hash = match place {
            place if place < shares.valid => Split::Valid,
            place if place < shares.valid + shares.test => Split::Test,
            _ => Split::Train,
        };
        dealt.insert(key, split.unwrap_or(by_hash));
    }
    free.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (share, split) in [(shares.valid, Split::Valid), (shares.test, Split::Test)] {
        fill_empty(&mut dealt, &free, share, split);
    }
    for entry in &mut manifest.entries {
        if entry.split.is_none() {
            entry.split = dealt.get(&track_key(entry)).copied();
        }
    }
    Ok(count(manifest))
}

fn fill_empty(dealt: &mut BTreeMap<String, Split>, free: &[(f64, String)], share: f64, split: Split) {
    let training = dealt.values().filter(|&&s| s == Split::Train).count();
    if share <= 0.0 || training < 3 || dealt.values().any(|&s| s == split) {
        return;
    }
    let nearest = free.iter().find(|(_, key)| dealt.get(key) == Some(&Split::Train));
    if let Some((_, key)) = nearest {
        dealt.insert(key.clone(), split);
    }
}

fn count(manifest: &Manifest) -> SplitCounts {
    let of = |split| manifest.of_split(split).count();
    SplitCounts { train: of(Split::Train), valid: of(Split::Valid), test: of(Split::Test) }
}

/// What makes two files the same track.
fn track_key(entry: &Entry) -> String {
    match entry.title.as_deref().map(normalise) {
        Some(title) if !title.is_empty() => {
            let artist = entry.artist.as_deref().map(normalise).unwrap_or_default();
            format!("title\n{artist}\n{title}")
        }
        // The same key whichever way the system writes its paths.
        _ => format!("path\n{}", entry.path.to_string_lossy().replace('\\', "/")),
    }
}

/// The track's place in `[0, 1)`: uniform over tracks, the same for ever.
fn place(key: &str) -> f64 {
    let digest = Sha256::digest(key.as_bytes());
    let first = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    // 53 bits: what a f64 holds exactly.
    (first >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn set(count: usize) -> Manifest {
        Manifest {
            entries: (0..count).map(|i| Entry::new(format!("{i}.wav"), 1.0, 8000)).collect(),
            ..Manifest::default()
        }
    }

    const SHARES: Shares = Shares { valid: 0.1, test: 0.05 };

    #[test]
    fn shares_hold_and_a_grown_set_is_dealt_the_same_way() {
        let mut small = set(1000);
        let mut large = set(2000);
        let counts = assign_splits(&mut small, SHARES).unwrap();
        assert!((70..130).contains(&counts.valid) && (30..70).contains(&counts.test), "{counts:?}");
        assert_eq!(counts.train + counts.valid + counts.test, 1000);
        large.entries.reverse();
        assign_splits(&mut large, SHARES).unwrap();
        large.entries.reverse();
        assert_eq!(small.entries[..], large.entries[..1000]);
    }

    #[test]
    fn files_of_one_track_and_given_splits_stay_together() {
        let mut manifest = set(100);
        for (i, entry) in manifest.entries.iter_mut().enumerate() {
            entry.title = Some(format!(" Song {} ", i / 2));
        }
        manifest.entries[6].split = Some(Split::Test);
        assign_splits(&mut manifest, SHARES).unwrap();
        for pair in manifest.entries.chunks(2) {
            assert_eq!(pair[0].split, pair[1].split);
        }
        assert_eq!(manifest.entries[6].split, Some(Split::Test));
    }

    #[test]
    fn small_sets_still_get_something_to_validate_on() {
        let mut manifest = set(4);
        let tiny = Shares { valid: 0.001, test: 0.001 };
        let counts = assign_splits(&mut manifest, tiny).unwrap();
        assert_eq!((counts.train, counts.valid, counts.test), (2, 1, 1));
        let none = Shares { valid: 0.0, test: 0.0 };
        assert_eq!(assign_splits(&mut set(4), none).unwrap().train, 4);
        for valid in [-0.1, 1.0, f64::NAN] {
            assign_splits(&mut set(4), Shares { valid, test: 0.1 }).unwrap_err();
        }
    }
}
