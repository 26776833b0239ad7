//! Service Bus over HTTPS, against a double of its REST interface: what is on the wire, and how answers are read.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::StatusCode,
};
use azure_core_0_21::HttpClient;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sluice::{
    azure::{
        service_bus::ConnectionString,
        service_bus_https::{HttpsSettingError, ServiceBusHttps, Transport},
    },
    bus::{Bus, Message, Properties, Property, PublishError},
};
use tokio::net::TcpListener;

const KEY: &str = "an-access-key+/==";
const CONNECTION: &str =
    "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=an-access-key+/==";

#[derive(Debug, Clone)]
struct Asked {
    path: String,
    headers: BTreeMap<String, String>,
    body: Bytes,
}

/// What the double was asked, and what it answers next (201 unless told otherwise; `None`: nothing).
#[derive(Debug, Default)]
struct Double {
    asked: Mutex<Vec<Asked>>,
    answer: Mutex<Option<Option<(StatusCode, &'static str)>>>,
}

async fn answer(State(double): State<Arc<Double>>, request: Request) -> (StatusCode, &'static str) {
    let (parts, body) = request.into_parts();
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    double.asked.lock().unwrap().push(Asked {
        path: parts.uri.path().to_owned(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body,
    });
    let answer = double.answer.lock().unwrap().take();
    match answer {
        None => (StatusCode::CREATED, ""),
        Some(Some(answer)) => answer,
        Some(None) => std::future::pending().await,
    }
}

/// The program's own transport, with the double in the place of the namespace.
#[derive(Debug)]
struct Detour(Transport, String);

#[async_trait]
impl HttpClient for Detour {
    async fn execute_request(
        &self,
        request: &azure_core_0_21::Request,
    ) -> azure_core_0_21::Result<azure_core_0_21::Response> {
        let mut request = request.clone();
        assert_eq!(request.url().scheme(), "https");
        assert_eq!(request.url().host_str(), Some("contoso.servicebus.windows.net"));
        *request.url_mut() = format!("{}{}", self.1, request.url().path()).parse().unwrap();
        self.0.execute_request(&request).await
    }
}

struct World {
    double: Arc<Double>,
    bus: ServiceBusHttps,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let double = Arc::new(Double::default());
        let router = Router::new().fallback(answer).with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let transport = Arc::new(Detour(Transport::new(reqwest::Client::new()), url));
        let connection = ConnectionString::parse(CONNECTION).unwrap();
        Self { double, bus: ServiceBusHttps::with_transport(connection, transport).unwrap() }
    }

    async fn published(&self, message: Message) -> Asked {
        self.bus.publish("callbacks", message).await.unwrap();
        self.double.asked.lock().unwrap().pop().unwrap()
    }

    async fn refused(&self, message: Message) -> String {
        let error = self.bus.publish("callbacks", message).await.unwrap_err();
        assert!(self.double.asked.lock().unwrap().is_empty(), "it was sent");
        let PublishError::Refused(text) = error else { panic!("{error}") };
        text
    }

    async fn answered(&self, status: u16, text: &'static str) -> PublishError {
        *self.double.answer.lock().unwrap() = Some(Some((StatusCode::from_u16(status).unwrap(), text)));
        self.bus.publish("callbacks", message()).await.unwrap_err()
    }
}

fn message() -> Message {
    Message {
        message_id: "id \"1\" ü📨".into(),
        content_type: Some("application/cloudevents+json".into()),
        correlation_id: Some("0195-corr".into()),
        subject: Some("SM'123".into()),
        session_id: Some("session 1".into()),
        properties: [
            ("channel".into(), Property::from("sms")),
            ("attempt".into(), Property::Integer(2)),
            ("share".into(), Property::Float(0.5)),
            ("truth".into(), Property::Bool(true)),
            ("history".into(), Property::from("[{\"error\":\"größer\"}]\r\n")),
        ]
        .into(),
        time_to_live: Some(Duration::from_millis(1_500)),
        scheduled_enqueue_time: Some("2026-11-20T10:00:00.120Z".parse().unwrap()),
        body: "{\"text\":\"grüße\"}".into(),
    }
}

#[tokio::test]
async fn a_message_is_one_signed_request_with_every_field_in_its_header() {
    let world = World::start().await;
    let asked = world.published(message()).await;
    assert_eq!((asked.path.as_str(), &asked.body[..]), ("/callbacks/messages", "{\"text\":\"grüße\"}".as_bytes()));
    let broker: Value = serde_json::from_str(&asked.headers["brokerproperties"]).unwrap();
    assert_eq!(
        broker,
        json!({
            "MessageId": "id \"1\" ü📨", "CorrelationId": "0195-corr", "Label": "SM'123", "SessionId": "session 1",
            "TimeToLive": 1.5, "ScheduledEnqueueTimeUtc": "Fri, 20 Nov 2026 10:00:01 +0000",
        })
    );
    assert_eq!(asked.headers["content-type"], "application/cloudevents+json");
    let properties = [("channel", "\"sms\""), ("attempt", "2"), ("share", "0.5"), ("truth", "true")];
    for (name, text) in properties {
        assert_eq!(asked.headers[name], text);
    }
    let history: String = serde_json::from_str(&asked.headers["history"]).unwrap();
    assert_eq!(history, "[{\"error\":\"größer\"}]\r\n");
}

/// <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas>
#[tokio::test]
async fn the_request_is_signed_with_the_shared_access_key_for_an_hour() {
    let world = World::start().await;
    let asked = world.published(message()).await;
    let token = asked.headers["authorization"].strip_prefix("SharedAccessSignature ").unwrap();
    let fields: BTreeMap<String, String> = form_urlencoded::parse(token.as_bytes()).into_owned().collect();
    assert_eq!(fields["sr"], "https://contoso.servicebus.windows.net/callbacks/messages");
    assert_eq!(fields["skn"], "send");
    let expires: i64 = fields["se"].parse().unwrap();
    let hour = chrono::Utc::now().timestamp() + 3600;
    assert!((hour - 60..=hour).contains(&expires));
    let escaped = token.split('&').find_map(|field| field.strip_prefix("sr=")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(format!("{escaped}\n{expires}").as_bytes());
    assert_eq!(fields["sig"], BASE64_STANDARD.encode(mac.finalize().into_bytes()));
}

#[tokio::test]
async fn what_https_cannot_carry_is_refused_and_not_changed() {
    let world = World::start().await;
    let property = |name: &str, value: Property| Properties::from([(name.to_owned().into(), value)]);
    let bytes = Message { body: vec![0xff, 0xfe].into(), ..message() };
    assert!(world.refused(bytes).await.contains("UTF-8"));
    for name in ["Channel", "authorization", "brokerproperties", "a b", "", "ä"] {
        let message = Message { properties: property(name, "x".into()), ..message() };
        assert!(world.refused(message).await.contains("lower case"), "{name}");
    }
    world.refused(Message { properties: property("n", Property::Float(f64::NAN)), ..message() }).await;
    world.refused(Message { message_id: String::new(), ..message() }).await;
    world.refused(Message { session_id: Some("x".repeat(129)), ..message() }).await;
    world.refused(Message { content_type: Some("text/ü".into()), ..message() }).await;
    for topic in ["", "a b", "a?b", "a#b"] {
        assert!(matches!(world.bus.publish(topic, message()).await, Err(PublishError::Refused(_))), "{topic}");
    }
}

#[tokio::test]
async fn an_answer_says_whether_to_try_again_names_the_topic_and_what_to_do() {
    let world = World::start().await;
    let told = [
        (401, "role", false),
        (403, "role", false),
        (404, "terraform apply", true),
        (410, "terraform apply", true),
        (413, "claim_check_above", true),
        (400, "400", true),
        (429, "tier", false),
        (503, "tier", false),
        (500, "500", false),
    ];
    for (status, advice, forever) in told {
        let error = world.answered(status, "<Error><Detail>the reason</Detail></Error>").await;
        assert_eq!(matches!(error, PublishError::Refused(_)), forever, "{status}: {error}");
        let text = error.to_string();
        assert!(text.contains("callbacks") && text.contains(advice), "{status}: {text}");
        assert!(status == 413 || text.contains("the reason"), "{status}: {text}");
        assert!(!text.contains("an-access-key") && !text.contains("sig="), "{text}");
    }
}

#[tokio::test]
async fn a_namespace_that_cannot_be_reached_or_never_answers_is_given_up_in_time() {
    let world = World::start().await;
    *world.double.answer.lock().unwrap() = Some(None);
    let began = std::time::Instant::now();
    let error = world.bus.publish("callbacks", message()).await.unwrap_err();
    assert!(matches!(&error, PublishError::Unavailable(text) if text.contains("no answer within")), "{error}");
    assert!(began.elapsed() < Duration::from_secs(6));

    let nowhere = Arc::new(Detour(Transport::new(reqwest::Client::new()), "http://127.0.0.1:1".into()));
    let connection = ConnectionString::parse(CONNECTION).unwrap();
    let bus = ServiceBusHttps::with_transport(connection, nowhere).unwrap();
    let error = bus.publish("callbacks", message()).await.unwrap_err();
    assert!(matches!(&error, PublishError::Unavailable(text) if text.contains("contoso")), "{error}");
}

#[tokio::test]
async fn only_a_namespace_in_azure_and_a_shared_access_key_will_do() {
    let with = |text: &str| ServiceBusHttps::new(ConnectionString::parse(text).unwrap()).unwrap_err();
    let local = "Endpoint=sb://127.0.0.1;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true";
    assert_eq!(with(local), HttpsSettingError::Host("127.0.0.1".into()));
    let token = "Endpoint=sb://contoso.servicebus.windows.net;SharedAccessSignature=SharedAccessSignature sr=x";
    assert_eq!(with(token), HttpsSettingError::Key);
    assert!(ServiceBusHttps::new(ConnectionString::parse(CONNECTION).unwrap()).is_ok());
}
