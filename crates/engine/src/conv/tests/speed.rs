//! GFLOP/s of the three passes beside what a product in the first cache reaches: `cargo test -p orchestrion-engine
//! conv_speed -- --ignored --nocapture`.

use std::time::Instant;

use super::noise;
use crate::conv::{ConvShape, forward, grad_input, grad_weight};
use crate::decode::product_in_cache;

#[test]
#[ignore = "a measurement, not a check"]
fn conv_speed() {
    println!("a product in the first cache: {:.1} GFLOP/s on one core", product_in_cache());
    for (channels, kernel, dilation) in [(32, 3, 1), (32, 3, 9), (32, 3, 2187), (64, 1, 1)] {
        let reach = (kernel - 1) * dilation;
        let shape = ConvShape {
            batch: 4,
            channels_in: channels,
            channels_out: channels,
            length: 8192,
            kernel,
            dilation,
            padding: [reach / 2, reach - reach / 2],
            relu: true,
        };
        let x = noise(shape.batch * channels * shape.length, 1);
        let w = noise(channels * channels * kernel, 2);
        let b = noise(channels, 3);
        let work = 2e-9 * (x.len() * channels * kernel) as f64;
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let rate = |pass: &(dyn Fn() + Sync)| work / pool.install(|| best(pass));
            let forward = rate(&|| drop(forward(&shape, &x, &w, Some(&b))));
            let input = rate(&|| drop(grad_input(&shape, &x, &w, &x)));
            let weight = rate(&|| drop(grad_weight(&shape, &x, &x)));
            println!(
                "{channels} channels, {kernel} taps {dilation} apart, {threads} threads: \
                 forward {forward:.1}, input {input:.1}, weight {weight:.1} GFLOP/s"
            );
        }
    }
}

/// Seconds of the fastest of many runs.
fn best(pass: &(dyn Fn() + Sync)) -> f64 {
    let seconds = |_| {
        let begun = Instant::now();
        pass();
        begun.elapsed().as_secs_f64()
    };
    (0..60).map(seconds).fold(f64::MAX, f64::min)
}
