//! Inputs: seeds that were cut, flipped, stretched and spliced, with numbers and words that readers trip over.

use crate::seeds::Seeds;

/// Longest input.
const LONGEST: usize = 1 << 20;

/// Random numbers that follow from a door and the number of an input (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(door: &str, n: u64) -> Self {
        let seed =
            door.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// A place in a file: half of the time among its first bytes, where headers are.
    fn place(&mut self, length: usize) -> usize {
        let end = if self.below(2) == 0 { length.min(256) } else { length };
        self.below(end)
    }
}

const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    127,
    128,
    255,
    256,
    32_767,
    65_535,
    65_536,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    1 << 62,
    u64::MAX - 7,
    u64::MAX,
];

const WORDS: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e999",
    "-0.0",
    "1e-320",
    "0.5",
    "NaN",
    "inf",
    "true",
    "null",
    "\"x\"",
    "[]",
    "{}",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[[[[",
    "{\"a\":",
    "\"",
    "\n",
    "\r\n",
    "\u{feff}",
    "\0",
    "../",
    "/dev/zero",
    "🎵",
    ",",
    ":",
    "=",
    "F64",
    "BF16",
    "I32",
    "I8",
];

/// An input of a door.
pub fn mutate(random: &mut Random, seeds: &Seeds) -> Vec<u8> {
    let seed = &seeds.files[random.below(seeds.files.len())];
    let other = &seeds.files[random.below(seeds.files.len())];
    // A header with its length in front is changed by itself, so that what comes behind stays where the reader looks.
    if seeds.framed && random.below(4) > 0 {
        let length = u64::from_le_bytes(seed[..8].try_into().unwrap()) as usize;
        let header = several(random, seed[8..8 + length].to_vec(), other);
        return [&(header.len() as u64).to_le_bytes()[..], &header, &seed[8 + length..]].concat();
    }
    let mut bytes = several(random, seed.clone(), other);
    (seeds.mend)(&mut bytes);
    bytes
}

fn several(random: &mut Random, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..=random.below(4) * random.below(3) {
        bytes = once(random, bytes, other);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn once(random: &mut Random, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![random.next() as u8; random.below(9)];
    }
    let at = random.place(bytes.len());
    let end = (at + 1 + random.below(32)).min(bytes.len());
    match random.below(13) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 | 3 => {
            let number = NUMBERS[random.below(NUMBERS.len())];
            let width = [1, 2, 4, 8][random.below(4)];
            let little = number.to_le_bytes();
            let big = number.to_be_bytes();
            let number = if random.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
            for (byte, new) in bytes[at..].iter_mut().zip(number) {
                *byte = *new;
            }
        }
        4 => {
            let new: Vec<u8> = (0..1 + random.below(16)).map(|_| random.next() as u8).collect();
            bytes.splice(at..at, new);
        }
        5 => drop(bytes.drain(at..end)),
        6 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(end..end, part);
        }
        7 => bytes.truncate(at),
        8 => {
            let from = random.below(other.len().max(1)).min(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        9 => {
            let word = random.one(WORDS).as_bytes().to_vec();
            bytes.splice(at..at, word);
        }
        10 | 11 => {
            // A number in a text becomes another word.
            if let Some(from) = (at..bytes.len()).find(|i| bytes[*i].is_ascii_digit()) {
                let to = (from..bytes.len()).find(|i| !bytes[*i].is_ascii_digit()).unwrap_or(bytes.len());
                bytes.splice(from..to, random.one(WORDS).as_bytes().to_vec());
            }
        }
        _ => {
            // The same again and again: depth, and endless lists.
            let part = bytes[at..end.min(at + 8)].to_vec();
            let times = [2, 20, 300, 20_000][random.below(4)];
            bytes.splice(at..at, part.repeat(times));
        }
    }
    bytes
}
