//! `sluice vendors`: who may call, what is missing, and what to paste into each vendor's console.

use std::{fmt::Write, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::Places;
use crate::{
    config::{Config, VendorConfig},
    vendors::{self, SCHEMES, rules},
};

#[derive(Debug, Args)]
pub(super) struct VendorsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

pub(super) fn run(args: VendorsArgs) -> anyhow::Result<ExitCode> {
    let config = args.places.load_config()?;
    let report = if args.json { json(&config)? } else { text(&config)? };
    super::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

/// The URLs of a vendor: anything may follow them.
fn urls<'a>(config: &'a Config, name: &'a str, vendor: &'a VendorConfig) -> impl Iterator<Item = String> + 'a {
    vendor.services.keys().map(move |service| format!("{}/incoming/{name}/{service}", config.public_url))
}

/// What keeps a vendor's callbacks from being verified.
fn missing(config: &Config, name: &str, vendor: &VendorConfig) -> Vec<String> {
    let missing: Vec<_> = vendor.missing_secrets().map(|missing| missing.variable).collect();
    if !missing.is_empty() {
        return missing;
    }
    vendors::unusable_key(name, vendor, &config.public_url).into_iter().collect()
}

fn text(config: &Config) -> anyhow::Result<String> {
    let mut out = String::new();
    for (name, vendor) in &config.vendors {
        let rules = rules(vendor.scheme);
        let services: Vec<_> =
            vendor.services.iter().map(|(service, channel)| format!("{service} ({})", channel.name())).collect();
        writeln!(out, "{name}")?;
        writeln!(out, "  scheme    {}: {}", rules.scheme, rules.proof)?;
        writeln!(out, "  services  {}", services.join(", "))?;
        for url in urls(config, name, vendor) {
            writeln!(out, "  url       {url}/...")?;
        }
        let secrets = vendor.secrets.len() + vendor.shared_keys.len() + vendor.accounts.values().flatten().count();
        match missing(config, name, vendor).as_slice() {
            [] if secrets == 0 => writeln!(out, "  secrets   none needed")?,
            [] => writeln!(out, "  secrets   {secrets} live")?,
            missing => writeln!(out, "  missing   {}: its callbacks are answered 503", missing.join(", "))?,
        }
        writeln!(out, "  waits     {}", rules.deadline.unwrap_or("not documented"))?;
        writeln!(out, "  retries   {}", rules.retries.unwrap_or("not documented"))?;
        writeln!(out, "  priority  {}", vendor.priority().name())?;
        if let Some(advice) = rules.advice {
            writeln!(out, "  advice    {advice}")?;
        }
        writeln!(out)?;
    }
    let others = SCHEMES.iter().filter(|scheme| !config.vendors.values().any(|vendor| vendor.scheme == **scheme));
    writeln!(out, "not configured")?;
    for scheme in others {
        let rules = rules(*scheme);
        writeln!(out, "  {:<18} {}", rules.scheme, rules.proof)?;
    }
    Ok(out)
}

fn json(config: &Config) -> anyhow::Result<String> {
    let vendors: Vec<_> = config
        .vendors
        .iter()
        .map(|(name, vendor)| {
            let rules = rules(vendor.scheme);
            json!({
                "vendor": name,
                "scheme": rules.scheme,
                "proof": rules.proof,
                "services": vendor.services,
                "urls": urls(config, name, vendor).collect::<Vec<_>>(),
                "missing": missing(config, name, vendor),
                "deadline": rules.deadline,
                "retries": rules.retries,
                "priority": vendor.priority().name(),
                "advice": rules.advice,
            })
        })
        .collect();
    Ok(format!("{}\n", serde_json::to_string_pretty(&vendors)?))
}
