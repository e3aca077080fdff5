//! Many songs in one process: neither memory nor open files grow.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(target_os = "linux")]

use burn::tensor::Device;
use orchestrion_generate::{Cancel, Event, Run, SampleRequest, Session, SongShape, decode_take};
use orchestrion_model::codec::Codec;
use orchestrion_model::prior::{PriorDecoder, TokenModel};
use orchestrion_model::store::{ModelFolder, Source};

/// Resident memory in bytes, and open files.
fn taken() -> (f64, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (kilobytes * 1024.0, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

/// `ORCHESTRION_SOAK` songs, of a few tokens each, from opening the model to the samples.
#[test]
fn many_songs() {
    let count: usize = std::env::var("ORCHESTRION_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny");
    let model = ModelFolder::open(Source::Folder(folder.into())).unwrap();
    let codec = model.codec(&Device::flex()).unwrap();
    let shape = SongShape::of(&codec.spec()).unwrap();
    let top = shape.levels.len() - 1;
    let song = |seed: usize| {
        let mut request = SampleRequest::new(0.05, shape.levels.len());
        (request.levels, request.seed, request.song_seconds) = (vec![top], seed as u64, Some(60.0));
        let mut session = Session::new(request, shape.clone(), "soak", None).unwrap();
        let mut open = |level: usize| {
            Ok(Box::new(PriorDecoder::open(&model, level, &Device::flex(), None)?) as Box<dyn TokenModel>)
        };
        let cancel = Cancel::new();
        Run { priors: &mut open, file: None, progress: &mut |_: &Event| {}, cancel: &cancel }
            .make_all(&mut session)
            .unwrap();
        assert!(!decode_take(&codec, &session, top, 0).unwrap().is_empty());
    };
    // The first songs fill the allocator's own stores.
    let warm = (count / 5).max(100);
    (0..warm).for_each(song);
    let (memory, open) = taken();
    (warm..warm + count).for_each(song);
    let (after, open_after) = taken();
    let slope = (after - memory) / 1e6 / count as f64 * 1000.0;
    println!("{count} songs: {slope:.3} MB in 1000 songs, {open_after} open files");
    // A short run measures the allocator's noise as well: every thread of a decoder's team takes from another of its stores, and
    // they fill one by one. 300 songs grew by 0.8 to 2.4 MB, 1,500 by 1.3 MB.
    assert!(slope < 1.0 || (count < 1000 && after - memory < 4e6), "{slope:.2} MB in 1000 songs");
    assert_eq!(open, open_after, "open files");
}
