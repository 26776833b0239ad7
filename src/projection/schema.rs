//! `dbo.Events` and `dbo.CurrentStatus`. `sql/events.sql` is [`script`], word for word: change both together.

use crate::sql::{Column, ColumnType, ColumnType::*, Dialect, Table, View, definition};

/// Longest message key that a column and its index hold; a longer one is replaced by its digest.
pub const LONGEST_KEY: usize = 400;

const fn always(name: &'static str, column_type: ColumnType, about: &'static str) -> Column {
    Column { name, column_type, nullable: false, collation: "", about }
}

const fn perhaps(name: &'static str, column_type: ColumnType, about: &'static str) -> Column {
    Column { name, column_type, nullable: true, collation: "", about }
}

/// Keys that differ in case, or in accents, are different messages. Not for the primary key: the binding compares that
/// one with text in the database's own collation.
const fn exact(column: Column) -> Column {
    Column { collation: " COLLATE Latin1_General_100_BIN2", ..column }
}

/// Every applied event once.
pub const EVENTS: Table = Table {
    name: "dbo.Events",
    key: "event_id",
    columns: &[
        always("event_id", Varchar(36), "the announcement's id"),
        exact(always("message_key", Nvarchar(LONGEST_KEY), "vendor:message id; what all events of a message share")),
        always("event_type", Varchar(50), "message.delivered, recipient.opted_out, ..."),
        always("channel", Varchar(20), "sms, email, voice"),
        always("provider", Nvarchar(100), "the vendor's name in sluice.toml"),
        always("provider_message_id", Nvarchar(400), "the vendor's id of the message or call"),
        perhaps("occurred_at", Datetime2, "by the vendor's word, UTC"),
        always("received_at", Datetime2, "when the callback came"),
        always("applied_at", Datetime2, "when the ledger had it"),
        always("status_at", Datetime2, "the time that counts: occurred_at if it can be trusted, else received_at"),
        always("status_rank", Tinyint, "the highest decides where a message stands; 0 never displaces anything"),
        always("provider_status", Nvarchar(100), "the vendor's own word"),
        perhaps("recipient", Varchar(36), "a keyed token"),
        perhaps("sender", Varchar(36), "a keyed token"),
        perhaps("reason_code", Nvarchar(100), "the vendor's error code"),
        perhaps("reason", Nvarchar(1000), "the vendor's error text, with tokens for addresses and numbers"),
        perhaps("bounce_class", Varchar(10), "hard, soft, block"),
        perhaps("sequence", Bigint, "the vendor's own order of the events of one message"),
        perhaps("duration_s", Bigint, "length of a call or recording in seconds"),
        perhaps("unsubscribe_group", Bigint, "the list that an unsubscribe is limited to"),
    ],
    index: "message_key, status_rank DESC, status_at DESC",
    view: View { name: "dbo.CurrentStatus", select: CURRENT_STATUS },
};

/// Where each message stands: [`crate::channels::status`] in SQL. `decided_by` is the id of the deciding event.
const CURRENT_STATUS: &str = "\
SELECT message_key, event_type AS status, status_at, channel, provider, provider_message_id, provider_status,
    recipient, sender, reason_code, reason, bounce_class, event_id AS decided_by,
    events, opens, clicks, first_event_at
FROM (
    SELECT message_key, event_type, status_at, channel, provider, provider_message_id, provider_status,
        recipient, sender, reason_code, reason, bounce_class, event_id,
        ROW_NUMBER() OVER (
            PARTITION BY message_key
            ORDER BY status_rank DESC, status_at DESC, COALESCE(sequence, 0) DESC, event_id DESC
        ) AS place,
        COUNT(*) OVER (PARTITION BY message_key) AS events,
        SUM(CASE WHEN event_type = 'message.opened' THEN 1 ELSE 0 END) OVER (PARTITION BY message_key) AS opens,
        SUM(CASE WHEN event_type = 'message.clicked' THEN 1 ELSE 0 END) OVER (PARTITION BY message_key) AS clicks,
        MIN(status_at) OVER (PARTITION BY message_key) AS first_event_at
    FROM dbo.Events
) AS ranked
WHERE place = 1";

/// The script for SQL Server and Azure SQL.
pub fn script() -> String {
    let (events, view) = (EVENTS.name, EVENTS.view.name);
    let columns = definition(&EVENTS, "CONSTRAINT PK_Events PRIMARY KEY NONCLUSTERED", Dialect::SqlServer);
    format!(
        "\
-- The SQL projection: every applied event once, and where each message stands. May be run again at any time; for sqlcmd,
-- or whatever else knows GO. Needs SQL Server 2016 SP1 or Azure SQL, with compatibility level 130 or more.
-- The program writes to the table by these names and lengths: src/projection/schema.rs.

IF OBJECT_ID(N'{events}', N'U') IS NULL
CREATE TABLE {events} (
{columns}
);
GO

-- Rows come in about this order, so that new ones go to the end.
IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE object_id = OBJECT_ID(N'{events}') AND name = N'IX_Events_Received')
CREATE CLUSTERED INDEX IX_Events_Received ON {events} (received_at);
GO

IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE object_id = OBJECT_ID(N'{events}') AND name = N'IX_Events_Message')
CREATE INDEX IX_Events_Message ON {events} ({index});
GO

-- By rank, then by time, then by the vendor's sequence, so that a late `sent` never overwrites `delivered`.
CREATE OR ALTER VIEW {view} AS
{select};
GO
",
        index = EVENTS.index,
        select = EVENTS.view.select
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_what_the_program_writes_to() {
        let file = include_str!("../../sql/events.sql");
        assert!(file == script(), "sql/events.sql must be:\n{}", script());
    }

    /// The binding reads a column's length as four digits at the most, an index takes 1,700 bytes.
    #[test]
    fn lengths_are_within_what_the_binding_and_an_index_take() {
        for column in EVENTS.columns {
            if let Varchar(length) | Nvarchar(length) = column.column_type {
                assert!(length <= 4000, "{}", column.name);
            }
        }
        const { assert!(LONGEST_KEY * 2 + 1 + 8 + 8 < 1700) };
    }
}
