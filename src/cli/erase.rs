//! `sluice erase`: one person's data is removed, or becomes a token.

use std::{collections::BTreeMap, fmt::Write, io::stdin, process::ExitCode};

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::Args;
use serde_json::{Value, json};

use super::{
    operator::{Client, Operator, print_json},
    recovery::confirm,
};
use crate::erase::{
    Counts, Place,
    erasure::{Rewritten, State},
};

/// Remove a person's data, or put a keyed token in its place: in ledger, retries, parked, spool, deliveries, blobs, the embedded
/// broker and the files' free pages. Opt-outs stay, under the token
///
/// What was received before is erased, also what is still under way; what comes later is new. Killed or interrupted, the same
/// command goes on. An entry in the audit log tells who, when and how much, by the token; the address is written nowhere.
/// docs/privacy.md tells what is out of reach, and how long it stays. The exit code is 1 where the person's data kept coming.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// A phone number with its country code, or an e-mail address; `-` reads it from standard input, so that it is in no
    /// shell's history
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    recipient: String,
    /// Count what would be erased, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask, and do not count before
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

type Places = BTreeMap<Place, Counts>;

pub(super) async fn run(args: EraseArgs) -> anyhow::Result<ExitCode> {
    let recipient = match args.recipient.as_str() {
        "-" => {
            let mut line = String::new();
            stdin().read_line(&mut line).context("no address on standard input")?;
            line.trim().to_owned()
        }
        address => address.to_owned(),
    };
    let client = args.operator.client()?;
    if args.dry_run || !args.yes {
        let (token, places) = count(&client, &recipient).await?;
        if args.dry_run && args.json {
            return print_json(&json!({ "token": token, "places": places }));
        }
        if !args.json {
            super::print(&table(&token, &places)?)?;
        }
        if args.dry_run {
            super::print("nothing is changed\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        confirm(&format!("erase {token}? This cannot be undone."))?;
    }
    let erased = erase(&client, &recipient).await?;
    let state: State = serde_json::from_value(erased["state"].clone())?;
    if args.json {
        print_json(&erased)?;
    } else {
        super::print(&report(&erased)?)?;
    }
    match state {
        State::Done => Ok(ExitCode::SUCCESS),
        State::Running => bail!("it goes on: run the same again"),
        State::Unsettled => {
            eprintln!(
                "sluice: data of this person kept coming, or is where it is not changed (`left`): see to it, and run the same again"
            );
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A request works for seconds only: this goes on until the end.
async fn erase(client: &Client, recipient: &str) -> anyhow::Result<Value> {
    let mut run = Value::Null;
    loop {
        let mut erasure = client.post(&["erasures"], &json!({ "recipient": recipient, "run": run })).await?;
        if erasure["state"] != json!(State::Running) {
            return Ok(erasure);
        }
        run = erasure["run"].take();
    }
}

async fn count(client: &Client, recipient: &str) -> anyhow::Result<(String, Places)> {
    let (mut places, mut continuation) = (Places::new(), Value::Null);
    loop {
        let question = json!({ "recipient": recipient, "continuation": continuation });
        let mut counted = client.post(&["erasures", "count"], &question).await?;
        for (place, counts) in serde_json::from_value::<Places>(counted["places"].take())? {
            places.entry(place).or_default().add(counts);
        }
        continuation = counted["continuation"].take();
        if continuation.is_null() {
            return Ok((counted["token"].as_str().unwrap_or_default().to_owned(), places));
        }
    }
}

fn table(token: &str, places: &Places) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(out, "{token}\n")?;
    writeln!(out, "{:<14}{:>12}{:>12}{:>12}{:>12}{:>12}", "", "looked at", "tokenised", "removed", "kept", "left")?;
    for (place, Counts { looked_at, tokenised, removed, kept, left }) in places {
        if *place != Place::Files {
            let name = place.name();
            writeln!(out, "{name:<14}{looked_at:>12}{tokenised:>12}{removed:>12}{kept:>12}{left:>12}")?;
        }
    }
    Ok(out)
}

fn report(erased: &Value) -> anyhow::Result<String> {
    let places: Places = serde_json::from_value(erased["counts"].clone())?;
    let mut out = table(erased["token"].as_str().unwrap_or_default(), &places)?;
    for Rewritten { name, before, after } in serde_json::from_value::<Vec<Rewritten>>(erased["files"].clone())? {
        writeln!(out, "{name} is rewritten: {} before, {} now", ByteSize::b(before), ByteSize::b(after))?;
    }
    writeln!(out, "\nOut of reach:")?;
    for note in erased["out_of_reach"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        writeln!(out, "- {note}")?;
    }
    Ok(out)
}
