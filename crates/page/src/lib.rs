//! Every HTML page that the program writes: one file, no outside request, at home under `file://`.
//!
//! A page is a pure function of plain data: [`SamplePage::html`] shows the takes of one sampling
//! run, [`TrainingPage::html`] the curves and the latest sounds of a training run, [`ReportPage::html`]
//! the figures of an evaluation, [`ListeningPage::html`] a blind listening test. All are laid out by
//! the same shell; all but the last play their sounds in the same player. [`Spectrogram::png`] also
//! stands alone, for pictures beside a page.
//!
//! The crate knows nothing of audio formats, models or servers: the caller hands over encoded
//! sound bytes, waveform peaks and decibel matrices. Without scripts a page still shows every
//! picture and plays every sound through the browser's own controls.

mod axis;
mod colour;
mod curve;
mod error;
mod escape;
mod layout;
mod listening;
mod lyrics;
mod picture;
mod player;
mod report;
mod sample;
mod table;
mod training;
mod waveform;

pub use colour::PALETTE_SIZE;
pub use curve::{Chart, Line, Row, Scale, charts_by_name};
pub use error::PageError;
pub use listening::{ListeningPage, Stimulus, Trial};
pub use lyrics::Word;
pub use picture::{DecibelRange, FrequencyLabel, MAX_PICTURE_VALUES, Spectrogram};
pub use player::{MAX_SOUND_BYTES, Mark, Rendition, Sound, SoundFormat, Track};
pub use report::{Picture, ReportPage, Section};
pub use sample::{LevelSound, Measurements, SamplePage, Take};
pub use table::Table;
pub use training::TrainingPage;
pub use waveform::Waveform;
