//! What verification costs, by scheme, for a body of 2 KB: `cargo bench`.
//!
//! Each request is a real one of the test vectors, with its body padded. That breaks its signature, and costs the same:
//! every scheme computes over the whole body before it compares. Schemes that sign no body stay valid.

use std::{collections::BTreeSet, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use sluice::vendors::{Refusal, Trace};

#[path = "../tests/vendors/support.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod support;
#[path = "../tests/vendors/vectors.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
mod vectors;

use support::{Sent, at};

const SIZE: usize = 2048;

/// The request with a body of 2 KB, still of its vendor's form.
fn padded(sent: &Sent) -> Sent {
    let filler = |around: usize| "x".repeat(SIZE.saturating_sub(sent.body.len() + around));
    let text = String::from_utf8_lossy(&sent.body).into_owned();
    let body = match text.trim_start().chars().next() {
        // Within the last text of the JSON, so that what is signed of it grows too.
        Some('{' | '[') => match text.rfind('"') {
            Some(quote) => format!("{}{}{}", &text[..quote], filler(0), &text[quote..]),
            None => text,
        },
        Some(_) if text.contains('=') => format!("{text}&Padding={}", filler(9)),
        _ => format!("{text}{}", filler(0)),
    };
    Sent { body: body.into_bytes(), ..sent.clone() }
}

fn verification(criterion: &mut Criterion) {
    let mut seen = BTreeSet::new();
    for vector in vectors::every() {
        let sent = vector.sent();
        if vector.expect != "valid" || sent.body.is_empty() || !seen.insert(vector.scheme.clone()) {
            continue;
        }
        let vendor = vector.build();
        assert_eq!(vector.verify(&*vendor, &sent), Ok(()), "{}", vector.name);
        let padded = padded(&sent);
        let verdict = vector.verify(&*vendor, &padded);
        assert!(
            matches!(verdict, Ok(()) | Err(Refusal::Mismatch)),
            "{}: {verdict:?} is no whole verification",
            vector.name
        );
        let now = at(vector.now);
        criterion.bench_function(&vector.scheme, |bencher| {
            bencher.iter(|| vendor.verify(black_box(&padded.request()), now, &mut Trace::off()));
        });
    }
}

criterion_group!(benches, verification);
criterion_main!(benches);
