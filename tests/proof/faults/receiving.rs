//! The receiving side with faults: messages that come twice, in any order, or whose locks are lost.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt, seq::SliceRandom};
use sluice::local::{
    broker::{Broker, Lock},
    host::{Delivery, SubscriptionError, Subscriptions},
};

use super::Faults;

/// Subscriptions with faults.
#[derive(Debug)]
pub struct FaultySubscriptions {
    broker: Broker,
    faults: Faults,
    /// Copies of messages that come again, by subscription.
    again: Mutex<Vec<(String, Delivery<Lock>)>>,
}

impl FaultySubscriptions {
    pub fn new(broker: Broker, faults: Faults) -> Arc<Self> {
        Arc::new(Self { broker, faults, again: Mutex::default() })
    }

    fn fails(&self, method: &'static str, of: &str) -> Result<(), SubscriptionError> {
        let handling = self.faults.handling();
        if handling.fails > 0.0 && self.faults.random((method, of)).random_bool(handling.fails) {
            self.faults.note(method, of, "", "Before");
            return Err(SubscriptionError("injected".into()));
        }
        Ok(())
    }
}

impl Subscriptions for FaultySubscriptions {
    type Lock = Lock;

    async fn receive(
        &self,
        topic: &str,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery<Lock>>, SubscriptionError> {
        let entity = format!("{topic}/{subscription}");
        self.fails("subscriptions.receive", &entity)?;
        let held = self.again.lock().unwrap().iter().any(|(of, _)| *of == entity);
        let wait = if held { Duration::ZERO } else { wait };
        let mut batch = Subscriptions::receive(&self.broker, topic, subscription, max, wait).await?;
        let handling = self.faults.handling();
        let mut later = Vec::new();
        if handling.twice > 0.0 {
            for index in 0..batch.len() {
                let delivery = batch[index].clone();
                let about = delivery.message.subject.clone().unwrap_or_default();
                let mut random = self.faults.random(("twice", &entity, &about));
                if random.random_bool(handling.twice) {
                    self.faults.note("subscriptions.receive", &entity, &about, "Twice");
                    match random.random_bool(0.5) {
                        true => batch.push(delivery),
                        false => later.push((entity.clone(), delivery)),
                    }
                }
            }
        }
        {
            let mut again = self.again.lock().unwrap();
            let (now, others) = again.drain(..).partition(|(of, _)| *of == entity);
            *again = others;
            again.extend(later);
            batch.extend(Vec::into_iter(now).map(|(_, delivery): (String, Delivery<Lock>)| delivery));
        }
        if handling.reorder {
            batch.shuffle(&mut self.faults.random(("reorder", &entity)));
        }
        Ok(batch)
    }

    async fn complete(&self, locks: &[Lock]) -> Result<usize, SubscriptionError> {
        self.fails("subscriptions.complete", "")?;
        let rate = self.faults.handling().lock_lost;
        if rate == 0.0 {
            return Subscriptions::complete(&self.broker, locks).await;
        }
        let mut random = self.faults.random("locks");
        let (lost, kept): (Vec<Lock>, Vec<Lock>) = locks.iter().cloned().partition(|_| random.random_bool(rate));
        if !lost.is_empty() {
            self.faults.note("subscriptions.complete", "", "", &format!("LockLost for {}", lost.len()));
        }
        let gone = Subscriptions::complete(&self.broker, &kept).await?;
        // As if the locks had run out just before.
        Subscriptions::abandon(&self.broker, &lost).await?;
        Ok(gone + lost.len())
    }

    async fn abandon(&self, locks: &[Lock]) -> Result<usize, SubscriptionError> {
        self.fails("subscriptions.abandon", "")?;
        Subscriptions::abandon(&self.broker, locks).await
    }
}
