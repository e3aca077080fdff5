//! Keys and values of one layer as tensors, and attention over them.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use orchestrion_engine::decode::Pattern;

/// Keys and values of one layer, only as long as its pattern needs: strips of positions that are read together.
#[derive(Debug)]
pub(super) struct TensorCache {
    pattern: Pattern,
    batch: usize,
    /// Positions of the encoder; 0 without one.
    encoder: usize,
    /// `[batch * heads, strips, slots, head width]`.
    keys: Tensor<4>,
    /// As `keys`.
    values: Tensor<4>,
}

/// Sizes of a layer's attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub heads: usize,
    /// Channels of queries, keys and values, all heads together.
    pub state: usize,
}

/// `[batch, n, state]` to `[batch * heads, n, head width]`.
fn split(x: Tensor<3>, Sizes { batch, heads, state }: Sizes) -> Tensor<3> {
    let [_, n, _] = x.dims();
    x.reshape([batch, n, heads, state / heads]).swap_dims(1, 2).reshape([batch * heads, n, state / heads])
}

impl TensorCache {
    /// Room for a window of `length` positions.
    pub(super) fn new(pattern: Pattern, sizes: Sizes, length: usize, device: &Device) -> Self {
        let (strips, slots) = pattern.extent(length, 0);
        let shape = [sizes.batch * sizes.heads, strips, slots, sizes.state / sizes.heads];
        let zeros = || Tensor::zeros(shape, device);
        Self { pattern, batch: sizes.batch, encoder: 0, keys: zeros(), values: zeros() }
    }

    /// Keys and values of an encoder's states, side by side: `[batch, positions, 2 * state]`.
    pub(super) fn of_encoder(projected: Tensor<3>, sizes: Sizes) -> Self {
        let [_, encoder, _] = projected.dims();
        let part = |i: usize| split(projected.clone().narrow(2, i * sizes.state, sizes.state), sizes).unsqueeze_dim(1);
        Self { pattern: Pattern::Encoder, batch: sizes.batch, encoder, keys: part(0), values: part(1) }
    }

    /// Takes in the keys and values of the positions from `first` on, and what their queries find, `[batch, n, state]`, of
    /// queries, keys and values side by side (an encoder's reader: queries alone), `[batch, n, 3 * state]`.
    ///
    /// The cache is given and given back so that nobody else holds its tensors, and they change in place.
    pub(super) fn attend(mut self, projected: Tensor<3>, first: usize) -> (Self, Tensor<3>) {
        let [rows, _, _, size] = self.keys.dims();
        let [_, n, _] = projected.dims();
        let (batch, heads) = (self.batch, rows / self.batch);
        let sizes = Sizes { batch, heads, state: heads * size };
        let part = |i: usize| split(projected.clone().narrow(2, i * sizes.state, sizes.state), sizes);
        let queries = part(0);
        let new = (self.pattern != Pattern::Encoder).then(|| [part(1), part(2)]);
        let mut found = Vec::new();
        let mut from = first;
        while from < first + n {
            let to = self.run_end(from).min(first + n);
            let of_run = |x: &Tensor<3>| x.clone().narrow(1, from - first, to - from);
            if let Some([keys, values]) = &new {
                self = self.keep(of_run(keys), of_run(values), from);
            }
            found.push(self.look(of_run(&queries), from));
            from = to;
        }
        let found = Tensor::cat(found, 1).reshape([batch, heads, n, size]).swap_dims(1, 2);
        (self, found.reshape([batch, n, sizes.state]))
    }

    /// The first position behind `t` that may neither be kept nor look together with it.
    fn run_end(&self, t: usize) -> usize {
        match self.pattern {
            Pattern::Dense | Pattern::Encoder => usize::MAX,
            Pattern::Block { columns } | Pattern::TransposeBlock { columns } | Pattern::PreviousBlock { columns } => {
                (t / columns + 1) * columns
            }
            Pattern::Prime { keys } if t < keys => keys,
            Pattern::Prime { .. } => usize::MAX,
        }
    }

    /// Keeps keys and values `[batch * heads, n, head width]` of a run of positions from `first` on.
    fn keep(mut self, keys: Tensor<3>, values: Tensor<3>, first: usize) -> Self {
        let Some((strip, slot)) = self.pattern.place(first, self.encoder).own else { return self };
        let [rows, n, size] = keys.dims();
        let [strips, slots] = if self.is_column() { [n, 1] } else { [1, n] };
        let place = [0..rows, strip..strip + strips, slot..slot + slots, 0..size];
        let as_kept = |x: Tensor<3>| x.reshape([rows, strips, slots, size]);
        self.keys = self.keys.slice_assign(place.clone(), as_kept(keys));
        self.values = self.values.slice_assign(place, as_kept(values));
        self
    }

    /// What the queries `[batch * heads, n, head width]` of a run of positions from `first` on find.
    fn look(&self, queries: Tensor<3>, first: usize) -> Tensor<3> {
        let [rows, n, size] = queries.dims();
        let seen: Vec<usize> = (first..first + n).map(|t| self.pattern.place(t, self.encoder).seen).collect();
        let (strip, most) =
            (self.pattern.place(first, self.encoder).seen_strip, seen.iter().max().copied().unwrap_or(0));
        if most == 0 {
            return Tensor::zeros([rows, n, size], &queries.device());
        }
        let [strips, along] = if self.is_column() { [n, 1] } else { [1, n] };
        let strip_of = |x: &Tensor<4>| x.clone().slice([0..rows, strip..strip + strips, 0..most, 0..size]);
        let queries = queries.reshape([rows, strips, along, size]).mul_scalar(1.0 / (size as f64).sqrt());
        let scores = queries.matmul(strip_of(&self.keys).swap_dims(2, 3));
        let scores = if seen.iter().any(|seen| *seen < most) {
            let hidden: Vec<bool> = seen.iter().flat_map(|seen| (0..most).map(move |slot| slot >= *seen)).collect();
            let mask = Tensor::<2, Bool>::from_data(TensorData::new(hidden, [n, most]), &scores.device());
            scores.mask_fill(mask.unsqueeze::<4>().expand([rows, 1, n, most]), -1e9)
        } else {
            scores
        };
        softmax(scores, 3).matmul(strip_of(&self.values)).reshape([rows, n, size])
    }

    /// Whether the positions of a run lie in strips of their own, at the same slot; otherwise they share a strip.
    fn is_column(&self) -> bool {
        matches!(self.pattern, Pattern::TransposeBlock { .. })
    }
}
