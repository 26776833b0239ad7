//! `deliver`: Service Bus trigger, subscription `deliver` of the deliveries topic. Takes events to their partners.

use super::{MESSAGES, PAUSE_BEFORE_REDELIVERY};
use crate::{
    app::App,
    host::{Invocation, InvocationFailure, InvocationResult},
};

pub(super) async fn handle(app: &App, call: &Invocation<'_>) -> Result<InvocationResult, InvocationFailure> {
    let messages = call.service_bus_batch(MESSAGES)?;
    let messages = messages.iter().map(|message| (message.into(), message.body.clone())).collect();
    match app.courier.carry(messages).await {
        Ok(carried) => {
            tracing::debug!(?carried, "a batch is on its way to partners");
            Ok(InvocationResult::default())
        }
        Err(error) => {
            tokio::time::sleep(PAUSE_BEFORE_REDELIVERY).await;
            Err(InvocationFailure::new(error.to_string()))
        }
    }
}
