//! What no batch waits for: deliveries that wait for room, and requests that are under way. A retry record stands in for
//! each of them.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, JoinHandle},
    time::Instant,
};

use super::{Courier, Errand, Fate, MARGIN, Ready};
use crate::{
    delivery::{
        client::{Exchange, Failed},
        limits::{Gate, WAITS_AT_MOST},
    },
    retry::NotKept,
};

/// A place in the queue is kept for longer than its turn should take: what did not have it then comes back with its record.
const QUEUED_AT_MOST: Duration = WAITS_AT_MOST.saturating_mul(3);

impl Courier {
    /// Lets a delivery that found no room wait for it, or puts it off where too many wait already.
    pub(super) async fn queue(self: &Arc<Self>, ready: Ready, gate: &Arc<Gate>) -> Result<Fate, NotKept> {
        let (now, timeout) = (self.clock.now(), ready.partner.settings.timeout);
        let Some(place) = gate.queue() else {
            let why = format!("partner {} has enough under way", ready.partner.name());
            return self.put_off(ready.message, gate.put_off(now), why).await;
        };
        let lost_at = now + QUEUED_AT_MOST + timeout + MARGIN;
        self.put_off(ready.message.clone(), lost_at, "it waited for its turn, which did not come".to_owned()).await?;
        let (courier, gate) = (Arc::clone(self), Arc::clone(gate));
        tokio::spawn(async move {
            let Some(pass) = gate.enter(Instant::now() + QUEUED_AT_MOST).await else { return };
            drop(place);
            // What must wait after all has a record already.
            if let Ok((errand, exchange)) = courier.set_out(ready, pass).await {
                courier.finish(errand, exchange).await;
            }
        });
        Ok(Fate::HandedOver)
    }

    /// Waits for the answer, and takes away what stood in for the delivery.
    pub(super) async fn finish(self: Arc<Self>, errand: Errand, exchange: JoinHandle<Exchange>) {
        match self.conclude(&errand, ended(exchange.await)).await {
            Ok(Fate::Delivered | Fate::Parked) => {
                if let Err(error) = self.retries.forget(&errand.message).await {
                    tracing::warn!(%error, "a delivery that is done stays in the retry table: it comes again");
                }
            }
            // Its next attempt has taken the place.
            Ok(Fate::Failed | Fate::PutOff | Fate::HandedOver) => {}
            Err(error) => tracing::error!(%error, "how a delivery ended is not written down: it comes again"),
        }
    }
}

/// A task that panicked counts as a connection that broke.
pub(super) fn ended(exchange: Result<Exchange, JoinError>) -> Exchange {
    exchange.unwrap_or_else(|error| {
        tracing::error!(%error, "a request panicked");
        Exchange { result: Err(Failed::Broken("the program failed".into())), took: Duration::ZERO }
    })
}
