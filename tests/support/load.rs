//! Vendors that send until they are told to stop, and the judge of what came of it.

use std::{sync::Arc, time::Duration};

use sluice::{
    clock::{Clock, SystemClock},
    documents::Documents,
    simulate::{
        Cast, LoadOptions, Obligations, Outcome, Plan, Progress, Shape, Standing, Verdict, VerifyOptions, send, verify,
    },
};
use tokio::{sync::watch, task::JoinHandle};

use super::config;

/// More callbacks than anybody waits for.
const PLENTY: u32 = 40_000;

/// Vendors at work: half of what they send repeats something, in any order.
pub struct Vendors {
    pub plan: Arc<Plan>,
    pub progress: Arc<Progress>,
    stop: watch::Sender<bool>,
    sending: JoinHandle<Outcome>,
}

impl Vendors {
    /// Needs a Tokio runtime.
    pub fn start(url: &str, seed: u64, options: LoadOptions) -> Self {
        Self::play(Self::plan(seed), url, options)
    }

    /// What a seed makes them send, from now on.
    pub fn plan(seed: u64) -> Arc<Plan> {
        let cast = Cast::new(&config(&[]), &[], &|_| None).unwrap();
        let shape = Shape { callbacks: PLENTY, duplicates: 0.5, shuffle: true, seed, started: SystemClock.now() };
        Arc::new(Plan::new(cast.generators, shape))
    }

    /// Sends this plan, perhaps one among several who do.
    pub fn play(plan: Arc<Plan>, url: &str, options: LoadOptions) -> Self {
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let sending = tokio::spawn({
            let (url, plan, progress) = (url.parse().unwrap(), plan.clone(), progress.clone());
            async move { send(plan, &url, &options, Arc::new(SystemClock), progress, stopped).await.unwrap() }
        });
        Self { plan, progress, stop, sending }
    }

    /// Waits for the answers that are on their way, and sends no more.
    pub async fn stop(self) -> Sent {
        self.stop.send_replace(true);
        let outcome = self.sending.await.unwrap();
        assert!(!outcome.gave_up, "the target stayed out of reach");
        Sent { plan: self.plan, outcome }
    }
}

/// What vendors sent, and what they were promised for it.
pub struct Sent {
    pub plan: Arc<Plan>,
    pub outcome: Outcome,
}

impl Sent {
    /// Adds what others were promised for the same plan.
    pub fn with(mut self, other: &Sent) -> Self {
        let all = Obligations::new(self.plan.callbacks());
        for callback in 0..self.plan.callbacks() {
            for outcome in [&self.outcome, &other.outcome] {
                all.note(callback, outcome.obligations.standing(callback));
            }
        }
        self.outcome.obligations = Arc::new(all);
        self.outcome.acked += other.outcome.acked;
        self
    }

    /// Different callbacks that were answered with a 2xx.
    fn acknowledged(&self) -> usize {
        let obligations = &self.outcome.obligations;
        (0..self.plan.callbacks()).filter(|callback| obligations.standing(*callback) == Standing::Acked).count()
    }

    /// Waits until the documents hold what was promised, which they must without any fault.
    pub async fn judge(&self, documents: &dyn Documents) -> Verdict {
        // What was held by several processes that were killed waits for its lock first, 60 s.
        let options = VerifyOptions { timeout: Duration::from_secs(100), ..VerifyOptions::default() };
        let verdict = verify(&self.plan, &self.outcome.obligations, documents, &options, &|_, _| {}).await.unwrap();
        let found: Vec<_> = verdict.findings().iter().map(|(name, found)| format!("{name} {}", found.count)).collect();
        println!(
            "seed {}: {} callbacks acknowledged ({} requests), {} events owed, {} found, {}",
            self.plan.shape().seed,
            self.acknowledged(),
            self.outcome.acked,
            verdict.owed,
            verdict.found,
            found.join(", ")
        );
        assert!(verdict.is_clean(), "seed {}: {verdict:?}", self.plan.shape().seed);
        assert!(verdict.owed > 0, "nothing was promised, so nothing was proved");
        verdict
    }
}
