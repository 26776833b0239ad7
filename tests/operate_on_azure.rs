//! Finding, replaying and discarding once more with Azure's adapters, which `support` gives the test app because of this
//! binary's name: the bus is Service Bus's, on the AMQP endpoint of an embedded broker, and the documents are in Cosmos
//! DB's emulator.

#[path = "operate/replay.rs"]
mod replay;
#[path = "operate/search.rs"]
mod search;
mod support;
#[path = "operate/world.rs"]
mod world;

#[tokio::test]
async fn bus_and_documents_are_azures() {
    let app = support::TestApp::start();
    let (bus, documents) = (format!("{:?}", app.bus.inner), format!("{:?}", app.documents.inner));
    assert!(bus.starts_with("ServiceBusClient") && documents.starts_with("CosmosDocuments"), "{bus} {documents}");
}
