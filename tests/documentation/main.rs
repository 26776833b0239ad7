//! What docs/, the README and their neighbours say: every command is run, or named with the reason why not; every alert
//! has its section; every link leads somewhere.

#[path = "../support/doubles.rs"]
mod doubles;
#[path = "../support/server.rs"]
mod server;

mod commands;
mod excuses;
mod reader;
mod sentences;
mod terminal;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use excuses::{Excuses, Fate};
use reader::Reader;
use sluice::cli::Cli;

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
    let mut excuses = Excuses::default();
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut failed = Vec::new();
    let mut ran = 0;
    for (page, text) in pages() {
        excuses.begin_page();
        // Each page begins anew, as its reader does.
        let mut reader = None;
        for block in commands::of(&page, &text) {
            for command in &block {
                match excuses.fate(command) {
                    Fate::Run => {
                        ran += 1;
                        let reader = reader.get_or_insert_with(Reader::sit_down);
                        failed.extend(reader.run(command).err().map(|told| format!("{command}\n{told}")));
                    }
                    Fate::Excused(reason) => reasons.entry(reason).or_default().push(command.to_string()),
                    Fate::Unknown => {
                        failed.push(format!("{command}\nneither run nor excused: see tests/documentation/excuses.rs"));
                    }
                }
            }
            let ended = reader.as_mut().map_or(Ok(()), Reader::end_block);
            failed
                .extend(ended.err().map(|told| format!("{page}: what is exported before {:?}\n{told}", block.last())));
        }
    }
    println!("{ran} commands were run. Not run:");
    for (reason, commands) in &reasons {
        println!("\n{} {reason}:\n  {}", commands.len(), commands.join("\n  "));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    let stale = excuses.stale();
    assert!(stale.is_empty(), "excused, and nowhere to be found: {stale:?}");
    assert!(ran >= 100, "only {ran} commands were run");
}

#[test]
fn what_is_not_run_can_be_read_by_a_shell_and_by_the_command_line_and_is_run_where_its_excuse_says() {
    let mut excuses = Excuses::default();
    let mut wrong = Vec::new();
    let mut parsed = 0;
    for (page, text) in pages() {
        excuses.begin_page();
        for command in commands::of(&page, &text).concat() {
            let Fate::Excused(_) = excuses.fate(&command) else { continue };
            wrong.extend(command.parse().err().map(|error| format!("{command}\n{error}")));
            wrong.extend(excuses::is_run_elsewhere(&command).err().map(|error| format!("{command}\n{error}")));
            if command.is_sluice() {
                parsed += 1;
                let words = command.words();
                let arguments = words.iter().enumerate().map(|(at, word)| if at == 0 { "sluice" } else { word });
                let taken = Cli::command().try_get_matches_from(arguments);
                wrong.extend(taken.err().map(|error| format!("{command}\n{error}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(parsed >= 5, "only {parsed} commands were parsed");
    assert!(Cli::command().try_get_matches_from(["sluice", "status", "--no-such-option"]).is_err());
}

/// What no page has to set: the shell does, or it is what the reader asks about, from the list printed just before.
const OWN: &[&str] = &["PATH", "PWD", "ID", "KEY", "PARTNER", "REPLAY"];

#[test]
fn every_variable_is_set_before_it_is_used() {
    let mut used = 0;
    for (page, text) in pages() {
        let mut set: BTreeSet<String> = OWN.iter().map(|&name| name.to_owned()).collect();
        for command in commands::of(&page, &text).concat() {
            // Within one `export`, what comes first is there for what comes later.
            set.extend(command.exports().into_iter().map(str::to_owned));
            for name in command.uses() {
                used += 1;
                assert!(set.contains(name), "{command}\nnothing before it sets {name}");
            }
        }
    }
    assert!(used >= 40, "{used}");
}

#[test]
fn what_a_sentence_names_is_there() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for (page, text) in pages() {
        let commands = commands::of(&page, &text).concat().into_iter().map(|command| command.bare().to_owned());
        for span in sentences::spans(&text).into_iter().chain(commands) {
            let Some(found) = sentences::exists(&page, &span) else { continue };
            named += 1;
            wrong.extend(found.err().map(|error| format!("{page}: {span}: {error}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(named >= 200, "only {named} were found");
    for wrong in ["sluice statuz", "sluice status --no-such", "cargo test --test nothing", "tests/nothing.rs"] {
        assert!(sentences::exists("README.md", wrong).unwrap().is_err(), "{wrong}");
    }
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
    let found = commands::of("page.md", page).concat();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].words(), ["sluice", "show", "twilio:SM1"]);
}
