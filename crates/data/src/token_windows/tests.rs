#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::LabelTable;
use crate::token_cache::tests::{HOPS, codec, filled, set};
use proptest::prelude::*;

fn settings(level: usize, context: usize, short: ShortTracks) -> WindowSettings {
    let (split, balance) = (Split::Train, Balance::Length);
    WindowSettings { level, context, split, seed: 5, balance, short, vocabulary: None }
}

/// Every code of the fixture tells its level and place, so a window tells whether it is where it says.
fn is_where_it_says(window: &TokenWindow, level: usize, samples: u64) {
    let place = |code: u32| ((code >> 16) as usize, (code & 0xffff) as usize);
    for (i, &code) in window.codes.iter().enumerate() {
        assert_eq!(place(code), (level, window.start + i));
    }
    assert_eq!(window.offset, (window.start * HOPS[level]) as u64);
    assert_eq!(window.total_length, samples);
    assert!(window.offset + (window.codes.len() * HOPS[level]) as u64 <= samples);
    match (&window.upper, HOPS.get(level + 1)) {
        (None, None) => {}
        (Some(upper), Some(&upper_hop)) => {
            let ratio = upper_hop / HOPS[level];
            assert_eq!((window.start % ratio, upper.len() * ratio), (0, window.codes.len()));
            for (i, &code) in upper.iter().enumerate() {
                assert_eq!(place(code), (level + 1, window.start / ratio + i));
            }
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn windows_stay_inside_and_align(
        lengths in prop::collection::vec(1_u64..3000, 1..4),
        level in 0_usize..3,
        multiple in 1_usize..12,
        step in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let cache = filled(folder.path(), &lengths);
        let ratio = HOPS.get(level + 1).map_or(1, |upper| upper / HOPS[level]);
        let context = multiple * ratio;
        for short in [ShortTracks::Use, ShortTracks::Drop] {
            let Ok(windows) = TokenWindows::load(&cache, settings(level, context, short)) else {
                continue;
            };
            prop_assert_eq!(windows.len() + windows.dropped().len(), lengths.len());
            for window in windows.batch(step, 8) {
                is_where_it_says(&window, level, lengths[window.track]);
                prop_assert!(window.codes.len() == context || short == ShortTracks::Use);
                prop_assert!(!window.codes.is_empty());
            }
            let mut counted = 0;
            for window in windows.sequential() {
                is_where_it_says(&window, level, lengths[window.track]);
                prop_assert!(window.seen < window.codes.len());
                counted += (window.codes.len() - window.seen) as u64;
            }
            prop_assert_eq!(counted, windows.tokens());
        }
    }
}

#[test]
fn windows_depend_on_seed_step_and_row_alone() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path(), &[2000, 900, 3000]);
    let load = |seed| {
        let settings = WindowSettings { seed, ..settings(0, 16, ShortTracks::Drop) };
        TokenWindows::load(&cache, settings).unwrap()
    };
    let (first, second) = (load(5), load(5));
    let later = second.batch(9, 4);
    assert_eq!(first.batch(3, 8)[..4], second.batch(3, 4)[..]);
    assert_eq!(later[2], first.window(9, 2));
    assert_ne!(load(6).batch(9, 4), later);
    let different: std::collections::BTreeSet<_> = (0..50).map(|step| first.window(step, 0).start).collect();
    assert!(different.len() > 25, "{different:?}");
    let labelled = first.window(0, 0);
    assert_eq!((labelled.artist, &labelled.genres[..]), (labelled.track as u32 % 2 + 1, &[1][..]));
}

#[test]
fn windows_carry_the_words_of_their_track() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), &[2000, 2000]);
    let mut manifest = set(&[2000, 2000]);
    manifest.entries[1].lyrics = Some("Ah é".into());
    let labels = LabelTable::from_manifest(&manifest);
    TokenCache::create(folder.path(), codec(), &manifest, labels).unwrap();
    let cache = TokenCache::open(folder.path()).unwrap();
    let load = |vocabulary| {
        let settings = WindowSettings { vocabulary, ..settings(0, 16, ShortTracks::Drop) };
        TokenWindows::load(&cache, settings).unwrap()
    };
    let windows = load(Some(Vocabulary::V3));
    assert_eq!(windows.sung(), 1);
    for window in windows.sequential() {
        let words: &[u32] = if window.track == 1 { &[1, 34, 76, 31] } else { &[] };
        assert_eq!(*window.lyrics, *words);
    }
    let mut windows = windows.sequential().filter(|window| window.track == 1);
    let (first, second) = (windows.next().unwrap(), windows.next().unwrap());
    assert!(Arc::ptr_eq(&first.lyrics, &second.lyrics), "the words of a track are there once");
    assert_eq!(load(None).sung(), 0);
}

#[test]
fn what_cannot_be_served_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path(), &[2000, 40]);
    let refused = |settings, expected: &str| {
        let message = TokenWindows::load(&cache, settings).err().unwrap().to_string();
        assert!(message.contains(expected) && message.contains("; hint: "), "{message}");
    };
    refused(settings(3, 16, ShortTracks::Drop), "no level 3");
    refused(settings(1, 18, ShortTracks::Drop), "context of 18");
    refused(settings(1, 0, ShortTracks::Drop), "context of 0");
    refused(settings(0, 16, ShortTracks::Refuse), "`1.wav`");
    refused(settings(0, 4000, ShortTracks::Drop), "is left to draw from");
    let valid = WindowSettings { split: Split::Valid, ..settings(0, 16, ShortTracks::Drop) };
    refused(valid, "no track of the split `valid`");
    std::fs::remove_file(folder.path().join(&cache.tracks()[1].file)).unwrap();
    refused(settings(0, 16, ShortTracks::Drop), "1 tracks are not encoded yet, the first is `1.wav`");
}
