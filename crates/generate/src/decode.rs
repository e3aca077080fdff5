//! Tokens to samples.

use orchestrion_model::codec::Codec;

use crate::{GenerateError, Session, SongShape};

/// Decodes the tokens that a level of a take has so far to mono samples in `[-1, 1]`, a hop length for each token.
///
/// Level 0 is the song; the coarser levels are previews of it.
///
/// # Errors
/// If the codec is not the one that the session's tokens are for, the level has no tokens, or decoding fails.
pub fn decode_take(codec: &dyn Codec, session: &Session, level: usize, take: usize) -> Result<Vec<f32>, GenerateError> {
    if SongShape::of(&codec.spec())? != *session.shape() {
        return Err(GenerateError::CodecMismatch);
    }
    match session.stream(level, take) {
        [] => Err(GenerateError::NothingToDecode { level, take }),
        codes => codec.decode(codes, level).map_err(|source| GenerateError::Model { level, source }),
    }
}
