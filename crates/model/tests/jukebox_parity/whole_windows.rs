//! A prior that computes its whole window anew for every token: for attention that cannot be run one token ahead.

use super::fixture::values;
use orchestrion_model::ModelError;
use orchestrion_model::prior::{Conditions, Prior, TokenModel, Window, token_tensor};

pub struct WholeWindows {
    prior: Prior,
    begun: Option<(Conditions, Vec<Vec<u32>>)>,
}

impl WholeWindows {
    pub fn new(prior: Prior) -> Self {
        Self { prior, begun: None }
    }
}

impl TokenModel for WholeWindows {
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
        let conditions = self.prior.conditions(window.labels, window.start, window.length, window.upper)?;
        self.begun = Some((conditions, vec![Vec::new(); window.labels.len()]));
        Ok(())
    }

    fn advance(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>, ModelError> {
        let (conditions, rows) = self.begun.as_mut().expect("no window was begun");
        rows.iter_mut().zip(tokens).for_each(|(row, new)| row.extend_from_slice(new));
        let (config, known) = (self.prior.config(), rows[0].len());
        let padded: Vec<Vec<u32>> = rows
            .iter()
            .map(|row| row.iter().copied().chain(std::iter::repeat_n(0, config.window() - known)).collect())
            .collect();
        let padded: Vec<&[u32]> = padded.iter().map(Vec::as_slice).collect();
        let logits = self.prior.forward(token_tensor(&padded, &self.prior.device()), conditions);
        let logits = logits.narrow(1, config.lyrics_in_front() + known, 1);
        Ok(values(&logits.narrow(2, config.first_token(), config.codebook_size)))
    }
}
