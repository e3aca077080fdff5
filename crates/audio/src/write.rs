//! A [`Clip`] to 16-bit WAV or FLAC, with tags.

use std::io::{Cursor, Write};
use std::path::Path;

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, MetadataBlockData, Stream};
use flacenc::error::Verify;
use flacenc::source::{Context, Fill, FrameBuf};

use crate::tags::storable_tags;
use crate::{AudioError, Clip, riff_info};

/// FLAC's metadata block type of Vorbis comments (RFC 9639, section 8.1).
const VORBIS_COMMENT: u8 = 4;
/// A FLAC metadata block's length has 24 bits.
const MAX_FLAC_BLOCK_BYTES: usize = (1 << 24) - 1;
/// Highest sample rate that the FLAC encoder takes, in hertz.
const MAX_FLAC_RATE: u32 = 96_000;
/// Most channels that both formats hold.
const MAX_CHANNELS: usize = 8;
const BITS: u16 = 16;

/// Writes `clip` as WAV or FLAC, as the extension of `path` says, in place of any file there.
///
/// The file is written beside `path` and then renamed: it is whole or absent. Samples are limited to `[-1, 1]`.
///
/// # Errors
/// The extension is neither `.wav` nor `.flac`, the clip or a tag cannot be stored (see [`encode_wav`] and
/// [`encode_flac`]), or the system refuses; the last names the file.
pub fn write(path: &Path, clip: &Clip, tags: &[(String, String)]) -> Result<(), AudioError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let bytes = match extension.as_deref() {
        Some("wav") => encode_wav(clip, tags)?,
        Some("flac") => encode_flac(clip, tags)?,
        _ => return Err(AudioError::UnknownFormat { path: path.to_owned() }),
    };
    replace(path, &bytes).map_err(|source| AudioError::Io { action: "write", path: path.to_owned(), source })
}

/// A 16-bit WAV file in memory; its tags are a LIST INFO chunk before the samples, where players that stop at the
/// samples find it too. Tags that INFO has no identifier for are `NAME=value` lines of its comment.
///
/// # Errors
/// The clip has no samples, no or more than 8 channels, no sample rate, or more than 4 GiB; or a tag's name
/// cannot be stored.
pub fn encode_wav(clip: &Clip, tags: &[(String, String)]) -> Result<Vec<u8>, AudioError> {
    let refuse = |detail: String| bad_clip("written as WAV", detail, "write FLAC, or cut it into parts");
    let channels = storable(clip, "written as WAV")?;
    let samples = clip.len() * clip.channels.len();
    let info = riff_info::encode(&storable_tags(tags)?);
    let too_long = |_| refuse(format!("{samples} samples are more than 4 GiB"));
    let data_bytes = samples.saturating_mul(usize::from(BITS / 8));
    u32::try_from(data_bytes.saturating_add(info.len()).saturating_add(1024)).map_err(too_long)?;
    let count = u32::try_from(samples).map_err(too_long)?;

    let mut file = Cursor::new(Vec::with_capacity(data_bytes + info.len() + 128));
    let spec = hound::WavSpec {
        channels,
        sample_rate: clip.sample_rate,
        bits_per_sample: BITS,
        sample_format: hound::SampleFormat::Int,
    };
    let stored = hound::WavWriter::new(&mut file, spec).and_then(|mut writer| {
        let mut block = writer.get_i16_writer(count);
        interleaved(clip, 0..clip.len()).for_each(|sample| block.write_sample(sample));
        block.flush()?;
        writer.finalize()
    });
    stored.map_err(|error| refuse(error.to_string()))?;

    let mut bytes = file.into_inner();
    let data_chunk = bytes.len().saturating_sub(data_bytes + 8);
    bytes.splice(data_chunk..data_chunk, info);
    let riff_bytes = u32::try_from(bytes.len() - 8).map_err(too_long)?;
    if let Some(size) = bytes.get_mut(4..8) {
        size.copy_from_slice(&riff_bytes.to_le_bytes());
    }
    Ok(bytes)
}

/// A 16-bit FLAC file in memory; its tags are a Vorbis comment block.
///
/// # Errors
/// The clip has no samples, no or more than 8 channels, or a sample rate of 0 or above 96 kHz; the tags have more
/// than 16 MiB, or a tag's name cannot be stored.
pub fn encode_flac(clip: &Clip, tags: &[(String, String)]) -> Result<Vec<u8>, AudioError> {
    let action = "written as FLAC";
    let refuse = |detail: String| bad_clip(action, detail, "write WAV instead");
    let channels = storable(clip, action)?;
    if clip.sample_rate > MAX_FLAC_RATE {
        return Err(refuse(format!("its sample rate of {} Hz is above {MAX_FLAC_RATE} Hz", clip.sample_rate)));
    }
    let comment = vorbis_comment(&storable_tags(tags)?);
    if comment.len() > MAX_FLAC_BLOCK_BYTES {
        return Err(refuse(format!("its tags have {} bytes, more than {MAX_FLAC_BLOCK_BYTES}", comment.len())));
    }
    let config = flacenc::config::Encoder::default().into_verified().map_err(|(_, error)| refuse(error.to_string()))?;
    let unfit = |error: &dyn std::fmt::Display| refuse(error.to_string());
    let (channels, bits) = (usize::from(channels), usize::from(BITS));
    let mut stream = Stream::new(clip.sample_rate as usize, channels, bits).map_err(|error| unfit(&error))?;
    let buffer = FrameBuf::with_size(channels, config.block_size).map_err(|error| unfit(&error))?;
    let mut buffers = (buffer, Context::new(bits, channels));
    // Each frame becomes bytes before the next is encoded: an encoded frame takes several times as much memory.
    let mut frames = ByteSink::new();
    for (number, from) in (0..clip.len()).step_by(config.block_size).enumerate() {
        let to = clip.len().min(from + config.block_size);
        let block: Vec<i32> = interleaved(clip, from..to).map(i32::from).collect();
        buffers.fill_interleaved(&block).map_err(|error| unfit(&error))?;
        let frame = flacenc::encode_fixed_size_frame(&config, &buffers.0, number, stream.stream_info())
            .map_err(|error| unfit(&error))?;
        stream.stream_info_mut().update_frame_info(&frame);
        frame.write(&mut frames).map_err(|error| unfit(&error))?;
    }
    stream.stream_info_mut().set_md5_digest(&buffers.1.md5_digest());
    // RFC 9639, section 8.2: the shortest block is stated without the last one, which may be shorter. The encoder
    // counts it, and readers would take the stream for one of varying blocks.
    stream
        .stream_info_mut()
        .set_block_sizes(config.block_size, config.block_size)
        .map_err(|error| refuse(error.to_string()))?;
    let block = MetadataBlockData::new_unknown(VORBIS_COMMENT, &comment).map_err(|error| refuse(error.to_string()))?;
    stream.add_metadata_block(block);
    let mut file = ByteSink::new();
    stream.write(&mut file).map_err(|error| refuse(error.to_string()))?;
    let mut bytes = file.into_inner();
    bytes.extend(frames.into_inner());
    Ok(bytes)
}

fn bad_clip(action: &'static str, detail: String, hint: &'static str) -> AudioError {
    AudioError::BadClip { action, detail, hint }
}

/// Checks what both formats need; returns the number of channels.
fn storable(clip: &Clip, action: &'static str) -> Result<u16, AudioError> {
    let channels = clip.channels.len();
    if clip.is_empty() {
        return Err(bad_clip(action, "it has no samples".to_owned(), "ask for more seconds"));
    }
    if channels > MAX_CHANNELS {
        return Err(bad_clip(action, format!("it has {channels} channels"), "mix it down to stereo"));
    }
    if clip.sample_rate == 0 {
        return Err(bad_clip(action, "its sample rate is 0".to_owned(), "state the sample rate"));
    }
    Ok(channels as u16)
}

/// Samples of some frames, frame by frame, as 16-bit integers.
fn interleaved(clip: &Clip, frames: std::ops::Range<usize>) -> impl Iterator<Item = i16> {
    let samples = frames.flat_map(|frame| clip.channels.iter().filter_map(move |channel| channel.get(frame)));
    // Readers divide by 2^15, so the same scale here makes reading and writing inverse to each other.
    samples.map(|sample| (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16)
}

/// RFC 9639, section 8.6: lengths are little-endian, the text is UTF-8.
fn vorbis_comment(tags: &[(String, String)]) -> Vec<u8> {
    let vendor = concat!("orchestrion ", env!("CARGO_PKG_VERSION"));
    let mut block = Vec::new();
    push_text(&mut block, vendor);
    block.extend_from_slice(&(tags.len() as u32).to_le_bytes());
    for (name, value) in tags {
        push_text(&mut block, &format!("{name}={value}"));
    }
    block
}

fn push_text(block: &mut Vec<u8>, text: &str) {
    block.extend_from_slice(&(text.len() as u32).to_le_bytes());
    block.extend_from_slice(text.as_bytes());
}

/// Writes beside `path`, flushes to the disk, renames.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".orchestrion-").suffix(".part");
    #[cfg(unix)]
    {
        // As any other file the user makes: the umask decides who may read it.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}
