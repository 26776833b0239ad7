//! `sluice partners`: who receives events. A client of `/manage/partners`.

mod print;
mod settings;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::operator::{Operator, print_json};
use settings::SettingsArgs;

const HELP: &str = "\
Add, change and test the applications that receive events

A partner is an HTTPS endpoint that every applied event is POSTed to, if its filters let it through:

  sluice partners add acme --endpoint https://acme.example.com/events --event 'message.*' --channel sms

prints the secret (whsec_...) and the public key (whpk_...) that the partner verifies signatures with, by any library
for Standard Webhooks (https://www.standardwebhooks.com). Give it one of them, then try:

  sluice partners test acme

What a partner must do: answer 2xx within the timeout, soon and before working on the event; take each webhook-id once,
because an event may come twice; and not rely on the order. What fails (no answer, 408, 425, 429, 5xx) is tried again
by the schedule, `Retry-After` is honoured; any other answer parks the delivery (`sluice parked list --partner acme`),
and 410 disables the endpoint as well.";

/// Add, change and test the applications that receive events
#[derive(Debug, Args)]
#[command(long_about = HELP)]
pub(super) struct PartnersArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print all partners
    List(ListArgs),
    /// Print one partner; its secret only with --secret, which is written into the audit log
    Show(ShowArgs),
    /// Add a partner and print its secret
    Add(ChangeArgs),
    /// Change what is given and leave the rest; an empty value ("") takes a filter, a schedule or all headers away
    Update(ChangeArgs),
    /// Send nothing any more: what is owed is parked, and a replay brings it back
    Disable(DisableArgs),
    /// Send again
    Enable(NameArgs),
    /// Remove a partner: what is still owed to it is parked
    Remove(NameArgs),
    /// Make a new secret; the former one is valid beside it for a while
    RotateSecret(RotateArgs),
    /// Send a signed sample event now and print what came back
    Test(NameArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, Args)]
struct NameArgs {
    /// The partner's name: 1 to 40 of a-z, 0-9 and -
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    partner: NameArgs,
    /// Print the secret, too
    #[arg(long)]
    secret: bool,
}

#[derive(Debug, Args)]
struct ChangeArgs {
    #[command(flatten)]
    partner: NameArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Args)]
struct DisableArgs {
    #[command(flatten)]
    partner: NameArgs,
    /// Why; it stands in what is parked
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
struct RotateArgs {
    #[command(flatten)]
    partner: NameArgs,
    /// How long the former secret is valid, for example 48h; 0s when it has leaked [default: delivery.former_secret]
    #[arg(long, value_parser = humantime_serde::re::humantime::parse_duration)]
    window: Option<Duration>,
}

pub(super) async fn run(args: PartnersArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(ListArgs { json, operator }) => {
            let answer = operator.client()?.get(&["partners"], &[]).await?;
            if json {
                return print_json(&answer);
            }
            done(&print::list(&answer["partners"]))
        }
        Command::Show(ShowArgs { partner, secret: true }) => {
            ask(&partner, Method::POST, Some("secret"), json!({})).await
        }
        Command::Show(ShowArgs { partner, .. }) => ask(&partner, Method::GET, None, Value::Null).await,
        Command::Add(ChangeArgs { partner, settings }) => {
            ask(&partner, Method::PUT, None, serde_json::to_value(settings.changes()?)?).await
        }
        Command::Update(ChangeArgs { partner, settings }) => {
            ask(&partner, Method::PATCH, None, serde_json::to_value(settings.changes()?)?).await
        }
        Command::Disable(DisableArgs { partner, reason }) => {
            ask(&partner, Method::POST, Some("disable"), json!({ "reason": reason })).await
        }
        Command::Enable(partner) => ask(&partner, Method::POST, Some("enable"), json!({})).await,
        Command::Remove(partner) => {
            let answer = request(&partner, Method::DELETE, None, Value::Null).await?;
            match partner.json {
                true => print_json(&answer),
                false => done(&format!("removed {}; what is still owed to it is parked\n", partner.name)),
            }
        }
        Command::RotateSecret(RotateArgs { partner, window }) => {
            let window = window.map(|window| humantime_serde::re::humantime::format_duration(window).to_string());
            ask(&partner, Method::POST, Some("rotate-secret"), json!({ "window": window })).await
        }
        Command::Test(partner) => {
            let answer = request(&partner, Method::POST, Some("test"), json!({})).await?;
            match partner.json {
                true => print_json(&answer)?,
                false => done(&print::sample(&answer))?,
            };
            Ok(if answer["ok"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

async fn request(partner: &NameArgs, method: Method, verb: Option<&str>, body: Value) -> anyhow::Result<Value> {
    let path: Vec<&str> = ["partners", &partner.name].into_iter().chain(verb).collect();
    let body = Some(&body).filter(|body| !body.is_null());
    partner.operator.client()?.ask(method, &path, &[], body).await
}

/// Asks for something that is answered with the partner, and prints it.
async fn ask(partner: &NameArgs, method: Method, verb: Option<&str>, body: Value) -> anyhow::Result<ExitCode> {
    let answer = request(partner, method, verb, body).await?;
    if partner.json {
        return print_json(&answer);
    }
    done(&print::partner(&answer))
}

fn done(text: &str) -> anyhow::Result<ExitCode> {
    super::print(text)?;
    Ok(ExitCode::SUCCESS)
}
