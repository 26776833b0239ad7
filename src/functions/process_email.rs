//! `process-email`: Service Bus trigger, subscription `email` of the callbacks topic.

use super::{Failed, process_channel};
use crate::{
    app::App,
    event::Channel,
    host::{Invocation, InvocationResult},
};

pub(super) async fn handle(app: &App, call: &Invocation) -> Result<InvocationResult, Failed> {
    process_channel(app, Channel::Email, call).await
}
