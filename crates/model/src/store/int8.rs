//! Matrices in bytes: each output channel has a scale, and a weight is its byte times the scale.

/// Largest byte that is used; its negative is the smallest.
const LARGEST: f32 = 127.0;

/// Name of a matrix's scales.
pub(super) fn scales_of(name: &str) -> String {
    format!("{name}.scale")
}

/// Whether a tensor is stored in bytes: the matrices of transformers, which are nearly all of a prior.
pub(super) fn applies_to(name: &str, shape: &[usize]) -> bool {
    shape.len() == 2 && name.contains("._attn_mods.") && name.ends_with(".w")
}

/// A matrix `[in, out]` to bytes of the same order and a scale for each output. No weight is off by more than half its
/// channel's scale, which is the largest of the channel over 127.
pub(super) fn quantise(values: &[f32], outputs: usize) -> (Vec<u8>, Vec<f32>) {
    let mut scales = vec![0.0f32; outputs];
    for row in values.chunks_exact(outputs.max(1)) {
        for (scale, v) in scales.iter_mut().zip(row) {
            *scale = scale.max(v.abs() / LARGEST);
        }
    }
    let byte = |(v, scale): (&f32, &f32)| {
        let steps = if *scale > 0.0 { (v / scale).round().clamp(-LARGEST, LARGEST) } else { 0.0 };
        steps as i8 as u8
    };
    (values.iter().zip(scales.iter().cycle()).map(byte).collect(), scales)
}

/// The reverse.
pub(super) fn dequantise(bytes: &[u8], scales: &[f32]) -> Vec<f32> {
    bytes.iter().zip(scales.iter().cycle()).map(|(b, scale)| f32::from(*b as i8) * scale).collect()
}
