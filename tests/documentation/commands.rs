//! The commands of a page's `sh` blocks, and what the test does with each.

use std::{collections::BTreeSet, fmt, process};

/// Commands of Sluice that are not run, each with its reason: what they contain, and why. They must be on some page, and
/// the command line must take them.
pub const EXCUSED: &[(&str, &str)] = &[
    ("...", "has a placeholder"),
    ("--count 20000", "calls port 7071; .ci/smoke does so with a server of its own"),
    ("simulate --url http://127.0.0.1:7071", "calls a system that the reader has started"),
    ("sluice check", "needs the real secrets that the lines before set"),
    ("refused.trace", "reads a file that the reader has captured"),
    ("inspector.har", "reads a file that the reader has captured"),
    ("request.txt", "reads a file that the reader has captured"),
    ("replay --subscription callbacks/sms --reason", "asks a person before it does anything"),
    ("replays pause ID", "has a placeholder"),
    ("--amqp 127.0.0.1:5672", "is a server, and takes a port that may be in use; tests/amqp_endpoint has it"),
    ("partners test acme", "calls acme.example.com, which nobody has"),
    ("init-azure --settings", "needs the emulators, and hence Docker"),
    ("doctor --settings", "needs the emulators, and hence Docker"),
    ("sluice bench", "measures, for a minute or more; bench has tests of its own"),
];

/// Other programs, and why their commands are not run here.
const PROGRAMS: &[(&str, &str)] = &[
    ("az", "needs Azure"),
    ("gh", "needs GitHub"),
    ("terraform", "needs the providers, or Azure; .ci/terraform runs what needs neither"),
    ("terraform/deploy", "needs Azure; tests/workflows.rs runs it against doubles"),
    ("terraform/smoke", "needs Azure; tests/workflows.rs runs it against doubles"),
    ("cargo", "is what runs this test; .ci/run has its commands"),
    ("rustup", "installs a compiler"),
    ("export", "sets what this test sets in its own way"),
    ("curl", "calls what the reader has deployed, or started"),
    ("sqlite3", "is another program; tests/projection asks the same view"),
    ("perf", "measures"),
    ("git", "is the reader's own"),
    ("cp", "prepares what needs Docker"),
    ("ACCEPT_EULA=Y", "needs Docker"),
    ("(cd", "needs Azure Functions Core Tools, which are no package here"),
    ("bench/run", "measures, for 20 minutes"),
    ("bench/peers/run", "measures, and installs other programs"),
    ("tests/proof/mutations/run", "builds the program five times; .ci/run does"),
    (".ci/run", "runs this test itself"),
    (".ci/terraform", "is a step of .ci/run"),
    (".ci/workflows", "is a step of .ci/run"),
    ("PROOF_SEED=7", "is the proof's; .ci/run has it"),
    ("dig", "asks the internet"),
    ("dd", "is the reader's own"),
    ("openssl", "is the reader's own"),
];

/// One command, on one line.
#[derive(Debug, Clone)]
pub struct Command {
    page: String,
    line: usize,
    pub text: String,
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.page, self.line, self.text)
    }
}

/// What the test does with a command.
#[derive(Debug, PartialEq)]
pub enum Fate {
    Run,
    Excused(&'static str),
    /// Nobody has said anything of it.
    Unknown,
}

/// Every command of a page.
pub fn of(page: &str, text: &str) -> Vec<Command> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut open: Option<Command> = None;
    for (number, line) in text.lines().enumerate() {
        match line {
            "```sh" => inside = true,
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
                    false => found.push(command),
                }
            }
            _ => {}
        }
    }
    found
}

impl Command {
    fn program(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }

    /// Makes a folder that later commands write into, or tells Sluice something on its standard input.
    fn prepares(&self) -> bool {
        match self.program() {
            "mkdir" => true,
            "echo" | "printf" => self.text.contains("| sluice "),
            _ => false,
        }
    }

    /// The page itself says so, in the command's comment. Here nobody answers.
    fn asks(&self) -> bool {
        self.text.split_once(" # ").is_some_and(|(_, comment)| comment.contains("asks"))
    }

    fn is_sluice(&self) -> bool {
        matches!(self.program(), "sluice" | "target/release/sluice")
    }

    /// Adds what excused it to `used`.
    pub fn fate(&self, used: &mut BTreeSet<&'static str>) -> Fate {
        if self.prepares() {
            return Fate::Run;
        }
        if !self.is_sluice() {
            let known = PROGRAMS.iter().find(|(program, _)| *program == self.program());
            return known.map_or(Fate::Unknown, |(_, reason)| Fate::Excused(reason));
        }
        match EXCUSED.iter().find(|(text, _)| self.text.contains(text)) {
            Some((text, reason)) => {
                used.insert(text);
                Fate::Excused(reason)
            }
            None if self.asks() => Fate::Excused("asks a person before it does anything"),
            None => Fate::Run,
        }
    }

    /// The words, as a shell takes them; nothing for other programs. Nothing is run, but what redirects is redirected: into
    /// a folder that is gone afterwards.
    pub fn arguments(&self) -> Option<Vec<String>> {
        if !self.is_sluice() {
            return None;
        }
        let line = format!("printf '%s\\0' {}", self.text);
        let nowhere = tempfile::tempdir().expect("a folder");
        let output = process::Command::new("bash").args(["-c", &line]).current_dir(&nowhere).output().expect("bash");
        assert!(output.status.success(), "{self}: {}", String::from_utf8_lossy(&output.stderr));
        let words = String::from_utf8(output.stdout).expect("text");
        let mut words: Vec<String> = words.split_terminator('\0').map(str::to_owned).collect();
        *words.first_mut().unwrap_or_else(|| panic!("{self}: its words go elsewhere")) = "sluice".to_owned();
        Some(words)
    }
}
