//! Counter-based randomness: the number for a token depends on what token it is, not on what was drawn before.

/// Uniform number in `[0, 1)` with 53 random bits for one token.
///
/// It is the first 64 bits of Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") with the
/// seed as key and (position, take, level) as counter. Takes, levels and positions are thus independent streams, and
/// neither the batch split nor a resume can change a draw.
pub fn uniform(seed: u64, take: u32, level: u32, position: u64) -> f64 {
    let [low, high, ..] = philox(words(position, take, level), [seed as u32, (seed >> 32) as u32]);
    let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
    bits as f64 * (1.0 / (1u64 << 53) as f64)
}

fn words(position: u64, take: u32, level: u32) -> [u32; 4] {
    [position as u32, (position >> 32) as u32, take, level]
}

/// Ten rounds of Philox4x32.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    // Golden ratio and sqrt(3) - 1: the key schedule's Weyl increments.
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn every_coordinate_changes_the_draw_and_draws_fill_the_unit_interval() {
        let here = uniform(1, 2, 0, 3);
        for other in [uniform(2, 2, 0, 3), uniform(1, 3, 0, 3), uniform(1, 2, 1, 3), uniform(1, 2, 0, 4)] {
            assert_ne!(here, other);
        }
        let draws: Vec<f64> = (0..4096).map(|position| uniform(7, 0, 2, position)).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = draws.iter().sum::<f64>() / 4096.0;
        assert!((mean - 0.5).abs() < 0.02, "mean of uniform draws is {mean}");
    }
}
