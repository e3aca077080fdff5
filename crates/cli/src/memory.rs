//! Memory of the machine, and what this process takes of it.

use crate::failure::Failure;

/// A value of one of the system's tables, in bytes. `None` where the system does not say.
fn value(table: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(table).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb * 1024)
}

/// Memory of the machine in bytes: all, and what is free to use.
pub fn memory() -> Option<[u64; 2]> {
    Some([value("/proc/meminfo", "MemTotal:")?, value("/proc/meminfo", "MemAvailable:")?])
}

/// The most memory that this process had so far, in bytes.
pub fn peak() -> Option<u64> {
    value("/proc/self/status", "VmHWM:")
}

/// Refuses work that needs more memory than is free.
pub fn refuse_beyond_free(need: u64, what: &str, force: bool) -> Result<(), Failure> {
    match memory() {
        Some([_, free]) if need > free && !force => {
            let gb = |bytes: u64| bytes as f64 / 1e9;
            Err(Failure::new(format!(
                "{what} needs {:.2} GB at least, and {:.2} GB are free; hint: end other programs, take a smaller model, or \
                 try it all the same with `--force`",
                gb(need),
                gb(free)
            )))
        }
        _ => Ok(()),
    }
}
