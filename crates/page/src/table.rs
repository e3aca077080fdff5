//! Tables of figures.

use crate::escape::html;

/// A table: a name in the first column, figures in the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// What stands above it; may be empty.
    pub title: String,
    /// The heads of the columns, that of the names first.
    pub columns: Vec<String>,
    /// The rows: a name, then figures as text.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The table's markup. It scrolls sideways where the page is narrow.
    pub(crate) fn markup(&self) -> String {
        let cells = |tag: &str, row: &[String]| {
            let cell = |(i, text): (usize, &String)| match (i, tag) {
                (0, "td") => format!("<th scope=\"row\">{}</th>", html(text)),
                (_, "th") => format!("<th scope=\"col\">{}</th>", html(text)),
                _ => format!("<td>{}</td>", html(text)),
            };
            format!("<tr>{}</tr>\n", row.iter().enumerate().map(cell).collect::<String>())
        };
        let caption =
            if self.title.is_empty() { String::new() } else { format!("<caption>{}</caption>\n", html(&self.title)) };
        let rows: String = self.rows.iter().map(|row| cells("td", row)).collect();
        format!(
            "<div class=\"table\" tabindex=\"0\" role=\"group\"><table>\n{caption}<thead>{}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
            cells("th", &self.columns)
        )
    }
}
