//! Streams against the definition in double precision, and against themselves.

#![allow(clippy::unwrap_used)]

mod naive;
mod speed;

use super::*;
use crate::conv::tests::noise;
use naive::Song;
use proptest::prelude::*;

/// A network as a list of layers that both sides can build.
#[derive(Debug, Clone)]
enum Step {
    Plain(Taps),
    Strided(Taps, usize),
    Transposed(Taps, usize),
    Residual(Taps, Taps, usize),
}

fn network(channels: usize, steps: &[Step]) -> Network {
    let mut network = Network::new(channels);
    for step in steps {
        match step {
            Step::Plain(taps) => network.plain(taps).unwrap(),
            Step::Strided(taps, stride) => network.strided(taps, *stride).unwrap(),
            Step::Transposed(taps, stride) => network.transposed(taps, *stride).unwrap(),
            Step::Residual(wide, point, dilation) => network.residual(wide, point, *dilation, 0.7).unwrap(),
        }
    }
    network
}

fn naive(channels: usize, steps: &[Step], samples: &[f32]) -> Vec<f64> {
    let song = Song::new(channels, samples);
    let made = steps.iter().fold(song, |x, step| match step {
        Step::Plain(taps) => x.convolved(taps, 1, false),
        Step::Strided(taps, stride) => x.strided(taps, *stride),
        Step::Transposed(taps, stride) => x.transposed(taps, *stride),
        Step::Residual(wide, point, dilation) => {
            x.plus(0.7, &x.convolved(wide, *dilation, true).convolved(point, 1, true))
        }
    });
    made.rows.concat()
}

fn taps(inputs: usize, outputs: usize, kernel: usize, seed: u64) -> Taps {
    let scale = 2.0 / ((inputs * kernel) as f32).sqrt();
    let weight = noise(inputs * outputs * kernel, seed).into_iter().map(|w| w * scale).collect();
    Taps { weight, bias: noise(outputs, seed + 1) }
}

/// The song in pieces of these lengths, in turn.
fn streamed(network: &Network, isa: Isa, channels: usize, samples: &[f32], lengths: &[usize]) -> Vec<f32> {
    let total = samples.len() / channels;
    let (mut stream, mut at, mut rows) = (network.begin_with(isa), 0, Vec::new());
    for length in lengths.iter().cycle() {
        let to = (at + length).min(total);
        let piece: Vec<f32> = samples.chunks_exact(total).flat_map(|row| &row[at..to]).copied().collect();
        let made = stream.push(&piece, to == total).unwrap();
        rows.resize(network.width(), Vec::new());
        let time = made.len() / network.width();
        for (row, made) in rows.iter_mut().zip(made.chunks_exact(time.max(1))) {
            row.extend_from_slice(made);
        }
        at = to;
        if at == total {
            return rows.concat();
        }
    }
    unreachable!("the list of lengths is not empty")
}

/// Down by two strides, up by one, residual blocks of all reaches at every rate.
fn steps() -> impl Strategy<Value = (Vec<Step>, usize)> {
    let stride = || prop_oneof![3 => Just(2usize), 1 => Just(4usize)];
    let dilation = || prop_oneof![1..40usize, 40..90usize];
    let block = move |width, hidden| {
        (dilation(), any::<u64>()).prop_map(move |(dilation, seed)| {
            let seed = seed >> 1;
            Step::Residual(taps(width, hidden, 3, seed), taps(hidden, width, 1, seed + 9), dilation)
        })
    };
    (stride(), stride(), 1..20usize, 1..20usize, any::<u32>()).prop_flat_map(move |(down, up, width, hidden, seed)| {
        let seed = u64::from(seed);
        let ends = (
            Just(Step::Strided(taps(1, width, 2 * down, seed), down)),
            proptest::collection::vec(block(width, hidden), 0..3),
            Just(Step::Plain(taps(width, width, 3, seed + 3))),
            proptest::collection::vec(block(width, hidden), 0..2),
            Just(Step::Transposed(taps(width, 2, 2 * up, seed + 5), up)),
        );
        ends.prop_map(move |(first, blocks, middle, more, last)| {
            let blocks = blocks.into_iter().chain([middle]).chain(more);
            ([first].into_iter().chain(blocks).chain([last]).collect(), down)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_song_in_pieces_is_the_whole((steps, down) in steps(), time in 1..700usize, lengths in proptest::collection::vec(1..400usize, 1..4), seed in any::<u64>()) {
        let samples = noise(time * down, seed);
        let network = network(1, &steps);
        let whole = streamed(&network, Isa::detect(), 1, &samples, &[samples.len()]);
        let expected = naive(1, &steps, &samples);
        prop_assert_eq!(whole.len(), expected.len());
        for (at, (y, e)) in whole.iter().zip(&expected).enumerate() {
            prop_assert!((f64::from(*y) - e).abs() < 3e-5, "{}: {} for {}", at, y, e);
        }
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&streamed(&network, Isa::detect(), 1, &samples, &lengths)), bits(&whole));
        for isa in Isa::available() {
            prop_assert_eq!(bits(&streamed(&network, isa, 1, &samples, &lengths)), bits(&whole), "{:?}", isa);
        }
    }
}

/// Long enough that both ways to share the work among threads are taken.
#[test]
fn bits_do_not_depend_on_threads() {
    let residual = |dilation, seed| Step::Residual(taps(5, 7, 3, seed), taps(7, 5, 1, seed + 1), dilation);
    let steps = [Step::Plain(taps(2, 5, 3, 1)), residual(1, 3), residual(27, 5), residual(700, 7)];
    let (network, samples) = (network(2, &steps), noise(2 * 9000, 9));
    let made = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| streamed(&network, Isa::detect(), 2, &samples, &[4000, 5000]))
    };
    let one = made(1);
    assert!(one.iter().zip(made(3)).all(|(a, b)| a.to_bits() == b.to_bits()));
    let expected = naive(2, &steps, &samples);
    assert!(one.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 3e-5));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut network = Network::new(2);
    assert!(network.plain(&taps(2, 3, 2, 1)).unwrap_err().to_string().contains("no middle"));
    assert!(network.strided(&taps(2, 3, 4, 1), 3).unwrap_err().to_string().contains("even"));
    assert!(network.transposed(&taps(1, 3, 4, 1), 2).is_err());
    assert!(network.residual(&taps(2, 4, 3, 1), &taps(4, 3, 1, 1), 1, 1.0).is_err());
    network.plain(&taps(2, 3, 3, 1)).unwrap();
    let mut stream = network.begin();
    assert!(stream.push(&[0.0; 3], false).unwrap_err().to_string().contains("2 channels"));
    stream.push(&[0.0; 4], true).unwrap();
    assert!(stream.push(&[0.0; 4], false).is_err());
}
