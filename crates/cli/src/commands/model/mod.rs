//! `orchestrion model`.

mod import;
mod info;
mod merge;

use crate::failure::Failure;

/// Verbs on models.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Show levels, sizes, memory, labels and the card of a model; or what a published checkpoint holds
    Info(info::Arguments),
    /// Put the codec and the priors of several folders into one
    Merge(merge::Arguments),
    /// Make a model folder of published Jukebox checkpoints, or add one to it
    Import(import::Arguments),
}

/// Runs a verb.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Info(arguments) => info::run(&arguments),
        Verb::Merge(arguments) => merge::run(&arguments),
        Verb::Import(arguments) => import::run(&arguments),
    }
}
