//! The metrics of the one-machine system: those of the program, and how full its own broker is.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Response, header::CONTENT_TYPE};

use super::broker::{Broker, Depth};
use crate::{
    app::App,
    clock::Timestamp,
    telemetry::{Queue, points, prometheus},
};

/// Whoever may ask, the store is asked no more often than this.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// How often somebody looks while metrics are exported.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Looks, and tells.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub app: Arc<App>,
    pub broker: Broker,
}

impl Metrics {
    /// The page that Prometheus reads. Where the store fails, it lacks what all instances share, or has it from before.
    pub async fn page(&self) -> Response<Body> {
        if self.app.surveyor.is_due(FRESH_FOR) {
            self.look().await;
        }
        let survey = self.app.surveyor.last();
        let points = points(&self.app.meter, self.app.door.pressure().taken(), survey.as_deref());
        let mut response = Response::new(Body::from(prometheus::text(&points)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(prometheus::CONTENT_TYPE));
        response
    }

    /// Looks every now and then, for as long as metrics are exported.
    pub async fn run(self) {
        while self.app.meter.is_exported() {
            self.look().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) {
        let queues = match self.broker.depths().await {
            Ok(depths) => {
                let now = self.app.clock.now();
                depths.iter().map(|depth| queue(depth, now)).collect()
            }
            Err(error) => {
                tracing::warn!(%error, "how full the broker is could not be found out");
                Vec::new()
            }
        };
        if let Err(error) = self.app.surveyor.look(queues).await {
            tracing::warn!(%error, "how much waits could not be found out");
        }
    }
}

fn queue(depth: &Depth, now: Timestamp) -> Queue {
    let oldest = depth.oldest_enqueued_at.and_then(|oldest| (now - oldest).to_std().ok());
    Queue {
        subscription: depth.entity.to_string(),
        active: depth.active,
        locked: depth.locked,
        scheduled: depth.scheduled,
        dead_letters: depth.dead_letters,
        oldest: oldest.unwrap_or_default(),
    }
}
