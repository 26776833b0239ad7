//! Who is refused, how, and what the others notice of it.

use std::time::Duration;

use sluice::simulate::Outcome;
use tokio::{sync::watch, time::timeout};

use super::server::{Role, System, shed};

/// Low priority may have 4 of them, normal 6.
const IN_FLIGHT: usize = 8;
/// Vendors of low, normal and high priority, their connections, and more callbacks than they get rid of in time. The last
/// has no more connections than there are places that nobody else may take.
const VENDORS: [(&str, usize, u32); 3] = [("acme-sms", 16, 20_000), ("resend", 4, 20_000), ("twilio", 2, 20_000)];
const PRESSURE: Duration = Duration::from_secs(5);

pub async fn on_one_machine(seed: u64) {
    run(seed, Role::OneMachine).await;
}

/// The same limit holds where the Functions host forwards what comes, as much of it at a time as it likes.
pub async fn behind_a_host(seed: u64) {
    run(seed, Role::Handler).await;
}

async fn run(seed: u64, role: Role) {
    let mut system = System::new(IN_FLIGHT);
    system.start(role).await;
    let plans = VENDORS.map(|(vendor, _, callbacks)| system.plan(vendor, callbacks, seed));
    let (stopping, stop) = watch::channel(false);
    let press = |index: usize| system.press(&plans[index], VENDORS[index].1, None, &stop);
    let end = async {
        tokio::time::sleep(PRESSURE).await;
        stopping.send_replace(true);
    };
    let (low, normal, high, (), ()) = tokio::join!(
        press(0),
        press(1),
        press(2),
        async { timeout(PRESSURE, a_refusal_says_when(&system)).await.expect("somebody is refused") },
        end
    );

    for ((vendor, ..), outcome) in VENDORS.iter().zip([&low, &normal, &high]) {
        let p99 = Duration::from_micros(outcome.latency.value_at_quantile(0.99));
        println!("{vendor}: {} acknowledged, {:.1} % shed, p99 of 2xx {p99:?}", outcome.acked, 100.0 * shed(outcome));
        let budget = system.config.ingest.publish_timeout + system.config.ingest.spool_timeout;
        assert!(outcome.acked > 0 && p99 < budget, "{vendor}: {p99:?}");
    }
    let shares: [f64; 3] = [&low, &normal, &high].map(shed);
    assert!(shares[0] > shares[1] + 0.1, "low priority gives way first: {shares:?}");
    assert_eq!(shares[2], 0.0, "high priority has places of its own");

    if role == Role::Handler {
        // What was acknowledged waits on the bus: somebody has to process it.
        system.stop();
        system.start(Role::OneMachine).await;
    }
    for (plan, outcome) in plans.iter().zip([&low, &normal, &high]) {
        system.verify(plan, outcome).await;
    }
    counted(&system, &low).await;
}

/// Asks as a vendor of low priority until it is refused, and reads the answer.
async fn a_refusal_says_when(system: &System) {
    let client = reqwest::Client::new();
    let url = format!("{}/incoming/acme-sms/sms", system.url());
    loop {
        // Not signed: it is turned away by either.
        let answer = client.post(&url).body("[]").send().await.unwrap();
        if answer.status() == 503 {
            let seconds: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds} s");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            return;
        }
        assert_eq!(answer.status(), 401);
    }
}

/// An operator sees whose callbacks were refused.
async fn counted(system: &System, low: &Outcome) {
    // The meter is written every 2 s.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let vendors = &system.status()["vendors"];
    let shed = |vendor: &str| vendors[vendor]["shed"].as_u64().unwrap_or_else(|| panic!("{vendors}"));
    // And at least the one of somebody who did not sign.
    assert!(shed("acme-sms") > low.refused[&503], "{vendors}");
    assert_eq!(shed("twilio"), 0);
}
