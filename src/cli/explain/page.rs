//! An explanation as text.

use std::fmt::Write;

use crate::{
    config::Config,
    explain::{Report, Signed, StepReport},
};

/// The whole page.
pub(super) fn of(report: &Report, config: &Config) -> Result<String, std::fmt::Error> {
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
    for (index, cause) in report.causes.iter().enumerate() {
        let label = if index == 0 { "likely cause:" } else { "and also:" };
        writeln!(out, "\n{label} {} [{}]", cause.what, cause.code)?;
        writeln!(out, "  {}", cause.advice)?;
    }
    if report.unexplained {
        let label = if report.causes.is_empty() { "likely cause: not found." } else { "That is not all." };
        writeln!(out, "\n{label} {tried} changes were tried ({}), and none verifies.", by_area.join(", "))?;
        writeln!(out, "  Two reasons remain, as a rule:")?;
        writeln!(out, "  - the secret is another one than the vendor's: compare it in the vendor's console;")?;
        writeln!(
            out,
            "  - the body, or a header that is signed, was changed before it was captured: capture closer to the vendor."
        )?;
    }
    if report.proven == Some(true) {
        let what = if report.causes.len() == 1 { "With that" } else { "With all of that" };
        let with = report.secret.as_deref().map_or_else(String::new, |key| format!(", with {}", secret(key)));
        writeln!(out, "\n{what} undone it verifies{with}. Changes tried: {tried}.")?;
    }
    Ok(())
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
