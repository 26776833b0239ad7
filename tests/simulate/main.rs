//! The simulated vendors: their callbacks, the order of a run, the sender, and the judge.

mod agreement;
mod callbacks;
mod judge;
mod ledger;
mod load;
mod model;
mod order;
mod signatures;

use std::{path::Path, sync::Arc};

use chrono::{TimeZone, Utc};
use sluice::{
    clock::Timestamp,
    config::Config,
    simulate::{Cast, Plan, Shape},
};

/// A fixed start, so that equal seeds give equal bytes.
fn started() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap()
}

/// The shipped configuration under another public URL, with more vendors.
fn config(more: &str) -> Config {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sluice.toml")).unwrap();
    let text = text.replace("\n[demo.secrets]\n", &format!("\n{more}\n[demo.secrets]\n"));
    let text = text.replace("\"http://127.0.0.1:7071\"", "\"https://callbacks.example.com/v1\"");
    let secret = |name: &str| match name {
        "OTHER_SECRET" => Some("b3RoZXI".into()),
        "BASIC_SECRET" => Some("sluice:pass word".into()),
        _ => None,
    };
    Config::parse(Path::new("test.toml"), &text, &secret).unwrap()
}

fn cast(config: &Config, names: &[&str]) -> Cast {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    Cast::new(config, &names, &|_| None).unwrap()
}

fn shape(callbacks: u32, seed: u64) -> Shape {
    Shape { callbacks, duplicates: 0.0, shuffle: false, seed, started: started() }
}

fn plan_of(names: &[&str], shape: Shape) -> Arc<Plan> {
    Arc::new(Plan::new(cast(&config(""), names).generators, shape))
}
