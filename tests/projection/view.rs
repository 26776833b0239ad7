//! `dbo.CurrentStatus` says what the ledger's own fold says, whatever the order of the events.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use sluice::{
    clock::Timestamp,
    config::Secret,
    event::{Channel, Event, EventType},
    ledger::{
        announcement::Announcement,
        records::{OutboxRecord, StatusRecord, public_id},
    },
    projection::{row::row, schema},
    sql::datetime,
    telemetry::Tokens,
};

use crate::world::{open, rows};

/// An event and when it was received.
type Received = (Event, Timestamp);

/// Few times, sequences and types, so that ties are many.
fn arrival(number: usize) -> impl Strategy<Value = Received> {
    let start: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    // 40 ns apart some are equal to 100 ns and others not; two days ahead the vendor is not believed.
    let occurred = prop_oneof![
        Just(None),
        (0_i64..4).prop_map(move |step| Some(start + chrono::TimeDelta::nanoseconds(step * 40))),
        Just(Some(start + chrono::TimeDelta::days(2))),
    ];
    let sequence = prop_oneof![Just(None), (0_u64..3).prop_map(Some)];
    let received = (0_i64..3).prop_map(move |step| start + chrono::TimeDelta::nanoseconds(step * 70));
    let event_type = prop_oneof![prop::sample::select(EventType::ALL), Just(EventType::MessageDelivered)];
    (event_type, occurred, sequence, received).prop_map(move |(event_type, occurred_at, sequence, received)| {
        let mut event = Event::new(event_type, Channel::Sms, "acme", "m", format!("acme:{number}"));
        event.reason_code = Some(number.to_string());
        (Event { occurred_at, sequence, ..event }, received)
    })
}

/// The same arrivals in two orders.
fn orders() -> impl Strategy<Value = (Vec<Received>, Vec<Received>)> {
    let arrivals = (1_usize..8).prop_flat_map(|count| (0..count).map(arrival).collect::<Vec<_>>());
    arrivals.prop_flat_map(|arrivals| (Just(arrivals.clone()).prop_shuffle(), Just(arrivals).prop_shuffle()))
}

#[test]
fn the_view_and_the_ledger_agree_over_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.sqlite");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (tables, tokens, count) = (open(&path), Tokens::new(&Secret::new("key")), AtomicU32::new(0));
    proptest!(ProptestConfig::with_cases(256), |((folded, projected) in orders())| {
        let message = format!("m{}", count.fetch_add(1, Ordering::Relaxed));
        let own = |event: &Event| Event {
            provider_message_id: message.clone(),
            dedupe_key: format!("{}:{message}", event.dedupe_key),
            ..event.clone()
        };
        let mut status: Option<StatusRecord> = None;
        for (event, received_at) in &folded {
            match &mut status {
                Some(status) => status.fold(&own(event), *received_at, *received_at),
                None => status = Some(StatusRecord::first(&own(event), *received_at, *received_at)),
            }
        }
        let status = status.unwrap();
        for (event, received_at) in &projected {
            let record = OutboxRecord {
                id: "out:x".into(),
                key: own(event).message_key(),
                destinations: Vec::new(),
                created_at: *received_at,
                received_at: Some(*received_at),
                envelope_id: "e".into(),
            traceparent: None,
                event: own(event),
            };
            // As it arrives: through the bus.
            let announcement = Announcement::decode(&Announcement::of(&record).encode()).unwrap();
            let row = row(&announcement, &tokens).unwrap();
            runtime.block_on(tables.upsert(&schema::EVENTS, &[row])).unwrap();
        }
        let found = rows(&path, &format!("SELECT * FROM CurrentStatus WHERE message_key = 'acme:{message}'"));
        prop_assert_eq!(found.len(), 1);
        let found = &found[0];
        let told = ["status", "status_at", "decided_by", "reason_code", "first_event_at"].map(|name| found[name].clone());
        let expected = [
            status.status.name().to_owned(),
            datetime(status.status_at),
            public_id(&status.decided_by),
            status.reason_code.unwrap(),
            datetime(status.first_event_at),
        ];
        prop_assert_eq!(told, expected.map(serde_json::Value::from));
        let counts = ["events", "opens", "clicks"].map(|name| found[name].as_u64().unwrap());
        prop_assert_eq!(counts, [status.events, status.opens, status.clicks]);
    });
}

/// What SQLite ran above is what SQL Server gets, but for the schema's name.
#[test]
fn the_script_for_sql_server_has_the_view_that_was_tested() {
    let script = include_str!("../../sql/events.sql");
    let batch = script.split("\nGO\n").find(|batch| batch.contains("CREATE OR ALTER VIEW")).unwrap();
    let (_, select) = batch.split_once("CREATE OR ALTER VIEW dbo.CurrentStatus AS\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.sqlite");
    let _tables = open(&path);
    let tested = &rows(&path, "SELECT sql FROM sqlite_schema WHERE name = 'CurrentStatus'")[0]["sql"];
    let expected = format!("CREATE VIEW CurrentStatus AS\n{}", select.trim_end_matches(';').replace("dbo.", ""));
    assert_eq!(tested.as_str().unwrap(), expected);
}
