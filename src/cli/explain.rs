//! `sluice explain`: each step of a verification, and why a request was refused.

mod page;

use std::{
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
    explain::{Capture, Question, explain},
};

/// Print each step of verifying a captured request, and the likely cause of a refusal
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
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { page::of(&report, &config)? };
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
