//! A proxy between a client and a broker that reads the broker's frames, and puts others in their place.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use fe2o3_amqp_types::performatives::Performative;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// The codes of performatives, the third byte of their encoding.
pub const TRANSFER: u8 = 0x14;
pub const DISPOSITION: u8 = 0x15;

/// What a frame of the broker's becomes: given its code and its body, the bodies that are sent instead.
type Rule = dyn FnMut(u8, Vec<u8>) -> Vec<Vec<u8>> + Send;

pub struct Meddler {
    pub address: SocketAddr,
    rule: Arc<Mutex<Option<Box<Rule>>>>,
}

impl Meddler {
    /// Lets everything pass at first.
    pub async fn start(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let rule: Arc<Mutex<Option<Box<Rule>>>> = Arc::default();
        let rules = Arc::clone(&rule);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(broker).await.unwrap();
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let (mut near_in, near_out) = near.into_split();
                let (far_in, mut far_out) = far.into_split();
                // Whichever side ends first, the other is told.
                tokio::spawn(async move { tokio::io::copy(&mut near_in, &mut far_out).await });
                tokio::spawn(meddle(far_in, near_out, Arc::clone(&rules)));
            }
        });
        Self { address, rule }
    }

    pub fn rule(&self, rule: impl FnMut(u8, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    pub fn heal(&self) {
        *self.rule.lock().unwrap() = None;
    }
}

pub fn body(performative: &Performative) -> Vec<u8> {
    serde_amqp::to_vec(performative).unwrap()
}

/// Carries what the broker says, frame by frame.
async fn meddle(
    mut broker: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    rule: Arc<Mutex<Option<Box<Rule>>>>,
) -> std::io::Result<()> {
    loop {
        let mut head = [0; 8];
        broker.read_exact(&mut head).await?;
        if head.starts_with(b"AMQP") {
            client.write_all(&head).await?;
            continue;
        }
        let size = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        let mut body = vec![0; size - head.len()];
        broker.read_exact(&mut body).await?;
        // SASL frames, and frames that only say that somebody is there, are nobody's business.
        let is_performative = head[5] == 0 && body.len() > 2;
        let bodies = match &mut *rule.lock().unwrap() {
            Some(rule) if is_performative => rule(body[2], body),
            _ => vec![body],
        };
        for body in bodies {
            client.write_all(&((head.len() + body.len()) as u32).to_be_bytes()).await?;
            client.write_all(&head[4..]).await?;
            client.write_all(&body).await?;
        }
    }
}
