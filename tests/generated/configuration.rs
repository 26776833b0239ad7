//! `docs/configuration.md`.

use std::{collections::BTreeSet, path::Path, process::Command};

use sluice::config::{VARIABLES, reference};

use crate::expect_up_to_date;

fn now() -> String {
    reference(include_str!("../../sluice.toml")).unwrap()
}

#[test]
fn the_committed_reference_is_what_the_code_says() {
    expect_up_to_date("docs/configuration.md", &now());
}

#[test]
fn the_command_prints_it() {
    let run = Command::new(env!("CARGO_BIN_EXE_sluice")).arg("config").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(String::from_utf8(run.stdout).unwrap(), now());
}

#[test]
fn every_key_and_every_variable_has_a_meaning() {
    let reference = now();
    let rows = reference.lines().filter(|line| line.starts_with("| `"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let meaning = cells.last().unwrap();
        // What durations and sizes are is no meaning of a key.
        assert!(!meaning.is_empty() && !meaning.starts_with("A duration:") && !meaning.starts_with("A size:"), "{row}");
        count += 1;
    }
    assert!(count > 90, "{count} rows");
}

/// Every text of the form `KEY =` at the start of a line, of the shipped file and of its comments' examples.
#[test]
fn every_key_of_the_shipped_file_is_in_the_reference() {
    let reference = now();
    for line in include_str!("../../sluice.toml").lines() {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_key && !key.is_empty() {
            assert!(reference.contains(&format!("| `{key}` |")), "{key}");
        }
    }
}

/// Every `SLUICE_...` in quotes in the sources.
fn variables_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            variables_in(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        found.extend(text.split('"').filter(|text| is_variable(text)).map(str::to_owned));
    }
}

fn is_variable(text: &str) -> bool {
    let rest = text.strip_prefix("SLUICE_").unwrap_or_default();
    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[test]
fn every_variable_that_the_sources_name_is_in_the_reference_and_no_other() {
    let mut found = BTreeSet::new();
    variables_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    // Secrets are named by sluice.toml, and the list is no use of them.
    let listed: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name).collect();
    let unlisted: Vec<_> = found.iter().filter(|name| !listed.contains(name.as_str())).collect();
    assert!(unlisted.is_empty(), "add these to src/config/variables.rs: {unlisted:?}");
    let sources = sources_without_the_list();
    let unused: Vec<_> =
        listed.iter().filter(|name| is_variable(name) && !sources.contains(&format!("\"{name}\""))).collect();
    assert!(unused.is_empty(), "nothing reads these: {unused:?}");
}

fn sources_without_the_list() -> String {
    fn read(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => read(&path, all),
                false if path.ends_with("config/variables.rs") => {}
                false => all.push_str(&std::fs::read_to_string(&path).unwrap()),
            }
        }
    }
    let mut all = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    all
}
