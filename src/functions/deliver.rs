//! `deliver`: Service Bus trigger, subscription `deliver` of the deliveries topic. Takes events to their partners.

use std::time::Instant;

use super::{MESSAGES, PAUSE_BEFORE_REDELIVERY, oldest, receiving};
use crate::{
    app::App,
    host::{Invocation, InvocationFailure, InvocationResult},
};

const SUBSCRIPTION: &str = "deliver";

pub(super) async fn handle(app: &App, call: &Invocation<'_>) -> Result<InvocationResult, InvocationFailure> {
    let messages = call.service_bus_batch(MESSAGES)?;
    let span = receiving(app, call, &app.config.bus.deliveries_topic, SUBSCRIPTION, &messages);
    let (oldest, started) = (oldest(app, &messages), Instant::now());
    let messages = messages.iter().map(|message| (message.into(), message.body.clone())).collect();
    match app.courier.carry(messages, &span).await {
        Ok(carried) => {
            app.meter.batch(SUBSCRIPTION, started.elapsed(), oldest);
            tracing::debug!(?carried, "a batch is on its way to partners");
            Ok(InvocationResult::default())
        }
        Err(error) => {
            span.fail("not_kept");
            drop(span);
            tokio::time::sleep(PAUSE_BEFORE_REDELIVERY).await;
            Err(InvocationFailure::new(error.to_string()))
        }
    }
}
