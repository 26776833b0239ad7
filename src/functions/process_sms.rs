//! `process-sms`: Service Bus trigger, subscription `sms` of the callbacks topic.

use super::process_channel;
use crate::{
    app::App,
    event::Channel,
    host::{Invocation, InvocationFailure, InvocationResult},
};

pub(super) async fn handle(app: &App, call: &Invocation<'_>) -> Result<InvocationResult, InvocationFailure> {
    process_channel(app, Channel::Sms, call).await
}
