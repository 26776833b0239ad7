//! `sweep-retries`: timer trigger. Brings back what is due: the spool, retry records, left-over outbox entries. Then removes
//! bodies whose time is over.

use std::time::Duration;

use crate::{
    app::App,
    host::{Invocation, InvocationFailure, InvocationResult},
    retry::sweep::{Ports, sweep},
};

/// How old the metrics of what all instances share may be: less than the minute after which they are exported.
const SURVEY_EVERY: Duration = Duration::from_secs(30);

pub(super) async fn handle(app: &App, _call: &Invocation<'_>) -> Result<InvocationResult, InvocationFailure> {
    let ports = Ports {
        bus: app.bus.as_ref(),
        documents: app.documents.as_ref(),
        blobs: app.blobs.as_ref(),
        clock: app.clock.as_ref(),
        leases: &app.leases,
    };
    // First: how much waits is worth most when nothing can be brought back.
    if app.meter.is_exported()
        && app.surveyor.is_due(SURVEY_EVERY)
        && let Err(error) = app.surveyor.look(Vec::new()).await
    {
        tracing::warn!(%error, "how much waits could not be found out");
    }
    let swept = sweep(ports, &app.config).await.map_err(|error| InvocationFailure::new(error.to_string()))?;
    // What is left of it comes with the next look: nobody waits for it.
    match app.old_blobs.remove(app).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "bodies are removed whose time is over"),
        Err(error) => tracing::warn!(%error, "old bodies are not removed"),
    }
    let mut result = InvocationResult::default();
    if !swept.is_empty() {
        tracing::info!(
            spooled = swept.spooled,
            retries = swept.retries,
            outbox = swept.outbox,
            "brought back what was due"
        );
        result.logs.push(format!(
            "brought back {} spooled callbacks, {} retries, {} outbox entries",
            swept.spooled, swept.retries, swept.outbox
        ));
    }
    Ok(result)
}
