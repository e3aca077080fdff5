//! What can be wrong with the data of a page.

/// Why a page or a picture could not be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The decibel matrix does not have `frames * bins` values, or one side is zero.
    #[error(
        "a spectrogram of {frames} frames and {bins} bins cannot be made of {values} values; \
         hint: give frames * bins values, frame after frame, and at least one of each"
    )]
    SpectrogramShape {
        /// Frames (columns) stated.
        frames: usize,
        /// Frequency bins (rows) stated.
        bins: usize,
        /// Values handed over.
        values: usize,
    },
    /// The picture is larger than [`crate::MAX_PICTURE_VALUES`].
    #[error(
        "a spectrogram of {frames} frames and {bins} bins is over the limit of {limit} values; \
         hint: use a longer hop length or show a shorter part"
    )]
    SpectrogramTooLarge {
        /// Frames (columns) stated.
        frames: usize,
        /// Frequency bins (rows) stated.
        bins: usize,
        /// The limit, in values.
        limit: usize,
    },
    /// The PNG encoder refused.
    #[error("the spectrogram could not be written as png: {reason}; hint: check the free memory")]
    Png {
        /// The encoder's words.
        reason: String,
    },
    /// A page that exists to play something has nothing to play.
    #[error("the page has nothing to play; hint: sample or give at least one sound")]
    NoTake,
    /// A track has no sound in it.
    #[error("`{track}` has no sound; hint: give it at least one rendition")]
    NoSound {
        /// The track's name.
        track: String,
    },
    /// A length in seconds that is not a positive finite number.
    #[error("`{track}` lasts {seconds} seconds; hint: the duration must be above 0 and finite")]
    Duration {
        /// The track's name.
        track: String,
        /// The duration as given.
        seconds: f64,
    },
    /// All sounds of a page together are over [`crate::MAX_SOUND_BYTES`].
    #[error(
        "the sounds of the page are {bytes} bytes, over the limit of {limit}; \
         hint: embed flac instead of wav, or show fewer takes"
    )]
    SoundTooLarge {
        /// Bytes of all sounds.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
}
