//! A door under many inputs, in a process of its own with bounded memory.

use crate::mutate::{Random, mutate};
use crate::seeds::Seeds;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest time for one input.
const PATIENCE: Duration = Duration::from_secs(20);
/// Resident memory that a door may take in all, in MB: inputs have at most 1 MB.
const MEMORY: u64 = 400;
/// Address space of the process in KB: beyond it an allocation fails, however little of it would be touched.
const SPACE: u64 = 4 << 20;

/// What a door makes of a file: nothing, or what is wrong with it.
pub type Open = fn(&Path) -> Result<(), String>;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Runs this test again in a process with bounded memory; there, gives the door its inputs.
pub fn besiege(door: &str, seeds: &Seeds, open: Open) {
    if std::env::var_os("ORCHESTRION_BESIEGED").is_some() {
        return inside(door, seeds, open);
    }
    let shell = format!("ulimit -v {SPACE} 2>/dev/null; exec \"$0\" --exact {door} --nocapture --test-threads 1");
    let mut command = Command::new("sh");
    command.arg("-c").arg(shell).arg(std::env::current_exe().unwrap()).env("ORCHESTRION_BESIEGED", "1");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    println!("{}", text.lines().find(|line| line.contains(" inputs, ")).unwrap());
}

fn inside(door: &str, seeds: &Seeds, open: Open) {
    // The least of disks that there is: half of the time would go into it.
    let root = Some(Path::new("/dev/shm")).filter(|shm| shm.is_dir()).map_or_else(std::env::temp_dir, Path::to_owned);
    let folder = root.join(format!("orchestrion-{door}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(seeds.file);
    for (name, content) in &seeds.beside {
        fs::write(folder.join(name), content).unwrap();
    }
    for seed in &seeds.files {
        fs::write(&path, seed).unwrap();
        open(&path).unwrap_or_else(|error| panic!("{door}: a seed is refused: {error}"));
    }
    std::panic::set_hook(Box::new(|_| {}));

    let (first, count) = (number("ORCHESTRION_FIRST", 0), number("ORCHESTRION_INPUTS", 3000));
    let at = Arc::new(AtomicU64::new(first));
    let watched = at.clone();
    let name = door.to_owned();
    std::thread::spawn(move || watch(&name, &watched));
    let (begun, mut taken) = (Instant::now(), 0);
    let mut faults = Vec::new();
    for n in first..first + count {
        at.store(n, Ordering::Relaxed);
        let input = mutate(&mut Random::new(door, n), seeds);
        fs::write(&path, &input).unwrap();
        let fault = match catch_unwind(AssertUnwindSafe(|| open(&path))) {
            Ok(Ok(())) => {
                taken += 1;
                continue;
            }
            Ok(Err(error)) => match fault_of(&error) {
                Some(fault) => fault,
                None => continue,
            },
            Err(_) => "a panic".to_owned(),
        };
        let kept = kept(door, n);
        fs::write(&kept, &input).unwrap();
        faults.push(format!("input {n}, kept as `{}`: {fault}", kept.display()));
        if faults.len() >= 10 {
            break;
        }
    }
    drop(std::panic::take_hook());
    fs::remove_dir_all(&folder).unwrap();
    let memory = peak_memory();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{door}: {count} inputs, {taken} of them taken, {} faults, {memory} MB, {rate:.0} a second", faults.len());
    assert!(faults.is_empty(), "{door}:\n{}", faults.join("\n"));
    assert!(memory < MEMORY, "{door}: {memory} MB");
}

/// What is wrong with an error: it has to be one line of bounded length with a hint.
fn fault_of(error: &str) -> Option<String> {
    let good = error.contains("; hint: ") && !error.contains(['\n', '\r', '\u{1b}']) && error.len() < 4000;
    (!good).then(|| {
        format!("an error that is not one line with a hint: {:?}", error.chars().take(500).collect::<String>())
    })
}

fn kept(door: &str, n: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doors");
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{door}-{n}"))
}

/// Ends the process when an input takes too long.
fn watch(door: &str, at: &AtomicU64) {
    let (mut last, mut since) = (u64::MAX, Instant::now());
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = at.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            eprintln!("{door}: input {now} takes longer than {PATIENCE:?}");
            std::process::abort();
        }
    }
}

/// The most resident memory so far, in MB; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).map_or(0, |kb| kb / 1024)
}
