//! The only two doors through which foreign text enters a page.

use serde_json::Value;

/// Escapes text for an HTML text node or a double- or single-quoted attribute value.
///
/// Characters that HTML forbids (controls other than tab and line ends) and those that could
/// turn the reading direction of the text around them become U+FFFD.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(character),
            '\r' => {}
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            other if other.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// Writes JSON that may stand inside a `<script>` element: no `<`, `>` or `&` (so neither
/// `</script>` nor `<!--`), and no U+2028 or U+2029, which old script engines read as line ends.
pub(crate) fn script_json(value: &Value) -> String {
    let plain = value.to_string();
    let mut out = String::with_capacity(plain.len());
    for character in plain.chars() {
        // Outside of strings JSON has none of these, so the escapes always fall inside one.
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_text_becomes_harmless() {
        let escaped = html("<img src=x onerror='a'>\"&\0\u{202e}");
        assert_eq!(escaped, "&lt;img src=x onerror=&#39;a&#39;&gt;&quot;&amp;\u{fffd}\u{fffd}");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(text in any::<String>()) {
            let escaped = html(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        }

        #[test]
        fn script_json_is_the_same_json(text in any::<String>()) {
            let value = Value::from(format!("</script><!--\u{2028}\u{2029}&{text}"));
            let written = script_json(&value);
            let unsafe_here = ['<', '>', '&', '\u{2028}', '\u{2029}'];
            prop_assert!(!written.contains(unsafe_here));
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
    }
}
