//! Faults on the wire: a proxy that cuts, resets, stalls, loses, slows and refuses connections stands before the broker's
//! AMQP endpoint, before Cosmos DB, and before a partner, while vendors send.
//!
//! | file | the idea in it |
//! |---|---|
//! | [`proxy`] | the proxy itself does what it says |

mod proxy;

use std::{future::Future, pin::Pin};

use libtest_mimic::Trial;

use crate::options::Options;

/// One trial's work.
type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Every trial of this module.
pub fn trials(_options: Options) -> Vec<Trial> {
    proxy::TRIALS.iter().map(|(name, work)| trial(format!("wire::proxy::{name}"), *work)).collect()
}

/// A trial on a runtime of its own.
fn trial(name: String, work: impl FnOnce() -> Work + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(work());
        // Clients that wait for an answer which never comes must not keep the trial from ending.
        runtime.shutdown_background();
        Ok(())
    })
}
