//! What is generated from the code and committed: each file is what the code makes of it now.
//!
//! `UPDATE_GENERATED=1 cargo test --test generated` writes the files anew.

mod configuration;
mod events;
mod openapi;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

/// Compares a committed file with what the code makes of it now.
fn expect_up_to_date(path: &str, now: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&file, now).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if committed == now {
        return;
    }
    let (mut old, mut new, mut line) = (committed.lines(), now.lines(), 0);
    loop {
        line += 1;
        match (old.next(), new.next()) {
            (old, new) if old == new && old.is_some() => {}
            (old, new) => panic!(
                "{path} is not what the code says, from line {line}:\n  committed: {}\n  now:       {}\n\
                 Write it anew with: UPDATE_GENERATED=1 cargo test --test generated",
                old.unwrap_or("(the end)"),
                new.unwrap_or("(the end)"),
            ),
        }
    }
}
