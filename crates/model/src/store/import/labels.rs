//! The label tables of the published models, from the files that their users have: lines of `name;id`.

use super::super::write::put;
use crate::ModelError;
use serde_json::json;
use std::io::Read;
use std::path::Path;

/// Largest file.
const LIMIT: u64 = 16 << 20;

/// Tables in the model folder, and the artists' and genres' files that each is made of.
const TABLES: [(&str, [&str; 2]); 2] = [
    ("labels.v2.json", ["v2_artist_ids.txt", "v2_genre_ids.txt"]),
    ("labels.v3.json", ["v3_artist_ids.txt", "v3_genre_ids.txt"]),
];

/// Reads `v2_artist_ids.txt`, `v2_genre_ids.txt`, and those of v3, as far as they are in `from`, and writes `labels.v2.json`
/// and `labels.v3.json` into the model folder: `{"artists": [["name", row], ..], "genres": [..]}`. Several names may share
/// a row. Gives the names of the files written.
///
/// # Errors
/// If there is none of the files, one of a pair is missing, or a line is no `name;id`.
pub fn import_labels(from: &Path, folder: &Path) -> Result<Vec<&'static str>, ModelError> {
    let mut tables = Vec::new();
    for (table, files) in TABLES {
        let [artists, genres] = files.map(|file| from.join(file));
        if !artists.exists() && !genres.exists() {
            continue;
        }
        tables.push((table, json!({ "artists": rows(&artists)?, "genres": rows(&genres)? })));
    }
    if tables.is_empty() {
        let files: Vec<String> = TABLES.iter().flat_map(|(_, files)| files.map(|f| format!("`{f}`"))).collect();
        return Err(ModelError::Request(format!(
            "`{}` holds no label tables; hint: give the folder with {}",
            from.display(),
            files.join(", ")
        )));
    }
    std::fs::create_dir_all(folder).map_err(|source| ModelError::Io { path: folder.to_owned(), source })?;
    for (table, content) in &tables {
        put(folder, table, content.to_string().as_bytes())?;
    }
    Ok(tables.into_iter().map(|(table, _)| table).collect())
}

/// Names with their rows.
fn rows(path: &Path) -> Result<Vec<(String, u32)>, ModelError> {
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let bad = |what: String| ModelError::Format {
        place: path.display().to_string(),
        what: format!("{what}; hint: a line is `name;id`, as in the files beside the published program"),
    };
    let mut text = String::new();
    std::fs::File::open(path).map_err(io)?.take(LIMIT + 1).read_to_string(&mut text).map_err(io)?;
    if text.len() as u64 > LIMIT {
        return Err(bad(format!("it is larger than {LIMIT} bytes")));
    }
    let row = |(i, line): (usize, &str)| {
        let row = line.rsplit_once(';').and_then(|(name, id)| Some((name.to_owned(), id.trim().parse().ok()?)));
        row.ok_or_else(|| bad(format!("line {} has no name and number", i + 1)))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}
