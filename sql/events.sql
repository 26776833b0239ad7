-- The SQL projection: every applied event once, and where each message stands. May be run again at any time; for sqlcmd,
-- or whatever else knows GO. Needs SQL Server 2016 SP1 or Azure SQL, with compatibility level 130 or more.
-- The program writes to the table by these names and lengths: src/projection/schema.rs.

IF OBJECT_ID(N'dbo.Events', N'U') IS NULL
CREATE TABLE dbo.Events (
    event_id varchar(36) NOT NULL, -- the announcement's id
    message_key nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL, -- vendor:message id; what all events of a message share
    event_type varchar(50) NOT NULL, -- message.delivered, recipient.opted_out, ...
    channel varchar(20) NOT NULL, -- sms, email, voice
    provider nvarchar(100) NOT NULL, -- the vendor's name in sluice.toml
    provider_message_id nvarchar(400) NOT NULL, -- the vendor's id of the message or call
    occurred_at datetime2(7) NULL, -- by the vendor's word, UTC
    received_at datetime2(7) NOT NULL, -- when the callback came
    applied_at datetime2(7) NOT NULL, -- when the ledger had it
    status_at datetime2(7) NOT NULL, -- the time that counts: occurred_at if it can be trusted, else received_at
    status_rank tinyint NOT NULL, -- the highest decides where a message stands; 0 never displaces anything
    provider_status nvarchar(100) NOT NULL, -- the vendor's own word
    recipient varchar(36) NULL, -- a keyed token
    sender varchar(36) NULL, -- a keyed token
    reason_code nvarchar(100) NULL, -- the vendor's error code
    reason nvarchar(1000) NULL, -- the vendor's error text, with tokens for addresses and numbers
    bounce_class varchar(10) NULL, -- hard, soft, block
    sequence bigint NULL, -- the vendor's own order of the events of one message
    duration_s bigint NULL, -- length of a call or recording in seconds
    unsubscribe_group bigint NULL, -- the list that an unsubscribe is limited to
    CONSTRAINT PK_Events PRIMARY KEY NONCLUSTERED (event_id)
);
GO

-- Rows come in about this order, so that new ones go to the end.
IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE object_id = OBJECT_ID(N'dbo.Events') AND name = N'IX_Events_Received')
CREATE CLUSTERED INDEX IX_Events_Received ON dbo.Events (received_at);
GO

IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE object_id = OBJECT_ID(N'dbo.Events') AND name = N'IX_Events_Message')
CREATE INDEX IX_Events_Message ON dbo.Events (message_key, status_rank DESC, status_at DESC);
GO

-- By rank, then by time, then by the vendor's sequence, so that a late `sent` never overwrites `delivered`.
CREATE OR ALTER VIEW dbo.CurrentStatus AS
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
WHERE place = 1;
GO
