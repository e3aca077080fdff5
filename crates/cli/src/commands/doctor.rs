//! `orchestrion doctor`.

use crate::failure::Failure;
use crate::memory::memory;
use crate::model::{ModelChoice, WeightsChoice};
use serde_json::json;

/// What the program itself takes, in bytes.
const PROGRAM: u64 = 64 << 20;

/// Options of `orchestrion doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelChoice,
    #[command(flatten)]
    weights: WeightsChoice,
    /// Takes to make at once
    #[arg(long, default_value_t = 1)]
    takes: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Vector instructions that the kernels would use.
fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return "AVX2";
        }
    }
    if cfg!(target_arch = "aarch64") { "NEON" } else { "portable" }
}

/// Runs it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = arguments.model.open()?;
    let config = folder.config();
    let need = folder.sampling_memory(arguments.takes, arguments.weights.dtype())?.total() + PROGRAM;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let fits = memory().map(|[_, free]| need < free);
    let gb = |bytes: u64| bytes as f64 / 1e9;
    if arguments.json {
        println!(
            "{:#}",
            json!({
                "version": env!("CARGO_PKG_VERSION"),
                "devices": ["cpu"],
                "threads": threads,
                "instructions": instructions(),
                "memory_bytes": memory().map(|m| m[0]),
                "free_bytes": memory().map(|m| m[1]),
                "model": config.name,
                "sampling_bytes": need,
                "fits": fits,
            })
        );
        return Ok(());
    }
    println!("orchestrion {}", env!("CARGO_PKG_VERSION"));
    println!("devices      cpu");
    println!("threads      {threads}");
    println!("instructions {}", instructions());
    match memory() {
        Some([all, free]) => println!("memory       {:.1} GB, {:.1} GB free", gb(all), gb(free)),
        None => println!("memory       the system does not say"),
    }
    let verdict = match fits {
        Some(true) => "it fits",
        Some(false) => "it does not fit; make fewer takes at once, or try `--weights int8`",
        None => "",
    };
    println!("sampling     {} needs about {:.2} GB for {} takes: {verdict}", config.name, gb(need), arguments.takes);
    Ok(())
}
