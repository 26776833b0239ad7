//! The Azure Functions custom-handler contract: an invocation comes in, a result goes out. No I/O, no business.
//!
//! The host turns every trigger that is not a forwarded HTTP request into `POST /{FunctionName}` with a JSON body.
//! [`Invocation`] reads that body; [`InvocationResult`] and [`InvocationFailure`] are the two possible answers.
//! The other side of the same contract is here too, because the one-machine host speaks it with the same handler:
//! [`encode`] writes the body of an invocation, and [`answer`] judges what the handler replied.
//!
//! | file | the idea in it |
//! |---|---|
//! | [`invocation`] | the body, its function name, and values by binding name |
//! | [`value`] | how the host wraps values in JSON strings, and how that is undone |
//! | [`service_bus`] | a batch of messages with its parallel metadata arrays |
//! | [`timer`], [`http`] | the other triggers' data |
//! | [`key`] | the key that a request to a function with one must bring |
//! | [`result`] | what a handler answers |
//! | [`answer`] | what the host makes of an answer |
//! | [`encode`] | the body that the host sends |

pub mod answer;
pub mod encode;
pub mod http;
pub mod invocation;
pub mod key;
pub mod result;
pub mod service_bus;
pub mod timer;
pub mod value;

pub use invocation::{Invocation, InvocationError, RetryContext};
pub use key::FunctionKey;
pub use result::{InvocationFailure, InvocationResult};
pub use service_bus::ServiceBusMessage;
pub use timer::TimerInfo;
