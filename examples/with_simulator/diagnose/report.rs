//! The report: one line for each check, for people or as JSON.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::support::print;

/// The widest line that is written.
const COLUMNS: usize = 100;
/// The column at which the details begin.
const DETAILS: usize = 18;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pass,
    Fail,
    Skip,
}

/// The result of one check.
#[derive(Serialize)]
pub(crate) struct Check {
    name: &'static str,
    status: Status,
    facts: Map<String, Value>,
    /// One or several lines.
    detail: String,
    what_to_do: Option<String>,
}

impl Check {
    pub(crate) fn pass(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Pass, facts: Map::new(), detail: detail.into(), what_to_do: None }
    }

    pub(crate) fn fail(name: &'static str, detail: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self { status: Status::Fail, what_to_do: Some(what_to_do.into()), ..Self::pass(name, detail) }
    }

    pub(crate) fn skip(name: &'static str, reason: impl Into<String>) -> Self {
        Self { status: Status::Skip, ..Self::pass(name, reason) }
    }

    /// Adds a fact for programs.
    pub(crate) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.status == Status::Fail
    }

    fn to_text(&self) -> String {
        let status = match self.status {
            Status::Pass => "pass",
            Status::Fail => "FAIL",
            Status::Skip => "skip",
        };
        let mut text = format!("{status}  {:<10}  ", self.name);
        let lines = self.detail.lines().flat_map(|line| wrap(line, COLUMNS.saturating_sub(DETAILS)));
        for (number, line) in lines.enumerate() {
            if number > 0 {
                text.push_str(&" ".repeat(DETAILS));
            }
            text.extend([line.as_str(), "\n"]);
        }
        if let Some(what_to_do) = &self.what_to_do {
            const HEAD: &str = "  what to do: ";
            for (number, line) in wrap(what_to_do, COLUMNS.saturating_sub(HEAD.len())).into_iter().enumerate() {
                text.extend([if number == 0 { HEAD } else { "              " }, &line, "\n"]);
            }
        }
        text
    }
}

/// All checks so far.
pub(crate) struct Report {
    as_json: bool,
    checks: Vec<Check>,
    written: crate::support::Result<()>,
}

impl Report {
    /// Begins a report. Unless it is JSON, its lines are written as they are added.
    pub(crate) fn new(as_json: bool, title: &str) -> Self {
        let mut report = Self { as_json, checks: Vec::new(), written: Ok(()) };
        report.write(&format!("{}\n\n", ascii(title)));
        report
    }

    /// Adds a check, and returns whether it did not fail.
    pub(crate) fn add(&mut self, check: Check) -> bool {
        self.write(&check.to_text());
        let is_good = !check.has_failed();
        self.checks.push(check);
        is_good
    }

    fn write(&mut self, text: &str) {
        if !self.as_json && self.written.is_ok() {
            self.written = print(text);
        }
    }

    /// Writes the summary, or the JSON, and returns whether nothing failed.
    pub(crate) fn finish(mut self) -> crate::support::Result<bool> {
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let (passed, failed, skipped) = (count(Status::Pass), count(Status::Fail), count(Status::Skip));
        let result = if failed == 0 { Status::Pass } else { Status::Fail };
        if self.as_json {
            Output { result, error: None, checks: &self.checks }.print()?;
        } else {
            let word = if failed == 0 { "pass" } else { "FAIL" };
            self.write(&format!("\n{word}: {passed} passed, {failed} failed, {skipped} skipped\n"));
        }
        self.written.map(|()| failed == 0)
    }
}

/// A report as JSON.
#[derive(Serialize)]
struct Output<'a> {
    result: Status,
    /// The reason why nothing was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    checks: &'a [Check],
}

impl Output<'_> {
    fn print(&self) -> crate::support::Result<()> {
        print(&(serde_json::to_string(self)? + "\n"))
    }
}

/// Writes the JSON of a report without checks: this error prevented them.
pub(crate) fn print_error(error: &str) -> crate::support::Result<()> {
    Output { result: Status::Fail, error: Some(error), checks: &[] }.print()
}

/// Breaks a line at its spaces. What follows is indented like the line.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let line = ascii(line);
    let indentation = line.len().saturating_sub(line.trim_start().len());
    let mut lines = Vec::new();
    let mut current = " ".repeat(indentation);
    let mut is_empty = true;
    for word in line.split_ascii_whitespace() {
        if !is_empty && current.len().saturating_add(word.len()) >= width {
            lines.push(std::mem::replace(&mut current, " ".repeat(indentation)));
            is_empty = true;
        }
        if !is_empty {
            current.push(' ');
        }
        current.push_str(word);
        is_empty = false;
    }
    lines.push(current);
    lines
}

/// Escapes everything but printable ASCII: a name in a certificate must not control a terminal.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => plain.push(c),
            '\u{2026}' => plain.push_str("..."),
            _ => plain.extend(c.escape_default()),
        }
    }
    plain
}

/// Describes an error of a connection in words.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".into(),
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::UnexpectedEof => "the connection was closed".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "the connection was reset".into()
        }
        _ => error.to_string(),
    }
}
