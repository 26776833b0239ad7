//! Every case of the pipeline once more, with documents in Cosmos DB's emulator.

#[path = "pipeline/main.rs"]
mod pipeline;

use pipeline::support;
