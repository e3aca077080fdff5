//! The prior over one level's tokens: transformer, labels, conditioner (Jukebox, section 4).

use crate::ModelError;
use crate::condition::{LabelEmbedding, Labels, LabelsConfig, Span, UpperConditioner, UpperConfig};
use crate::nn::dense::{Embedding, normal};
use crate::nn::transformer::{Transformer, TransformerConfig};
use crate::nn::{Parameter, Parameters, Random, Visitor};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Sizes of a prior and what it is conditioned on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// Level of the stream: 0 is the finest.
    pub level: usize,
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples of audio for one token.
    pub hop_length: usize,
    /// Different tokens.
    pub codebook_size: usize,
    /// The transformer.
    pub transformer: TransformerConfig,
    /// Label tables; none: the prior starts from a learned vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsConfig>,
    /// The conditioner on the level above; none for a top level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<UpperConfig>,
    /// Whether the output table is its own and the condition is added at the input only (the paper's 5b models).
    #[serde(default)]
    pub merged_decoder: bool,
}

/// A prior with its conditioners.
#[derive(Debug, Clone)]
pub struct Prior {
    config: PriorConfig,
    pub(crate) x_emb: Embedding,
    /// `[context, width]`.
    pub(crate) pos_emb: Tensor<2>,
    start_token: Option<Tensor<2>>,
    pub(crate) transformer: Transformer,
    pub(crate) x_out: Option<Embedding>,
    pub(crate) labels: Option<LabelEmbedding>,
    upper: Option<UpperConditioner>,
}

/// What a window is conditioned on, as vectors.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// In place of the first token, `[batch, width]`.
    pub start: Tensor<2>,
    /// Added at every position, `[batch, time, width]`.
    pub positions: Option<Tensor<3>>,
}

impl PriorConfig {
    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// Names the first field that does not fit.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.transformer.validate()?;
        let bad = |field, what: String| Err(ModelError::Config { field, what });
        if self.codebook_size == 0 || self.codebook_size > 1 << 20 {
            return bad("codebook_size", format!("{} is out of range", self.codebook_size));
        }
        if let Some(labels) = &self.labels {
            if labels.artists == 0 || labels.genres == 0 {
                return bad("labels", "a table has no rows; hint: row 0 is the unknown".into());
            }
            if let Some(t) = &labels.timing
                && (t.bins == 0 || !(0.0..t.max_seconds).contains(&t.min_seconds) || t.max_seconds > 1e6)
            {
                return bad(
                    "labels.timing",
                    format!("{t:?} has no range; hint: min_seconds must be below max_seconds"),
                );
            }
        }
        if let Some(upper) = &self.upper {
            upper.resnet.validate(1)?;
            if upper.strides.iter().any(|s| *s == 0 || s % 2 != 0)
                || !self.transformer.context.is_multiple_of(upper.ratio().max(1))
            {
                return bad(
                    "upper.strides",
                    format!("{:?} must be even and their product divide the context", upper.strides),
                );
            }
            if upper.width == 0 || upper.codebook_size == 0 || upper.resnet.depth == 0 {
                return bad("upper", "a size is zero".into());
            }
        }
        Ok(())
    }

    /// A prior with random weights.
    ///
    /// # Errors
    /// If the sizes don't fit each other.
    pub fn init(&self, random: &mut Random, device: &Device) -> Result<Prior, ModelError> {
        self.validate()?;
        let TransformerConfig { width, context, init_scale: scale, .. } = self.transformer;
        Ok(Prior {
            x_emb: Embedding::init([self.codebook_size, width], 0.02 * scale, random, device),
            pos_emb: normal([context, width], 0.01 * scale, random, device),
            start_token: match self.labels {
                None => Some(normal([1, width], 0.01 * scale, random, device)),
                Some(_) => None,
            },
            transformer: self.transformer.init(random, device)?,
            x_out: self
                .merged_decoder
                .then(|| Embedding::init([self.codebook_size, width], 0.02 * scale, random, device)),
            labels: self.labels.as_ref().map(|l| l.init(width, self.sample_rate, scale, random, device)),
            upper: self.upper.as_ref().map(|u| u.init(width, scale, random, device)),
            config: self.clone(),
        })
    }
}

impl Prior {
    /// The sizes it was built from.
    pub fn config(&self) -> &PriorConfig {
        &self.config
    }

    /// Device of the weights.
    pub fn device(&self) -> Device {
        self.pos_emb.device()
    }

    /// Vectors for a window of `time` tokens that begins `start` tokens into the session, one row a song.
    ///
    /// # Errors
    /// If a label is not in its table, or codes of the level above are missing or of the wrong number.
    pub fn conditions(
        &self,
        labels: &[Labels],
        start: usize,
        time: usize,
        upper: Option<&[&[u32]]>,
    ) -> Result<Conditions, ModelError> {
        let context = self.config.transformer.context;
        let hop = self.config.hop_length as u64;
        let (start_vector, timing) = match &self.labels {
            Some(tables) => {
                tables.check(labels)?;
                let spans: Vec<Span> = labels
                    .iter()
                    .map(|l| Span {
                        total: l.total_length,
                        offset: l.offset.saturating_add(start as u64 * hop),
                        length: context as u64 * hop,
                    })
                    .collect();
                (tables.start(labels)?, tables.positions(&spans, context).map(|p| p.narrow(1, 0, time)))
            }
            None => {
                let width = self.config.transformer.width;
                let token = self.start_token.clone().unwrap_or_else(|| Tensor::zeros([1, width], &self.device()));
                (token.expand([labels.len(), width]), None)
            }
        };
        let upper = match (&self.upper, upper) {
            (Some(network), Some(codes)) => Some(network.forward(self.upper_codes(codes, labels.len(), time)?)),
            (None, _) => None,
            (Some(_), None) => {
                let level = self.config.level;
                return Err(ModelError::Request(format!("level {level} needs the codes of level {}", level + 1)));
            }
        };
        let positions = match (timing, upper) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        Ok(Conditions { start: start_vector, positions })
    }

    fn upper_codes(&self, codes: &[&[u32]], batch: usize, time: usize) -> Result<Tensor<2, Int>, ModelError> {
        let Some(config) = &self.config.upper else {
            return Err(ModelError::Request("a top level takes no codes from above".into()));
        };
        let expected = time / config.ratio();
        let mut ids = Vec::with_capacity(batch * expected);
        for row in codes {
            if row.len() != expected || row.iter().any(|c| *c as usize >= config.codebook_size) {
                return Err(ModelError::Request(format!(
                    "codes of level {}: {} found, {expected} below {} needed",
                    self.config.level + 1,
                    row.len(),
                    config.codebook_size
                )));
            }
            ids.extend(row.iter().map(|c| i64::from(*c)));
        }
        if codes.len() != batch || !time.is_multiple_of(config.ratio()) {
            return Err(ModelError::Request(format!("codes from above for {} rows, {batch} needed", codes.len())));
        }
        Ok(Tensor::from_data(TensorData::new(ids, [batch, expected]), &self.device()))
    }

    /// Logits `[batch, time, codebook_size]` of every token given those before it.
    pub fn forward(&self, tokens: Tensor<2, Int>, conditions: &Conditions) -> Tensor<3> {
        let [batch, time] = tokens.dims();
        let width = self.config.transformer.width;
        let start = conditions.start.clone().reshape([batch, 1, width]);
        let shifted = if time > 1 {
            Tensor::cat(vec![start, self.x_emb.forward(tokens.narrow(1, 0, time - 1))], 1)
        } else {
            start
        };
        let mut h = shifted + self.pos_emb.clone().narrow(0, 0, time).unsqueeze();
        if let Some(condition) = &conditions.positions {
            h = h + condition.clone();
        }
        h = self.transformer.forward(h);
        if let (false, Some(condition)) = (self.config.merged_decoder, &conditions.positions) {
            h = h + condition.clone();
        }
        let table = self.x_out.as_ref().unwrap_or(&self.x_emb).weight.clone();
        h.reshape([batch * time, width]).matmul(table.swap_dims(0, 1)).reshape([batch, time, self.config.codebook_size])
    }

    /// Mean bits a token.
    pub fn loss(&self, tokens: Tensor<2, Int>, conditions: &Conditions) -> Tensor<1> {
        self.bits(tokens, conditions).mean()
    }

    /// Bits of every token, `[batch, time]`.
    pub fn bits(&self, tokens: Tensor<2, Int>, conditions: &Conditions) -> Tensor<2> {
        let [batch, time] = tokens.dims();
        let log = log_softmax(self.forward(tokens.clone(), conditions), 2);
        let picked = log.gather(2, tokens.reshape([batch, time, 1])).reshape([batch, time]);
        picked.div_scalar(-std::f64::consts::LN_2)
    }
}

/// Rows of tokens as a tensor `[batch, time]`.
pub fn token_tensor(rows: &[&[u32]], device: &Device) -> Tensor<2, Int> {
    let time = rows.first().map_or(0, |r| r.len());
    let ids: Vec<i64> = rows.iter().flat_map(|r| r.iter().map(|c| i64::from(*c))).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), time]), device)
}

/// The tables at the root of a prior's names.
struct Root<'a>(&'a mut Prior);

impl Parameters for Root<'_> {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("x_emb", &mut self.0.x_emb);
        visitor.show("pos_emb.pos_emb", Parameter::Matrix(&mut self.0.pos_emb));
        if let Some(token) = &mut self.0.start_token {
            visitor.show("start_token", Parameter::Matrix(token));
        }
        visitor.enter("transformer", &mut self.0.transformer);
        if let Some(out) = &mut self.0.x_out {
            visitor.enter("x_out", out);
        }
    }
}

impl Parameters for Prior {
    fn walk(&mut self, visitor: &mut Visitor<'_>) {
        visitor.enter("prior", &mut Root(self));
        if let Some(labels) = &mut self.labels {
            visitor.enter("y_emb", labels);
        }
        if let Some(upper) = &mut self.upper {
            visitor.enter("conditioner_blocks.0", upper);
        }
    }
}
