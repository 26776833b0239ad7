//! The metrics as OpenTelemetry exports them. Counters and gauges are read when the exporter asks, so counting costs what it
//! costs without an exporter; durations are recorded twice, because nobody can be asked for a histogram.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter as Instruments},
};

use super::{
    Meter,
    catalogue::{self, Kind, METRICS, Metric},
    histogram::{BOUNDS, Durations},
    points::{Point, Value, points},
};
use crate::app::App;

/// Where durations go, beside the counters.
#[derive(Debug)]
pub(super) struct Recorders {
    pub acks: Histogram<f64>,
    pub processing: Histogram<f64>,
    pub sends: Histogram<f64>,
    pub batches: Histogram<f64>,
    pub deliveries: Histogram<f64>,
}

/// Records one duration.
pub(super) fn record<const N: usize>(histogram: &Histogram<f64>, metric: &Metric, values: [&str; N], took: Duration) {
    let attributes = metric.attributes.iter().zip(values);
    let attributes: Vec<_> = attributes.map(|(name, value)| KeyValue::new(*name, value.to_owned())).collect();
    histogram.record(took.as_secs_f64(), &attributes);
}

/// Registers every metric of the program. They are read for as long as the program is there.
pub fn register(instruments: &Instruments, app: &Arc<App>) {
    let histogram = |metric: &Metric| {
        let builder = instruments.f64_histogram(metric.name).with_unit(metric.unit);
        builder.with_description(metric.description).with_boundaries(BOUNDS.to_vec()).build()
    };
    app.meter.export(Recorders {
        acks: histogram(&catalogue::ACK_DURATION),
        processing: histogram(&catalogue::PROCESSING_DURATION),
        sends: histogram(&catalogue::SEND_DURATION),
        batches: histogram(&catalogue::PROCESS_DURATION),
        deliveries: histogram(&catalogue::DELIVERY_DURATION),
    });
    for metric in METRICS {
        let app = Arc::downgrade(app);
        match metric.kind {
            Kind::Histogram => {}
            Kind::Counter => {
                let builder = instruments.u64_observable_counter(metric.name).with_unit(metric.unit);
                let read = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<u64>| {
                    for point in read(&app, metric) {
                        if let Value::Count(count) = point.value {
                            observer.observe(count, &attributes(&point));
                        }
                    }
                };
                builder.with_description(metric.description).with_callback(read).build();
            }
            Kind::Gauge => {
                let builder = instruments.f64_observable_gauge(metric.name).with_unit(metric.unit);
                let before = Mutex::new(BTreeMap::new());
                let read = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<f64>| {
                    let points = match *metric == catalogue::ACK_P95 {
                        true => percentiles(&app, &before),
                        false => read(&app, metric),
                    };
                    for point in points {
                        if let Value::Level(level) = point.value {
                            observer.observe(level, &attributes(&point));
                        }
                    }
                };
                builder.with_description(metric.description).with_callback(read).build();
            }
        }
    }
}

fn read(app: &Weak<App>, metric: &Metric) -> Vec<Point> {
    let Some(app) = app.upgrade() else { return Vec::new() };
    let survey = app.surveyor.last();
    let mut points = points(&app.meter, app.door.pressure().taken(), survey.as_deref());
    points.retain(|point| point.metric == metric);
    points
}

/// Of the callbacks since the export before.
fn percentiles(app: &Weak<App>, before: &Mutex<BTreeMap<String, Durations>>) -> Vec<Point> {
    let Some(app) = app.upgrade() else { return Vec::new() };
    let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
    let meter: &Meter = &app.meter;
    let percentile = |(vendor, acks, _): (&str, Durations, Durations)| {
        let earlier = before.insert(vendor.to_owned(), acks).unwrap_or_default();
        let value = Value::Level(acks.since(&earlier).quantile(0.95)?);
        Some(Point { metric: &catalogue::ACK_P95, attributes: vec![("vendor", vendor.to_owned())], value })
    };
    meter.durations().filter_map(percentile).collect()
}

fn attributes(point: &Point) -> Vec<KeyValue> {
    point.attributes.iter().map(|(name, value)| KeyValue::new(*name, value.clone())).collect()
}
