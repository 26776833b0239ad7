//! What docs/, the README and their neighbours say: every command is run, or named with the reason why not; every alert
//! has its section; every link leads somewhere.

mod commands;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use commands::{Command, Fate};
use sluice::cli::Cli;
use world::World;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, by its path below the root.
fn pages() -> BTreeMap<String, String> {
    let folder = |path: &str| {
        let entries = std::fs::read_dir(root().join(path)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    };
    let paths = [".", "docs", "terraform"].into_iter().flat_map(folder);
    let name =
        |path: &PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().trim_start_matches("./").to_owned();
    paths.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn every_command_is_run_or_named_with_the_reason_why_not() {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut used = BTreeSet::new();
    let mut failed = Vec::new();
    let mut ran = 0;
    for (page, text) in pages() {
        let commands = commands::of(&page, &text);
        if commands.is_empty() {
            continue;
        }
        // Each page begins anew, as its reader does.
        let mut world = None;
        for command in commands {
            match command.fate(&mut used) {
                Fate::Run => {
                    ran += 1;
                    let world = world.get_or_insert_with(World::start);
                    failed.extend(world.run(&command).err().map(|told| format!("{command}\n{told}")));
                }
                Fate::Excused(reason) => reasons.entry(reason).or_default().push(command.to_string()),
                Fate::Unknown => {
                    failed.push(format!("{command}\nneither run nor excused: see tests/documentation/commands.rs"))
                }
            }
        }
    }
    println!("{ran} commands were run. Not run:");
    for (reason, commands) in &reasons {
        println!("\n{reason}:\n  {}", commands.join("\n  "));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    let stale: Vec<_> = commands::EXCUSED.iter().map(|excuse| excuse.0).filter(|text| !used.contains(text)).collect();
    assert!(stale.is_empty(), "excused, and nowhere to be found: {stale:?}");
    assert!(ran >= 40, "only {ran} commands were run");
}

#[test]
fn the_command_line_takes_every_command_that_is_not_run() {
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut parsed = 0;
    for (page, text) in pages() {
        for command in commands::of(&page, &text) {
            let Fate::Excused(_) = command.fate(&mut used) else { continue };
            let Some(arguments) = command.arguments() else { continue };
            parsed += 1;
            if let Err(error) = Cli::command().try_get_matches_from(arguments) {
                wrong.push(format!("{command}\n{error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(parsed >= 5, "only {parsed} commands were parsed");
    assert!(Cli::command().try_get_matches_from(["sluice", "status", "--no-such-option"]).is_err());
}

/// The names of all alerts that Terraform creates.
fn alerts() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("terraform/modules/alerts/main.tf")).unwrap();
    let queries = text.split("queries = {").nth(1).unwrap().split("\n  }\n").next().unwrap();
    let of_queries = queries.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\" = {"));
    let of_metrics = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then(|| value.trim().strip_prefix('"')?.strip_suffix("-${var.name}\"")).flatten()
    });
    of_queries.chain(of_metrics).filter(|name| !name.contains("${")).map(str::to_owned).collect()
}

/// The text below `## title`, by title.
fn sections(text: &str) -> BTreeMap<&str, &str> {
    text.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, ""))).collect()
}

#[test]
fn every_alert_has_its_section_in_the_runbook_and_every_section_its_parts() {
    let text = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let sections = sections(&text);
    let alerts = alerts();
    assert_eq!(alerts.len(), 10, "{alerts:?}");
    for alert in &alerts {
        let section =
            sections.get(alert.as_str()).unwrap_or_else(|| panic!("docs/operations.md says nothing of {alert}"));
        let mut rest = *section;
        for part in ["**Symptom.**", "**Likely cause.**", "**Look.**", "**Mend.**"] {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{alert}: no {part}, or not in its place")).1;
        }
        assert!(section.contains("```sh"), "{alert}: no command");
    }
    let others = ["Before the first alert", "After it is over"];
    let gone: Vec<_> = sections.keys().filter(|name| !alerts.contains(**name) && !others.contains(name)).collect();
    assert!(gone.is_empty(), "no such alert: {gone:?}");
}

/// What a heading is linked by: `## Rotating a secret` by `#rotating-a-secret`.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let letters = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter => letter.is_alphanumeric().then(|| letter.to_ascii_lowercase()),
    };
    headings.map(|heading| heading.chars().filter_map(letters).collect()).collect()
}

#[test]
fn every_link_within_the_project_leads_somewhere() {
    let pages = pages();
    let mut links = 0;
    for (page, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            links += 1;
            let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let target = match path {
                "" => root().join(page),
                path => root().join(page).parent().unwrap().join(path),
            };
            assert!(target.exists(), "{page} links to {link}, which is not there");
            if let Some(anchor) = anchor {
                let text = std::fs::read_to_string(&target).unwrap();
                assert!(anchors(&text).contains(anchor), "{page} links to {link}: no such heading");
            }
        }
    }
    assert!(links > 10, "{links}");
}

#[test]
fn a_command_is_found_with_its_continuation_and_without_its_comment() {
    let page =
        "text\n\n```sh\n# a comment\nsluice show \\\n  twilio:SM1   # another\n```\n\n```\nsluice nothing\n```\n";
    let found: Vec<Command> = commands::of("page.md", page);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].arguments().unwrap(), ["sluice", "show", "twilio:SM1"]);
}
