//! What a run of the proof was asked for.

/// How long and with which seeds the scenarios run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// `PROOF_SEED`: this seed alone, to replay a run that failed.
    pub seed: Option<u64>,
    /// `--long`: new seeds for an hour, instead of the fixed ones.
    pub long: bool,
}

impl Options {
    /// Takes what is ours from the command line; the rest is for the test harness.
    ///
    /// # Panics
    /// `PROOF_SEED` is no number.
    pub fn take(arguments: &mut Vec<String>) -> Self {
        let before = arguments.len();
        arguments.retain(|argument| argument != "--long");
        let seed = std::env::var("PROOF_SEED").ok();
        let seed =
            seed.map(|text| text.parse().unwrap_or_else(|_| panic!("PROOF_SEED={text}: must be a whole number")));
        Self { seed, long: arguments.len() < before }
    }
}
