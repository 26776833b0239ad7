//! Every case of the pipeline once more with Azure's adapters: the bus is Service Bus's, on the AMQP endpoint of an embedded
//! broker, and the documents are in Cosmos DB's emulator.

#[path = "pipeline/main.rs"]
mod pipeline;

use pipeline::support;

#[tokio::test]
async fn bus_and_documents_are_azures() {
    let app = support::TestApp::start();
    let (bus, documents) = (format!("{:?}", app.bus.inner), format!("{:?}", app.documents.inner));
    assert!(bus.starts_with("ServiceBusClient") && documents.starts_with("CosmosDocuments"), "{bus} {documents}");
}
