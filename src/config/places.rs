//! Where the program's parts are, and under which names others know them.

use super::{Blobs, Config, Documents};
use crate::app::SQL;

impl Config {
    /// What an app setting that function folders name is where the environment has none: the one-machine host goes by it, and
    /// in a Function App the setting has to say the same.
    pub fn default_setting(&self, name: &str) -> Option<String> {
        match name {
            "CALLBACKS_TOPIC" => Some(self.bus.callbacks_topic.clone()),
            "DELIVERIES_TOPIC" => Some(self.bus.deliveries_topic.clone()),
            // Nothing would ever come to it, and it would want a database.
            "AzureWebJobs.project-sql.Disabled" if !self.announces_to(SQL) => Some("true".into()),
            _ => None,
        }
    }

    /// The sections whose data is in the data folder of this machine, as they are named in the file.
    pub fn embedded(&self) -> Vec<&'static str> {
        let kept_here = [
            ("[bus]", self.service_bus.is_none()),
            ("[documents]", matches!(self.documents, Documents::Embedded)),
            ("[blobs]", matches!(self.blobs, Blobs::Embedded)),
        ];
        kept_here.into_iter().filter(|(_, here)| *here).map(|(section, _)| section).collect()
    }
}
