//! What changed from one report to another.

use serde::Serialize;
use serde_json::Value;

/// A number that stands at the same place in two reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Names from the outside in, with dots; entries of lists go by their `name` where they have one,
    /// those of one name by their order.
    pub place: String,
    /// In the first report.
    pub before: f64,
    /// In the second.
    pub after: f64,
}

/// Every number that both reports have, in the order of the first.
#[must_use]
pub fn compare(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(before, after, "", &mut changes);
    changes
}

fn walk(before: &Value, after: &Value, place: &str, changes: &mut Vec<Change>) {
    let under = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                if let Some(other) = b.get(name) {
                    walk(value, other, &under(name), changes);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for (index, value) in a.iter().enumerate() {
                let name = value.get("name").and_then(Value::as_str);
                let same = |other: &&Value| other.get("name") == value.get("name");
                let other = match name {
                    Some(_) => b.iter().filter(same).nth(a[..index].iter().filter(same).count()),
                    None => b.get(index),
                };
                if let Some(other) = other {
                    walk(value, other, &under(name.unwrap_or(&index.to_string())), changes);
                }
            }
        }
        (Value::Number(a), Value::Number(b)) => {
            if let (Some(before), Some(after)) = (a.as_f64(), b.as_f64()) {
                changes.push(Change { place: place.to_owned(), before, after });
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_meet_by_name_and_what_one_lacks_is_left_out() {
        let a = json!({"rows": [{"name": "x", "v": 1}, {"name": "y", "v": 2}, {"name": "y", "v": 3}], "only": 3, "list": [1.5]});
        let b = json!({"rows": [{"name": "y", "v": 5}, {"name": "y", "v": 3}], "list": [2.5, 9]});
        let found: Vec<(String, f64, f64)> =
            compare(&a, &b).into_iter().map(|c| (c.place, c.before, c.after)).collect();
        // Objects are walked in the order of their names.
        let place = |text: &str| text.to_owned();
        assert_eq!(found, [(place("list.0"), 1.5, 2.5), (place("rows.y.v"), 2.0, 5.0), (place("rows.y.v"), 3.0, 3.0)]);
    }
}
