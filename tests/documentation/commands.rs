//! The commands of a page's `sh` blocks, as a shell takes them.

use std::{collections::BTreeSet, fmt, process};

/// One command, on one line.
#[derive(Debug, Clone)]
pub struct Command {
    page: String,
    line: usize,
    /// With its comment.
    pub text: String,
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.page, self.line, self.text)
    }
}

/// Every block of a page, with its commands.
pub fn of(page: &str, text: &str) -> Vec<Vec<Command>> {
    let mut blocks: Vec<Vec<Command>> = Vec::new();
    let mut inside = false;
    let mut open: Option<Command> = None;
    for (number, line) in text.lines().enumerate() {
        match line {
            "```sh" => {
                inside = true;
                blocks.push(Vec::new());
            }
            "```" => inside = false,
            line if inside && !line.trim().is_empty() && !line.trim().starts_with('#') => {
                let (text, goes_on) = match line.strip_suffix('\\') {
                    Some(text) => (text, true),
                    None => (line, false),
                };
                let command = match open.take() {
                    Some(begun) => Command { text: begun.text + text.trim_start(), ..begun },
                    None => Command { page: page.to_owned(), line: number + 1, text: text.to_owned() },
                };
                match goes_on {
                    true => open = Some(command),
                    false => blocks.last_mut().expect("inside of a block").push(command),
                }
            }
            _ => {}
        }
    }
    blocks
}

impl Command {
    /// Without its comment.
    pub fn bare(&self) -> &str {
        self.text.split_once(" # ").map_or(self.text.as_str(), |(bare, _)| bare).trim()
    }

    /// Without its comment, and as who has installed Sluice says it.
    pub fn short(&self) -> String {
        self.bare().replace("target/release/sluice", "sluice")
    }

    pub fn program(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }

    pub fn is_sluice(&self) -> bool {
        matches!(self.program(), "sluice" | "target/release/sluice")
    }

    /// Without a subcommand it is the one-machine system, which goes on until it is told to stop.
    pub fn is_server(&self) -> bool {
        self.is_sluice() && self.text.split_whitespace().nth(1).is_none_or(|word| word.starts_with('-'))
    }

    /// The page says so, in the command's comment.
    pub fn asks(&self) -> bool {
        self.text.split_once(" # ").is_some_and(|(_, comment)| comment.contains("asks"))
    }

    /// The variables that it sets for what comes after it.
    pub fn exports(&self) -> Vec<&str> {
        let Some(assignments) = self.bare().strip_prefix("export ") else { return Vec::new() };
        let names = assignments.split_whitespace().filter_map(|word| Some(word.split_once('=')?.0));
        names.filter(|name| name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')).collect()
    }

    /// The variables that it uses.
    pub fn uses(&self) -> BTreeSet<&str> {
        let name = |rest: &'_ str| rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let used = self.bare().split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
        used.map(|rest| &rest[..name(rest).unwrap_or(rest.len())]).filter(|name| !name.is_empty()).collect()
    }

    /// Whether a shell can read it; nothing is run.
    ///
    /// # Errors
    /// What the shell said.
    pub fn parse(&self) -> Result<(), String> {
        let output = process::Command::new("bash").args(["-n", "-c", &self.text]).output().expect("bash");
        let told = String::from_utf8_lossy(&output.stderr);
        match output.status.success() && told.is_empty() {
            true => Ok(()),
            false => Err(told.into_owned()),
        }
    }

    /// The words, as a shell takes them. Nothing is run, but what redirects is redirected: into a folder that is gone
    /// afterwards.
    pub fn words(&self) -> Vec<String> {
        let line = format!("printf '%s\\0' {}", self.text);
        let nowhere = tempfile::tempdir().expect("a folder");
        let output = process::Command::new("bash").args(["-c", &line]).current_dir(&nowhere).output().expect("bash");
        assert!(output.status.success(), "{self}: {}", String::from_utf8_lossy(&output.stderr));
        let words = String::from_utf8(output.stdout).expect("text");
        let words: Vec<String> = words.split_terminator('\0').map(str::to_owned).collect();
        assert!(!words.is_empty(), "{self}: its words go elsewhere");
        words
    }
}
