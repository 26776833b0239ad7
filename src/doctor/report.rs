//! What was found: one step a line.

use std::fmt::{self, Write};

use serde::Serialize;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// It works, and somebody should know this.
    Warn,
    /// It does not work, or will not.
    Fail,
    /// Not looked at, because of what was found before.
    Skip,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Failures are what somebody looks for in a page of lines.
        formatter.pad(match self {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
            Outcome::Skip => "skip",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub outcome: Outcome,
    /// `bus`, `documents`, `blobs`, `functions` and so on.
    pub part: &'static str,
    /// What of it: `topic callbacks`.
    pub what: String,
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The steps of one part, in order.
#[derive(Debug)]
pub(crate) struct Steps {
    part: &'static str,
    pub steps: Vec<Step>,
}

impl Steps {
    pub fn of(part: &'static str) -> Self {
        Self { part, steps: Vec::new() }
    }

    pub fn ok(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.add(Outcome::Ok, what, found, None);
    }

    pub fn warn(&mut self, what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Outcome::Warn, what, found, Some(advice.into()));
    }

    pub fn fail(&mut self, what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Outcome::Fail, what, found, Some(advice.into()));
    }

    pub fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.add(Outcome::Skip, what, why, None);
    }

    fn add(&mut self, outcome: Outcome, what: impl Into<String>, found: impl Into<String>, advice: Option<String>) {
        let found = one_line(&found.into());
        let advice = advice.map(|advice| one_line(&advice));
        self.steps.push(Step { outcome, part: self.part, what: what.into(), found, advice });
    }
}

/// Errors of libraries may have several lines and diagnostics without end.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Everything that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Nothing failed.
    pub healthy: bool,
    pub version: &'static str,
    pub steps: Vec<Step>,
}

impl Report {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        let healthy = steps.iter().all(|step| step.outcome != Outcome::Fail);
        Self { healthy, version: env!("CARGO_PKG_VERSION"), steps }
    }

    /// For a person: a line a step, below it what to do.
    pub fn page(&self) -> String {
        let width = self.steps.iter().map(|step| step.what.chars().count()).max().unwrap_or(0);
        let mut page = String::new();
        for Step { outcome, part, what, found, advice } in &self.steps {
            writeln!(page, "{outcome:<4}  {part:<9}  {what:<width$}  {found}").expect("a text takes all");
            if let Some(advice) = advice {
                writeln!(page, "        {advice}").expect("a text takes all");
            }
        }
        let count = |outcome| self.steps.iter().filter(|step| step.outcome == outcome).count();
        let (failed, warned) = (count(Outcome::Fail), count(Outcome::Warn));
        let word = if self.healthy { "healthy" } else { "not healthy" };
        writeln!(page, "\n{word}: {failed} failed, {warned} to know of, {} ok", count(Outcome::Ok))
            .expect("a text takes all");
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_line_a_step_and_what_to_do_below_it() {
        let mut steps = Steps::of("bus");
        steps.ok("reach", "contoso:5671");
        steps.fail("topic callbacks", "first\n  second", "create it");
        let report = Report::new(steps.steps);
        let page = report.page();
        assert!(page.starts_with("ok    bus        reach            contoso:5671\n"), "{page}");
        assert!(page.contains("FAIL  bus        topic callbacks  first second\n        create it\n"), "{page}");
        assert!(page.ends_with("not healthy: 1 failed, 0 to know of, 1 ok\n"), "{page}");
    }

    #[test]
    fn what_a_library_says_without_end_is_cut() {
        let mut steps = Steps::of("bus");
        steps.ok("reach", "ä".repeat(1000));
        assert_eq!(steps.steps[0].found.chars().count(), 403);
    }
}
