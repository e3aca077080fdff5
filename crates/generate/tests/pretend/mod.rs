//! Pretend priors: they hold the decoding loop to its contract, and answer to every detail of what they are given.

use std::cell::Cell;
use std::rc::Rc;

use orchestrion_generate::{LevelShape, Priors, SongShape};
use orchestrion_model::ModelError;
use orchestrion_model::prior::{TokenModel, Window};

/// Number of tokens of every pretend codebook.
pub const TOKENS: usize = 16;
/// Context of every pretend prior.
pub const CONTEXT: usize = 32;

/// Hops of 32, 128 and 256 samples at 22 050 Hz, as the shipped model has them.
pub fn shape() -> SongShape {
    let levels = [32, 128, 256].map(|hop_length| LevelShape { hop_length, codebook_size: TOKENS });
    SongShape { sample_rate: 22_050, levels: levels.to_vec() }
}

/// What the logits of a pretend prior are made of.
#[derive(Clone, Copy)]
pub enum Mind {
    /// The next token is its own position modulo the codebook.
    Counting,
    /// Noise that every token of the window, its place, its labels and its upper codes change.
    Hash,
    /// Not a number.
    Broken,
}

/// Opens pretend priors and counts those alive.
pub struct Pretend {
    pub mind: Mind,
    pub alive: Rc<Cell<usize>>,
    /// Tokens that all priors were given.
    pub steps: Rc<Cell<usize>>,
}

impl Pretend {
    pub fn new(mind: Mind) -> Self {
        Self { mind, alive: Rc::default(), steps: Rc::default() }
    }
}

impl Priors for Pretend {
    fn open(&mut self, level: usize) -> Result<Box<dyn TokenModel>, ModelError> {
        assert_eq!(self.alive.get(), 0, "two priors are alive");
        self.alive.set(1);
        Ok(Box::new(PretendPrior {
            mind: self.mind,
            level,
            rows: Vec::new(),
            next: 0,
            end: 0,
            alive: Rc::clone(&self.alive),
            steps: Rc::clone(&self.steps),
        }))
    }
}

struct PretendPrior {
    mind: Mind,
    level: usize,
    /// Hash of all that a row has seen in this window.
    rows: Vec<u64>,
    next: usize,
    end: usize,
    alive: Rc<Cell<usize>>,
    steps: Rc<Cell<usize>>,
}

impl Drop for PretendPrior {
    fn drop(&mut self) {
        self.alive.set(0);
    }
}

fn mix(state: u64, value: u64) -> u64 {
    let x = (state ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl TokenModel for PretendPrior {
    fn level(&self) -> usize {
        self.level
    }

    fn hop_length(&self) -> usize {
        shape().levels[self.level].hop_length
    }

    fn context(&self) -> usize {
        CONTEXT
    }

    fn codebook_size(&self) -> usize {
        TOKENS
    }

    fn upper_ratio(&self) -> Option<usize> {
        shape().ratio(self.level)
    }

    fn begin(&mut self, window: &Window<'_>) -> Result<(), ModelError> {
        let &Window { start, length, labels, upper } = window;
        assert!(length <= CONTEXT);
        assert_eq!(upper.is_some(), self.upper_ratio().is_some());
        (self.next, self.end) = (start, start + length);
        self.rows = (0..labels.len())
            .map(|row| {
                let mut hash = mix(mix(self.level as u64, start as u64), length as u64);
                for byte in format!("{:?}", labels[row]).bytes() {
                    hash = mix(hash, u64::from(byte));
                }
                if let (Some(upper), Some(ratio)) = (upper, self.upper_ratio()) {
                    assert!(start.is_multiple_of(ratio) && length.is_multiple_of(ratio), "window is not aligned");
                    assert_eq!(upper.len(), labels.len());
                    assert_eq!(upper[row].len(), length / ratio);
                    hash = upper[row].iter().fold(hash, |hash, &code| mix(hash, u64::from(code)));
                }
                hash
            })
            .collect();
        Ok(())
    }

    fn advance(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        assert_eq!(tokens.len(), self.rows.len(), "rows of the batch changed");
        let count = tokens[0].len();
        assert!(tokens.iter().all(|row| row.len() == count), "rows of different lengths");
        self.next += count;
        assert!(self.next < self.end, "logits beyond the window were asked for");
        self.steps.set(self.steps.get() + count * tokens.len());
        let mut logits = Vec::new();
        for (hash, row) in self.rows.iter_mut().zip(tokens) {
            *hash = row.iter().fold(*hash, |hash, &token| mix(hash, u64::from(token)));
            logits.extend((0..TOKENS).map(|token| match self.mind {
                Mind::Counting if token == self.next % TOKENS => 1.0,
                Mind::Counting => f32::NEG_INFINITY,
                Mind::Hash => (mix(*hash, token as u64) >> 40) as f32 / (1u64 << 22) as f32,
                Mind::Broken => f32::NAN,
            }));
        }
        Ok(logits)
    }
}
