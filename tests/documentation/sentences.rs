//! What a page names within its sentences: a command of Sluice's, a test, a file.

use clap::CommandFactory;
use sluice::cli::Cli;

use crate::root;

/// Everything between two backticks, outside of blocks; on one line.
pub fn spans(page: &str) -> Vec<String> {
    let sentences: String = page.split("\n```").step_by(2).collect::<Vec<_>>().join("\n");
    let spans = sentences.split('`').skip(1).step_by(2);
    spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Whether there is such a thing, seen from a page; `None` for what is neither command nor file.
pub fn exists(page: &str, span: &str) -> Option<Result<(), String>> {
    let words: Vec<&str> = span.split(' ').collect();
    match words[..] {
        ["sluice" | "target/release/sluice", ref words @ ..] => Some(is_taken(words)),
        ["cargo", ref words @ ..] => Some(is_built(words)),
        [path, ..] => is_ours(path).then(|| match is_file(page, path) {
            true => Ok(()),
            false => Err(format!("there is no {path}")),
        }),
        [] => None,
    }
}

/// A module goes without its ending.
fn is_file(page: &str, path: &str) -> bool {
    let beside = root().join(page).parent().expect("a folder").join(path);
    [beside, root().join(path), root().join(format!("{path}.rs"))].iter().any(|path| path.exists())
}

/// Subcommands and options; their values are for who runs it to say.
fn is_taken(words: &[&str]) -> Result<(), String> {
    let mut program = Cli::command();
    program.build();
    let mut at = &program;
    let mut wants_value = false;
    for word in words {
        match word.strip_prefix("--") {
            Some(option) => {
                let option = option.split('=').next().unwrap_or(option);
                let known = at.get_arguments().find(|known| known.get_long() == Some(option));
                let known = known.ok_or_else(|| format!("{} has no --{option}", at.get_name()))?;
                wants_value = known.get_action().takes_values();
            }
            None if wants_value => wants_value = false,
            None if at.has_subcommands() => {
                at = at.find_subcommand(word).ok_or_else(|| format!("{} has no {word}", at.get_name()))?;
            }
            None => {}
        }
    }
    Ok(())
}

/// A test, benchmark, example or feature is there by its name; what comes behind a test's name is one of its files.
fn is_built(words: &[&str]) -> Result<(), String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let is_there = |path: String| root().join(path).exists();
    for pair in words.windows(2) {
        let [option, name] = [pair[0], pair[1]];
        let is_known = match option {
            "--test" => is_there(format!("tests/{name}.rs")) || is_there(format!("tests/{name}/main.rs")),
            "--bench" | "--example" => manifest.contains(&format!("name = \"{name}\"")),
            "--features" => manifest.contains(&format!("\n{name} = [")),
            _ => true,
        };
        if !is_known {
            return Err(format!("there is no {option} {name}"));
        }
    }
    let mut behind = words.iter().skip_while(|word| **word != "--test").skip(1);
    match (behind.next(), behind.next()) {
        // The names of scenarios are made at run time.
        (Some(test), Some(filter)) if !filter.starts_with('-') && !filter.starts_with("scenario::") => {
            match is_there(format!("tests/{test}/{}.rs", filter.trim_end_matches(':'))) {
                true => Ok(()),
                false => Err(format!("{test} has no {filter}")),
            }
        }
        _ => Ok(()),
    }
}

/// Whether it is a path in the project, and names one file or folder.
fn is_ours(path: &str) -> bool {
    const FOLDERS: &[&str] =
        &[".ci/", ".github/", "bench/", "docs/", "emulators/", "sql/", "src/", "terraform/", "tests/"];
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-/".contains(letter);
    FOLDERS.iter().any(|folder| path.starts_with(folder)) && path.chars().all(is_plain)
}
