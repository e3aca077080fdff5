//! The one place that talks to the decoding library: packets in, planar samples out.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as DecoderError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Time, TimeBase, Timestamp};

use crate::{AudioError, Clip, Limits, ReadOptions};

/// Offsets up to here are reached by decoding from the start, which is exact in every format.
const SEARCH_BEYOND_SECONDS: f64 = 5.0;
/// Decoders that lean on earlier packets (MP3's bit reservoir, overlapping windows) settle in this time.
const RUN_IN_SECONDS: f64 = 0.5;
/// So many packets in a row without one sample mean that nothing will come.
const MAX_IDLE_PACKETS: usize = 10_000;
/// Float files can hold any finite number; beyond this one, energies would overflow.
const LARGEST_SAMPLE: f32 = 65_536.0;

/// Runs the decoding library, whose panics on hostile files become errors that name the file.
pub(crate) fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, AudioError>) -> Result<T, AudioError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(AudioError::Damaged { path: path.to_owned(), detail: "the decoder gave up on it".to_owned() })
    })
}

/// A file whose container is understood, with its sound track chosen.
pub(crate) struct Opened {
    pub(crate) format: Box<dyn FormatReader>,
    bytes: u64,
    track: u32,
    params: AudioCodecParameters,
    time_base: Option<TimeBase>,
    /// Time stamp of the first sample to hear; encoder delay lies before it.
    first: i64,
    stated_seconds: Option<f64>,
}

/// Opens a plain, non-empty file and finds its sound track.
pub(crate) fn open(path: &Path) -> Result<Opened, AudioError> {
    let io_error = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => AudioError::Missing { path: path.to_owned() },
        _ => AudioError::Io { action: "read", path: path.to_owned(), source },
    };
    // Looked at before it is opened: opening a pipe would wait for ever.
    let metadata = std::fs::metadata(path).map_err(io_error)?;
    if !metadata.is_file() {
        return Err(AudioError::NotAFile { path: path.to_owned() });
    }
    if metadata.len() == 0 {
        return Err(AudioError::EmptyFile { path: path.to_owned() });
    }
    let not_audio = |detail: String| AudioError::NotAudio { path: path.to_owned(), detail };
    let file = File::open(path).map_err(io_error)?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| not_audio(error.to_string()))?;
    Opened::choose_track(format, metadata.len()).ok_or_else(|| not_audio("no sound track in it".to_owned()))
}

impl Opened {
    fn choose_track(format: Box<dyn FormatReader>, bytes: u64) -> Option<Self> {
        let track = format.default_track(TrackType::Audio)?;
        let Some(CodecParameters::Audio(params)) = &track.codec_params else { return None };
        let by_clock = track.time_base.zip(track.duration).map(|(base, length)| seconds(base, length));
        let by_frames = track.num_frames.zip(params.sample_rate).map(|(frames, rate)| frames as f64 / f64::from(rate));
        Some(Self {
            bytes,
            track: track.id,
            params: params.clone(),
            time_base: track.time_base,
            first: track.start_ts.get().max(0),
            stated_seconds: by_clock.or(by_frames).filter(|seconds| seconds.is_finite()),
            format,
        })
    }

    /// Length by the header.
    pub(crate) fn stated_seconds(&self) -> Option<f64> {
        self.stated_seconds
    }

    /// Sample rate and channels by the header.
    pub(crate) fn stated_spec(&self) -> Option<(u32, usize)> {
        let channels = self.params.channels.as_ref()?.count();
        self.params.sample_rate.map(|rate| (rate, channels)).filter(|(rate, channels)| *rate > 0 && *channels > 0)
    }

    /// Length by adding up the packets from here to the end.
    pub(crate) fn count_seconds(&mut self) -> f64 {
        let Some(base) = self.time_base else { return 0.0 };
        let mut total = 0.0;
        while let Ok(Some(packet)) = self.format.next_packet() {
            if packet.track_id == self.track {
                total += seconds(base, packet.dur);
            }
        }
        total
    }

    /// Moves to at most `offset` seconds; false where the container cannot do it.
    fn search(&mut self, offset: f64) -> bool {
        let target = Time::try_from_secs_f64(offset)
            .zip(self.time_base)
            .and_then(|(time, base)| base.calc_timestamp(time))
            .and_then(|stamp| stamp.get().checked_add(self.first));
        let Some(target) = target else { return false };
        let to = SeekTo::Timestamp { ts: Timestamp::new(target), track_id: self.track };
        matches!(self.format.seek(SeekMode::Accurate, to), Ok(found) if found.actual_ts.get() <= target)
    }

    /// Where a packet's first audible frame lies, in frames from the first sample.
    fn frame_of(&self, packet: &Packet, rate: u32) -> u64 {
        let stamp = packet.pts.saturating_add(packet.trim_start).get().saturating_sub(self.first);
        let length = Duration::new(u64::try_from(stamp).unwrap_or(0));
        self.time_base.map_or(0, |base| (seconds(base, length) * f64::from(rate)).round() as u64)
    }

    fn decoder(&self, path: &Path) -> Result<Box<dyn AudioDecoder>, AudioError> {
        symphonia::default::get_codecs()
            .make_audio_decoder(&self.params, &AudioDecoderOptions::default())
            .map_err(|error| AudioError::NotAudio { path: path.to_owned(), detail: error.to_string() })
    }
}

fn seconds(base: TimeBase, length: Duration) -> f64 {
    base.calc_duration_saturating(length).as_secs_f64()
}

/// Decodes the part that `options` names. Call it inside [`guarded`].
pub(crate) fn decode(path: &Path, options: &ReadOptions) -> Result<Clip, AudioError> {
    let mut opened = open(path)?;
    let limits = LimitCheck { path, limits: &options.limits };
    limits.bytes(opened.bytes)?;
    if let Some((rate, channels)) = opened.stated_spec() {
        limits.spec(rate, channels)?;
    }
    if let (Some(stated), None) = (opened.stated_seconds(), options.duration) {
        limits.seconds(stated - options.offset)?;
    }

    let mut searched = options.offset > SEARCH_BEYOND_SECONDS;
    if searched && !opened.search(options.offset - RUN_IN_SECONDS) {
        searched = false;
        opened = open(path)?;
    }
    let mut decoder = opened.decoder(path)?;
    let mut part = Part::new(options);
    let mut position = if searched { None } else { Some(0) };
    let mut planes: Vec<Vec<f32>> = Vec::new();
    let (mut good, mut bad, mut idle) = (0_usize, 0_usize, 0_usize);
    let mut complaint = None;

    while idle < MAX_IDLE_PACKETS && !part.is_complete() {
        idle += 1;
        let packet = match opened.format.next_packet() {
            Ok(Some(packet)) if packet.track_id == opened.track => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            // A chained stream starts anew, with its own headers.
            Err(DecoderError::ResetRequired) => {
                let bytes = opened.bytes;
                let Some(next) = Opened::choose_track(opened.format, bytes) else { break };
                opened = next;
                decoder = opened.decoder(path)?;
                continue;
            }
            Err(error) => {
                complaint = Some(error.to_string());
                break;
            }
        };
        match decoder.decode(&packet) {
            Ok(buffer) if buffer.frames() == 0 => {}
            Ok(buffer) => {
                let (rate, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
                if part.spec.is_some_and(|spec| spec != (rate, channels)) {
                    bad += 1;
                    complaint = Some(format!("sound changes to {rate} Hz, {channels} channels midway"));
                    continue;
                }
                limits.spec(rate, channels)?;
                part.spec = Some((rate, channels));
                buffer.copy_to_vecs_planar(&mut planes);
                let start = position.unwrap_or_else(|| opened.frame_of(&packet, rate));
                position = Some(start + part.take(&planes, start));
                limits.seconds(part.frames() as f64 / f64::from(rate))?;
                limits.bytes(part.frames() as u64 * channels as u64 * size_of::<f32>() as u64)?;
                good += 1;
                idle = 0;
            }
            Err(error) => {
                bad += 1;
                complaint = Some(error.to_string());
            }
        }
    }

    let path = path.to_owned();
    if bad > good {
        let detail = complaint.unwrap_or_default();
        return Err(AudioError::Damaged { path, detail: format!("{bad} of {} packets: {detail}", bad + good) });
    }
    part.finish(path, searched, complaint)
}

/// The frames asked for, filled as buffers come by.
struct Part {
    offset: f64,
    duration: Option<f64>,
    spec: Option<(u32, usize)>,
    channels: Vec<Vec<f32>>,
    complete: bool,
}

impl Part {
    fn new(options: &ReadOptions) -> Self {
        Self { offset: options.offset, duration: options.duration, spec: None, channels: Vec::new(), complete: false }
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// Keeps what of `planes`, which start at frame `start` of the file, lies in the part; returns their length.
    fn take(&mut self, planes: &[Vec<f32>], start: u64) -> u64 {
        let rate = f64::from(self.spec.map_or(0, |(rate, _)| rate));
        let length = planes.iter().map(Vec::len).min().unwrap_or(0);
        let first = (self.offset * rate).round() as u64;
        let end = self.duration.map_or(u64::MAX, |duration| first.saturating_add((duration * rate).round() as u64));
        let inside = |frame: u64| usize::try_from(frame.saturating_sub(start)).unwrap_or(length).min(length);
        let (from, to) = (inside(first), inside(end));
        self.channels.resize_with(planes.len(), Vec::new);
        for (kept, plane) in self.channels.iter_mut().zip(planes) {
            kept.extend(plane.get(from..to).unwrap_or_default().iter().map(|sample| sound(*sample)));
        }
        self.complete = start.saturating_add(length as u64) >= end;
        length as u64
    }

    fn finish(self, path: PathBuf, searched: bool, complaint: Option<String>) -> Result<Clip, AudioError> {
        match self.spec {
            Some((sample_rate, _)) if self.frames() > 0 => Ok(Clip { channels: self.channels, sample_rate }),
            None if !searched => {
                Err(AudioError::NoSound { path, detail: complaint.unwrap_or_else(|| "0 samples in it".to_owned()) })
            }
            _ => Err(AudioError::PastTheEnd { path, offset: self.offset }),
        }
    }
}

fn sound(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-LARGEST_SAMPLE, LARGEST_SAMPLE) } else { 0.0 }
}

struct LimitCheck<'a> {
    path: &'a Path,
    limits: &'a Limits,
}

impl LimitCheck<'_> {
    fn refuse(&self, found: f64, unit: &'static str, limit: f64, hint: &'static str) -> Result<(), AudioError> {
        Err(AudioError::Limit { path: self.path.to_owned(), found, unit, limit, hint })
    }

    fn bytes(&self, bytes: u64) -> Result<(), AudioError> {
        let limit = self.limits.max_bytes;
        if bytes <= limit {
            return Ok(());
        }
        self.refuse(bytes as f64, "bytes (as a file or decoded)", limit as f64, "cut it into shorter files")
    }

    fn seconds(&self, seconds: f64) -> Result<(), AudioError> {
        let limit = self.limits.max_seconds;
        if seconds <= limit {
            return Ok(());
        }
        self.refuse(seconds, "seconds", limit, "read a part of it, or cut it into shorter files")
    }

    fn spec(&self, rate: u32, channels: usize) -> Result<(), AudioError> {
        let most = self.limits.max_channels;
        if channels > most {
            return self.refuse(channels as f64, "channels", most as f64, "mix it down to stereo");
        }
        let (low, high) = (*self.limits.sample_rates.start(), *self.limits.sample_rates.end());
        if rate < low || rate > high {
            let limit = if rate < low { low } else { high };
            return self.refuse(f64::from(rate), "hertz as its sample rate", f64::from(limit), "resample it");
        }
        Ok(())
    }
}
