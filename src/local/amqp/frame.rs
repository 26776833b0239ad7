//! Frames: cutting them out of a stream of bytes, and writing them.
//!
//! <https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html#section-framing>

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fe2o3_amqp_types::{
    performatives::Performative,
    sasl::{SaslInit, SaslMechanisms, SaslOutcome},
};
use serde::Serialize;

use super::extent::{Malformed, extent};

/// The largest frame either side may send; Service Bus has the same limit.
pub(super) const MAX_FRAME: usize = 64 * 1024;
/// Size, offset, type and channel.
const FRAME_HEADER: usize = 8;

/// The eight bytes that begin a layer of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProtocolHeader {
    Amqp,
    Sasl,
    /// TLS, or a version that does not exist.
    Other,
}

impl ProtocolHeader {
    pub const AMQP_BYTES: &[u8; 8] = b"AMQP\x00\x01\x00\x00";
    pub const SASL_BYTES: &[u8; 8] = b"AMQP\x03\x01\x00\x00";
}

/// What a peer sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Incoming {
    Header(ProtocolHeader),
    /// The mechanism that the peer chose. Its response is of no interest.
    SaslInit(String),
    /// An empty frame.
    Heartbeat,
    Frame {
        channel: u16,
        performative: Box<Performative>,
        payload: Bytes,
    },
}

/// The stream cannot be understood from here on: the connection must end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {0} bytes; the limits are 8 and {MAX_FRAME}")]
    Size(usize),
    #[error("a frame that is not AMQP")]
    Type,
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("a performative that cannot be read: {0}")]
    Performative(String),
}

/// Cuts the next frame off what has arrived, once all of it is there.
pub(super) fn next(arrived: &mut BytesMut) -> Result<Option<Incoming>, FrameError> {
    let Some(head) = arrived.first_chunk::<FRAME_HEADER>() else {
        return Ok(None);
    };
    // As a frame's size this would be a gigabyte, so the two cannot be confused.
    if head.starts_with(b"AMQP") {
        let header = match head {
            head if head == ProtocolHeader::AMQP_BYTES => ProtocolHeader::Amqp,
            head if head == ProtocolHeader::SASL_BYTES => ProtocolHeader::Sasl,
            _ => ProtocolHeader::Other,
        };
        arrived.advance(FRAME_HEADER);
        return Ok(Some(Incoming::Header(header)));
    }
    let [s0, s1, s2, s3, offset, kind, c0, c1] = *head;
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    let (offset, channel) = (usize::from(offset) * 4, u16::from_be_bytes([c0, c1]));
    if !(FRAME_HEADER..=MAX_FRAME).contains(&size) || !(FRAME_HEADER..=size).contains(&offset) {
        return Err(FrameError::Size(size));
    }
    if arrived.len() < size {
        return Ok(None);
    }
    let mut body = arrived.split_to(size).freeze();
    body.advance(offset);
    match kind {
        0 if body.is_empty() => Ok(Some(Incoming::Heartbeat)),
        0 => {
            let payload = body.split_off(extent(&body)?);
            let performative = Box::new(read(&body)?);
            Ok(Some(Incoming::Frame { channel, performative, payload }))
        }
        1 => {
            extent(&body)?;
            Ok(Some(Incoming::SaslInit(read::<SaslInit>(&body)?.mechanism.0)))
        }
        _ => Err(FrameError::Type),
    }
}

fn read<'a, T: serde::Deserialize<'a>>(measured: &'a [u8]) -> Result<T, FrameError> {
    serde_amqp::from_slice(measured).map_err(|error| FrameError::Performative(error.to_string()))
}

/// An encoded performative. What this program builds can always be encoded.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_amqp::to_vec(value).expect("AMQP types serialise")
}

/// Appends a frame.
pub(super) fn write(out: &mut BytesMut, channel: u16, performative: &Performative, payload: &[u8]) {
    write_parts(out, 0, channel, &encode(performative), payload);
}

/// Appends a frame whose performative is encoded already.
pub(super) fn write_parts(out: &mut BytesMut, kind: u8, channel: u16, performative: &[u8], payload: &[u8]) {
    let size = FRAME_HEADER + performative.len() + payload.len();
    out.reserve(size);
    out.put_u32(u32::try_from(size).expect("a frame is smaller than a gigabyte"));
    out.put_slice(&[2, kind]);
    out.put_u16(channel);
    out.put_slice(performative);
    out.put_slice(payload);
}

/// Appends the offer of SASL mechanisms.
pub(super) fn write_mechanisms(out: &mut BytesMut, mechanisms: &SaslMechanisms) {
    write_parts(out, 1, 0, &encode(mechanisms), &[]);
}

/// Appends the outcome of SASL.
pub(super) fn write_outcome(out: &mut BytesMut, outcome: &SaslOutcome) {
    write_parts(out, 1, 0, &encode(outcome), &[]);
}

/// Appends an empty frame, which only says that this side is alive.
pub(super) fn write_heartbeat(out: &mut BytesMut) {
    write_parts(out, 0, 0, &[], &[]);
}
