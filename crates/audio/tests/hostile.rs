//! Files that are broken, or made to break a reader: sound or an error that names the file, never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use orchestrion_audio::{AudioError, Clip, ReadOptions, encode_flac, encode_wav, probe, read, read_tags};
use proptest::prelude::*;

fn tone(frames: usize) -> Clip {
    Clip::from_mono((0..frames).map(|n| (n as f32 * 0.05).sin() * 0.5).collect(), 22_050)
}

/// Reads `bytes` as a file of that name through every door; all of them must agree on what an error says.
fn read_bytes(name: &str, bytes: &[u8]) -> Result<Clip, AudioError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let part = read(&path, &ReadOptions::part(6.0, 1.0)).err();
    for error in [probe(&path).err(), read_tags(&path).err(), part].into_iter().flatten() {
        assert_names(&error, &path);
    }
    let result = read(&path, &ReadOptions::default());
    match &result {
        Err(error) => assert_names(error, &path),
        Ok(clip) => assert!(clip.channels.iter().flatten().all(|sample| sample.is_finite()) && !clip.is_empty()),
    }
    result
}

fn assert_names(error: &AudioError, path: &Path) {
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()) && text.contains("; hint: "), "{text}");
}

fn set(bytes: &[u8], place: usize, value: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[place..place + value.len()].copy_from_slice(value);
    changed
}

#[test]
fn what_is_not_there_or_not_a_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.wav");
    assert!(matches!(read(&missing, &ReadOptions::default()), Err(AudioError::Missing { .. })));
    assert!(matches!(probe(&missing), Err(AudioError::Missing { .. })));
    assert!(matches!(read_tags(&missing), Err(AudioError::Missing { .. })));
    assert!(matches!(read(folder.path(), &ReadOptions::default()), Err(AudioError::NotAFile { .. })));
    assert!(matches!(read_bytes("empty.wav", &[]), Err(AudioError::EmptyFile { .. })));
}

#[test]
fn other_things_named_wav_are_not_sound() {
    let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".as_slice(), &[0x5a; 4_000]].concat();
    let text = b"just words, many words. ".repeat(100);
    for (name, bytes) in
        [("picture.wav", png), ("words.flac", text), ("zeros.mp3", vec![0; 10_000]), ("x.ogg", vec![7])]
    {
        let error = read_bytes(name, &bytes).unwrap_err();
        assert!(matches!(error, AudioError::NotAudio { .. }), "{error}");
    }
}

#[test]
fn a_wav_with_a_header_only_holds_no_sound() {
    let whole = encode_wav(&tone(1_000), &[]).unwrap();
    for claimed in [0_u32, 2_000] {
        let bytes = set(&whole[..44], 40, &claimed.to_le_bytes());
        let error = read_bytes("header.wav", &bytes).unwrap_err();
        assert!(matches!(error, AudioError::NoSound { .. }), "{claimed}: {error}");
    }
    for length in 1..44 {
        assert!(read_bytes("cut.wav", &whole[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn files_that_break_off_give_the_sound_up_to_there() {
    let clip = tone(22_050);
    let tags = [("TITLE".to_owned(), "cut".to_owned())];
    for (name, bytes) in [("a.wav", encode_wav(&clip, &tags).unwrap()), ("a.flac", encode_flac(&clip, &tags).unwrap())]
    {
        let whole = read_bytes(name, &bytes).unwrap();
        let half = read_bytes(name, &bytes[..bytes.len() / 2]).unwrap();
        assert!(half.len() > 5_000 && half.len() < 14_000, "{name}: {} frames", half.len());
        assert_eq!(half.channels[0], whole.channels[0][..half.len()], "{name}");
    }
}

#[test]
fn false_sizes_and_numbers_in_a_wav_header_are_survived() {
    let whole = encode_wav(&tone(1_000), &[]).unwrap();
    let endless = set(&set(&whole, 40, &[0xff; 4]), 4, &[0xff; 4]);
    assert_eq!(read_bytes("stream.wav", &endless).unwrap().len(), 1_000, "sizes unknown, as a pipe writes them");
    // The outcome is the reader's business; that it is sound or an error is checked in `read_bytes`.
    for (place, width) in [(4, 4), (16, 4), (20, 2), (22, 2), (24, 4), (28, 4), (32, 2), (34, 2), (40, 4)] {
        for value in [0_u32, 1, 3, 7, 8, 255, 40, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff, 0x1_0000 * 65] {
            let _ = read_bytes("odd.wav", &set(&whole, place, &value.to_le_bytes()[..width]));
        }
    }
    let error = read_bytes("rate.wav", &set(&whole, 24, &7_u32.to_le_bytes())).unwrap_err();
    assert!(matches!(error, AudioError::Limit { .. }), "{error}");
}

/// A WAV file put together by hand.
struct Wav<'a> {
    tag: u16,
    channels: u16,
    rate: u32,
    bits: u16,
    /// Behind the sixteen bytes of `fmt `.
    more: &'a [u8],
    /// Chunks before `fmt `.
    before: &'a [u8],
    data: &'a [u8],
}

const PLAIN: Wav<'static> =
    Wav { tag: 1, channels: 1, rate: 8000, bits: 16, more: &[], before: &[], data: &[1, 0, 2, 0, 3, 0, 4, 0] };

impl Wav<'_> {
    fn bytes(&self) -> Vec<u8> {
        let frame = self.channels.wrapping_mul(self.bits / 8);
        let mut format = Vec::new();
        format.extend([self.tag, self.channels].iter().flat_map(|n| n.to_le_bytes()));
        format.extend([self.rate, self.rate.wrapping_mul(u32::from(frame))].iter().flat_map(|n| n.to_le_bytes()));
        format.extend([frame, self.bits].iter().flat_map(|n| n.to_le_bytes()));
        format.extend(self.more);
        let chunk = |name: &[u8; 4], content: &[u8]| {
            [&name[..], &(content.len() as u32).to_le_bytes(), content, &[0][..content.len() % 2]].concat()
        };
        let body =
            [b"WAVE".to_vec(), self.before.to_vec(), chunk(b"fmt ", &format), chunk(b"data", self.data)].concat();
        [b"RIFF".to_vec(), (body.len() as u32).to_le_bytes().to_vec(), body].concat()
    }
}

#[test]
fn every_odd_wav_is_sound_or_an_error_that_names_it() {
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let wild = floats(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, 1e30, -1e30, 0.5, -0.5]);
    let doubles: Vec<u8> = [0.25_f64, f64::NAN, 1e300].iter().flat_map(|v| v.to_le_bytes()).collect();
    // SubFormat of WAVE_FORMAT_EXTENSIBLE for PCM.
    let guid = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
    let extensible = [&[22, 0, 16, 0, 4, 0, 0, 0][..], guid].concat();
    let junk = b"JUNK\x05\0\0\0abcde\0LIST\x04\0\0\0INFO";
    let long = vec![0; 2 * 8000];
    let direct = [0, 64].repeat(8000);
    // `Some(frames)` where sound is expected, `None` where either will do.
    let cases: Vec<(&str, Wav<'_>, Option<usize>)> = vec![
        ("plain", PLAIN, Some(4)),
        ("odd size", Wav { bits: 8, data: &[1, 2, 3], ..PLAIN }, Some(3)),
        ("half a sample", Wav { data: &[1, 0, 2], ..PLAIN }, None),
        ("rate 0", Wav { rate: 0, ..PLAIN }, None),
        ("rate 1", Wav { rate: 1, ..PLAIN }, None),
        ("rate 7", Wav { rate: 7, ..PLAIN }, None),
        ("rate 10^9", Wav { rate: 1_000_000_000, ..PLAIN }, None),
        ("no channel", Wav { channels: 0, ..PLAIN }, None),
        ("255 channels", Wav { channels: 255, ..PLAIN }, None),
        ("8 bits", Wav { bits: 8, data: &[0, 128, 255], ..PLAIN }, Some(3)),
        ("24 bits", Wav { bits: 24, data: &[0, 0, 64, 0, 0, 192], ..PLAIN }, Some(2)),
        ("32 bits", Wav { bits: 32, data: &[0, 0, 0, 64], ..PLAIN }, Some(1)),
        ("33 bits", Wav { bits: 33, ..PLAIN }, None),
        ("wild floats", Wav { tag: 3, bits: 32, data: &wild, ..PLAIN }, Some(8)),
        ("float with cbSize 0", Wav { tag: 3, bits: 32, more: &[0, 0], data: &wild, ..PLAIN }, Some(8)),
        ("doubles", Wav { tag: 3, bits: 64, data: &doubles, ..PLAIN }, Some(3)),
        ("extensible", Wav { tag: 0xfffe, more: &extensible, ..PLAIN }, Some(4)),
        ("40 bytes of fmt with the tag of PCM", Wav { more: &extensible, ..PLAIN }, None),
        ("junk first", Wav { before: junk, ..PLAIN }, Some(4)),
        ("one sample", Wav { data: &[7, 0], ..PLAIN }, Some(1)),
        ("silence", Wav { data: &long, ..PLAIN }, Some(8000)),
        ("a constant", Wav { data: &direct, ..PLAIN }, Some(8000)),
        ("unknown codec", Wav { tag: 0x1234, ..PLAIN }, None),
    ];
    for (name, wav, expected) in cases {
        let outcome = read_bytes("odd.wav", &wav.bytes());
        if let Some(frames) = expected {
            let clip = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(clip.len(), frames, "{name}");
        }
    }
    // RF64, which other programs write beyond 4 GB, and a tag shorter than it says in front of MP3.
    let _ = read_bytes("a.wav", &[b"RF64\xff\xff\xff\xffWAVE", &PLAIN.bytes()[12..]].concat());
    let _ = read_bytes("a.mp3", &[b"ID3\x04\0\0\0\0\0\x21", &[0xff; 20][..]].concat());
}

const MAGICS: [&[u8]; 10] = [
    b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0",
    b"RIFF\x00\x10\0\0WAVE",
    b"fLaC\0\0\0\x22",
    b"OggS\0\x02\0\0\0\0\0\0\0\0",
    b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1e\x01vorbis",
    b"ID3\x04\0\0\0\0\x10\0",
    b"\xff\xfb\x90\x64",
    b"FORM\0\0\x10\0AIFFCOMM\0\0\0\x12",
    b"\0\0\0\x18ftypM4A \0\0\0\0\0\0\x10\0moov",
    b"\xff\xf1\x50\x80",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_behind_any_magic_is_sound_or_an_error(kind in 0..MAGICS.len(), noise in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        let _ = read_bytes("noise.bin", &[MAGICS[kind], &noise].concat());
    }

    #[test]
    fn damaged_files_are_sound_or_an_error(
        flac in any::<bool>(),
        hits in proptest::collection::vec((0_usize..10_000, any::<u8>()), 1..20),
        head in 20_usize..200,
    ) {
        let clip = tone(3_000);
        let mut bytes = if flac { encode_flac(&clip, &[]).unwrap() } else { encode_wav(&clip, &[]).unwrap() };
        for (index, (place, value)) in hits.iter().enumerate() {
            // Every other hit goes to the headers.
            let range = if index % 2 == 0 { head.min(bytes.len()) } else { bytes.len() };
            bytes[place % range] = *value;
        }
        let _ = read_bytes("damaged.bin", &bytes);
    }
}
