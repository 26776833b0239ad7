//! The SQL projection: every applied event as a row of `dbo.Events`, for who asks questions in SQL.
//!
//! The ledger announces each event to the subscription `sql`; `project-sql` answers a batch of announcements with their
//! rows, and the host's `sql` output binding writes them, in one transaction, before the messages are completed. A row
//! is an upsert by the announcement's id, so a repeated delivery changes nothing. The table is only ever added to: where
//! a message stands is computed from its events by the view `dbo.CurrentStatus`, in the order of
//! [`crate::channels::status`], whatever the order in which they came.
//!
//! | file | the idea in it |
//! |---|---|
//! | [`schema`] | the table and the view, and `sql/events.sql` |
//! | [`row`] | an announcement as a row |
//! | `mask` | people taken out of vendors' texts |

mod mask;
pub mod row;
pub mod schema;

use std::collections::HashSet;

use futures_util::future::try_join_all;
use serde_json::{Map, Value};

use crate::{
    app::App,
    event::Channel,
    host::ServiceBusMessage,
    ledger::announcement::Announcement,
    retry::{
        Failure, Kept, NotKept,
        records::{Class, StoredMessage},
    },
    sql::Table,
};

/// What it writes to.
pub const TABLES: &[&Table] = &[&schema::EVENTS];

/// Deliveries in which the database may fail to take a message's row. The next one makes a retry record of it: the host
/// delivers a failed batch again at once, and would be through with its tries in seconds.
const PATIENCE: u32 = 3;

/// A batch of announcements, as rows.
#[derive(Debug, Default)]
pub struct Projected {
    /// One for each event: SQL Server refuses a batch that has the same key twice.
    pub rows: Vec<Map<String, Value>>,
    /// Messages kept for later, or parked.
    pub kept: usize,
}

/// Turns a batch into rows. What cannot be read is parked; what the database did not take for some time becomes a retry
/// record, and so do its neighbours in that batch, which then come back one by one.
///
/// # Errors
/// A message could be kept nowhere: the whole batch must be delivered again.
pub async fn project(app: &App, messages: &[ServiceBusMessage]) -> Result<Projected, NotKept> {
    let mut projected = Projected::default();
    let mut seen = HashSet::new();
    let mut keeping = Vec::new();
    for message in messages {
        if message.delivery_count > PATIENCE {
            let error = format!("the database did not take the row in {PATIENCE} deliveries: see the host's log");
            keeping.push(keep(app, message, Class::Transient, error));
            continue;
        }
        match read(app, message) {
            Ok((id, row)) => {
                if seen.insert(id) {
                    projected.rows.push(row);
                }
            }
            Err(error) => keeping.push(keep(app, message, Class::Permanent, error)),
        }
    }
    projected.kept = keeping.len();
    try_join_all(keeping).await?;
    Ok(projected)
}

fn read(app: &App, message: &ServiceBusMessage) -> Result<(String, Map<String, Value>), String> {
    let announcement = Announcement::decode(&message.body).map_err(|error| error.to_string())?;
    let row = row::row(&announcement, &app.tokens)?;
    Ok((announcement.id, row))
}

async fn keep(app: &App, message: &ServiceBusMessage, class: Class, error: String) -> Result<(), NotKept> {
    let property = |name: &str| message.properties.get(name).and_then(|property| property.as_str());
    let (vendor, channel) = (property("vendor"), property("channel").and_then(Channel::from_name).map(Channel::name));
    let failure = Failure { class, error: error.clone(), vendor, channel };
    match app.retries.keep(&app.config.bus.deliveries_topic, StoredMessage::from(message), failure).await? {
        Kept::UntilDue(due_at) => tracing::warn!(vendor, error, %due_at, "a row is tried again"),
        Kept::Parked => tracing::error!(vendor, error, "an announcement is parked"),
    }
    Ok(())
}
