//! A prior run one token ahead: its conditions on Burn, its transformer on the engine, or on Burn as well.

use super::tensor_decoder::TensorDecoder;
use super::{Conditions, Prior, PriorConfig, TokenModel, Window};
use crate::ModelError;
use burn::tensor::Tensor;
use orchestrion_engine::EngineError;
use orchestrion_engine::decode::{Conditions as Vectors, Decoder};

/// A prior that samples. [`open`](Self::open) makes one from a model folder: on the CPU its transformer is handed to the
/// engine, on a GPU it stays with Burn. Both give the same logits, up to rounding.
///
/// In one stream with lyrics those are the transformer's first positions; here, as in [`TokenModel`], positions and tokens
/// are those of the music.
pub struct PriorDecoder {
    /// Without the weights of its transformer.
    pub(super) prior: Prior,
    pub(super) transformer: Transformer,
}

/// Who runs the transformer.
pub(super) enum Transformer {
    Engine(Box<Decoder>),
    Tensors(Box<TensorDecoder>),
}

impl Transformer {
    fn begin(&mut self, conditions: Conditions, batch: usize, length: usize) -> Result<(), ModelError> {
        let engine = match self {
            Self::Engine(engine) => engine,
            Self::Tensors(tensors) => return tensors.begin(&conditions, batch, length),
        };
        let start = values(conditions.start)?;
        let positions = conditions.positions.map(values).transpose()?;
        let encoder = conditions.encoder.map(values).transpose()?;
        let vectors = Vectors { start: &start, positions: positions.as_deref(), encoder: encoder.as_deref() };
        Ok(engine.begin(vectors, batch, length)?)
    }

    fn advance(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        match self {
            Self::Engine(engine) => Ok(engine.advance(tokens)?.to_vec()),
            Self::Tensors(tensors) => tensors.advance(tokens),
        }
    }
}

impl From<EngineError> for ModelError {
    fn from(error: EngineError) -> Self {
        Self::Request(error.to_string())
    }
}

/// The values of a tensor; those of one that nobody else holds are not copied.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, ModelError> {
    tensor.into_data().try_into_vec().map_err(|error| ModelError::Weights(error.to_string()))
}

pub(super) fn slices(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

impl PriorDecoder {
    /// The sizes of the prior.
    pub fn config(&self) -> &PriorConfig {
        self.prior.config()
    }

    /// Starts a window. Returns the lyrics that go in before the music; none for most priors.
    pub(super) fn start(&mut self, window: &Window<'_>) -> Result<Option<Vec<Vec<u32>>>, ModelError> {
        let Window { start, length, labels, upper } = *window;
        let (context, batch) = (self.context(), labels.len());
        if length > context {
            return Err(ModelError::Request(format!("a window of {length} tokens exceeds the context of {context}")));
        }
        if length == 0 || batch == 0 {
            return Err(ModelError::Request(format!("a window of {batch} rows of {length} tokens has nothing to say")));
        }
        let mut conditions = self.prior.conditions(labels, start, length, upper)?;
        let lyrics = conditions.lyrics.take();
        let front = self.prior.config().lyrics_in_front();
        self.transformer.begin(conditions, batch, front + length)?;
        Ok(lyrics.filter(|_| front > 0))
    }

    /// Music tokens as the transformer counts them: behind the lyrics' vocabulary, if they share one.
    pub(super) fn in_stream(&self, tokens: &[&[u32]]) -> Result<Vec<Vec<u32>>, ModelError> {
        let (size, first) = (self.codebook_size(), self.prior.config().first_token() as u32);
        if let Some(token) = tokens.iter().copied().flatten().find(|token| **token as usize >= size) {
            return Err(ModelError::Request(format!(
                "token {token} is outside the codebook of {size}; hint: the tokens belong to another codec or level"
            )));
        }
        Ok(tokens.iter().map(|row| row.iter().map(|token| token + first).collect()).collect())
    }
}

impl TokenModel for PriorDecoder {
    fn level(&self) -> usize {
        self.prior.config().level
    }

    fn hop_length(&self) -> usize {
        self.prior.config().hop_length
    }

    fn context(&self) -> usize {
        self.prior.config().window()
    }

    fn codebook_size(&self) -> usize {
        self.prior.config().codebook_size
    }

    fn upper_ratio(&self) -> Option<usize> {
        self.prior.config().upper.as_ref().map(|u| u.ratio())
    }

    fn begin(&mut self, window: &Window<'_>) -> Result<(), ModelError> {
        if let Some(lyrics) = self.start(window)? {
            self.transformer.advance(&slices(&lyrics))?;
        }
        Ok(())
    }

    /// A lyric token is never drawn as music: where both share a vocabulary, the logits are those of the codebook alone. The
    /// paper's program can draw one; it feeds it back as it is and makes it code 0 in the end.
    fn advance(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        let (first, size) = (self.prior.config().first_token(), self.codebook_size());
        let tokens = self.in_stream(tokens)?;
        let logits = self.transformer.advance(&slices(&tokens))?;
        let mut codebook = Vec::with_capacity(tokens.len() * size);
        for row in logits.chunks_exact(first + size) {
            codebook.extend_from_slice(&row[first..]);
        }
        Ok(codebook)
    }
}
