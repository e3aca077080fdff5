//! The program `orchestrion`: the door to the crates behind it.

mod commands;
mod failure;
mod manifest;
mod memory;
mod model;
mod progress;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Generates music as raw audio.
#[derive(Debug, Parser)]
#[command(name = "orchestrion", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make music: needs no argument
    Sample(Box<commands::sample::Arguments>),
    /// Turn a recording into tokens
    Encode(commands::encode::Arguments),
    /// Turn tokens into sound
    Decode(commands::decode::Arguments),
    /// Write what a prior makes of a recording: the hidden states of a layer
    Embed(commands::embed::Arguments),
    /// Train a codec, a prior or an upsampler from a recipe
    Train(commands::train::Arguments),
    /// Prepare recordings for training
    #[command(subcommand)]
    Data(commands::data::Verb),
    /// Measure a codec or a prior on held-out recordings
    #[command(subcommand)]
    Eval(commands::eval::Verb),
    /// Look into a model folder, or put one together
    #[command(subcommand)]
    Model(commands::model::Verb),
    /// Measure how fast training is here, beside what the machine gives
    Bench(commands::bench::Arguments),
    /// Say what this machine has, and whether a model fits
    Doctor(commands::doctor::Arguments),
}

fn main() -> ExitCode {
    // Libraries that panic on hostile input are caught where they are called; their backtraces help nobody.
    std::panic::set_hook(Box::new(|info| {
        if std::env::var_os("ORCHESTRION_PANIC").is_some() {
            eprintln!("{info}");
        }
    }));
    let result = std::panic::catch_unwind(|| match Arguments::parse().verb {
        Verb::Sample(arguments) => commands::sample::run(*arguments),
        Verb::Encode(arguments) => commands::encode::run(arguments),
        Verb::Decode(arguments) => commands::decode::run(arguments),
        Verb::Embed(arguments) => commands::embed::run(arguments),
        Verb::Train(arguments) => commands::train::run(arguments),
        Verb::Data(verb) => commands::data::run(verb),
        Verb::Eval(verb) => commands::eval::run(verb),
        Verb::Model(verb) => commands::model::run(verb),
        Verb::Bench(arguments) => commands::bench::run(&arguments),
        Verb::Doctor(arguments) => commands::doctor::run(arguments),
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.tell(),
        // `println!` panics when whoever read stdout has gone.
        Err(panic) if panic.downcast_ref::<String>().is_some_and(|text| text.contains("printing to stdout")) => {
            failure::Failure::new("stdout was closed; hint: read it to its end, or send it to a file").tell()
        }
        Err(_) => {
            eprintln!("error: a bug in orchestrion; hint: run again with ORCHESTRION_PANIC=1 and report what it says");
            ExitCode::from(1)
        }
    }
}
