//! JSON that was parsed and written again. What it says stays the same, its bytes do not: each writer has its own
//! spaces, order of keys and escapes. The usual writers' ways are tried, all on the same values.

mod layout;
mod node;

use bytes::Bytes;

use super::Hypothesis;
use crate::explain::case::{Case, Change};
use layout::Style;
use node::Node;

/// Larger bodies are tried in fewer ways: each way is a body to hash.
const LARGE: usize = 64 * 1024;
const RAW: &str =
    "Verify and store the raw bytes, and let no gateway or framework parse the JSON and write it again before.";

pub(super) fn hypotheses(case: &Case) -> Vec<Hypothesis> {
    let Some(node) = std::str::from_utf8(&case.body).ok().and_then(Node::parse) else { return Vec::new() };
    let styles = match case.body.len() {
        ..LARGE => Style::all(),
        _ => Style::usual(),
    };
    let told = |style: &Style| {
        let cause = format!("The JSON body was parsed and written again: the vendor signed it {style}.");
        Hypothesis::new("body.json_rewritten", Change::Body(Bytes::from(style.write(&node))), cause, RAW)
    };
    styles.iter().map(told).collect()
}
