//! `sluice explain`: each step of a verification, and why a request was refused.

use std::{
    fmt::Write,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;

use super::Places;
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    config::Config,
    explain::{Capture, Question, Report, Signed, StepReport, explain},
};

/// Say why a captured request is refused, or that it is genuine
///
/// The request is verified as the front door would: by the same code, with the configured secrets, at public_url and the
/// captured path. Each step is printed. When it is refused, one thing after the other is changed (URL, body, headers,
/// clock, reading of the key) and verified again: the change that verifies names the cause.
///
/// Secrets and whole signatures are never printed, and bodies are shortened unless --full.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// What `curl --trace FILE` wrote (every byte); --trace-ascii loses bytes that are not visible ASCII
    #[arg(long, value_name = "FILE", group = "capture")]
    curl_trace: Option<PathBuf>,
    /// HTTP Archive, as browsers, proxies and webhook inspectors export it
    #[arg(long, value_name = "FILE", group = "capture")]
    har: Option<PathBuf>,
    /// An HTTP/1.1 request as it is on the wire: request line, headers, blank line, body
    #[arg(long, value_name = "FILE", group = "capture")]
    raw: Option<PathBuf>,
    /// URL or path that was called; then --method, --header and --body say the rest
    #[arg(long, value_name = "URL", group = "capture")]
    url: Option<String>,
    /// Which request of a trace or archive, counted from 0 [default: the first to /incoming/]
    #[arg(long, value_name = "N", conflicts_with_all = ["raw", "url"])]
    entry: Option<usize>,
    /// [default: POST with a body, else GET]
    #[arg(short = 'X', long, requires = "url")]
    method: Option<String>,
    /// May be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", requires = "url")]
    headers: Vec<String>,
    /// The body, exactly: no newline is added
    #[arg(long, value_name = "TEXT", requires = "url", conflicts_with = "body_file")]
    body: Option<String>,
    /// A file with the exact bytes of the body; - is standard input
    #[arg(long, value_name = "FILE", requires = "url")]
    body_file: Option<PathBuf>,
    /// Vendor in the configuration [default: the one that the path /incoming/{vendor}/... names]
    #[arg(long, value_name = "NAME")]
    vendor: Option<String>,
    /// The moment of verification, for example 2026-11-20T18:40:00Z [default: the archive's startedDateTime, else now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The signing certificate (PEM), where the scheme needs one (Amazon SNS); nothing is fetched
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Print signed bytes, and with them the body, in full
    #[arg(long)]
    full: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

const EXAMPLES: &str = "\
Examples:
  A request that you can repeat with curl. --trace keeps every byte of it:
    curl --trace refused.trace 'https://hooks.example.com/incoming/twilio/sms/status' -H 'X-Twilio-Signature: ...' \\
      --data-binary @body
    sluice explain --curl-trace refused.trace

  A request in a webhook inspector's or proxy's export, as of the time it was captured:
    sluice explain --har inspector.har --entry 3

  A request by its parts, with its body in a file:
    sluice explain --url /incoming/resend/email/events -H 'webhook-id: msg_1' -H 'webhook-timestamp: 1795200000' \\
      -H 'webhook-signature: v1,...' --body-file body.json --at 2026-11-20T18:40:00Z

  A request as a log has it, tried as another vendor's, for a script:
    sluice explain --raw request.txt --vendor twilio --json | jq -r '.causes[].code'

Use the secrets that the door uses: set the same environment variables, or the cause may be that they differ here.

Exit codes: 0 the request is genuine, 1 it is refused, 2 it cannot be told (a file cannot be read, no such vendor).";

pub(super) fn run(args: &ExplainArgs) -> ExitCode {
    match answer(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sluice: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Prints the report; whether the request is genuine.
fn answer(args: &ExplainArgs) -> anyhow::Result<bool> {
    let config = args.places.load_config()?;
    let capture = capture(args)?;
    let certificate = args.certificate.as_deref().map(read).transpose()?;
    let question = Question { vendor: args.vendor.clone(), at: args.at, certificate };
    let explanation = explain(&capture, &question, &config, SystemClock.now())?;
    let report = explanation.report(&config, args.full);
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { page(&report, &config)? };
    super::print(&text)?;
    Ok(explanation.is_genuine())
}

fn capture(args: &ExplainArgs) -> anyhow::Result<Capture> {
    let files = [(&args.curl_trace, "--curl-trace"), (&args.har, "--har"), (&args.raw, "--raw")];
    if let Some((path, option)) = files.into_iter().find_map(|(path, option)| Some((path.as_deref()?, option))) {
        let text = read(path)?;
        let capture = match option {
            "--curl-trace" => Capture::from_curl_trace(&text, args.entry),
            "--har" => Capture::from_har(&text, args.entry),
            _ => Capture::from_raw(&text),
        };
        return capture.with_context(|| format!("{option} {}", path.display()));
    }
    let Some(url) = &args.url else {
        bail!("name a captured request: --curl-trace, --har, --raw or --url (see sluice explain --help)");
    };
    let body = match (&args.body, &args.body_file) {
        (Some(text), _) => Some(Bytes::from(text.clone())),
        (None, Some(path)) => Some(read(path)?),
        (None, None) => None,
    };
    let method = args.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
    Ok(Capture::from_parts(method, url, &args.headers, body.unwrap_or_default())?)
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes),
        false => std::fs::read(path),
    };
    Ok(read.with_context(|| path.display().to_string())?.into())
}

/// The report for people.
fn page(report: &Report, config: &Config) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "vendor    {}", report.vendor)?;
    writeln!(out, "request   {} {}", report.method, report.url)?;
    writeln!(out, "          {} bytes of body; public_url is {}", report.body_bytes, origin(&report.url, config))?;
    let source = if report.at_given { "" } else { " (now: --at TIME sets another)" };
    writeln!(out, "clock     {}{source}", report.at)?;
    for note in &report.notes {
        writeln!(out, "note      {note}")?;
    }
    writeln!(out, "\nsteps")?;
    for (index, step) in report.steps.iter().enumerate() {
        write!(out, "  {:>2}  ", index + 1)?;
        write_step(&mut out, step)?;
    }
    if report.steps.is_empty() {
        writeln!(out, "      none: the verifier stopped before it read anything")?;
    }
    writeln!(out)?;
    match &report.refusal {
        None => write_genuine(&mut out, report)?,
        Some(refusal) => {
            writeln!(
                out,
                "verdict   refused: {} ({}); the door answers {}",
                refusal.code, refusal.what, refusal.status
            )?;
            write_causes(&mut out, report)?;
        }
    }
    Ok(out)
}

/// The configured part of the URL, as the report may show it.
fn origin<'a>(url: &'a str, config: &Config) -> &'a str {
    let path = url
        .split_once("://")
        .map_or(url.len(), |(scheme, rest)| scheme.len() + 3 + rest.find(['/', '?']).unwrap_or(rest.len()));
    // A public_url with a path: up to where it ends.
    let base = config.public_url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest.len() - at));
    &url[..(path + base.unwrap_or(0)).min(url.len())]
}

fn write_step(out: &mut String, step: &StepReport) -> std::fmt::Result {
    match step {
        StepReport::Header { name, value } => writeln!(out, "header {name}: {value}"),
        StepReport::Signed { what, bytes } => write_signed(out, what, bytes),
        StepReport::Tried { key, expected, received, matched } => {
            let result = if *matched { "it matches" } else { "no match" };
            match expected {
                Some(expected) => writeln!(out, "{key} gives {expected}, received {received}: {result}"),
                None => writeln!(out, "{key} verifies {received}: {result}"),
            }
        }
        StepReport::Said { what } => writeln!(out, "{what}"),
    }
}

fn write_signed(out: &mut String, what: &str, bytes: &Signed) -> std::fmt::Result {
    writeln!(out, "signed bytes, {what}: {} bytes", bytes.length)?;
    match (&bytes.tail, &bytes.tail_hex) {
        (Some(tail), Some(tail_hex)) => {
            writeln!(out, "        \"{}\" ... \"{tail}\"", bytes.head)?;
            writeln!(out, "        {} ... {tail_hex}", bytes.head_hex)
        }
        _ => writeln!(out, "        \"{}\"", bytes.head),
    }
}

fn write_genuine(out: &mut String, report: &Report) -> std::fmt::Result {
    match &report.secret {
        Some(key) => {
            writeln!(out, "verdict   genuine: signed with {}", secret(key))?;
            if ordinal(key).is_some_and(|index| index > 0) {
                writeln!(
                    out,
                    "note      it is not the first: a rotation is under way, or the first is no longer the vendor's"
                )?;
            }
            Ok(())
        }
        None => writeln!(out, "verdict   genuine: accepted without a secret of the configuration"),
    }
}

fn write_causes(out: &mut String, report: &Report) -> std::fmt::Result {
    let tried = report.tried.values().sum::<usize>();
    let by_area: Vec<_> = report.tried.iter().map(|(area, count)| format!("{area} {count}")).collect();
    if report.causes.is_empty() {
        writeln!(
            out,
            "\nlikely cause: not found. {tried} changes were tried ({}), and none verifies.",
            by_area.join(", ")
        )?;
        writeln!(out, "  Two reasons remain, as a rule:")?;
        writeln!(out, "  - the secret is another one than the vendor's: compare it in the vendor's console;")?;
        return writeln!(
            out,
            "  - the body, or a header that is signed, was changed before it was captured: capture it closer to the vendor."
        );
    }
    for (index, cause) in report.causes.iter().enumerate() {
        let label = if index == 0 { "likely cause:" } else { "and also:" };
        writeln!(out, "\n{label} {} [{}]", cause.what, cause.code)?;
        writeln!(out, "  {}", cause.advice)?;
    }
    match (report.proven, &report.secret) {
        (Some(true), Some(key)) => {
            let what = if report.causes.len() == 1 { "With that" } else { "With all of that" };
            writeln!(out, "\n{what} undone it verifies, with {} ({tried} changes tried).", secret(key))
        }
        (Some(true), None) => writeln!(out, "\nWith that undone it verifies ({tried} changes tried)."),
        _ if tried > 0 => {
            writeln!(
                out,
                "\nThat may not be all: {tried} changes were tried on top ({}), and none verifies.",
                by_area.join(", ")
            )
        }
        _ => Ok(()),
    }
}

/// A secret's place in words.
fn secret(key: &str) -> String {
    match ordinal(key) {
        Some(0) => format!("the primary secret ({key})"),
        Some(1) => format!("the secondary secret ({key})"),
        Some(index) => format!("secret {} of the list ({key})", index + 1),
        None => key.to_owned(),
    }
}

/// The position in a list of secrets.
fn ordinal(key: &str) -> Option<usize> {
    key.strip_suffix(']')?.rsplit_once('[')?.1.parse().ok()
}
