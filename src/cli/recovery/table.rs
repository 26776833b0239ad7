//! Records and jobs, as people read them.

use std::fmt::{self, Write};

use serde_json::Value;

use crate::{
    clock::millis,
    recovery::{
        job::{Job, Progress, State},
        record::Summary,
    },
};

/// The longest reason that a list shows.
const REASON: usize = 100;

pub(super) fn records(records: &[Summary]) -> Result<String, fmt::Error> {
    let mut out = String::new();
    for record in records {
        let Summary { id, at, reason, vendor, channel, partner, message_key, history, .. } = record;
        let told = [vendor, channel, partner, message_key];
        let told: Vec<&str> = told.into_iter().flatten().map(String::as_str).collect();
        writeln!(out, "{}  {id}  {}  {} attempts", millis::text(*at), told.join(" "), history.len())?;
        writeln!(out, "    {}", cut(reason))?;
    }
    Ok(out)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn record(record: &Summary, message: &Value) -> Result<String, fmt::Error> {
    let Summary { id, at, reason, vendor, channel, partner, message_type, topic, subscription, message_key, history } =
        record;
    let mut out = String::new();
    writeln!(out, "{id}")?;
    writeln!(out, "  since         {}", millis::text(*at))?;
    writeln!(out, "  reason        {reason}")?;
    writeln!(out, "  topic         {topic}")?;
    let fields = [
        ("subscription", subscription),
        ("vendor", vendor),
        ("channel", channel),
        ("partner", partner),
        ("type", message_type),
        ("message key", message_key),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            writeln!(out, "  {name:<12}  {value}")?;
        }
    }
    for attempt in history {
        writeln!(out, "  attempt {} at {}: {}", attempt.attempt, millis::text(attempt.at), attempt.error)?;
    }
    match message {
        Value::Null => writeln!(out, "  message       hidden: --reveal")?,
        message => writeln!(out, "{message:#}")?,
    }
    Ok(out)
}

/// One line of a job.
pub(in crate::cli) fn job_line(job: &Job) -> String {
    let Progress { matched, counted, done, failed, gone, unreadable, rate, .. } = &job.progress;
    let state = match job.state {
        State::Running if !counted => "counting",
        State::Running => "running",
        State::Paused => "paused",
        State::Aborted => "aborted",
        State::Done => "done",
        State::Failed => "failed",
    };
    let mut line =
        format!("{}  {:<8}  {} {}  {done} of {matched} done", job.id, state, job.source.name(), job.action.name(),);
    for (count, what) in [(failed, "failed"), (gone, "gone"), (unreadable, "unreadable")] {
        if *count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    if job.state == State::Running {
        line.push_str(&format!(", {rate:.0}/s"));
    }
    if job.state == State::Done && job.progress.left() > 0 {
        // Its worker was killed before it could write down that these were done; or somebody else took them.
        line.push_str(&format!(", {} done before an interruption or taken by somebody else", job.progress.left()));
    }
    line.push_str(&format!("  by {}", job.who));
    if let Some(problem) = &job.problem {
        line.push_str(&format!("\n    {problem}"));
    }
    line
}
