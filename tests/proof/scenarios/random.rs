//! Everything at random: every port fails in every way, messages come twice and in any order, locks are lost, the clock
//! jumps, partners are moody, and there may be two instances.

use std::time::Duration;

use futures_util::FutureExt;
use rand::{RngExt, rngs::StdRng};

use super::{Scenario, faulty::LATEST};
use crate::{
    faults::{Handling, Rates},
    oracle::{Allowed, Findings},
    support::partner_double::Act,
    world::{Setting, World},
};

pub const EVERYTHING: Scenario = Scenario {
    name: "everything",
    setting: |setting| Setting {
        callbacks: 140,
        duplicates: 0.3,
        instances: 1 + (setting.seed % 2) as usize,
        claim_check_above: if setting.seed.is_multiple_of(3) { "900B" } else { "192KiB" },
        ..setting
    },
    script: |world| {
        async {
            let (mut findings, odd) = tokio::join!(script(world), world.look_on());
            odd.into_iter().for_each(|answer| findings.add("an operator was answered oddly", None, answer));
            findings
        }
        .boxed()
    },
    allowed: |_| Allowed { records_may_lack: true, ..Allowed::default() },
};

/// What a run calls. No vendor of the plan has a certificate to fetch, so nobody calls `outbound.get`.
const METHODS: [&str; 6] =
    ["bus.publish", "documents.commit", "documents.read", "documents.query", "blobs.put", "blobs.get"];

async fn script(world: &World) -> Findings {
    let mut random = world.faults.random("everything");
    for partner in &world.partners {
        let acts: Vec<Act> = (0..40).map(|_| act(&mut random)).collect();
        partner.double.next(acts);
    }
    const PARTS: u32 = 4;
    for part in 1..=PARTS {
        for method in METHODS {
            world.faults.set(method, rates(&mut random));
        }
        // Whoever opens a sub-queue is answered in time by the adapters themselves.
        let open = Rates { hang: 0.0, mute: 0.0, late: 0.0, ..rates(&mut random) };
        world.faults.set("dead_letters.open", open);
        world.faults.handle(Handling {
            twice: random.random_range(0.0..0.3),
            lock_lost: random.random_range(0.0..0.15),
            reorder: random.random(),
            fails: random.random_range(0.0..0.1),
        });
        // Both ways, and never far enough to make a signature too old.
        let jump = Duration::from_secs(random.random_range(0..45));
        match random.random() {
            true => world.clock.forward(jump),
            false => world.clock.back(jump),
        }
        world.faults.note("clock", "", "", &format!("jumped by {jump:?}"));
        world.reached(f64::from(part) / f64::from(PARTS)).await;
    }
    Findings::default()
}

fn act(random: &mut StdRng) -> Act {
    match random.random_range(0..10) {
        0 => Act::Answer(503),
        1 => Act::With(429, "retry-after", "1".into()),
        2 => Act::Stall(Duration::from_millis(random.random_range(50..1000))),
        _ => Act::Answer(200),
    }
}

/// A method fails in most ways now and then; a third of the methods in none.
fn rates(random: &mut StdRng) -> Rates {
    if random.random_range(0..3) == 0 {
        return Rates::NONE;
    }
    let mut rate = |most: f64| random.random_range(0.0..most);
    Rates {
        before: rate(0.15),
        after: rate(0.1),
        lost: rate(0.1),
        hang: rate(0.01),
        mute: rate(0.01),
        late: rate(0.03),
        slow: rate(0.2),
        delay: LATEST,
    }
}
