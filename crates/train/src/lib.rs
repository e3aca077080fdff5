//! Training: recipes, the optimiser of the paper's program, checkpoints that are whole or absent, and the trainers.

mod adam;
mod checkpoint;
mod codec;
mod error;
mod events;
mod metrics;
mod objective;
mod plan;
mod prior;
mod recipe;
mod run_folder;
mod schedule;
mod trainer;

pub use adam::{Adam, AdamConfig, Slot};
pub use codec::CodecTask;
pub use error::TrainError;
pub use metrics::{MetricsLog, Row};
pub use objective::{LevelLoss, Objective, Seen};
pub use plan::{Plan, least_memory, plan};
pub use prior::PriorTask;
pub use recipe::{CodecRecipe, DataRecipe, Kind, PriorRecipe, Recipe, Restart, RunRecipe};
pub use run_folder::RunFolder;
pub use schedule::{Decay, Schedule};
pub use trainer::{Event, Metrics, Outcome, Preview, Task, Trainer};
