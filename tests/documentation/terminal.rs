//! A terminal with somebody in front of it, for commands that ask.

use std::{
    fs::File,
    io::Write,
    process::{Command, Output},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::{server::finished, world::LIMIT};

/// Runs a command whose standard input is a terminal, at which this is typed. Ctrl-D is `\u{4}`: whoever asks again gets no
/// answer, instead of waiting for one.
pub fn answered(command: &mut Command, answer: &str) -> Output {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    // It waits there until it is read. Who hangs up before takes it along, so the person stays until the end.
    let mut person = File::from(person);
    person.write_all(answer.as_bytes()).unwrap();
    finished(command.stdin(terminal), LIMIT)
}
