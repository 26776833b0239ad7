//! Every case of the pipeline once more with Azure's adapters, which `support` gives the test app because of this binary's
//! name: the bus is Service Bus's, on the AMQP endpoint of an embedded broker, and the documents are in Cosmos DB's emulator.
//!
//! `pipeline/sweeps.rs` is not among them: it moves tens of thousands of records against the clock, and the emulator copies
//! a whole partition for each commit. The queries and commits that a sweep stands on are held to in `contract`.

#[path = "pipeline/consent.rs"]
mod consent;
#[path = "pipeline/door.rs"]
mod door;
#[path = "pipeline/exactly_once.rs"]
mod exactly_once;
#[path = "pipeline/failures.rs"]
mod failures;
#[path = "pipeline/handshakes.rs"]
mod handshakes;
#[path = "pipeline/leases.rs"]
mod leases;
#[path = "pipeline/outbox.rs"]
mod outbox;
mod support;

#[tokio::test]
async fn bus_and_documents_are_azures() {
    let app = support::TestApp::start();
    let (bus, documents) = (format!("{:?}", app.bus.inner), format!("{:?}", app.documents.inner));
    assert!(bus.starts_with("ServiceBusClient") && documents.starts_with("CosmosDocuments"), "{bus} {documents}");
}
