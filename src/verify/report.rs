//! What a check found.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::clock::{Timestamp, millis};

macro_rules! kinds {
    ($($variant:ident = $name:literal, $meaning:literal;)*) => {
        /// In which way what is kept disagrees with itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")] #[serde(rename = $name)] $variant,)*
        }

        impl Kind {
            /// Every kind, in the order of reports.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),*];

            /// As it stands in JSON.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name),* }
            }

            /// As people read it.
            pub fn meaning(self) -> &'static str {
                match self { $(Kind::$variant => $meaning),* }
            }
        }
    };
}

kinds! {
    StatusMissing = "status_missing", "events without a status";
    StatusWrong = "status_wrong", "a status that does not follow from the events";
    CountersWrong = "counters_wrong", "a status that counts other events than there are";
    AppliedTwice = "applied_twice", "an event that is there twice";
    Misfiled = "misfiled", "a record under an id or in a partition that is not its own";
    Unreadable = "unreadable", "a record that this version of the program cannot read";
    OutboxStuck = "outbox_stuck", "an announcement that stays in the outbox";
    OutboxUnfounded = "outbox_unfounded", "an announcement of an event that is not there, or to somebody else";
    DeliveryMissing = "delivery_missing", "an event owed to a partner that nobody delivers";
    DeliveryUnfounded = "delivery_unfounded", "a delivery of an event that is not there";
    DeliveryUninvited = "delivery_uninvited", "a delivery to a partner that the event was not announced to";
    DeliveryUnanswered = "delivery_unanswered", "a delivery that counts as made, without a 2xx";
    RetryOverdue = "retry_overdue", "a retry that should long have been made";
    RetryImpossible = "retry_impossible", "a retry whose attempt is not that of its message";
    ParkedWithoutReason = "parked_without_reason", "a parked record that does not say why";
    SpoolStuck = "spool_stuck", "a callback that stays in the spool";
    LeaseAbandoned = "lease_abandoned", "a lease that nobody renews, with work waiting for it";
    JobAbandoned = "job_abandoned", "a replay that nobody works on";
    DeadLetters = "dead_letters", "messages that the broker gave up on";
    MessagesOld = "messages_old", "messages that nobody takes from their subscription";
}

/// One place to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Without personal data.
    pub what: String,
    /// The command that looks closer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// One kind of difference: how often, and where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub count: u64,
    /// The first few.
    pub samples: Vec<Sample>,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Messages and calls that were judged.
    pub messages: u64,
    /// Messages that were passed over: something changed them too recently.
    pub in_flight: u64,
    /// Events of the messages that were judged.
    pub events: u64,
    /// Events × partners that these were announced to, where what became of it must still be known.
    pub owed: u64,
    /// Delivery records.
    pub deliveries: u64,
    /// Nowhere to be found, and removed by operators as far as can be told.
    pub discarded: u64,
    pub retries: u64,
    pub parked: u64,
    pub spooled: u64,
    pub leases: u64,
    pub jobs: u64,
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub judged_at: Timestamp,
    /// Messages without a change since then were not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    pub checked: Checked,
    /// Only kinds that were found.
    pub findings: BTreeMap<Kind, Finding>,
    /// What could not be judged, and why.
    pub unjudged: Vec<String>,
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
}

/// Samples kept of each finding.
const SAMPLES: usize = 5;

impl Report {
    /// Whether nothing at all is wrong, of what could be judged.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// How often something was found.
    pub fn count(&self, kind: Kind) -> u64 {
        self.findings.get(&kind).map_or(0, |finding| finding.count)
    }

    /// Adds a difference.
    pub fn add(&mut self, kind: Kind, sample: Sample) {
        self.add_many(kind, 1, sample);
    }

    /// Adds some that share a sample.
    pub fn add_many(&mut self, kind: Kind, count: u64, sample: Sample) {
        let finding = self.findings.entry(kind).or_default();
        finding.count += count;
        if finding.samples.len() < SAMPLES {
            finding.samples.push(sample);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked {
            messages,
            in_flight,
            events,
            owed,
            deliveries,
            discarded,
            retries,
            parked,
            spooled,
            leases,
            jobs,
        } = self.checked;
        let since = self.since.map(|since| format!(", of messages changed since {}", millis::text(since)));
        writeln!(out, "as of {}{}\n", millis::text(self.judged_at), since.unwrap_or_default())?;
        writeln!(out, "messages   {messages:>12}   {in_flight} more changed too recently to be judged")?;
        writeln!(out, "events     {events:>12}   {owed} times owed to a partner")?;
        writeln!(out, "deliveries {deliveries:>12}   {discarded} not found, after operators discarded some")?;
        writeln!(
            out,
            "waiting    {:>12}   {retries} retries, {parked} parked, {spooled} spooled",
            retries + parked + spooled
        )?;
        writeln!(out, "at work    {:>12}   {leases} leases, {jobs} replays", leases + jobs)?;
        for (kind, finding) in &self.findings {
            writeln!(out, "\n{:>8} × {}", finding.count, kind.meaning())?;
            for Sample { what, command } in &finding.samples {
                writeln!(out, "           {what}")?;
                if let Some(command) = command {
                    writeln!(out, "             {command}")?;
                }
            }
            let more = finding.count.saturating_sub(finding.samples.len() as u64);
            if more > 0 && finding.samples.len() == SAMPLES {
                writeln!(out, "           and {more} more")?;
            }
        }
        for why in &self.unjudged {
            writeln!(out, "\nnot judged: {why}")?;
        }
        let verdict = match (self.is_clean(), self.unjudged.is_empty()) {
            (true, true) => "consistent".to_owned(),
            (true, false) => "consistent, as far as it could be judged".to_owned(),
            (false, _) => match self.findings.values().map(|finding| finding.count).sum() {
                1 => "1 difference".to_owned(),
                count => format!("{count} differences"),
            },
        };
        writeln!(out, "\n{verdict}; took {:.1} s", self.took.as_secs_f64())
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
