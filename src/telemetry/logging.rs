//! Log lines: where they go, and what a panic may say.

use std::{
    io::IsTerminal,
    panic::PanicHookInfo,
    sync::{Arc, OnceLock},
};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, fmt,
    fmt::MakeWriter,
    util::{SubscriberInitExt, TryInitError},
};

use super::{Tokens, redact::Redacting};

/// The log, once it is started.
#[derive(Debug, Clone, Default)]
pub struct Logging(Arc<OnceLock<Tokens>>);

impl Logging {
    /// Addresses in lines are told apart from now on: until the key is known they are all hidden alike.
    pub fn know(&self, tokens: &Tokens) {
        // The first key stays: with another one, lines could not be compared.
        drop(self.0.set(tokens.clone()));
    }
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Text { colours: bool },
}

/// Starts logging to standard output, one line per record: the Functions host files standard error as errors.
///
/// `RUST_LOG` filters (default `info`), `SLUICE_LOG_FORMAT=json` writes JSON.
pub fn start_logging() -> Logging {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let form = match std::env::var("SLUICE_LOG_FORMAT").as_deref() {
        Ok("json") => Form::Json,
        _ => Form::Text { colours: std::io::stdout().is_terminal() },
    };
    let logging = Logging::default();
    let started: Result<(), TryInitError> = subscriber(filter, form, std::io::stdout, &logging).try_init();
    if started.is_ok() {
        std::panic::set_hook(Box::new(tell_of_panic));
    }
    // Otherwise a test has set up a subscriber of its own; that one stays.
    logging
}

/// What turns records into lines.
pub fn subscriber<W>(filter: EnvFilter, form: Form, writer: W, logging: &Logging) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A line that cannot be written (its disk is full) is left out. Otherwise that would be told on standard error, which
    // panics where it cannot be written either, in whatever thread had something to say.
    let lines = fmt().with_env_filter(filter).with_target(false).log_internal_errors(false);
    let lines = lines.with_writer(Redacting::new(writer, Arc::clone(&logging.0)));
    match form {
        Form::Json => Box::new(lines.json().flatten_event(true).finish()),
        Form::Text { colours } => Box::new(lines.with_ansi(colours).finish()),
    }
}

/// Where it happened, and what it says where that is written in the code. The rest was made of values: a slice that is cut
/// within a character, say, quotes the text that it was cut from.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload().downcast_ref::<&'static str>().copied();
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    tracing::error!(place, thread, said = message.unwrap_or("(made of values, so it is not told)"), "a panic");
}
