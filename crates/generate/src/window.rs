//! Which windows make a stream: pure arithmetic, in tokens of one level.
//!
//! A prior sees at most its context at once. A longer stream is made in windows that overlap by `context - hop` tokens:
//! each starts from the tokens that are already there and adds the rest (Jukebox, section 4.5 of the paper).

/// One window to make: tokens `start .. start + length`, of which the first `known` are there when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowPlan {
    /// First token of the window in the stream.
    pub start: usize,
    /// Tokens of the window, known and new ones.
    pub length: usize,
    /// Tokens at the window's head that exist already.
    pub known: usize,
}

impl WindowPlan {
    /// Tokens that the window adds.
    pub fn new_tokens(&self) -> usize {
        self.length - self.known
    }

    /// One past the window's last token in the stream.
    pub fn end(&self) -> usize {
        self.start + self.length
    }
}

/// Lengths that make no windows.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum WindowError {
    /// The hop is zero, or so long that tokens between windows would never be made.
    #[error("a hop of {hop} tokens does not fit windows of {context}; hint: use a hop from 1 to the context")]
    Hop {
        /// Tokens from window to window.
        hop: usize,
        /// Tokens of a window.
        context: usize,
    },
    /// Not a share of the context.
    #[error("a hop fraction of {0} is outside (0, 1]; hint: 0.5 is usual, 0.125 for a top level")]
    Fraction(f64),
    /// A window would begin or end inside a token of the level above.
    #[error(
        "{what} of {tokens} tokens is no multiple of the {ratio} tokens for one of the level above; hint: change the {what}"
    )]
    Misaligned {
        /// The length at fault.
        what: &'static str,
        /// Its tokens.
        tokens: usize,
        /// Tokens of this level for one token of the level above.
        ratio: usize,
    },
}

/// The windows of one level.
///
/// Starts are `0, hop, 2 hop, ..` while a whole window fits; the last one is moved back to end with the stream. A
/// stream shorter than the context is one window of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLayout {
    total: usize,
    context: usize,
    hop: usize,
}

impl WindowLayout {
    /// Layout of `total` tokens in windows of `context`, `hop` apart. `ratio` is the number of tokens for one of the
    /// level above (1 for a top level): windows begin and end at its multiples.
    ///
    /// # Errors
    /// If the hop is 0 or longer than the context, or a length is no multiple of the ratio.
    pub fn new(total: usize, context: usize, hop: usize, ratio: usize) -> Result<Self, WindowError> {
        if hop == 0 || hop > context {
            return Err(WindowError::Hop { hop, context });
        }
        for (what, tokens) in [("a stream", total), ("a context", context), ("a hop", hop)] {
            aligned(what, tokens, ratio)?;
        }
        Ok(Self { total, context, hop })
    }

    /// Layout with a hop of `fraction` of the context, rounded down to a multiple of `ratio`, but at least that.
    ///
    /// # Errors
    /// If the fraction is outside `(0, 1]`, or as [`WindowLayout::new`].
    pub fn from_fraction(total: usize, context: usize, fraction: f64, ratio: usize) -> Result<Self, WindowError> {
        if !(fraction > 0.0 && fraction <= 1.0) {
            return Err(WindowError::Fraction(fraction));
        }
        let ratio = ratio.max(1);
        let hop = (fraction * context as f64) as usize;
        Self::new(total, context, (hop / ratio * ratio).max(ratio), ratio)
    }

    /// Where windows start, in order.
    pub fn starts(&self) -> impl Iterator<Item = usize> + use<> {
        let Self { total, context, hop } = *self;
        let last = total.saturating_sub(context);
        let count = if total == 0 { 0 } else { last.div_ceil(hop) + 1 };
        (0..count).map(move |index| (index * hop).min(last))
    }

    /// The windows that are still to make when the first `done` tokens of the stream exist: full ones are skipped.
    pub fn windows(&self, done: usize) -> impl Iterator<Item = WindowPlan> + use<> {
        let length = self.total.min(self.context);
        let mut done = done;
        self.starts().filter_map(move |start| {
            let known = done.saturating_sub(start);
            if known >= length {
                return None;
            }
            done = start + length;
            Some(WindowPlan { start, length, known })
        })
    }
}

/// The window that adds `new` tokens to a stream of `done` with as much context as there is: one step of co-composition
/// ("a few more seconds"), as Jukebox's partial window. Shorter than the context while the stream is.
///
/// # Errors
/// If more tokens are asked for than the context has or none, or the window would not begin and end at multiples of
/// `ratio`.
pub fn partial_window(done: usize, new: usize, context: usize, ratio: usize) -> Result<WindowPlan, WindowError> {
    if new == 0 || new > context {
        return Err(WindowError::Hop { hop: new, context });
    }
    let end = done + new;
    let start = end.saturating_sub(context);
    aligned("a stream", end, ratio)?;
    aligned("a context", end - start, ratio)?;
    Ok(WindowPlan { start, length: end - start, known: done - start })
}

fn aligned(what: &'static str, tokens: usize, ratio: usize) -> Result<(), WindowError> {
    if tokens.is_multiple_of(ratio.max(1)) { Ok(()) } else { Err(WindowError::Misaligned { what, tokens, ratio }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use proptest::prelude::*;

    fn plan(start: usize, length: usize, known: usize) -> WindowPlan {
        WindowPlan { start, length, known }
    }

    #[test]
    fn the_last_window_is_moved_back_and_a_short_stream_is_one_window() {
        let windows = |total, done| WindowLayout::new(total, 32, 28, 1).unwrap().windows(done).collect::<Vec<_>>();
        assert_eq!(windows(48, 0), [plan(0, 32, 0), plan(16, 32, 16)]);
        assert_eq!(windows(48, 40), [plan(16, 32, 24)]);
        assert_eq!(windows(32, 0), [plan(0, 32, 0)]);
        assert_eq!(windows(20, 7), [plan(0, 20, 7)]);
        assert_eq!(windows(20, 20), []);
        assert_eq!(windows(0, 0), []);
    }

    #[test]
    fn hops_follow_the_level_above() {
        let starts =
            |fraction| -> Vec<usize> { WindowLayout::from_fraction(48, 32, fraction, 4).unwrap().starts().collect() };
        assert_eq!(starts(0.3), [0, 8, 16], "9 tokens are rounded down to 8");
        assert_eq!(starts(0.01), [0, 4, 8, 12, 16], "never less than one token of the level above");
        assert_eq!(starts(1.0), [0, 16]);
        assert!(matches!(WindowLayout::new(48, 32, 6, 4), Err(WindowError::Misaligned { tokens: 6, ratio: 4, .. })));
        assert!(matches!(WindowLayout::new(46, 32, 8, 4), Err(WindowError::Misaligned { tokens: 46, .. })));
        assert!(matches!(WindowLayout::new(48, 30, 8, 4), Err(WindowError::Misaligned { tokens: 30, .. })));
        assert!(matches!(WindowLayout::new(48, 32, 33, 1), Err(WindowError::Hop { .. })));
        for fraction in [0.0, -0.5, 1.5, f64::NAN] {
            assert!(matches!(WindowLayout::from_fraction(48, 32, fraction, 1), Err(WindowError::Fraction(_))));
        }
    }

    #[test]
    fn a_partial_window_has_all_the_context_there_is() {
        assert_eq!(partial_window(0, 8, 32, 1), Ok(plan(0, 8, 0)));
        assert_eq!(partial_window(20, 8, 32, 4), Ok(plan(0, 28, 20)));
        assert_eq!(partial_window(24, 8, 32, 4), Ok(plan(0, 32, 24)));
        assert_eq!(partial_window(40, 8, 32, 4), Ok(plan(16, 32, 24)));
        assert!(partial_window(41, 8, 32, 4).is_err());
        assert!(partial_window(0, 33, 32, 1).is_err());
        assert!(partial_window(9, 0, 32, 1).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn every_token_is_made_once_and_in_order(
            (total, context, hop, ratio, done) in (1usize..7).prop_flat_map(|ratio| (1usize..30).prop_flat_map(move |units| {
                (0usize..300, 1..=units).prop_flat_map(move |(total, hop)| {
                    (Just(total * ratio), Just(units * ratio), Just(hop * ratio), Just(ratio), 0..=total * ratio)
                })
            })),
        ) {
            let mut stream: Vec<usize> = (0..done).collect();
            for window in WindowLayout::new(total, context, hop, ratio).unwrap().windows(done) {
                prop_assert!(window.start.is_multiple_of(ratio) && window.length.is_multiple_of(ratio));
                prop_assert_eq!(window.length, context.min(total));
                prop_assert_eq!(window.start + window.known, stream.len());
                prop_assert!(window.new_tokens() > 0);
                stream.extend(window.start + window.known..window.end());
            }
            prop_assert_eq!(stream, (0..total).collect::<Vec<_>>());
        }

        #[test]
        fn going_on_at_a_window_edge_leaves_the_windows_that_were_to_come(
            total in 1usize..400, context in 1usize..40, hop in 1usize..40, done in 0usize..400, stop in 0usize..40,
        ) {
            let layout = WindowLayout::new(total, context, hop.min(context), 1).unwrap();
            let all: Vec<_> = layout.windows(done.min(total)).collect();
            if let Some(edge) = all.get(stop).map(WindowPlan::end) {
                prop_assert_eq!(layout.windows(edge).collect::<Vec<_>>(), &all[stop + 1..]);
            }
        }
    }

    /// Starts printed by the original program.
    #[test]
    fn windows_jukebox_parity() {
        let folder = crate::fixtures::folder();
        let text = std::fs::read_to_string(folder.join("values.json")).unwrap();
        let values: serde_json::Value = serde_json::from_str(&text).unwrap();
        for case in values["starts"].as_array().unwrap() {
            let number = |key: &str| case[key].as_u64().unwrap() as usize;
            let golden: Vec<usize> =
                case["starts"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
            let layout = WindowLayout::new(number("total"), number("n_ctx"), number("hop"), 1).unwrap();
            assert_eq!(layout.starts().collect::<Vec<_>>(), golden, "{case}");
        }
    }
}
