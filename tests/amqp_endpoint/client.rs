//! An endpoint on a port of its own, and clients of `fe2o3-amqp` that talk to it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fe2o3_amqp::{
    Connection, Delivery, Receiver, Sender, Session, connection::ConnectionHandle, link::receiver::CreditMode,
    session::SessionHandle,
};
use fe2o3_amqp_types::{
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::{AmqpValue, ApplicationProperties, Body, Data, Message, Properties},
    primitives::{OrderedMap, SimpleValue, Value},
};
use sluice::{
    bus::{Subscription, Topic, Topology},
    clock::SharedClock,
    local::{
        amqp::Endpoint,
        broker::{Broker, Entity},
    },
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

pub const SMS: &str = "callbacks/Subscriptions/sms";
pub const LOCK: Duration = Duration::from_secs(30);
pub const PATIENCE: Duration = Duration::from_secs(10);

/// `callbacks`, whose subscription `sms` filters by channel, and `deliveries`, whose one subscription does not.
fn topology() -> Topology {
    let subscription = |name: &str, filter: &[(&str, &str)]| Subscription {
        name: name.into(),
        filter: filter.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect(),
        lock_duration: LOCK,
        max_delivery_count: 3,
        dead_letter_on_expiration: true,
    };
    let topic = |name: &str, subscriptions| Topic {
        name: name.into(),
        duplicate_detection_window: Duration::from_secs(600),
        default_time_to_live: Duration::from_secs(14 * 86_400),
        subscriptions,
    };
    let callbacks = vec![
        subscription("sms", &[("channel", "sms")]),
        subscription("urgent", &[("channel", "sms"), ("priority", "high")]),
    ];
    Topology { topics: vec![topic("callbacks", callbacks), topic("deliveries", vec![subscription("deliver", &[])])] }
}

pub fn sms() -> Entity {
    Entity::subscription("callbacks", "sms")
}

/// An endpoint that runs.
pub struct World {
    pub broker: Broker,
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
    _folder: TempDir,
}

impl World {
    pub async fn start(clock: SharedClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::open(&folder.path().join("broker.sqlite"), &topology(), clock.clone()).unwrap();
        let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), broker.clone(), clock).await.unwrap();
        let address = endpoint.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(endpoint.run(async move { drop(stopped.await) }));
        Self { broker, address, stop: Some(stop), running, _folder: folder }
    }

    pub async fn system() -> Self {
        Self::start(Arc::new(sluice::clock::SystemClock)).await
    }

    /// Stops the endpoint, as the program does.
    pub async fn stop(&mut self) {
        drop(self.stop.take());
        timeout(PATIENCE, &mut self.running).await.expect("the endpoint stops").unwrap();
    }

    pub async fn client(&self) -> Client {
        let url = format!("amqp://{}", self.address);
        let mut connection = Connection::builder().container_id("test").open(url.as_str()).await.unwrap();
        let session = Session::begin(&mut connection).await.unwrap();
        Client { connection, session, links: 0 }
    }
}

pub struct Client {
    pub connection: ConnectionHandle<()>,
    pub session: SessionHandle<()>,
    links: u32,
}

impl Client {
    fn name(&mut self) -> String {
        self.links += 1;
        format!("link-{}", self.links)
    }

    pub async fn sender(&mut self, topic: &str) -> Sender {
        let name = self.name();
        Sender::attach(&mut self.session, name, topic).await.unwrap()
    }

    /// Peek-lock, with settlements that are answered.
    pub async fn receiver(&mut self, address: &str) -> Receiver {
        self.receiver_with(address, SenderSettleMode::Unsettled, CreditMode::Auto(10)).await
    }

    pub async fn receiver_with(&mut self, address: &str, mode: SenderSettleMode, credit: CreditMode) -> Receiver {
        Receiver::builder()
            .name(self.name())
            .source(address)
            .sender_settle_mode(mode)
            .receiver_settle_mode(ReceiverSettleMode::Second)
            .credit_mode(credit)
            .attach(&mut self.session)
            .await
            .unwrap()
    }

    /// Asks an entity's `$management` node. Returns the status, the error condition and the answer.
    pub async fn request(&mut self, entity: &str, operation: &str, body: Value) -> (i32, Option<String>, Value) {
        let node = format!("{entity}/$management");
        let name = self.name();
        let mut sender = Sender::attach(&mut self.session, format!("{name}-request"), node.clone()).await.unwrap();
        let mut receiver = Receiver::builder()
            .name(format!("{name}-response"))
            .source(node)
            .target(name.clone())
            .attach(&mut self.session)
            .await
            .unwrap();
        let message = Message::builder()
            .properties(Properties::builder().message_id(7_u64).reply_to(name).build())
            .application_properties(
                ApplicationProperties::builder().insert("operation", format!("com.microsoft:{operation}")).build(),
            )
            .body(AmqpValue(body))
            .build();
        sender.send(message).await.unwrap().accepted_or("accepted").unwrap();
        let answer: Delivery<Body<Value>> = timeout(PATIENCE, receiver.recv()).await.expect("an answer").unwrap();
        let answer = answer.into_message();
        assert_eq!(answer.properties.unwrap().correlation_id, Some(7_u64.into()));
        let properties = answer.application_properties.unwrap();
        let status = match properties.get("statusCode") {
            Some(SimpleValue::Int(status)) => *status,
            other => panic!("no status: {other:?}"),
        };
        let condition = properties.get("errorCondition").map(|condition| match condition {
            SimpleValue::Symbol(condition) => condition.0.clone(),
            other => panic!("not a symbol: {other:?}"),
        });
        let Body::Value(AmqpValue(body)) = answer.body else { panic!("not a value") };
        sender.close().await.unwrap();
        receiver.close().await.unwrap();
        (status, condition, body)
    }
}

/// A message for the `sms` subscription.
pub fn message(id: &str) -> Message<Data> {
    Message::builder()
        .properties(Properties::builder().message_id(id.to_owned()).build())
        .application_properties(ApplicationProperties::builder().insert("channel", "sms").build())
        .data(id.as_bytes().to_vec())
        .build()
}

pub type Received = Delivery<Body<Value>>;

pub async fn receive(receiver: &mut Receiver) -> Received {
    timeout(PATIENCE, receiver.recv()).await.expect("a message comes").unwrap()
}

pub fn id(received: &Received) -> String {
    match received.message().properties.as_ref().and_then(|properties| properties.message_id.clone()) {
        Some(fe2o3_amqp_types::messaging::MessageId::String(id)) => id,
        other => panic!("no id: {other:?}"),
    }
}

pub fn property<'a>(received: &'a Received, name: &str) -> Option<&'a SimpleValue> {
    received.message().application_properties.as_ref()?.get(name)
}

pub fn annotation<'a>(received: &'a Received, name: &str) -> Option<&'a Value> {
    received
        .message()
        .message_annotations
        .as_ref()?
        .0
        .as_inner()
        .get(&fe2o3_amqp_types::messaging::annotations::OwnedKey::from(name))
}

pub fn bytes(received: &Received) -> Vec<u8> {
    match received.body() {
        Body::Data(data) => data.iter().flat_map(|data| data.0.to_vec()).collect(),
        other => panic!("no bytes: {other:?}"),
    }
}

pub fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect::<OrderedMap<_, _>>())
}
