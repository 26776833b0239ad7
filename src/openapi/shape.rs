//! Shapes: how values look on the wire, made from their types.

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Makes a type's shape.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The shape of `T`.
pub fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A duration: a number and a unit, or several; `800ms`, `30s`, `2m`, `24h`, `1h 30m`.
#[derive(JsonSchema)]
#[schemars(inline, extend("examples" = ["800ms", "30s", "24h"], "x-text" = "duration"))]
pub struct DurationText(#[allow(dead_code, reason = "only its shape is of use")] String);

/// A size: a number and a unit; `192KiB`, `1MiB`, `40MiB`.
#[derive(JsonSchema)]
#[schemars(inline, extend("examples" = ["192KiB", "40MiB"], "x-text" = "size"))]
pub struct SizeText(#[allow(dead_code, reason = "only its shape is of use")] String);

/// A doc comment for readers who have no rustdoc: lines joined, links to code reduced to the code. Lists stay lists.
pub fn plain(text: &str) -> String {
    let joined = |lines: &str| lines.split_whitespace().collect::<Vec<_>>().join(" ");
    let items = |paragraph: &str| paragraph.split("\n- ").map(joined).collect::<Vec<_>>().join("\n- ");
    let paragraphs = text.split("\n\n").map(items);
    let mut text = paragraphs.collect::<Vec<_>>().join("\n\n");
    while let Some((before, rest)) = text.split_once("[`") {
        let Some((name, after)) = rest.split_once("`]") else { break };
        let name = name.strip_prefix("super::").unwrap_or(name);
        text = format!("{before}`{name}`{after}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_code_become_the_code() {
        assert_eq!(
            plain("Not before\n[`Job::end`], and\n\nnot [`super::x`]."),
            "Not before `Job::end`, and\n\nnot `x`."
        );
        assert_eq!(plain("an [`open end"), "an [`open end");
        assert_eq!(plain("- one\n  more\n- two"), "- one more\n- two");
    }
}
