//! The HTTP interface, described: what `sluice openapi` prints, as OpenAPI 3.1.
//!
//! Nothing is described apart from the code. Whoever answers a request owns an [`Operation`] beside its handler: in the
//! functions' table ([`crate::functions::FUNCTIONS`]) and in the operators' ([`crate::admin::RESOURCES`]), which are also
//! what requests are routed by. So a route without a description does not compile. The shapes of bodies are made from the
//! types that are read and written; and in debug builds, tests among them, an answer with a status that nobody described
//! is a panic ([`expect_described`]).
//!
//! There are two [`Place`]s to be called at: what the world sees, in Azure and on one machine, and what the Functions host
//! sees of the custom handler.

mod document;
mod operation;
mod shape;

pub use document::{Place, document};
pub use operation::{Answer, At, Content, Header, Operation, Parameter, expect_described};
pub use shape::{DurationText, Shape, SizeText, plain, shape};
