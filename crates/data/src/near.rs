//! Names that somebody may have meant.

/// Names that are told: more would not be read.
const TOLD: usize = 3;

/// The names nearest to a normalised one, best first. A name that contains it, or is contained in it, is near
/// however long it is (`davis` and `miles davis`); otherwise the Jaro-Winkler similarity decides.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut scored: Vec<(f64, &String)> = names
        .map(|known| {
            let mut score = strsim::jaro_winkler(name, known);
            if !name.is_empty() && (known.contains(name) || name.contains(known.as_str())) {
                score += 1.0;
            }
            (score, known)
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.into_iter().take(TOLD).map(|(_, known)| known.clone()).collect()
}
