//! An app that announces to `sql`, and a look into the file that the rows go to.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use sluice::{
    local::{broker::Entity, tables::Tables},
    projection,
};

use crate::support::{TestApp, config};

pub const ON: (&str, &str) = ("destinations = []", "destinations = [\"sql\"]");
pub const PATH: &str = "/incoming/twilio/sms/status";

pub fn app() -> TestApp {
    TestApp::with(config(&[ON]))
}

pub fn subscription() -> Entity {
    Entity::subscription("deliveries", "sql")
}

pub fn file(app: &TestApp) -> PathBuf {
    sluice::local::engine::paths(app.folder.path()).projection
}

pub fn open(path: &Path) -> Tables {
    Tables::open(path, projection::TABLES).unwrap()
}

/// What a query finds, beside the process that writes.
pub fn rows(path: &Path, query: &str) -> Vec<Value> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    let names: Vec<_> = statement.column_names().map(str::to_owned).collect();
    let read = |row: &rusqlite::Row<'_>| {
        let value = |index| match row.get_unwrap(index) {
            rusqlite::types::Value::Null => Value::Null,
            rusqlite::types::Value::Integer(number) => json!(number),
            rusqlite::types::Value::Text(text) => json!(text),
            other => panic!("{other:?}"),
        };
        Ok(Value::Object(names.iter().enumerate().map(|(index, name)| (name.clone(), value(index))).collect()))
    };
    statement.query_map([], read).unwrap().map(Result::unwrap).collect()
}

/// A row that the table takes.
pub fn row(id: &str, key: &str) -> Map<String, Value> {
    let row = json!({
        "event_id": id, "message_key": key, "event_type": "message.sent", "channel": "sms", "provider": "twilio",
        "provider_message_id": "SM1", "occurred_at": null, "received_at": "2026-11-20 10:00:00.0000000",
        "applied_at": "2026-11-20 10:00:00.0000000", "status_at": "2026-11-20 10:00:00.0000000", "status_rank": 4,
        "provider_status": "sent", "recipient": null, "sender": null, "reason_code": null, "reason": null,
        "bounce_class": null, "sequence": null, "duration_s": null, "unsubscribe_group": null
    });
    row.as_object().unwrap().clone()
}
