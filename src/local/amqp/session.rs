//! A session: its links, its two windows, and the deliveries that a client has not settled.
//!
//! [`attach`] opens links, [`transfer`] takes what clients send, [`deliver`] hands out messages and answers, and
//! [`settle`] handles dispositions; [`sending`] numbers what goes out, and [`link`] counts credit.

mod attach;
mod deliver;
mod link;
mod sending;
mod settle;
mod transfer;

use std::collections::{BTreeMap, HashMap};

use fe2o3_amqp_types::{
    definitions::Error,
    performatives::{Begin, Detach, Flow, Performative},
};

pub(super) use self::deliver::give_back;
use self::{
    link::{CREDIT, Link},
    sending::Sending,
};
use super::{
    output::Output,
    work::{Held, LinkId, Work},
};

/// Frames that a client may have on the way to us.
const WINDOW: u32 = 2048;
/// Links in one session.
const MOST_LINKS: u32 = 255;

#[derive(Debug)]
pub(super) struct Session {
    channel: u16,
    links: HashMap<u32, Link>,
    /// By delivery number: the link's handle, and the lock.
    unsettled: BTreeMap<u32, (u32, Held)>,
    sending: Sending,
    /// Number of the frame that comes next.
    next_incoming: u32,
    incoming_window: u32,
}

impl Session {
    /// Answers a begin.
    pub fn begin(channel: u16, begin: &Begin, out: &mut Output) -> Self {
        let answer = Begin {
            remote_channel: Some(channel),
            next_outgoing_id: 0,
            incoming_window: WINDOW,
            outgoing_window: WINDOW,
            handle_max: (MOST_LINKS - 1).into(),
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        };
        out.frame(channel, &Performative::Begin(answer));
        Self {
            channel,
            links: HashMap::new(),
            unsettled: BTreeMap::new(),
            sending: Sending::new(begin.incoming_window),
            next_incoming: begin.next_outgoing_id,
            incoming_window: WINDOW,
        }
    }

    /// Gives back what was on its way. What the client holds stays locked until the locks run out.
    pub fn end(mut self, out: &mut Output) {
        let handles: Vec<_> = self.links.keys().copied().collect();
        for handle in handles {
            self.drop_link(handle, out);
        }
    }

    /// The client grants credit or window, or asks how things stand.
    pub fn flow(&mut self, flow: &Flow, out: &mut Output) {
        self.sending.flow(flow.next_incoming_id, flow.incoming_window);
        match &flow.handle {
            None if flow.echo => self.tell_window(out),
            None => {}
            Some(handle) => match self.links.get_mut(&handle.0) {
                Some(Link::FromClient(link)) => {
                    // The sender's own count holds.
                    link.delivery_count = flow.delivery_count.unwrap_or(link.delivery_count);
                    self.grant(handle.0, out);
                }
                Some(Link::ToClient(link)) => {
                    if link.flow(flow) {
                        out.work.push(Work::StopReceiving { number: link.number });
                    }
                    if flow.echo {
                        self.tell_link(handle.0, false, out);
                    }
                    self.send_replies(handle.0, out);
                }
                Some(Link::Ended) | None => {}
            },
        }
        self.sending.pump(self.channel, out);
    }

    /// The client ends a link.
    pub fn detach(&mut self, detach: &Detach, out: &mut Output) {
        let handle = detach.handle.0;
        if matches!(self.drop_link(handle, out), Some(Link::FromClient(_) | Link::ToClient(_))) {
            self.send_detach(handle, detach.closed, None, out);
        }
    }

    /// Ends a link from this side.
    fn refuse_link(&mut self, handle: u32, error: Error, out: &mut Output) {
        self.drop_link(handle, out);
        self.links.insert(handle, Link::Ended);
        self.send_detach(handle, true, Some(error), out);
    }

    fn send_detach(&self, handle: u32, closed: bool, error: Option<Error>, out: &mut Output) {
        out.frame(self.channel, &Performative::Detach(Detach { handle: handle.into(), closed, error }));
    }

    /// Forgets a link, and gives back what it had not sent in full.
    fn drop_link(&mut self, handle: u32, out: &mut Output) -> Option<Link> {
        let link = self.links.remove(&handle)?;
        if let Link::ToClient(outbound) = &link {
            out.work.push(Work::StopReceiving { number: outbound.number });
            let unsent = self.sending.drop_link(handle);
            let held: Vec<_> = unsent.iter().filter_map(|id| self.unsettled.remove(id)).map(|(_, held)| held).collect();
            if !held.is_empty() {
                out.work.push(Work::Release { held });
            }
            self.unsettled.retain(|_, (of, _)| *of != handle);
        }
        Some(link)
    }

    /// Grants a sender its full credit again.
    fn grant(&mut self, handle: u32, out: &mut Output) {
        if let Some(Link::FromClient(link)) = self.links.get_mut(&handle) {
            link.credit = CREDIT;
            self.tell_link(handle, false, out);
        }
    }

    /// Tells the client how a link stands.
    fn tell_link(&self, handle: u32, drain: bool, out: &mut Output) {
        let (delivery_count, credit) = match self.links.get(&handle) {
            Some(Link::FromClient(link)) => (link.delivery_count, link.credit),
            Some(Link::ToClient(link)) => (link.delivery_count, link.credit),
            Some(Link::Ended) | None => return,
        };
        let flow = Flow {
            handle: Some(handle.into()),
            delivery_count: Some(delivery_count),
            link_credit: Some(credit),
            drain,
            ..self.window()
        };
        out.frame(self.channel, &Performative::Flow(flow));
    }

    fn tell_window(&self, out: &mut Output) {
        out.frame(self.channel, &Performative::Flow(self.window()));
    }

    fn window(&self) -> Flow {
        Flow {
            next_incoming_id: Some(self.next_incoming),
            incoming_window: self.incoming_window,
            next_outgoing_id: self.sending.next_outgoing(),
            outgoing_window: WINDOW,
            handle: None,
            delivery_count: None,
            link_credit: None,
            available: None,
            drain: false,
            echo: false,
            properties: None,
        }
    }

    /// The link that work was begun for, if it is still there.
    fn link(&mut self, id: LinkId) -> Option<&mut Link> {
        let link = self.links.get_mut(&id.handle)?;
        let number = match link {
            Link::FromClient(link) => link.number,
            Link::ToClient(link) => link.number,
            Link::Ended => return None,
        };
        (number == id.number).then_some(link)
    }
}
