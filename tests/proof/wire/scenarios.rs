//! What is behind a proxy in which trial, and what happens to it.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use sluice::documents::Container;
use tokio::time::{Instant, sleep};

use super::{bystander, ground::Wired};
use crate::{
    oracle::{Allowed, Findings},
    scenarios::Scenario,
    support::chaos_proxy::{Mode, sequence::Sequence},
    world::{Setting, World},
};

pub const ALL: [Scenario; 4] = [AMQP, COSMOS, PARTNER, EVERYTHING];

/// The broker, for who publishes and for who receives.
const AMQP: Scenario = Scenario {
    name: "wire::amqp",
    setting: |setting| load(setting, Wired { bus: true, ..Wired::default() }, 50.0),
    script: |world| script(world).boxed(),
    allowed: |_| Allowed::default(),
};

/// The store. Among the faults are commits whose answers are lost.
const COSMOS: Scenario = Scenario {
    name: "wire::cosmos",
    setting: |setting| load(setting, Wired { documents: true, ..Wired::default() }, COSMOS_RATE),
    script: |world| script(world).boxed(),
    allowed: |_| STORE_FAILED,
};

/// One of two partners; the other one must not notice.
const PARTNER: Scenario = Scenario {
    name: "wire::partner",
    setting: |setting| load(setting, Wired { partner: true, ..Wired::default() }, 40.0),
    script: |world| {
        async {
            let mut findings = script(world).await;
            bystander::is_not_slowed(world, &mut findings).await;
            findings
        }
        .boxed()
    },
    allowed: |_| Allowed::default(),
};

const EVERYTHING: Scenario = Scenario {
    name: "wire::everything",
    setting: |setting| load(setting, Wired { bus: true, documents: true, partner: true }, COSMOS_RATE),
    script: |world| script(world).boxed(),
    allowed: |_| STORE_FAILED,
};

/// Requests a second that the emulator bears, beside all that the processing of each asks of it.
const COSMOS_RATE: f64 = 10.0;
const STORE_FAILED: Allowed = Allowed { parked: None, records_may_lack: true };

/// Before the first fault, at the least.
const PEACE: Duration = Duration::from_secs(2);
/// A breaker asks again once it has been open for so long.
pub const BREAKER_OPEN: Duration = Duration::from_secs(60);

/// What each proxy does; both legs of the bus, the store and the partner have faults of their own.
fn sequence(seed: u64, proxy: &str) -> Sequence {
    let number = ["publishing", "receiving", "documents", "partner"].iter().position(|name| *name == proxy);
    Sequence::draw(seed.wrapping_mul(4).wrapping_add(number.expect("it is one of them") as u64))
}

fn wired(wired: Wired) -> impl Iterator<Item = &'static str> {
    let Wired { bus, documents, partner } = wired;
    let all = [("publishing", bus), ("receiving", bus), ("documents", documents), ("partner", partner)];
    all.into_iter().filter_map(|(name, wired)| wired.then_some(name))
}

/// Every fault of a run, for people.
pub fn faults(scenario: Scenario, seed: u64) -> String {
    let setting = (scenario.setting)(Setting::new(seed));
    let tell = |name: &str| format!("{name}, once everything is in use:\n{}", sequence(seed, name));
    wired(setting.wired).map(tell).collect()
}

/// Enough requests to last as long as the faults do.
fn load(setting: Setting, over: Wired, rate: f64) -> Setting {
    let longest = wired(over).map(|name| sequence(setting.seed, name).lasts()).max().unwrap_or_default();
    let requests = (PEACE + longest).as_secs_f64() * rate;
    let callbacks = (requests * (1.0 - setting.duplicates)) as u32;
    Setting { wired: over, rate: Some(rate), callbacks, ..setting }
}

/// Every proxy goes through its faults, and they must have met something.
async fn script(world: &World) -> Findings {
    in_use(world).await;
    let proxies = world.wire.proxies();
    let runs = proxies.iter().map(|(name, proxy)| async move {
        let sequence = sequence(world.setting.seed, name);
        let tell = |mode: Mode| {
            world.faults.note("wire", name, "", &format!("{mode:?}"));
            if *name == "partner" && mode == Mode::Pass {
                // Or the first fault would be the only one that meets anything.
                world.clock.forward(BREAKER_OPEN);
                world.faults.note("clock", "", "", "forward past the breaker's rest");
            }
        };
        sequence.run(proxy, tell).await;
    });
    join_all(runs).await;

    let mut findings = Findings::default();
    for (name, proxy) in proxies {
        if proxy.counts.broken() + proxy.counts.vanished() == 0 {
            findings.add("faults met nothing", None, format!("{name}: {:?}", proxy.counts));
        }
    }
    if world.setting.wired.documents {
        store_answers_again(world, &mut findings).await;
    }
    findings
}

/// Connections that lost something without a word must be found out and replaced by the program itself.
async fn store_answers_again(world: &World, findings: &mut Findings) {
    const BOUND: Duration = Duration::from_secs(15);
    const IN_A_ROW: usize = 5;
    let (began, mut good) = (Instant::now(), 0);
    while good < IN_A_ROW {
        match world.test.documents.inner.read(Container::Ledger, "nothing", "is here").await {
            Ok(_) => good += 1,
            Err(error) if began.elapsed() > BOUND => {
                return findings.add("the store stays away", None, format!("{BOUND:?} after the last fault: {error}"));
            }
            Err(_) => good = 0,
        }
        sleep(Duration::from_millis(25)).await;
    }
}

/// The peace lasts until everything that faults can meet is in use.
async fn in_use(world: &World) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let began = Instant::now();
    sleep(PEACE).await;
    while world.partners[0].double.seen().is_empty() {
        assert!(began.elapsed() < PATIENCE, "nothing has come to a partner within {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
