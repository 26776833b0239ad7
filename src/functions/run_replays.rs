//! `run-replays`: timer trigger. Works on what operators ordered: replays and discards, a slice at a time.

use crate::{
    app::App,
    host::{Invocation, InvocationFailure, InvocationResult},
    recovery::run::run_slices,
};

pub(super) async fn handle(app: &App, _call: &Invocation<'_>) -> Result<InvocationResult, InvocationFailure> {
    let worked = run_slices(app).await.map_err(|error| InvocationFailure::new(error.to_string()))?;
    if worked > 0 {
        tracing::debug!(jobs = worked, "worked on operators' jobs");
    }
    Ok(InvocationResult::default())
}
