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
const DATA: &str =
    "Send or pass it as raw bytes: curl drops line ends with --data @FILE and keeps them with --data-binary @FILE.";
const RAW: &str =
    "Verify and store the raw bytes, and let no gateway or framework parse the JSON and write it again before.";

pub(super) fn hypotheses(case: &Case) -> Vec<Hypothesis> {
    let Some(node) = std::str::from_utf8(&case.body).ok().and_then(Node::parse) else { return Vec::new() };
    let styles = match case.body.len() {
        ..LARGE => Style::all(),
        _ => Style::usual(),
    };
    let told = |style: &Style| {
        let text = style.write(&node);
        // All else equal, nobody has parsed it.
        let lost = text.bytes().filter(|byte| !b"\r\n".contains(byte)).eq(case.body.iter().copied());
        let (code, what, advice) = match lost {
            true => ("body.line_ends_lost", "The JSON body lost its line ends", DATA),
            false => ("body.json_rewritten", "The JSON body was parsed and written again", RAW),
        };
        Hypothesis::new(code, Change::Body(Bytes::from(text)), format!("{what}: the vendor signed it {style}."), advice)
    };
    styles.iter().map(told).collect()
}
