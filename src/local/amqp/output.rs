//! What a connection's state machine produces: bytes for the socket and work for the broker.

use bytes::BytesMut;
use fe2o3_amqp_types::performatives::Performative;

use super::{
    frame::{self, MAX_FRAME},
    work::Work,
};

#[derive(Debug)]
pub(super) struct Output {
    pub bytes: BytesMut,
    pub work: Vec<Work>,
    /// The largest frame that the peer takes.
    pub max_frame: usize,
    links: u64,
}

impl Output {
    pub fn new() -> Self {
        Self { bytes: BytesMut::new(), work: Vec::new(), max_frame: MAX_FRAME, links: 0 }
    }

    pub fn frame(&mut self, channel: u16, performative: &Performative) {
        frame::write(&mut self.bytes, channel, performative, &[]);
    }

    /// A number that no other link of the connection has.
    pub fn next_link(&mut self) -> u64 {
        self.links += 1;
        self.links
    }
}
