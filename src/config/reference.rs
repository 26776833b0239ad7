//! The reference of every key and variable, as Markdown: made from the types that the file is read into, their doc comments
//! and their defaults, and from the shipped file's values. What `sluice config` prints.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{File, VARIABLES};
use crate::openapi::plain;

const INTRODUCTION: &str = "\
# Configuration

Made from the code by `sluice config`; do not edit it here.

The configuration is one file, `sluice.toml` beside `host.json` (or where `--config` says), and the environment. A key that no
table has is an error, told with its line; `sluice check` finds that and more. Durations read like `800ms`, `5s`, `2m`, `6h`;
sizes like `192KiB`. Secrets are never in the file: a secret is named as `env:NAME`.

*Default* is what holds where the key is absent: \"required\" means that it may not be. *As shipped* is what the repository's
`sluice.toml` says.
";

/// The whole reference; `shipped` is the text of the shipped file.
///
/// # Errors
/// The text is no TOML.
pub fn reference(shipped: &str) -> Result<String, toml::de::Error> {
    let mut settings = SchemaSettings::draft2020_12().for_deserialize();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    let shipped: Value = toml::from_str(shipped)?;
    let mut out = INTRODUCTION.to_owned();
    table(&mut out, "", &schema, Some(&shipped));
    out.push_str("\n## Environment\n\n| variable | meaning |\n|---|---|\n");
    for variable in VARIABLES {
        let names: Vec<_> = variable.name.split(", ").map(|name| format!("`{name}`")).collect();
        writeln!(out, "| {} | {} |", names.join(", "), cell(variable.meaning)).expect("memory takes text");
    }
    out.push_str("\nSecrets are in the variables that the file names as `env:NAME`, whatever their names.\n");
    Ok(out)
}

/// A table of the file, and the tables within it.
fn table(out: &mut String, name: &str, schema: &Value, shipped: Option<&Value>) {
    let nothing = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&nothing);
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (keys, tables): (Vec<_>, Vec<_>) = properties
        .iter()
        .map(|(key, schema)| (key.as_str(), present(schema)))
        .partition(|(_, schema)| schema["properties"].is_null() && table_of_tables(schema).is_none());
    let is_told = !keys.is_empty() || tables.is_empty();
    if !name.is_empty() && is_told {
        writeln!(out, "\n## `[{name}]`\n\n{}", description(schema)).expect("memory takes text");
    }
    if !keys.is_empty() {
        out.push_str("\n| key | value | default | as shipped | meaning |\n|---|---|---|---|---|\n");
    }
    for (key, schema) in keys {
        let default = match &properties[key]["default"] {
            _ if required.contains(&key) => "required".to_owned(),
            Value::Null => String::new(),
            value => literal(value),
        };
        let as_shipped = shipped.and_then(|shipped| shipped.get(key)).map(literal).unwrap_or_default();
        let meaning = [description(&properties[key]), meanings(&schema)].join(" ");
        let (value, meaning) = (cell(&kind(&schema)), cell(meaning.trim()));
        writeln!(out, "| `{key}` | {value} | {} | {} | {meaning} |", cell(&default), cell(&as_shipped))
            .expect("memory takes text");
    }
    for (key, schema) in tables {
        let path = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match table_of_tables(&schema) {
            Some(each) => table(out, &format!("{path}.NAME"), each, None),
            None => table(out, &path, &schema, shipped.and_then(|shipped| shipped.get(key))),
        }
    }
}

/// `[vendors.NAME]`: each value is a table with keys of its own.
fn table_of_tables(schema: &Value) -> Option<&Value> {
    Some(&schema["additionalProperties"]).filter(|each| each["properties"].is_object())
}

/// What a key is when it is there: TOML has no null.
fn present(schema: &Value) -> Value {
    let is_null = |schema: &Value| schema["type"] == "null";
    let alternatives = schema["anyOf"].as_array().filter(|schemas| schemas.iter().any(is_null));
    let mut found = match alternatives.and_then(|schemas| schemas.iter().find(|schema| !is_null(schema))) {
        Some(schema) => schema.clone(),
        None => schema.clone(),
    };
    if let Some(kinds) = found["type"].as_array_mut() {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_slice() {
            found["type"] = one.clone();
        }
    }
    if let Some(words) = found["enum"].as_array_mut() {
        words.retain(|word| !word.is_null());
    }
    found
}

/// Its doc comment.
fn description(schema: &Value) -> String {
    plain(schema["description"].as_str().unwrap_or_default())
}

/// The words that it may be, each with its own doc comment.
fn words(schema: &Value) -> Vec<(&str, String)> {
    let alone =
        schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|word| (word, String::new()));
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    let told = variants.flat_map(|variant| match variant["const"].as_str() {
        Some(word) => vec![(word, description(variant))],
        None => words(variant),
    });
    alone.chain(told).collect()
}

fn kind(schema: &Value) -> String {
    let words = words(schema);
    if !words.is_empty() {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        return words.join(", ");
    }
    match (schema["x-text"].as_str(), schema["type"].as_str()) {
        (Some(text), _) => text.to_owned(),
        (_, Some("array")) => format!("list of {}", kind(&schema["items"])),
        (_, Some("object")) => format!("table of {}", kind(&schema["additionalProperties"])),
        (_, Some("boolean")) => "`true`, `false`".to_owned(),
        (_, Some("integer")) => "whole number".to_owned(),
        (_, Some("string")) => "text".to_owned(),
        (_, other) => other.unwrap_or("anything").to_owned(),
    }
}

/// The meanings of its words, where they have any.
fn meanings(schema: &Value) -> String {
    let told = words(schema).into_iter().filter(|(_, meaning)| !meaning.is_empty());
    told.map(|(word, meaning)| format!("`{word}`: {meaning}")).collect::<Vec<_>>().join(" ")
}

/// A value as the file has it.
fn literal(value: &Value) -> String {
    match value {
        Value::Array(values) if values.is_empty() => "`[]`".to_owned(),
        Value::Object(members) if members.is_empty() => String::new(),
        Value::Object(_) => "see there".to_owned(),
        value => format!("`{value}`"),
    }
}

/// Within a table of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
