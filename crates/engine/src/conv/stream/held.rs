//! What a layer has of its input.

/// Rows of all channels from one sample on: what came, and is still needed.
pub(super) struct Held {
    channels: usize,
    /// Place of the first value of a row, and of the one behind the last.
    from: usize,
    to: usize,
    /// Samples before the first.
    first: usize,
    /// Places of a row.
    stride: usize,
    values: Vec<f32>,
}

impl Held {
    pub(super) fn new(channels: usize) -> Self {
        Self { channels, from: 0, to: 0, first: 0, stride: 0, values: Vec::new() }
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// The first sample that is there.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    /// Samples that came so far.
    pub(super) fn end(&self) -> usize {
        self.first + self.to - self.from
    }

    /// What is there of a channel.
    pub(super) fn row(&self, channel: usize) -> &[f32] {
        &self.values[channel * self.stride..][self.from..self.to]
    }

    /// Adds `n` samples to every row, and gives the rows of them, with anything in them.
    pub(super) fn grow(&mut self, n: usize) -> Vec<&mut [f32]> {
        if self.to + n > self.stride {
            self.make_room(n);
        }
        let (from, to) = (self.to, self.to + n);
        self.to = to;
        self.values.chunks_exact_mut(self.stride).map(|row| &mut row[from..to]).collect()
    }

    /// Forgets the samples before this one.
    pub(super) fn forget(&mut self, before: usize) {
        let gone = before.saturating_sub(self.first).min(self.to - self.from);
        self.from += gone;
        self.first += gone;
    }

    /// Moves what is there to the front; the rows are then so long that this is not done often.
    fn make_room(&mut self, n: usize) {
        let kept = self.to - self.from;
        let stride = if 2 * kept + n > self.stride { 2 * kept + n } else { self.stride };
        if stride == self.stride {
            for row in self.values.chunks_exact_mut(stride) {
                row.copy_within(self.from..self.to, 0);
            }
        } else {
            let mut values = vec![0.0; self.channels * stride];
            for (channel, row) in values.chunks_exact_mut(stride).enumerate() {
                row[..kept].copy_from_slice(self.row(channel));
            }
            (self.values, self.stride) = (values, stride);
        }
        (self.from, self.to) = (0, kept);
    }
}
