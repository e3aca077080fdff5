//! The shell of every page: head, styles, header, scripts. Nothing in it is fetched.

use crate::escape;

const PAGE_CSS: &str = include_str!("assets/page.css");
const PLAYER_CSS: &str = include_str!("assets/player.css");
const CURVE_CSS: &str = include_str!("assets/curve.css");
const REPORT_CSS: &str = include_str!("assets/report.css");
const COPY_JS: &str = include_str!("assets/copy.js");
const PLAYER_JS: &str = include_str!("assets/player.js");
const CURVE_JS: &str = include_str!("assets/curve.js");

/// The browser itself is told to refuse every request: all that a page needs is inside it.
const POLICY: &str = "default-src 'none'; img-src data:; media-src data: blob:; \
                      style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Five bars of a barrel organ's pipes, the mark beside the name.
const MARK: &str = "<svg class=\"mark\" viewBox=\"0 0 20 16\" aria-hidden=\"true\">\
    <path d=\"M2 10v4M6 6v8M10 2v12M14 5v9M18 8v6\"/></svg>";

/// A whole document around `body`, which must already be escaped markup.
pub(crate) fn document(kind: &str, title: &str, subtitle: &str, body: &str) -> String {
    let title = escape::html(title);
    let subtitle = escape::html(subtitle);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"Orchestrion\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title} · Orchestrion</title>\n\
         <style>\n{PAGE_CSS}{PLAYER_CSS}{CURVE_CSS}{REPORT_CSS}</style>\n</head>\n<body>\n\
         <header class=\"masthead\"><p class=\"brand\">{MARK}Orchestrion<span> · {kind}</span></p>\n\
         <h1>{title}</h1>\n<p class=\"subtitle\">{subtitle}</p></header>\n\
         <main>\n{body}</main>\n\
         <script>\n{COPY_JS}{PLAYER_JS}{CURVE_JS}</script>\n</body>\n</html>\n"
    )
}

/// Ordered pairs as a definition list.
pub(crate) fn pairs(pairs: &[(String, String)]) -> String {
    let rows = pairs.iter().map(|(key, value)| {
        let (key, value) = (escape::html(key), escape::html(value));
        format!("<div><dt>{key}</dt><dd>{value}</dd></div>\n")
    });
    format!("<dl class=\"pairs\">\n{}</dl>\n", rows.collect::<String>())
}

/// Text to copy: a command line or a file, with a button. Words stay whole where they fit, so
/// that no option is broken at its dashes.
pub(crate) fn copyable(label: &str, text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).map(|piece| {
        let word = piece.trim_end_matches([' ', '\n']);
        let (gap, word) = (&piece[word.len()..], escape::html(word));
        if word.is_empty() { gap.to_owned() } else { format!("<span>{word}</span>{gap}") }
    });
    let (label, words) = (escape::html(label), words.collect::<String>());
    format!(
        "<div class=\"copyable\"><pre tabindex=\"0\" aria-label=\"{label}\"><code>{words}</code></pre>\
         <button type=\"button\" class=\"copy\" hidden>Copy</button></div>\n"
    )
}
