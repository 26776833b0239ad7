//! Without faults: a steady day, and vendors that repeat themselves.

use futures_util::FutureExt;

use super::Scenario;
use crate::oracle::{Allowed, Findings};

/// Everything works, messages keep their order, and there are a few repeats.
pub const STEADY: Scenario = Scenario {
    name: "steady",
    setting: |setting| crate::world::Setting { shuffle: false, ..setting },
    script: |_| async { Findings::default() }.boxed(),
    allowed: |_| Allowed::default(),
};

/// 65 % of all requests repeat an earlier one, in any order, on two instances.
pub const RETRY_STORM: Scenario = Scenario {
    name: "retry_storm",
    setting: |setting| crate::world::Setting { callbacks: 150, duplicates: 0.65, instances: 2, ..setting },
    script: |_| async { Findings::default() }.boxed(),
    allowed: |_| Allowed::default(),
};
