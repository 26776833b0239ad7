//! Output bindings: what a function's answer writes, after the answer and before its messages are completed.
//!
//! Of all bindings only `sql` is here: rows go to [`Tables`]. As in Azure, a failing write fails the invocation, so that
//! its messages come again.

use serde_json::Value;

use super::app::{Function, OutputKind};
use crate::{
    host::InvocationResult,
    local::tables::{Row, Tables, UpsertError},
    sql::Table,
};

/// The output bindings of a function.
#[derive(Debug, Clone, Default)]
pub(super) struct Outputs {
    bindings: Vec<Binding>,
}

#[derive(Debug, Clone)]
struct Binding {
    name: String,
    tables: Tables,
    table: &'static Table,
}

/// Why an answer's outputs were not written.
#[derive(Debug, thiserror::Error)]
#[error("the output `{binding}` was not written: {problem}")]
pub(super) struct OutputError {
    binding: String,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("its text begins as JSON and is none")]
    NotJson,
    #[error(transparent)]
    Upsert(#[from] UpsertError),
}

impl Outputs {
    /// The outputs of `function`.
    ///
    /// # Errors
    /// This host has nowhere to write one to.
    pub(super) fn of(function: &Function, tables: Option<&Tables>) -> Result<Self, String> {
        let mut bindings = Vec::new();
        for output in &function.outputs {
            let (name, kind) = (&output.name, &output.kind);
            let OutputKind::Sql { table, .. } = kind else {
                return Err(format!("it does not write to output bindings but sql (`{name}`, {kind})"));
            };
            let tables = tables.ok_or_else(|| format!("it has no tables for the output binding `{name}`"))?;
            let table = tables.named(table).ok_or_else(|| format!("it has no table `{table}` (`{name}`)"))?;
            bindings.push(Binding { name: name.clone(), tables: tables.clone(), table });
        }
        Ok(Self { bindings })
    }

    /// Writes what the answer has for each binding; names that no binding has are ignored.
    pub(super) async fn write(&self, result: &InvocationResult) -> Result<(), OutputError> {
        for Binding { name, tables, table } in &self.bindings {
            let failed = |problem| OutputError { binding: name.clone(), problem };
            let Some(value) = value(name, result) else { continue };
            let rows = rows(value).map_err(failed)?;
            if !rows.is_empty() {
                tables.upsert(table, &rows).await.map_err(Problem::from).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// `$return` is the return value; members of one that is an object count as outputs, too.
fn value<'a>(name: &str, result: &'a InvocationResult) -> Option<&'a Value> {
    if name == "$return" {
        return result.return_value.as_ref();
    }
    result.outputs.get(name).or_else(|| result.return_value.as_ref()?.as_object()?.get(name))
}

/// An object, an array of them, or JSON text of either. What is no object is passed over, as the binding does it.
fn rows(value: &Value) -> Result<Vec<Row>, Problem> {
    match value {
        Value::Object(row) => Ok(vec![row.clone()]),
        Value::Array(items) => Ok(items.iter().filter_map(Value::as_object).cloned().collect()),
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            match serde_json::from_str(text).map_err(|_| Problem::NotJson)? {
                Value::String(_) => Ok(Vec::new()),
                parsed => rows(&parsed),
            }
        }
        _ => Ok(Vec::new()),
    }
}
