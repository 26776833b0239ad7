//! What is not run here, and why: what no machine has that has only Rust and a shell, and what another step of `.ci/run` runs.
//! Where it is run elsewhere, that file is looked into.

use std::collections::BTreeSet;

use crate::{commands::Command, root};

/// Commands that are not run.
pub struct Excuse {
    /// What they contain; `^ ` stands before a command, and ` $` after it.
    has: &'static str,
    why: &'static str,
    /// Who runs them instead: files, and what each must say. `SAME` stands for the command itself, with a script's variable
    /// in the place of `PID`.
    elsewhere: &'static [(&'static str, &'static str)],
}

const SAME: &str = "";

const fn excuse(has: &'static str, why: &'static str) -> Excuse {
    Excuse { has, why, elsewhere: &[] }
}

const fn elsewhere(has: &'static str, why: &'static str, files: &'static [(&'static str, &'static str)]) -> Excuse {
    Excuse { has, why, elsewhere: files }
}

/// jq is needed by who deploys, and by nobody else.
const WORKFLOWS: &[(&str, &str)] = &[
    ("tests/workflows.rs", SAME),
    (".ci/workflows", "cargo test --locked --test workflows -- --include-ignored"),
    (".ci/run", ".ci/workflows"),
];
const WORKFLOWS_RUN_IT: &str =
    "needs jq: tests/workflows.rs runs it against doubles, in the step .ci/workflows of .ci/run";

const NEEDS_AZURE: &str = "needs Azure";
const MEASURES: &str = "measures; .ci/measurements runs it, as short as it can be, in a step of .ci/run";
const MEASUREMENTS: (&str, &str) = (".ci/run", "\n.ci/measurements\n");
const NEEDS_GITHUB: &str = "needs GitHub";

/// The first that fits counts.
const EXCUSES: &[Excuse] = &[
    excuse("^ az ", NEEDS_AZURE),
    excuse("$(az ", NEEDS_AZURE),
    excuse("^ gh ", NEEDS_GITHUB),
    elsewhere(
        "^ terraform -chdir=terraform init -backend-config=",
        "needs Azure, where the state is; .ci/terraform does it without a state, where it can reach the providers' registry",
        &[(".ci/terraform", "terraform -chdir=terraform init -backend=false"), (".ci/run", ".ci/terraform")],
    ),
    excuse("^ terraform -chdir=terraform providers lock ", "needs the registry of Terraform's providers"),
    excuse("^ terraform -chdir=terraform plan ", NEEDS_AZURE),
    excuse("^ terraform -chdir=terraform apply ", NEEDS_AZURE),
    elsewhere("^ terraform/deploy ", WORKFLOWS_RUN_IT, WORKFLOWS),
    elsewhere("^ terraform/smoke ", WORKFLOWS_RUN_IT, WORKFLOWS),
    elsewhere("| jq ", WORKFLOWS_RUN_IT, WORKFLOWS),
    excuse("^ ACCEPT_EULA=Y docker ", "needs Docker"),
    elsewhere(
        "sluice init-azure --settings ",
        "needs the emulators, and hence Docker; tests/crash.rs runs it on the one of Cosmos DB that is a library",
        &[("tests/crash.rs", "&[\"init-azure\"]")],
    ),
    excuse("sluice doctor --settings ", "needs the emulators, and hence Docker; tests/doctor has doubles of them"),
    excuse("func start", "needs Azure Functions Core Tools, which are no package here"),
    elsewhere(
        "^ rustup target add x86_64-unknown-linux-musl $",
        "installs a compiler; .github/workflows/release.yml does",
        &[(".github/workflows/release.yml", "--target \"$TARGET\"")],
    ),
    elsewhere(
        "^ cargo build --release --locked --target x86_64-unknown-linux-musl $",
        "needs a compiler for musl; .github/workflows/release.yml has one and runs it",
        &[
            (".github/workflows/release.yml", "cargo build --release --locked --target \"$TARGET\""),
            (".github/workflows/release.yml", "TARGET: x86_64-unknown-linux-musl"),
        ],
    ),
    elsewhere(
        "^ cargo run --release $",
        "builds for minutes; the step .ci/smoke of .ci/run takes it from the README and runs it",
        &[
            (".ci/smoke", r"run_command=$(sed -n 's/^\(cargo run.*\)$/\1/p' README.md | head -n 1)"),
            (".ci/run", ".ci/smoke"),
        ],
    ),
    elsewhere(
        "^ cargo test $",
        "runs this test itself; .ci/run takes it from the README and runs it",
        &[(".ci/run", r"test_command=$(sed -n 's/^\(cargo test.*\)$/\1/p' README.md | head -n 1)")],
    ),
    elsewhere("^ PROOF_SEED=7 cargo test ", "builds for minutes; .ci/run runs it", &[(".ci/run", SAME)]),
    elsewhere(
        "^ cargo test --test proof processes -- --nocapture $",
        "is a part of `cargo test`, which .ci/run runs",
        &[("tests/proof/main.rs", "mod processes;")],
    ),
    excuse("^ cargo test --test proof -- --long $", "takes an hour"),
    elsewhere("^ tests/proof/mutations/run $", "builds the program five times; .ci/run runs it", &[(".ci/run", SAME)]),
    excuse("^ .ci/run $", "runs this test itself"),
    elsewhere(
        "^ .ci/terraform $",
        "needs Terraform, and installs checkov; it is a step of .ci/run",
        &[(".ci/run", SAME)],
    ),
    elsewhere(
        "^ sluice bench $",
        "measures, for a minute; the step .ci/smoke of .ci/run runs it",
        &[(".ci/smoke", "target/release/sluice bench\n"), (".ci/run", ".ci/smoke")],
    ),
    elsewhere("^ bench/run $", MEASURES, &[(".ci/measurements", "\nbench/run "), MEASUREMENTS]),
    elsewhere("^ bench/peers/run $", MEASURES, &[(".ci/measurements", "\nbench/peers/run "), MEASUREMENTS]),
    elsewhere(
        "^ cargo run --release --example deliveries $",
        MEASURES,
        &[
            (".ci/measurements", "cargo build --locked --examples"),
            (".ci/measurements", "/examples/deliveries\""),
            MEASUREMENTS,
        ],
    ),
    elsewhere("^ perf record ", MEASURES, &[(".ci/measurements", SAME), MEASUREMENTS]),
    elsewhere("^ valgrind --tool=callgrind ", MEASURES, &[(".ci/measurements", SAME), MEASUREMENTS]),
    elsewhere("^ callgrind_control -i on PID ", MEASURES, &[(".ci/measurements", SAME), MEASUREMENTS]),
];

/// Other programs that may run: they do what they do in a folder that is gone afterwards.
const PROGRAMS: &[&str] = &["cp", "curl", "echo", "export", "mkdir", "sed", "sqlite3"];

/// What the test does with a command.
#[derive(Debug, PartialEq)]
pub enum Fate {
    Run,
    Excused(&'static str),
    /// Nobody has said anything of it.
    Unknown,
}

/// Every excuse is to be used, and to be true.
#[derive(Default)]
pub struct Excuses {
    used: BTreeSet<&'static str>,
    /// Of the page at hand: what is set by commands that are not run.
    unset: BTreeSet<String>,
}

impl Excuses {
    pub fn begin_page(&mut self) {
        self.unset.clear();
    }

    pub fn fate(&mut self, command: &Command) -> Fate {
        let whole = format!("^ {} $", command.short());
        let excuse = EXCUSES.iter().find(|excuse| whole.contains(excuse.has));
        let why = match excuse {
            Some(excuse) => {
                self.used.insert(excuse.has);
                Some(excuse.why)
            }
            None if command.uses().iter().any(|name| self.unset.contains(*name)) => {
                Some("uses what such a command sets")
            }
            None => None,
        };
        match why {
            Some(why) => {
                self.unset.extend(command.exports().into_iter().map(str::to_owned));
                Fate::Excused(why)
            }
            None if command.is_sluice() || PROGRAMS.contains(&command.program()) => Fate::Run,
            None => Fate::Unknown,
        }
    }

    /// Excuses for what is on no page.
    pub fn stale(&self) -> Vec<&'static str> {
        EXCUSES.iter().map(|excuse| excuse.has).filter(|has| !self.used.contains(has)).collect()
    }
}

/// Whether a command that is not run here is run where its excuse says so.
///
/// # Errors
/// A file that does not say what it must.
pub fn is_run_elsewhere(command: &Command) -> Result<(), String> {
    let whole = format!("^ {} $", command.short());
    let files = EXCUSES.iter().find(|excuse| whole.contains(excuse.has)).map_or(&[][..], |excuse| excuse.elsewhere);
    for (file, says) in files {
        let same = command.bare().replace("PID", "\"$server\"");
        let says = if *says == SAME { &same } else { *says };
        let text = std::fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
        if !holds(&text, says) {
            return Err(format!("{file} does not say {says}"));
        }
    }
    Ok(())
}

/// Whether the text has it, and not only as the beginning of something longer.
fn holds(text: &str, says: &str) -> bool {
    text.match_indices(says).any(|(at, _)| !text[at + says.len()..].starts_with(|next: char| next.is_alphanumeric()))
}
