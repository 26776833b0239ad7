//! A connection, without its socket: the protocol's layers, its sessions, and how it ends.

use std::{collections::HashMap, time::Duration};

use bytes::{Bytes, BytesMut};
use fe2o3_amqp_types::{
    definitions::Error,
    performatives::{Begin, Close, End, Open, Performative},
    sasl::{SaslCode, SaslMechanisms, SaslOutcome},
};
use serde_amqp::primitives::{Array, Symbol};

use super::{
    condition,
    frame::{self, FrameError, Incoming, MAX_FRAME, ProtocolHeader, write_heartbeat, write_mechanisms, write_outcome},
    output::Output,
    session::{Session, give_back},
    work::Done,
};
use crate::local::broker::Broker;

/// Sessions of one connection.
const MOST_SESSIONS: u16 = 32;
/// What a client must be able to take, by the specification.
const SMALLEST_FRAME: u32 = 512;
/// A client that is silent for twice as long is gone. Service Bus grants as much; it lets a debugger stop a client.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(240);
/// Who listens, for the logs of clients.
const CONTAINER: &str = "sluice";
/// The mechanisms that clients of Service Bus choose from. Which one it is does not matter: see [`super`].
const MECHANISMS: [&str; 4] = ["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was said, or SASL is done: a protocol header comes next.
    Greeting,
    Sasl,
    /// The open comes next.
    Greeted,
    Open,
    /// The last frame is written.
    Closed,
}

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    broker: Broker,
    phase: Phase,
    sessions: HashMap<u16, Session>,
    /// How often the client wants to hear something.
    heartbeat: Option<Duration>,
    out: Output,
}

impl Connection {
    pub fn new(broker: Broker) -> Self {
        Self { broker, phase: Phase::Greeting, sessions: HashMap::new(), heartbeat: None, out: Output::new() }
    }

    /// What there is to write and to do.
    pub fn out(&mut self) -> &mut Output {
        &mut self.out
    }

    /// Whether only the rest of the output is to be written.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// How often the client wants to hear something.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat
    }

    /// Says that this side is alive.
    pub fn beat(&mut self) {
        write_heartbeat(&mut self.out.bytes);
    }

    /// Handles the frames that have arrived, until `pause` finds that there is enough to do.
    pub fn read(&mut self, arrived: &mut BytesMut, pause: impl Fn(&Output) -> bool) {
        while !self.is_closed() && !pause(&self.out) {
            match frame::next(arrived) {
                Ok(Some(incoming)) => self.handle(incoming),
                Ok(None) => break,
                Err(error) => {
                    let error = match error {
                        FrameError::Performative(_) | FrameError::Malformed(_) => condition::decode(error.to_string()),
                        FrameError::Size(_) | FrameError::Type => condition::framing(error.to_string()),
                    };
                    self.close(Some(error));
                }
            }
        }
    }

    /// Starts to receive where clients have granted credit.
    pub fn receive(&mut self) {
        for session in self.sessions.values_mut() {
            session.receive(&mut self.out);
        }
    }

    /// Work is done.
    pub fn done(&mut self, done: Done) {
        let Self { sessions, out, .. } = self;
        match done {
            Done::Published { from, delivery, result } => {
                if let (Some(session), Some(delivery)) = (sessions.get(&from.channel), delivery) {
                    session.outcome(delivery, result, out);
                }
            }
            Done::Received { to, result } => match sessions.get_mut(&to.channel) {
                Some(session) => session.received(to, result, out),
                None => give_back(result.unwrap_or_default(), out),
            },
            Done::Settled { channel, deliveries, outcome } => {
                if let Some(session) = sessions.get(&channel) {
                    session.settled(&deliveries, outcome.as_ref(), out);
                }
            }
            Done::Managed { to, reply } => {
                if let Some(session) = sessions.get_mut(&to.channel) {
                    session.reply(to, reply, out);
                }
            }
            Done::Released => {}
        }
    }

    /// Ends the connection: gives back what was on its way, and says why.
    pub fn close(&mut self, error: Option<Error>) {
        self.end_sessions();
        if matches!(self.phase, Phase::Greeted | Phase::Open) {
            if self.phase == Phase::Greeted {
                self.open_frame();
            }
            self.out.frame(0, &Performative::Close(Close { error }));
        }
        self.phase = Phase::Closed;
    }

    /// Gives back what was on its way to a client that is gone.
    pub fn end_sessions(&mut self) {
        for (_, session) in self.sessions.drain() {
            session.end(&mut self.out);
        }
    }

    fn handle(&mut self, incoming: Incoming) {
        match (self.phase, incoming) {
            (Phase::Greeting, Incoming::Header(ProtocolHeader::Amqp)) => {
                self.out.bytes.extend_from_slice(ProtocolHeader::AMQP_BYTES);
                self.phase = Phase::Greeted;
            }
            (Phase::Greeting, Incoming::Header(ProtocolHeader::Sasl)) => {
                self.out.bytes.extend_from_slice(ProtocolHeader::SASL_BYTES);
                let sasl_server_mechanisms = Array::from(MECHANISMS.map(Symbol::from).to_vec());
                write_mechanisms(&mut self.out.bytes, &SaslMechanisms { sasl_server_mechanisms });
                self.phase = Phase::Sasl;
            }
            (Phase::Greeting, Incoming::Header(ProtocolHeader::Other)) => {
                // The answer to a version that is not spoken: one that is.
                self.out.bytes.extend_from_slice(ProtocolHeader::AMQP_BYTES);
                self.phase = Phase::Closed;
            }
            (Phase::Sasl, Incoming::SaslInit(mechanism)) => {
                let known = MECHANISMS.contains(&mechanism.as_str());
                let code = if known { SaslCode::Ok } else { SaslCode::Auth };
                write_outcome(&mut self.out.bytes, &SaslOutcome { code, additional_data: None });
                self.phase = if known { Phase::Greeting } else { Phase::Closed };
            }
            (Phase::Greeted | Phase::Open, Incoming::Heartbeat) => {}
            (Phase::Greeted, Incoming::Frame { performative, .. }) => match *performative {
                Performative::Open(open) => self.open(&open),
                _ => self.close(Some(condition::illegal("The first frame must be an open."))),
            },
            (Phase::Open, Incoming::Frame { channel, performative, payload }) => {
                if let Err(error) = self.frame(channel, *performative, &payload) {
                    self.end(channel, Some(error));
                }
            }
            _ => self.close(Some(condition::illegal("That is not what comes next."))),
        }
    }

    fn open(&mut self, open: &Open) {
        self.open_frame();
        self.phase = Phase::Open;
        let Open { max_frame_size, idle_time_out, .. } = open;
        if max_frame_size.0 < SMALLEST_FRAME {
            return self.close(Some(condition::not_allowed("Frames must be allowed 512 bytes at least.")));
        }
        self.out.max_frame = usize::try_from(max_frame_size.0).unwrap_or(MAX_FRAME).min(MAX_FRAME);
        // Twice as often as the client demands.
        let every = idle_time_out.filter(|millis| *millis > 0).map(|millis| u64::from(millis) / 2);
        self.heartbeat = every.map(|millis| Duration::from_millis(millis.max(20)));
    }

    fn open_frame(&mut self) {
        let open = Open {
            container_id: CONTAINER.into(),
            hostname: None,
            max_frame_size: (MAX_FRAME as u32).into(),
            channel_max: (MOST_SESSIONS - 1).into(),
            idle_time_out: Some(IDLE_TIMEOUT.as_millis() as u32),
            outgoing_locales: None,
            incoming_locales: None,
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        };
        self.out.frame(0, &Performative::Open(open));
    }

    /// A frame of an open connection.
    ///
    /// # Errors
    /// The client broke the protocol: the session must end.
    fn frame(&mut self, channel: u16, performative: Performative, payload: &Bytes) -> Result<(), Error> {
        let Self { sessions, broker, out, .. } = self;
        match performative {
            Performative::Open(_) => self.close(Some(condition::illegal("The connection is open already."))),
            Performative::Close(_) => self.close(None),
            Performative::Begin(begin) => self.begin(channel, &begin),
            Performative::End(_) => self.end(channel, None),
            other => {
                let Some(session) = sessions.get_mut(&channel) else {
                    // Frames may still arrive for a session that this side has ended.
                    return Ok(());
                };
                match other {
                    Performative::Attach(attach) => session.attach(attach, broker, out)?,
                    Performative::Flow(flow) => session.flow(&flow, out),
                    Performative::Transfer(transfer) => session.transfer(&transfer, payload, out)?,
                    Performative::Disposition(disposition) => session.disposition(disposition, out),
                    Performative::Detach(detach) => session.detach(&detach, out),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, channel: u16, begin: &Begin) {
        if channel >= MOST_SESSIONS || self.sessions.contains_key(&channel) {
            return self.close(Some(condition::not_allowed(format!("A session cannot begin on channel {channel}."))));
        }
        let session = Session::begin(channel, begin, &mut self.out);
        self.sessions.insert(channel, session);
    }

    /// Ends a session, at the client's wish or because of an error.
    fn end(&mut self, channel: u16, error: Option<Error>) {
        if let Some(session) = self.sessions.remove(&channel) {
            session.end(&mut self.out);
            self.out.frame(channel, &Performative::End(End { error }));
        }
    }
}
