//! Operations a second in a residual block: `cargo test -p orchestrion-engine stream_speed -- --ignored --nocapture`.

use super::*;
use crate::decode::product_in_cache;
use std::time::Instant;

#[test]
#[ignore = "a measurement, not a check"]
fn stream_speed() {
    println!("a product in the first cache: {:.1} GFLOP/s on one core", product_in_cache());
    let (width, time) = (64, 1 << 15);
    let samples = noise(width * time, 1);
    for dilation in [1, 3, 9, 27, 81, 243, 729, 2187] {
        let block = Step::Residual(taps(width, width, 3, 1), taps(width, width, 1, 2), dilation);
        let network = network(width, &[block]);
        let mut best = f64::MAX;
        let (mut input, mut output) = (Held::new(width), Held::new(width));
        for (row, samples) in input.grow(time).into_iter().zip(samples.chunks_exact(time)) {
            row.copy_from_slice(samples);
        }
        for _ in 0..10 {
            output.forget(output.end());
            let y = output.grow(time);
            let begun = Instant::now();
            network.layers[0].run(Isa::detect(), &input, 0, y);
            best = best.min(begun.elapsed().as_secs_f64());
        }
        let gflop = 8e-9 * (width * width * time) as f64;
        println!("{width} channels, taps {dilation} apart: {:.1} GFLOP/s as the definition counts", gflop / best);
    }
}
