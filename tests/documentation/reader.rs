//! Somebody who pastes a page's commands into a shell, one block after another.
//!
//! Commands are run as they are written, but for this:
//! - port 7071, where the pages' system listens, is the port of the test's own; another server that a page starts gets a port,
//!   and a data folder, of its own
//! - `...` is what the system's banner has there, or a secret of the demo profile
//! - `sqlite3` is SQLite, in this process: not every machine has the program
//! - `curl` fails where it is refused (`.curlrc`)
//! - `terraform output` is a double, which knows the outputs of `terraform/outputs.tf`
//! - after 20,000 callbacks the page goes on with a new system
//!
//! What a block exports holds until its end, and must be a configuration that `sluice check` takes. Beyond that it would
//! lead the rest of the README into production, and that of docs/operations.md to Azure.

use std::{
    fs,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use crate::{
    commands::Command,
    root,
    server::finished,
    terminal,
    world::{CROWD, LIMIT, PATIENCE, System, World, told},
};

/// `sluice explain` exits with 1 for a refused request, and the pages explain refused ones only.
const REFUSED: i32 = 1;
/// As curl does where it is to fail.
const REFUSED_BY_HTTP: i32 = 22;
/// Between two looks at whether something has happened.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Reader {
    world: World,
    /// The exports of the block.
    exported: Vec<String>,
}

impl Reader {
    pub fn sit_down() -> Self {
        Self { world: World::start(), exported: Vec::new() }
    }

    /// Runs a command.
    ///
    /// # Errors
    /// It did not do what the page promises; with what it said.
    pub fn run(&mut self, command: &Command) -> Result<(), String> {
        self.world.prepare(command.bare());
        let done = self.do_as_it_says(command);
        if command.bare().contains(CROWD) {
            self.world = World::start();
        }
        done
    }

    fn do_as_it_says(&mut self, command: &Command) -> Result<(), String> {
        if command.program() == "sqlite3" {
            return self.ask_sqlite(command);
        }
        if command.is_server() {
            return self.serve(command);
        }
        if command.asks() {
            let output = terminal::answered(&mut self.world.shell(&self.lines(&self.here(command))), "yes\n\u{4}");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            // Nothing is dead-lettered in the test's system, so there is nothing to ask about.
            let has_asked =
                said.contains("[y/N]") || command.text.contains("dead-letters") && said == "nothing matches\n";
            return expect(has_asked && output.status.success(), &output);
        }
        if let Some(line) = self.spelled_out(command) {
            return self.run_until_applied(&line);
        }
        if !command.exports().is_empty() {
            return self.export(command);
        }
        let expected = match () {
            () if command.bare().contains("sluice explain") => REFUSED,
            () if command.bare().contains("refused.trace") => REFUSED_BY_HTTP,
            () => 0,
        };
        let output = finished(&mut self.world.shell(&self.lines(&self.here(command))), LIMIT);
        expect(output.status.code() == Some(expected), &output)
    }

    /// # Errors
    /// What the block has exported is no configuration.
    pub fn end_block(&mut self) -> Result<(), String> {
        if self.exported.is_empty() {
            return Ok(());
        }
        let output = finished(&mut self.world.shell(&self.lines("sluice check")), LIMIT);
        self.exported.clear();
        expect(output.status.success(), &output)
    }

    /// With the exports of the block before it.
    fn lines(&self, line: &str) -> String {
        [&self.exported[..], &[line.to_owned()]].concat().join("\n")
    }

    /// The command, led to the test's own system.
    fn here(&self, command: &Command) -> String {
        let url = self.world.url();
        let line = command.bare().replace("http://127.0.0.1:7071", &url);
        match line.contains("sluice simulate ") && !line.contains(" --url ") {
            true => line.replace("sluice simulate ", &format!("sluice simulate --url {url} ")),
            false => line,
        }
    }

    fn export(&mut self, command: &Command) -> Result<(), String> {
        let mut line = command.bare().to_owned();
        let shipped = fs::read_to_string(root().join("sluice.toml")).unwrap();
        for name in command.exports().into_iter().filter(|name| command.bare().contains(&format!("{name}=..."))) {
            let secret =
                shipped.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'));
            let secret = secret.ok_or_else(|| format!("{name}: sluice.toml has no such secret"))?;
            line = line.replace(&format!("{name}=..."), &format!("{name}={secret}"));
        }
        self.exported.push(line);
        // A program that fails within an assignment goes unnoticed otherwise.
        let all_set: String = command.exports().iter().map(|name| format!(": \"${{{name}:?}}\"\n")).collect();
        let output = finished(&mut self.world.shell(&self.lines(&all_set)), LIMIT);
        expect(output.status.success(), &output)
    }

    /// The banner's line that this one abbreviates.
    fn spelled_out(&self, command: &Command) -> Option<String> {
        let line = self.here(command);
        line.split_once("...")?;
        let fits = |whole: &str| {
            let mut rest = whole;
            let mut parts = line.split("...");
            let is_begun = parts.next().is_some_and(|part| rest.strip_prefix(part).map(|after| rest = after).is_some());
            is_begun && parts.all(|part| rest.split_once(part).map(|(_, after)| rest = after).is_some())
        };
        self.world.banner().lines().map(str::trim).find(|whole| fits(whole)).map(str::to_owned)
    }

    /// What was just sent is applied in a moment.
    fn run_until_applied(&self, line: &str) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let output = finished(&mut self.world.shell(line), LIMIT);
            if output.status.success() || begun.elapsed() > PATIENCE || !line.contains("sluice show") {
                return expect(output.status.success(), &output);
            }
            thread::sleep(PAUSE);
        }
    }

    fn serve(&self, command: &Command) -> Result<(), String> {
        // It takes the place of its shell, and hence its signals.
        let line = format!("exec {}", command.bare().replace("127.0.0.1:5672", "127.0.0.1:0"));
        let folder = tempfile::tempdir().unwrap();
        let mut shell = self.world.shell(&self.lines(&line));
        shell.env("SLUICE_DATA", folder.path().join("data")).env("SLUICE_PORT", "0");
        let mut system = System::start(&mut shell, &folder.path().join("log"))?;
        system.process.send(Signal::TERM);
        let status = system.process.end(PATIENCE);
        match status.success() {
            true => Ok(()),
            false => Err(format!("stopped, it says {status}\n{}", system.banner)),
        }
    }

    /// `sqlite3 FILE QUERY`, once there is something to be found.
    fn ask_sqlite(&self, command: &Command) -> Result<(), String> {
        let words = command.words();
        let [_, file, query] = &words[..] else { return Err(format!("not FILE QUERY: {words:?}")) };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let rows = Connection::open_with_flags(self.world.path(file), OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(
                |connection| connection.prepare(query)?.query_map([], |_| Ok(()))?.collect::<Result<Vec<_>, _>>(),
            );
            if !rows.map_err(|error| error.to_string())?.is_empty() {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        Err("it finds nothing".to_owned())
    }
}

fn expect(is_so: bool, output: &Output) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(told(output)) }
}
