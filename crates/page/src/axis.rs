//! Round numbers for axes, and numbers as people read them.

/// A mark on an axis: where (0..=1 along it) and what stands there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub position: f64,
    pub text: String,
}

/// Marks at round values inside `low..=high`, about `wanted` of them.
pub(crate) fn linear_ticks(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return Vec::new();
    }
    let step = round_step(span / wanted.max(1) as f64);
    let first = (low / step).ceil();
    let count = ((high / step).floor() - first).clamp(0.0, 4.0 * wanted as f64) as usize;
    (0..=count)
        .map(|index| (first + index as f64) * step)
        .filter(|value| *value <= high + span * 1e-9)
        .map(|value| Tick { position: ((value - low) / span).clamp(0.0, 1.0), text: at_step(value, step) })
        .collect()
}

/// Marks at powers of ten, and between them at 2 and 5 when there are few; the bounds are
/// decimal logarithms.
pub(crate) fn log_ticks(low: f64, high: f64) -> Vec<Tick> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return Vec::new();
    }
    let mantissas: &[f64] = if span < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let stride = (span / 8.0).ceil().max(1.0) as i32;
    let decades = (low.floor() as i32..=high.ceil() as i32).step_by(stride.unsigned_abs() as usize);
    decades
        .flat_map(|decade| mantissas.iter().map(move |mantissa| mantissa * 10f64.powi(decade)))
        .filter(|value| (low..=high).contains(&value.log10()))
        .map(|value| Tick { position: (value.log10() - low) / span, text: significant(value) })
        .collect()
}

/// Marks on a time axis of `seconds`.
pub(crate) fn time_ticks(seconds: f64) -> Vec<Tick> {
    const STEPS: [f64; 14] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];
    let fitting = STEPS.into_iter().find(|step| seconds / step <= 10.0);
    let step = fitting.unwrap_or_else(|| round_step(seconds / 10.0));
    let count = (seconds / step).clamp(0.0, 20.0) as usize;
    (0..=count)
        .map(|index| index as f64 * step)
        .map(|at| Tick { position: at / seconds, text: if step < 1.0 { format!("{at:.1}") } else { clock(at, 0) } })
        .collect()
}

/// The marks as spans placed from `side` (`left` or `bottom`); the outermost are kept inside.
pub(crate) fn labels(ticks: &[Tick], side: &str) -> String {
    let spans = ticks.iter().map(|tick| {
        let percent = 100.0 * tick.position;
        let class = match tick.position {
            near if near < 0.03 => " class=\"first\"",
            far if far > 0.97 => " class=\"last\"",
            _ => "",
        };
        format!("<span{class} style=\"{side}:{percent:.2}%\">{}</span>", tick.text)
    });
    spans.collect()
}

/// `83.26` seconds as `1:23` or, with one decimal, `1:23.2` (cut, as clocks do).
pub(crate) fn clock(seconds: f64, decimals: usize) -> String {
    let scale = 10_f64.powi(decimals as i32);
    let cut = (seconds.max(0.0) * scale + 1e-6).floor() / scale;
    let minutes = (cut / 60.0).floor();
    let width = if decimals == 0 { 2 } else { 3 + decimals };
    format!("{minutes:.0}:{:0width$.decimals$}", cut - minutes * 60.0)
}

/// A number to about four significant digits, with a true minus sign.
pub(crate) fn significant(value: f64) -> String {
    if value.is_nan() {
        return "not a number".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let size = value.abs();
    let text = if size == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e6).contains(&size) {
        let scientific = format!("{value:.2e}");
        match scientific.split_once('e') {
            Some((mantissa, exponent)) => format!("{}e{exponent}", trim_zeros(mantissa)),
            None => scientific,
        }
    } else {
        let decimals = (3.0 - size.log10().floor()).clamp(0.0, 6.0) as usize;
        trim_zeros(&format!("{value:.decimals$}")).to_owned()
    };
    text.replace('-', "−")
}

/// The value with as many decimals as the step between marks needs.
fn at_step(value: f64, step: f64) -> String {
    if value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&step) {
        return significant(value);
    }
    let decimals = (-step.log10()).ceil().clamp(0.0, 4.0) as usize;
    let text = format!("{value:.decimals$}");
    group_thousands(&text).replace('-', "−")
}

/// Thin spaces between thousands, from five digits on.
fn group_thousands(text: &str) -> String {
    if text.contains('.') || text.trim_start_matches('-').len() < 5 {
        return text.to_owned();
    }
    let length = text.len();
    let digits = text.chars().enumerate().map(|(index, digit)| {
        let splits = index > 0 && digit != '-' && (length - index).is_multiple_of(3);
        if splits && !text[..index].ends_with('-') { format!("\u{2009}{digit}") } else { digit.to_string() }
    });
    digits.collect()
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// 1, 2 or 5 times a power of ten, not below `at_least`.
fn round_step(at_least: f64) -> f64 {
    let power = 10_f64.powf(at_least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= at_least);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn texts(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(texts(&linear_ticks(-0.3, 1.1, 4)), ["0", "0.5", "1.0"]);
        assert_eq!(texts(&linear_ticks(0.0, 20_000.0, 2)), ["0", "10\u{2009}000", "20\u{2009}000"]);
        assert_eq!(texts(&log_ticks(-2.1, 0.1)), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(texts(&time_ticks(20.0)).len(), 11);
        assert_eq!(texts(&time_ticks(0.35)), ["0.0", "0.1", "0.2", "0.3"]);
        for (low, high) in [(0.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (-1e200, 1e200)] {
            assert!(linear_ticks(low, high, 5).len() < 25);
            assert!(log_ticks(low, high).len() < 40);
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(clock(83.26, 1), "1:23.2");
        assert_eq!(clock(59.999, 0), "0:59");
        assert_eq!(significant(-0.012_34), "−0.01234");
        assert_eq!(significant(0.000_3), "3e−4");
        assert_eq!(significant(f64::NAN), "not a number");
        assert_eq!(group_thousands("-1234567"), "-1\u{2009}234\u{2009}567");
        assert_eq!(group_thousands("-123456"), "-123\u{2009}456");
    }
}
