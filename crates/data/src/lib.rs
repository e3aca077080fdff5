//! Tokens and data sets: everything between sound files and networks that needs neither tensors nor weights.
//!
//! The way of the data: [`scan`] makes a [`Manifest`] of a folder of songs, [`assign_splits`] deals its tracks into
//! train, valid and test, [`LabelTable`] numbers its artists and genres. A codec trains on [`Crops`] of it.
//! Its songs are then encoded once into a [`TokenCache`], of which priors see [`TokenWindows`]. [`Tokens`]
//! is also what a sampler makes and what a token file holds. [`lyrics`] makes tokens of words, [`PublishedLabels`]
//! reads the label tables of the paper's models.
//!
//! What a training step sees is a pure function of `(seed, step, row)`, see [`Crops`] and [`TokenWindows`]:
//! a run that is stopped and gone on with sees exactly what an uninterrupted one would have seen.

mod blend;
mod crops;
mod decoded;
mod draw;
mod error;
mod labels;
mod lock;
pub mod lyrics;
mod manifest;
mod near;
mod parallel;
mod published_labels;
mod scan;
mod split;
mod token_cache;
mod token_file;
mod token_windows;
mod tokens;
mod track_choice;
mod whole_file;

pub use crops::{CropSettings, Crops, Downmix};
pub use draw::Draw;
pub use error::{DataError, one_line};
pub use labels::{LabelTable, UNKNOWN, normalise};
pub use lock::{Holder, Lock};
pub use manifest::{BrokenLine, Entry, Manifest, Split};
pub use near::nearest;
pub use published_labels::{PublishedLabels, PublishedNames, PublishedTables};
pub use scan::{ScanOptions, ScanReport, Skipped, TopFolder, scan};
pub use split::{Shares, SplitCounts, assign_splits};
pub use token_cache::{CacheTrack, CachedStream, CodecIdentity, TokenCache, fingerprint};
pub use token_windows::{TokenWindow, TokenWindows, WindowSettings};
pub use tokens::{TokenStream, Tokens};
pub use track_choice::{Balance, ShortTracks};
pub use whole_file::{clear_unfinished, replace_whole, write_whole};
