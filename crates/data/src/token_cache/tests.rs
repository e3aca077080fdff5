#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::TokenStream;
use serde_json::Map;

pub(crate) const HOPS: [usize; 3] = [4, 8, 32];
const RATE: u32 = 1000;

pub(crate) fn codec() -> CodecIdentity {
    let stream = |(level, hop_length)| CachedStream { level, hop_length, codebook_size: 1 << 20 };
    CodecIdentity {
        fingerprint: fingerprint([b"codec"]),
        sample_rate: RATE,
        streams: HOPS.into_iter().enumerate().map(stream).collect(),
    }
}

/// Every code tells its level and place: `level << 16 | position`.
pub(crate) fn encoded(samples: u64) -> Tokens {
    let streams = HOPS.iter().enumerate().map(|(level, &hop)| {
        let codes: Vec<u32> =
            (0..samples as u32 / hop as u32).map(|position| (level as u32) << 16 | position).collect();
        TokenStream::from_rows(level, hop, 1 << 20, &[codes]).unwrap()
    });
    Tokens::new(RATE, streams.collect(), Map::new()).unwrap()
}

pub(crate) fn set(lengths: &[u64]) -> Manifest {
    let entry = |(index, &samples): (usize, &u64)| {
        let seconds = samples as f64 / f64::from(RATE);
        let mut entry = Entry::new(format!("{index}.wav"), seconds, RATE);
        entry.artist = Some(format!("artist {}", index % 2));
        entry.genre = vec!["jazz".into()];
        entry
    };
    Manifest { entries: lengths.iter().enumerate().map(entry).collect(), ..Manifest::default() }
}

/// A cache of tracks of these lengths in samples, all encoded.
pub(crate) fn filled(folder: &Path, lengths: &[u64]) -> TokenCache {
    let manifest = set(lengths);
    let labels = LabelTable::from_manifest(&manifest);
    let cache = TokenCache::create(folder, codec(), &manifest, labels).unwrap();
    for (track, &samples) in lengths.iter().enumerate() {
        cache.add(track, samples, encoded(samples)).unwrap();
    }
    cache
}

#[test]
fn encoding_can_stop_and_go_on_and_labels_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let folder = &folder.path().join("new").join("cache");
    let mut manifest = set(&[100, 200, 300]);
    let create = |manifest: &Manifest| {
        let labels = LabelTable::from_manifest(manifest);
        TokenCache::create(folder, codec(), manifest, labels).unwrap()
    };
    let cache = create(&manifest);
    assert_eq!(cache.missing(), [0, 1, 2]);
    cache.add(1, 200, encoded(200)).unwrap();
    assert_eq!(create(&manifest).missing(), [0, 2]);

    manifest.entries.rotate_left(1);
    manifest.entries[0].artist = Some("Nina".into());
    manifest.entries[0].split = Some(Split::Valid);
    let cache = create(&manifest);
    assert_eq!((cache.missing(), cache.tracks()[0].split), (vec![1, 2], Split::Valid));
    let reopened = TokenCache::open(folder).unwrap();
    assert_eq!(reopened.tracks(), cache.tracks());
    assert_eq!(reopened.codec(), &codec());
    let (tokens, total_length) = reopened.read(0).unwrap();
    assert_eq!((tokens.streams, total_length), (encoded(200).streams, 200));

    let other = CodecIdentity { fingerprint: fingerprint([b"other"]), ..codec() };
    let refused = TokenCache::create(folder, other, &manifest, LabelTable::default());
    assert!(refused.err().unwrap().to_string().contains("another codec"));
}

#[test]
fn an_index_that_could_not_be_read_back_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), &[100]);
    let mut manifest = set(&[100]);
    let create =
        |manifest: &Manifest| TokenCache::create(folder.path(), codec(), manifest, LabelTable::from_manifest(manifest));
    let room = LARGEST_INDEX as usize - std::fs::read(folder.path().join(INDEX)).unwrap().len();
    manifest.entries[0].lyrics = Some("la ".repeat(room));
    let error = create(&manifest).err().unwrap();
    assert!(matches!(error, DataError::Limit { limit: LARGEST_INDEX, .. }), "{error}");
    assert_eq!(TokenCache::open(folder.path()).unwrap().tracks()[0].lyrics, None, "the index is as it was");
    manifest.entries[0].lyrics = Some("la ".repeat(room / 4));
    create(&manifest).unwrap();
    assert_eq!(TokenCache::open(folder.path()).unwrap().tracks()[0].lyrics, manifest.entries[0].lyrics);
}

#[test]
fn tokens_that_are_not_the_track_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path(), &[100]);
    let refused = |track, samples, tokens| {
        let message = cache.add(track, samples, tokens).unwrap_err().to_string();
        assert!(message.contains("; hint: "), "{message}");
    };
    refused(1, 100, encoded(100));
    refused(0, 150, encoded(100));
    let mut fewer = encoded(100);
    fewer.streams.pop();
    refused(0, 100, fewer);
    let mut slower = encoded(100);
    slower.sample_rate = 999;
    refused(0, 100, slower);
}

#[test]
fn damaged_caches_are_told_with_their_path() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path(), &[100]);
    let token_file = folder.path().join(&cache.tracks()[0].file);
    std::fs::write(&token_file, b"damaged").unwrap();
    let message = cache.read(0).unwrap_err().to_string();
    assert!(message.contains(&token_file.display().to_string()), "{message}");

    let index = folder.path().join(INDEX);
    let whole = std::fs::read_to_string(&index).unwrap();
    let changes = [
        ("\"token-cache\"", "\"session\""),
        (cache.tracks()[0].file.as_str(), "../../secret.safetensors"),
        ("\"artist\": 1", "\"artist\": 9"),
        ("\"weight\": 1.0", "\"weight\": -1.0"),
        ("\"hop_length\": 4", "\"hop_length\": 0"),
        ("\"unknown\"", "\"known\""),
    ];
    for (from, to) in changes {
        let damaged = whole.replace(from, to);
        assert_ne!(damaged, whole, "{from}");
        std::fs::write(&index, damaged).unwrap();
        let message = TokenCache::open(folder.path()).err().unwrap().to_string();
        assert!(message.contains("index.json") && !message.contains('\n'), "{message}");
    }
    for length in 0..whole.len() {
        assert!(parse_index(&whole.as_bytes()[..length]).is_err());
    }
}
