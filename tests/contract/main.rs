//! What every adapter of the ports promises (`documents_*`, `bus_publish`, `dead_letters`), and what the embedded engine promises beyond
//! them (`broker_*`, `durability*`) and the Cosmos DB adapter (`cosmos`). One file per family of promises; [`adapters`] says how another adapter joins.

mod adapters;
mod broker_dead_letter;
mod broker_duplicates;
mod broker_look;
mod broker_receive;
mod broker_schedule_ttl;
mod broker_settle;
mod broker_wait;
mod bus_publish;
mod clock;
mod cosmos;
mod cosmos_answers;
#[path = "../support/cosmos.rs"]
mod cosmos_emulator;
mod dead_letters;
mod documents_commit;
mod documents_paging;
mod documents_query;
mod documents_races;
mod documents_refused;
mod documents_ttl;
mod durability;
mod durability_faults;
mod durability_files;
mod durability_kill;
#[path = "../support/folder.rs"]
mod folder;
mod test_broker;
