//! The one-machine host: what the Azure Functions host is to the handler in Azure.
//!
//! [`FunctionApp`] reads `host.json` and the function folders by the real host's rules. [`OneMachineHost`] then serves
//! their HTTP routes and drives their Service Bus and timer triggers. It calls the handler in process but through the
//! same contract, so that what works here works there. It is a front door for real traffic, not an emulator: where the
//! real host loses something on the way (chunked bodies, repeated query keys, content headers), this one does not.
//!
//! | file | the idea in it |
//! |---|---|
//! | [`app`], [`host_json`], `function_json` | the folders, and why one is refused |
//! | `names`, `settings`, `json` | naming rules, `%SETTING%`, case-insensitive members |
//! | [`route`] | route templates, and which function a request belongs to |
//! | [`schedule`], [`ncrontab`], `time_span` | when a timer fires |
//! | `run` | the host itself, and how it stops |
//! | `forward`, `body` | one request; its body's deadline |
//! | [`handler`] | the way to the handler in this process |
//! | `invoke` | a call by the JSON protocol, with every way it can fail |
//! | `outputs` | what an answer writes to output bindings |
//! | [`subscriptions`], `service_bus`, `timer` | the triggers |
//! | `give_way` | triggers rest while requests press |

pub mod app;
mod body;
mod forward;
mod function_json;
mod give_way;
pub mod handler;
pub mod host_json;
mod invoke;
mod json;
mod names;
pub mod ncrontab;
mod outputs;
pub mod route;
mod run;
pub mod schedule;
mod service_bus;
mod settings;
pub mod subscriptions;
mod time_span;
mod timer;

pub use app::{Function, FunctionApp, HttpTrigger, Output, OutputKind, ServiceBusTrigger, TimerTrigger, Trigger};
pub use handler::Handler;
pub use host_json::{HostJson, HostJsonError};
pub use run::{HostOptions, OneMachineHost, Unsupported};
pub use settings::Settings;
pub use subscriptions::{Delivery, SubscriptionError, Subscriptions};
