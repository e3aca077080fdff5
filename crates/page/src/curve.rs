//! Curves of a training run, drawn as SVG: values against optimiser steps.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::axis::{self, Tick};
use crate::escape::{html, script_json};

/// One line of the metrics: the values known at a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Optimiser steps done.
    pub step: u64,
    /// Metric name to value. Values that are not finite are counted, not drawn.
    pub values: BTreeMap<String, f64>,
}

/// One metric in a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The metric's name in the rows.
    pub metric: String,
    /// What the legend says.
    pub label: String,
}

/// How values become heights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By their logarithm; falls back to linear when a value is not positive.
    Logarithmic,
}

/// Metrics that belong into one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The heading.
    pub title: String,
    /// The unit beside it; may be empty.
    pub unit: String,
    /// The scale of the values.
    pub scale: Scale,
    /// The metrics. From the seventh on, colours repeat.
    pub lines: Vec<Line>,
}

/// Charts for every metric in `rows`, for when nobody said which belong together: a name such
/// as `loss/train` is the line `train` of the chart `loss`, a name without a slash is a chart
/// with one line.
pub fn charts_by_name(rows: &[Row]) -> Vec<Chart> {
    let mut charts: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for metric in rows.iter().flat_map(|row| row.values.keys()) {
        let (title, label) = metric.split_once('/').unwrap_or((metric, metric));
        charts.entry(title).or_default().insert(metric, label);
    }
    let charts = charts.into_iter().map(|(title, lines)| Chart {
        title: title.replace('_', " "),
        unit: String::new(),
        scale: Scale::Linear,
        lines: lines
            .into_iter()
            .map(|(metric, label)| Line { metric: metric.to_owned(), label: label.replace('_', " ") })
            .collect(),
    });
    charts.collect()
}

/// Points drawn of one line at most; more rows are averaged between.
const MAX_POINTS: usize = 240;

/// The side of the square view box; the page stretches it.
const SIDE: f64 = 1000.0;

/// A stretch of steps: the mean that is drawn and the band around it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    step: u64,
    mean: f64,
    low: f64,
    high: f64,
}

/// What a chart spans; values are logarithms when `logarithmic`.
struct Frame {
    first: u64,
    last: u64,
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Chart {
    /// The chart as a figure. Without any finite value it says so in words.
    pub(crate) fn markup(&self, rows: &[Row]) -> String {
        let lines: Vec<Vec<Point>> = self.lines.iter().map(|line| points(rows, &line.metric)).collect();
        let lost = self.lines.iter().map(|line| not_finite(rows, &line.metric)).sum::<usize>();
        let mut out = format!(
            "<figure class=\"chart\">\n<figcaption><h3>{} <small>{}</small></h3></figcaption>\n",
            html(&self.title),
            html(&self.unit)
        );
        match Frame::around(&lines, self.scale) {
            Some(frame) => {
                out.push_str(&self.legend(&lines));
                out.push_str(&self.plot(&frame, &lines));
            }
            None => out.push_str("<p class=\"empty\">No values yet.</p>\n"),
        }
        if lost > 0 {
            let (noun, verb) = if lost == 1 { ("value", "is") } else { ("values", "are") };
            out.push_str(&format!("<p class=\"lost\">{lost} {noun} {verb} not finite and not drawn.</p>\n"));
        }
        out.push_str("</figure>\n");
        out
    }

    /// The lines' names with their last values.
    fn legend(&self, lines: &[Vec<Point>]) -> String {
        let items = self.lines.iter().zip(lines).enumerate();
        let items = items.map(|(index, (line, points))| {
            let last = points.last().map(|point| axis::significant(point.mean));
            format!(
                "<li class=\"line-{}\"><svg viewBox=\"0 0 24 8\" aria-hidden=\"true\"><path d=\"M1 4h22\"/></svg>\
                 {} <b>{}</b></li>\n",
                index % 6,
                html(&line.label),
                last.unwrap_or_else(|| "–".to_owned())
            )
        });
        format!("<ul class=\"legend\">\n{}</ul>\n", items.collect::<String>())
    }

    fn plot(&self, frame: &Frame, lines: &[Vec<Point>]) -> String {
        let (heights, steps) = (frame.value_ticks(), frame.step_ticks());
        let mut svg = String::new();
        for tick in &heights {
            let y = SIDE * (1.0 - tick.position);
            svg.push_str(&format!("<path class=\"grid\" d=\"M0 {y:.1}H{SIDE}\"/>\n"));
        }
        for (index, points) in lines.iter().enumerate() {
            let class = index % 6;
            let (band, line) = (frame.band(points), frame.line(points));
            if !band.is_empty() {
                svg.push_str(&format!("<path class=\"band line-{class}\" d=\"{band}\"/>\n"));
            }
            svg.push_str(&format!("<path class=\"curve line-{class}\" d=\"{line}\"/>\n"));
        }
        let label = html(&format!("{} against steps, from {} to {}", self.title, frame.first, frame.last));
        format!(
            "<div class=\"plot\" tabindex=\"0\" role=\"slider\" aria-label=\"{label}\" \
             aria-valuemin=\"{}\" aria-valuemax=\"{}\" aria-valuenow=\"{}\">\n\
             <div class=\"values\" aria-hidden=\"true\">{}</div>\n\
             <svg viewBox=\"0 0 {SIDE} {SIDE}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\n{svg}</svg>\n\
             <div class=\"steps\" aria-hidden=\"true\">{}</div>\n\
             <div class=\"rule\" hidden><span></span></div></div>\n\
             <script type=\"application/json\">{}</script>\n",
            frame.first,
            frame.last,
            frame.last,
            axis::labels(&heights, "bottom"),
            axis::labels(&steps, "left"),
            script_json(&self.readings(frame, lines)),
        )
    }

    /// What the pointer reads off: per line its label and `[position, step, words]` of each point.
    fn readings(&self, frame: &Frame, lines: &[Vec<Point>]) -> Value {
        let lines = self.lines.iter().zip(lines).map(|(line, points)| {
            let points = points.iter().map(|point| {
                let position = (frame.across(point.step) * 1e4).round() / 1e4;
                json!([position, point.step, axis::significant(point.mean)])
            });
            json!({ "label": line.label, "points": points.collect::<Vec<_>>() })
        });
        Value::from(lines.collect::<Vec<_>>())
    }
}

/// The finite values of a metric in order of steps, averaged down to [`MAX_POINTS`].
fn points(rows: &[Row], metric: &str) -> Vec<Point> {
    let mut values: Vec<(u64, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.step, *row.values.get(metric)?)))
        .filter(|(_, value)| value.is_finite())
        // Differences of drawn values must stay finite.
        .map(|(step, value)| (step, value.clamp(-1e200, 1e200)))
        .collect();
    values.sort_by_key(|(step, _)| *step);
    let group = values.len().div_ceil(MAX_POINTS).max(1);
    let stretches = values.chunks(group).filter_map(|stretch| {
        let (last, _) = stretch.last()?;
        let count = stretch.len() as f64;
        Some(Point {
            step: *last,
            mean: stretch.iter().map(|(_, value)| value / count).sum(),
            low: stretch.iter().map(|(_, value)| *value).fold(f64::MAX, f64::min),
            high: stretch.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max),
        })
    });
    stretches.collect()
}

fn not_finite(rows: &[Row], metric: &str) -> usize {
    let values = rows.iter().filter_map(|row| row.values.get(metric));
    values.filter(|value| !value.is_finite()).count()
}

impl Frame {
    /// The frame that holds all `lines`, a little wider than their values.
    fn around(lines: &[Vec<Point>], scale: Scale) -> Option<Self> {
        let all = || lines.iter().flatten();
        let first = all().map(|point| point.step).min()?;
        let last = all().map(|point| point.step).max()?;
        // A run is seen from its start; only a piece far into a run has an axis of its own.
        let first = if first < last / 10 { 0 } else { first };
        let logarithmic = scale == Scale::Logarithmic && all().all(|point| point.low > 0.0);
        let height = |value: f64| if logarithmic { value.log10() } else { value };
        let low = all().map(|point| height(point.low)).fold(f64::MAX, f64::min);
        let high = all().map(|point| height(point.high)).fold(f64::MIN, f64::max);
        let room = match high - low {
            flat if flat <= 0.0 => (0.1 * high.abs()).max(1e-9),
            span => 0.05 * span,
        };
        Some(Self { first, last, low: low - room, high: high + room, logarithmic })
    }

    /// 0..=1 from the first step to the last.
    fn across(&self, step: u64) -> f64 {
        let span = self.last.saturating_sub(self.first).max(1) as f64;
        (step.saturating_sub(self.first) as f64 / span).clamp(0.0, 1.0)
    }

    /// View box units from the top.
    fn down(&self, value: f64) -> f64 {
        let height = if self.logarithmic { value.log10() } else { value };
        SIDE * (1.0 - ((height - self.low) / (self.high - self.low)).clamp(0.0, 1.0))
    }

    fn line(&self, points: &[Point]) -> String {
        let mut path = String::new();
        for (index, point) in points.iter().enumerate() {
            let (x, y) = (SIDE * self.across(point.step), self.down(point.mean));
            let verb = if index == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{verb}{x:.1} {y:.1}"));
        }
        if points.len() == 1 {
            // A line of no length with round ends: a dot.
            path.push_str("h0");
        }
        path
    }

    /// The area between lowest and highest values, empty where nothing was averaged.
    fn band(&self, points: &[Point]) -> String {
        if points.iter().all(|point| point.low == point.high) {
            return String::new();
        }
        let over = points.iter().map(|point| (point.step, point.high));
        let under = points.iter().rev().map(|point| (point.step, point.low));
        let corners = over.chain(under).enumerate().map(|(index, (step, value))| {
            let verb = if index == 0 { 'M' } else { 'L' };
            format!("{verb}{:.1} {:.1}", SIDE * self.across(step), self.down(value))
        });
        corners.collect::<String>() + "Z"
    }

    fn value_ticks(&self) -> Vec<Tick> {
        if self.logarithmic { axis::log_ticks(self.low, self.high) } else { axis::linear_ticks(self.low, self.high, 4) }
    }

    fn step_ticks(&self) -> Vec<Tick> {
        axis::linear_ticks(self.first as f64, self.last as f64, 4)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn rows(name: &str, values: &[f64]) -> Vec<Row> {
        let row = |(step, value): (usize, &f64)| Row {
            step: step as u64 * 10,
            values: BTreeMap::from([(name.to_owned(), *value)]),
        };
        values.iter().enumerate().map(row).collect()
    }

    fn chart(scale: Scale) -> Chart {
        let line = Line { metric: "loss".into(), label: "train".into() };
        Chart { title: "Loss".into(), unit: "nats".into(), scale, lines: vec![line] }
    }

    #[test]
    fn nothing_to_draw_is_said_in_words() {
        for values in [&[][..], &[f64::NAN, f64::INFINITY]] {
            let markup = chart(Scale::Linear).markup(&rows("loss", values));
            assert!(markup.contains("No values yet") && !markup.contains("<svg"));
        }
    }

    #[test]
    fn odd_values_leave_only_numbers_in_the_drawing() {
        let odd = [3.0, f64::NAN, 1e308, -1e308, f64::NEG_INFINITY, 0.0];
        for values in [&odd[..], &[0.0], &[5.0; 3], &[1e-300, 1e300], &[-2.0]] {
            for scale in [Scale::Linear, Scale::Logarithmic] {
                let markup = chart(scale).markup(&rows("loss", values));
                let svg = markup.split("<svg viewBox=\"0 0 1000").nth(1).unwrap();
                let svg = svg.split("</svg>").next().unwrap();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}: {svg}");
            }
        }
        assert!(chart(Scale::Linear).markup(&rows("loss", &odd)).contains("2 values are not finite"));
    }

    #[test]
    fn long_runs_are_averaged_and_keep_their_extremes() {
        let values: Vec<f64> = (0..10_000).map(|step| f64::from(step % 2)).collect();
        let points = points(&rows("loss", &values), "loss");
        assert!(points.len() <= MAX_POINTS);
        assert!(points.iter().all(|point| (point.low, point.high) == (0.0, 1.0)));
        assert!((points[0].mean - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_falling_curve_goes_down_the_page() {
        let rows = rows("loss", &[4.0, 2.0, 1.0]);
        let lines = vec![points(&rows, "loss")];
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let frame = Frame::around(&lines, scale).unwrap();
            assert!(frame.down(4.0) < frame.down(2.0) && frame.down(2.0) < frame.down(1.0));
        }
        let log = Frame::around(&lines, Scale::Logarithmic).unwrap();
        let (top, middle, bottom) = (log.down(4.0), log.down(2.0), log.down(1.0));
        assert!(((middle - top) - (bottom - middle)).abs() < 1e-6);
    }

    #[test]
    fn names_with_a_slash_share_a_chart() {
        let mut rows = rows("loss/train", &[1.0]);
        rows.extend(self::rows("loss/valid", &[1.0]));
        rows.extend(self::rows("learning_rate", &[1.0]));
        let charts = charts_by_name(&rows);
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(titles, ["learning rate", "loss"]);
        assert_eq!(charts[1].lines.len(), 2);
        assert_eq!(charts[1].lines[0].label, "train");
    }
}
