//! Everything that can go wrong between a sound file and a clip.

use std::path::PathBuf;

/// What went wrong, with the thing it went wrong with and a hint.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The file does not exist.
    #[error("sound file `{}` does not exist; hint: check the path", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The path is a folder, a device or something else that is not a plain file.
    #[error("`{}` is not a plain file; hint: name one sound file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("sound file `{}` is empty; hint: copy or record it again", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// The system refused to read or write.
    #[error("cannot {action} `{}`: {source}; hint: check that it exists, its permissions and the free space", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No known container or codec was found in the file.
    #[error("`{}` is not sound that can be read ({detail}); hint: convert it to WAV, FLAC, MP3, Ogg Vorbis or AAC", path.display())]
    NotAudio {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        detail: String,
    },
    /// The file is a known kind, but holds no sound.
    #[error("`{}` holds no sound ({detail}); hint: the file is cut short or was never filled", path.display())]
    NoSound {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        detail: String,
    },
    /// Most of the file could not be decoded.
    #[error("`{}` is damaged ({detail}); hint: copy or convert it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What could not be decoded.
        detail: String,
    },
    /// The part asked for starts after the end.
    #[error("`{}` ends before {offset} s; hint: ask for an earlier part", path.display())]
    PastTheEnd {
        /// The file.
        path: PathBuf,
        /// Where the part should have started, in seconds.
        offset: f64,
    },
    /// An offset or duration that means nothing.
    #[error("{name} of {value} s for `{}` is not usable; hint: give a finite number {rule}", path.display())]
    BadRange {
        /// The file.
        path: PathBuf,
        /// `offset` or `duration`.
        name: &'static str,
        /// What was given.
        value: f64,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The file goes beyond a limit.
    #[error("`{}` has {found} {unit}, the limit is {limit}; hint: {hint}", path.display())]
    Limit {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: f64,
        /// Of what.
        unit: &'static str,
        /// What is allowed.
        limit: f64,
        /// What to do.
        hint: &'static str,
    },
    /// The file name's extension names no format that can be written.
    #[error("cannot tell the format of `{}`; hint: end the name in .wav or .flac", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The clip cannot be stored or processed as it is.
    #[error("the clip cannot be {action}: {detail}; hint: {hint}")]
    BadClip {
        /// `written as WAV`, `resampled`, and so on.
        action: &'static str,
        /// What is wrong.
        detail: String,
        /// What to do.
        hint: &'static str,
    },
    /// A tag name that the formats cannot hold.
    #[error("tag name `{key}` cannot be stored; hint: use printable ASCII without `=`")]
    BadTag {
        /// The name.
        key: String,
    },
    /// Spectrum settings that fit no transform.
    #[error("{name} of {value} is not usable; hint: {rule}")]
    BadSetting {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: f64,
        /// The rule it breaks.
        rule: &'static str,
    },
}
