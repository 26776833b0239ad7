//! One thing fails at a time, while the vendors send.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rand::RngExt;
use sluice::documents::{Container, Query, query_all};

use super::Scenario;
use crate::{
    faults::Rates,
    oracle::{Allowed, Findings},
    support::partner_double::Act,
    world::{Setting, World},
};

/// The ledger refuses or ignores one vendor's messages, so SMS and voice fail; e-mail goes on as if nothing were.
pub const CHANNEL_DOWN: Scenario = Scenario {
    name: "channel_down",
    setting: |setting| Setting { callbacks: 200, ..setting },
    script: |world| {
        async {
            let mut findings = Findings::default();
            world.reached(0.1).await;
            let down = match world.setting.seed % 2 {
                0 => Rates::DOWN,
                _ => Rates { before: 0.8, hang: 0.2, ..Rates::NONE },
            };
            world.faults.set_vendor("twilio:", down);
            world.reached(1.0).await;
            email_goes_on(world, &mut findings).await;
            findings
        }
        .boxed()
    },
    allowed: |_| Allowed::default(),
};

/// Waits until nothing of e-mail waits, while the other channel still fails.
async fn email_goes_on(world: &World, findings: &mut Findings) {
    const PATIENCE: Duration = Duration::from_secs(10);
    let began = Instant::now();
    loop {
        let depths = world.test.broker.depths().await.unwrap();
        let email = depths.iter().filter(|depth| depth.entity.subscription == "email");
        let waiting: u64 = email.map(|depth| depth.active + depth.locked).sum();
        if waiting == 0 {
            break;
        }
        if began.elapsed() > PATIENCE {
            return findings.add("another channel was held up", None, format!("{waiting} e-mail callbacks wait"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let documents = world.store();
    for document in query_all(documents, Container::Retries, Query::all().page_size(1000)).await.unwrap() {
        let record: sluice::retry::records::RetryRecord = document.parse().unwrap();
        if record.partner.is_none() && record.channel.as_deref() == Some("email") {
            let key = record.message_key.as_deref();
            findings.add("another channel failed", key, record.last_error);
        }
    }
}

/// The broker refuses, loses answers and hangs, for publishers and receivers; ingest spools.
pub const BROKER_DOWN: Scenario = Scenario {
    name: "broker_down",
    setting: |setting| Setting { callbacks: 160, ..setting },
    script: |world| {
        async {
            world.reached(0.2).await;
            let publish = match world.setting.seed % 3 {
                0 => Rates::DOWN,
                1 => Rates { before: 0.3, lost: 0.5, ..Rates::NONE },
                _ => Rates { before: 0.6, hang: 0.1, mute: 0.1, late: 0.2, delay: LATEST, ..Rates::NONE },
            };
            world.faults.set("bus.publish", publish);
            if world.setting.seed.is_multiple_of(2) {
                world.faults.handle(crate::faults::Handling { fails: 0.3, ..Default::default() });
            }
            world.reached(0.8).await;
            world.faults.heal();
            Findings::default()
        }
        .boxed()
    },
    allowed: |_| Allowed::default(),
};

/// The store answers late, throttles, loses answers; some calls never end.
pub const STORE_SLOW: Scenario = Scenario {
    name: "store_slow",
    setting: |setting| Setting { callbacks: 160, ..setting },
    script: |world| {
        async {
            world.reached(0.1).await;
            let mut random = world.faults.random("store");
            let throttled = random.random_range(0.05..0.3);
            let commit = Rates {
                before: throttled,
                after: 0.08,
                lost: 0.08,
                hang: 0.01,
                mute: 0.01,
                late: 0.02,
                slow: 0.4,
                delay: LATEST,
            };
            world.faults.set("documents.commit", commit);
            let read = Rates { before: throttled / 2.0, slow: 0.3, delay: LATEST, ..Rates::NONE };
            world.faults.set("documents.read", read);
            world.faults.set("documents.query", read);
            world.reached(1.0).await;
            Findings::default()
        }
        .boxed()
    },
    allowed: |_| Allowed { records_may_lack: true, ..Allowed::default() },
};

/// What is slow or late is so by this much, at the most; [`World::settle`] waits longer.
pub const LATEST: Duration = Duration::from_millis(150);

/// Whether the partner of [`PARTNER_DEAD`] stays dead.
fn for_good(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

/// One partner answers 503 or never: for a while, then it gets everything; or for good, then what it is owed is parked.
/// The other partner gets its events in any case.
pub const PARTNER_DEAD: Scenario = Scenario {
    name: "partner_dead",
    setting: |setting| {
        let disable_after = if for_good(setting.seed) { "90s" } else { "5d" };
        Setting { callbacks: 160, disable_after, ..setting }
    },
    script: |world| {
        async {
            let dying = &world.partners[0].double;
            dying.usually(match world.setting.seed % 3 {
                0 => Act::Stall(Duration::from_secs(3)),
                _ => Act::Answer(503),
            });
            world.reached(1.0).await;
            if !for_good(world.setting.seed) {
                dying.usually(Act::Answer(200));
            }
            Findings::default()
        }
        .boxed()
    },
    allowed: |seed| Allowed { parked: for_good(seed).then_some("everything"), ..Allowed::default() },
};
