//! The tables of one machine take and refuse what the binding and SQL Server do.

use std::path::Path;

use serde_json::{Value, json};
use sluice::local::tables::{Tables, UpsertError};

use crate::world::{open, row, rows};

fn ids(path: &Path) -> Vec<Value> {
    rows(path, "SELECT event_id FROM Events ORDER BY event_id").into_iter().map(|row| row["event_id"].clone()).collect()
}

async fn upsert(tables: &Tables, rows: &[serde_json::Map<String, Value>]) -> Result<(), UpsertError> {
    tables.upsert(tables.named("dbo.Events").unwrap(), rows).await
}

#[tokio::test]
async fn a_row_whose_key_is_there_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.sqlite");
    let tables = open(&path);
    upsert(&tables, &[row("a", "k"), row("b", "k")]).await.unwrap();
    let mut changed = row("a", "k");
    changed.insert("reason".into(), json!("it's \"changed\""));
    upsert(&tables, &[changed]).await.unwrap();
    assert_eq!(ids(&path), ["a", "b"]);
    assert_eq!(rows(&path, "SELECT reason FROM Events WHERE event_id = 'a'")[0]["reason"], "it's \"changed\"");
}

#[tokio::test]
async fn one_bad_row_keeps_all_rows_of_its_call_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.sqlite");
    let tables = open(&path);
    let bad = |name: &str, value: Value| {
        let mut bad = row("bad", "k");
        bad.insert(name.into(), value);
        bad
    };
    let mut incomplete = row("bad", "k");
    incomplete.remove("sender");
    let cases = [
        (row("good", "other"), "row 1 of dbo.Events has the same key as an earlier one"),
        (bad("Reason", json!("x")), "there is no column `Reason`"),
        (bad("reason", json!("x".repeat(1001))), "`reason` is not nvarchar(1000)"),
        (bad("reason", json!({"nested": true})), "`reason` is not nvarchar(1000)"),
        (bad("status_rank", json!(256)), "`status_rank` is not tinyint"),
        (bad("message_key", json!(null)), "`message_key` must not be null"),
        (bad("received_at", json!("2026-11-20T10:00:00Z")), "`received_at` is not datetime2(7)"),
        (incomplete, "`sender` is missing"),
    ];
    for (bad, expected) in cases {
        let error = upsert(&tables, &[row("good", "k"), bad]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(ids(&path).is_empty(), "{expected}");
    }
}

#[tokio::test]
async fn an_existing_file_is_opened_again_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.sqlite");
    upsert(&open(&path), &[row("a", "k")]).await.unwrap();
    let tables = open(&path);
    upsert(&tables, &[row("b", "k")]).await.unwrap();
    assert_eq!(ids(&path), ["a", "b"]);
    assert_eq!(rows(&path, "SELECT events FROM CurrentStatus")[0]["events"], 2);
    let second = Tables::open(&path, sluice::projection::TABLES).unwrap_err().to_string();
    assert!(second.contains("in use"), "{second}");
}

#[tokio::test]
async fn a_table_is_found_as_t_sql_may_write_it_and_no_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(&folder.path().join("projection.sqlite"));
    for name in ["dbo.Events", "[dbo].[Events]", "DBO.events"] {
        assert!(tables.named(name).is_some(), "{name}");
    }
    for name in ["Events", "dbo.Event", "sales.Events", ""] {
        assert!(tables.named(name).is_none(), "{name}");
    }
}
