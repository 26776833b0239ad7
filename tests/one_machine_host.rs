//! The one-machine host: function folders, routes, schedules, HTTP and triggers, as the Functions host treats them.

#[path = "one_machine_host/folders.rs"]
mod folders;
#[path = "one_machine_host/http.rs"]
mod http;
#[path = "one_machine_host/routes.rs"]
mod routes;
#[path = "one_machine_host/schedules.rs"]
mod schedules;
#[path = "one_machine_host/service_bus.rs"]
mod service_bus;
#[path = "one_machine_host/timers.rs"]
mod timers;
#[path = "one_machine_host/world.rs"]
mod world;
