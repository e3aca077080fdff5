//! Lists the files of the built-in model, for the program to carry.

use std::fmt::Write as _;
use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    let mut list = String::from("pub(super) static FILES: &[(&str, &[u8])] = &[\n");
    for path in files.iter().filter(|p| p.is_file()) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let _ = writeln!(list, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    list.push_str("];\n");
    if let Some(out) = std::env::var_os("OUT_DIR")
        && let Err(error) = std::fs::write(Path::new(&out).join("embedded.rs"), list)
    {
        println!("cargo:warning=the list of the built-in model's files was not written: {error}");
    }
}
