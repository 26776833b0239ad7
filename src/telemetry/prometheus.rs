//! The metrics as Prometheus reads them: `GET /metrics` on one machine.

use std::fmt::Write;

use super::{
    catalogue::{Kind, METRICS, Metric},
    histogram::{BOUNDS, Durations},
    points::{Point, Value},
};

/// What the text is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text format, version 0.0.4.
pub fn text(points: &[Point]) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for metric in METRICS {
        let series: Vec<_> = points.iter().filter(|point| point.metric == metric).collect();
        if series.is_empty() {
            continue;
        }
        let name = name(metric);
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(out, "# HELP {name} {}", metric.description).expect(INTO_TEXT);
        writeln!(out, "# TYPE {name} {kind}").expect(INTO_TEXT);
        for point in series {
            match &point.value {
                Value::Count(count) => line(&mut out, &name, &point.attributes, None, *count as f64),
                Value::Level(level) => line(&mut out, &name, &point.attributes, None, *level),
                Value::Durations(durations) => histogram(&mut out, &name, point, durations),
            }
        }
    }
    out
}

const INTO_TEXT: &str = "a text takes everything";

/// The name by Prometheus's rules: underscores, the unit at the end, `_total` of counters.
pub fn name(metric: &Metric) -> String {
    let base = metric.name.replace('.', "_");
    let unit = if metric.unit == "s" && metric.kind != Kind::Counter { "_seconds" } else { "" };
    let total = if metric.kind == Kind::Counter { "_total" } else { "" };
    format!("{base}{unit}{total}")
}

fn histogram(out: &mut String, name: &str, point: &Point, durations: &Durations) {
    let (bucket, mut below) = (format!("{name}_bucket"), 0);
    let ends = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (end, count) in ends.zip(durations.classes) {
        below += count;
        line(out, &bucket, &point.attributes, Some(&end), below as f64);
    }
    line(out, &format!("{name}_sum"), &point.attributes, None, durations.sum);
    line(out, &format!("{name}_count"), &point.attributes, None, below as f64);
}

fn line(out: &mut String, name: &str, attributes: &[(&str, String)], end: Option<&str>, value: f64) {
    let own = attributes.iter().map(|(name, value)| (name.replace('.', "_"), value.as_str()));
    let labels: Vec<_> = own
        .chain(end.map(|end| ("le".to_owned(), end)))
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    writeln!(out, "{name}{labels} {value}").expect(INTO_TEXT);
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::{Count, Meter, points::points};

    #[test]
    fn counters_gauges_and_histograms_are_written_as_prometheus_reads_them() {
        let meter = Meter::new([&"acme \"x\"".to_owned()]);
        meter.add("acme \"x\"", Count::Inbound, 3);
        meter.acked("acme \"x\"", Duration::from_millis(4));
        let text = text(&points(&meter, 2, None));
        for line in [
            "# TYPE sluice_acks_total counter",
            r#"sluice_acks_total{vendor="acme \"x\"",outcome="published"} 3"#,
            r#"sluice_ack_duration_seconds_bucket{vendor="acme \"x\"",le="0.002"} 0"#,
            r#"sluice_ack_duration_seconds_bucket{vendor="acme \"x\"",le="0.005"} 1"#,
            r#"sluice_ack_duration_seconds_bucket{vendor="acme \"x\"",le="+Inf"} 1"#,
            r#"sluice_ack_duration_seconds_sum{vendor="acme \"x\""} 0.004"#,
            r#"sluice_ack_duration_seconds_count{vendor="acme \"x\""} 1"#,
            "# TYPE sluice_door_in_flight gauge",
            "sluice_door_in_flight 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
    }
}
