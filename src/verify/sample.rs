//! How samples are written: nothing of a person, nothing that a terminal obeys, and a command that can be pasted.

use super::report::Sample;

/// Longest name that is shown whole.
const LONGEST: usize = 120;

/// A message, by its key.
pub(super) fn of_message(key: &str, what: impl std::fmt::Display) -> Sample {
    let command = Some(format!("sluice show {}", quoted(key)));
    Sample { what: format!("{}: {what}", shown(key)), command }
}

/// A record that operators look at by its id: `source` is the command's name.
pub(super) fn of_record(source: &str, id: &str, what: impl std::fmt::Display) -> Sample {
    let command = Some(format!("sluice {source} show {}", quoted(id)));
    Sample { what: format!("{}: {what}", shown(id)), command }
}

/// What no command shows.
pub(super) fn plain(what: impl Into<String>) -> Sample {
    Sample { what: what.into(), command: None }
}

/// A name that others chose, on one line of a terminal.
fn shown(name: &str) -> String {
    let clean: String =
        name.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect();
    match clean.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// One word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || ":._-@+=/,".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let clean: String = word.chars().filter(|character| !character.is_control()).collect();
    format!("'{}'", clean.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_whatever_vendors_call_their_messages() {
        assert_eq!(quoted("twilio:SM1"), "twilio:SM1");
        assert_eq!(quoted("ses:<a@b>; rm -rf it's"), "'ses:<a@b>; rm -rf it'\\''s'");
        let sample = of_message("x:\u{1b}[2J", "wrong");
        assert_eq!(sample.what, "x:\u{fffd}[2J: wrong");
    }
}
