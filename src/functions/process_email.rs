//! `process-email`: Service Bus trigger, subscription `email` of the callbacks topic.

use super::process_channel;
use crate::{
    app::App,
    event::Channel,
    host::{Invocation, InvocationFailure, InvocationResult},
};

pub(super) async fn handle(app: &App, call: &Invocation<'_>) -> Result<InvocationResult, InvocationFailure> {
    process_channel(app, Channel::Email, call).await
}
