//! The front door: a vendor's request in, an answer within milliseconds.
//!
//! The way of a request: [`route`] finds vendor and service type → the [`door`] has room for it, or it is answered 503 →
//! the body is read up to its limit → the vendor's verifier says whether it is genuine ([`certificates`] fetches what that
//! takes) → a [`handshake`] is answered at once → a callback is wrapped in an envelope → [`publish`] waits for the broker's
//! acknowledgement, or spools → the answer that the vendor expects. A 2xx to a callback means that it is on disk.

mod certificates;
mod describe;
mod door;
mod handshake;
mod publish;
mod route;
mod unread;

use std::{borrow::Cow, time::Instant};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use bytesize::ByteSize;
use http_body::Body as _;
use http_body_util::BodyExt;
use opentelemetry::trace::SpanKind;
use sha2::{Digest, Sha256};
use tokio::sync::SemaphorePermit;
use uuid::Uuid;

use crate::{
    app::App,
    envelope::{Envelope, RECEIVED_V1, header_lines},
    problem::{problem, try_again_later},
    telemetry::{Count, Span},
    vendors::{self, Refusal},
};
pub use certificates::Certificates;
pub use describe::operations;
pub use door::{Door, Full, Pass};
pub(crate) use route::Route;

/// Service Bus takes message ids of at most 128 characters.
const LONGEST_MESSAGE_ID: usize = 128;
/// W3C Trace Context asks for 512 characters of `tracestate`; the others are shorter.
const LONGEST_HEADER: usize = 512;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The route that this answers.
const ROUTE: &str = "/incoming/{vendor}/{servicetype}/{*requesttype}";

/// Answers one request to [`ROUTE`].
pub async fn receive(app: &App, request: Request<Body>) -> Response<Body> {
    let span = app.tracing.start(SpanKind::Server, "ingest", ROUTE, app.tracing.context_in(request.headers()));
    let (method, started) = (request.method().clone(), Instant::now());
    let (Ok(response) | Err(Rejected(response))) = accept(app, request, &span, started).await;
    let status = response.status().as_u16();
    span.describe(|| {
        [
            ("http.request.method", known_method(&method).into()),
            ("http.route", ROUTE.into()),
            ("http.response.status_code", i64::from(status).into()),
        ]
    });
    if status >= 500 {
        span.fail(i64::from(status));
    }
    response
}

/// A method is a word of the caller's choice.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

/// A request that goes no further, and its answer.
struct Rejected(Response<Body>);

impl From<Response<Body>> for Rejected {
    fn from(response: Response<Body>) -> Self {
        Self(response)
    }
}

async fn accept(app: &App, request: Request<Body>, span: &Span, started: Instant) -> Result<Response<Body>, Rejected> {
    let (parts, body) = request.into_parts();
    let Some(route) = Route::parse(parts.uri.path()) else {
        let detail = "the path must be /incoming/{vendor}/{servicetype}/...";
        return Err(problem(StatusCode::NOT_FOUND, Some(detail)).into());
    };
    let (Some(vendor), Some(config)) = (app.vendors.get(&route.vendor), app.config.vendors.get(route.vendor.as_ref()))
    else {
        return Err(problem(StatusCode::NOT_FOUND, Some("no vendor of this name is configured")).into());
    };
    let Some(&channel) = config.services.get(route.service_type.as_ref()) else {
        let detail = "this vendor has no service type of this name";
        return Err(problem(StatusCode::NOT_FOUND, Some(detail)).into());
    };
    span.describe(|| [("sluice.vendor", route.vendor.to_string().into()), ("sluice.channel", channel.name().into())]);
    match parts.method {
        Method::POST | Method::GET => {}
        // Vendors probe a URL before they accept it.
        Method::HEAD => return Ok(Response::new(Body::empty())),
        Method::OPTIONS => return Ok(handshake::options(&parts.headers, &config.allowed_origins)),
        _ => return Err(problem(StatusCode::METHOD_NOT_ALLOWED, None).into()),
    }

    let shed = |full| Rejected(shed(app, &route, full));
    let mut pass = match app.door.knock(config.priority()) {
        Ok(pass) => pass,
        Err(full) => {
            let refusal = shed(full);
            return Err(if unread::let_by(body).await { refusal } else { last_answer(refusal.0) });
        }
    };
    let largest = config.largest_body(&app.config.ingest);
    let (body, _room) = read_body(app, &route, &mut pass, largest, body).await?;
    pass.enter().map_err(shed)?;
    let query = parts.uri.query().unwrap_or_default();
    let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = [&app.config.public_url, path_and_query].concat();
    let signed = vendors::Request { method: &parts.method, url: &url, headers: &parts.headers, body: &body };
    let now = app.clock.now();
    if let Some(handshake) = vendor.probe(&signed) {
        return Ok(Box::pin(handshake::shake(app, &route.vendor, handshake)).await);
    }
    if let Err(refusal) = app.certificates.verify(vendor.as_ref(), &signed, now).await {
        span.describe(|| [("sluice.refusal", refusal.code().into())]);
        return Err(refuse(app, &route, &refusal).into());
    }
    if let Some(handshake) = vendor.handshake(&signed, now) {
        return Ok(Box::pin(handshake::shake(app, &route.vendor, handshake)).await);
    }

    let identity = vendor.identify(&signed);
    let kept_headers = header_lines(&parts.headers, vendor.kept_headers());
    let dedupe_key = identity
        .dedupe_key
        .filter(|key| key.len() <= LONGEST_MESSAGE_ID)
        .unwrap_or_else(|| digest_key(&route.vendor, path_and_query, &kept_headers, &body));
    // Nobody signs these: what is longer than any real one is left out, or it could make a message too large.
    let text_header = |name| {
        let value = parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.filter(|text| text.len() <= LONGEST_HEADER)
    };
    let requesttype = route.request_type;
    let id = Uuid::now_v7().to_string();
    let topic = &app.config.bus.callbacks_topic;
    let send = app.tracing.start(SpanKind::Producer, "send", topic, span.context());
    send.describe_messaging(app.config.messaging_system(), "send", topic);
    send.describe(|| [("messaging.message.conversation_id", id.clone().into())]);
    let sent = send.traceparent().map(Cow::Owned);
    let envelope = Envelope {
        specversion: "1.0".into(),
        id,
        event_type: RECEIVED_V1.into(),
        source: ["/incoming/", &route.vendor, "/", &route.service_type, "/", requesttype].concat(),
        subject: identity.subject,
        time: now,
        datacontenttype: text_header(header::CONTENT_TYPE).map(Cow::Borrowed),
        vendor: route.vendor.clone(),
        servicetype: route.service_type,
        requesttype: requesttype.into(),
        dedupekey: dedupe_key,
        traceparent: sent.or_else(|| text_header(TRACEPARENT).map(Cow::Borrowed)),
        tracestate: text_header(TRACESTATE).map(Cow::Borrowed),
        dataclassification: "personal".into(),
        requestquery: query.into(),
        requestheaders: kept_headers.into(),
        data: None,
        data_base64: None,
        dataref: None,
    };
    let durable = publish::publish(app, envelope, channel, &body).await;
    match &durable {
        Ok(publish::Durable::Published) => {}
        Ok(publish::Durable::Spooled) => send.fail("spooled"),
        Err(_) => send.fail("not_durable"),
    }
    drop(send);
    app.meter.acked(&route.vendor, started.elapsed());
    match durable {
        Ok(how) => {
            vendor.accepted(&signed, now);
            app.meter.add(&route.vendor, Count::Inbound, 1);
            if how == publish::Durable::Spooled {
                app.meter.add(&route.vendor, Count::Spooled, 1);
            }
            Ok(handshake::respond(config.answer.clone().or_else(|| vendor.answer())))
        }
        Err(error) => {
            app.meter.add(&route.vendor, Count::NotDurable, 1);
            if let Some(left_out) = app.not_durable.now() {
                tracing::error!(vendor = %route.vendor, %error, left_out, "a callback could not be made durable: 503");
            }
            Err(try_again_later("the callback could not be stored").into())
        }
    }
}

/// Reads a body up to this size, in the configured time. Nobody has vouched for it yet, so only a few large ones may be in
/// memory at a time: a body beyond the usual limit comes with the room that it takes.
/// What is not beyond it is held by the pass.
async fn read_body<'a>(
    app: &'a App,
    route: &Route<'_>,
    pass: &mut Pass<'_>,
    largest: u64,
    body: Body,
) -> Result<(Bytes, Option<SemaphorePermit<'a>>), Rejected> {
    let usual = app.config.ingest.body_limit.as_u64();
    let read = async {
        let mut room = None;
        // An honest Content-Length needs no reading at all.
        let announced = body.size_hint().lower();
        if announced > largest {
            return Err(too_large(largest));
        }
        let (mut body, mut read, mut parts) = (body, 0, Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "a request body broke off");
                Rejected(problem(StatusCode::BAD_REQUEST, Some("the body broke off")))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            read += data.len() as u64;
            if read > largest {
                return Err(too_large(largest));
            }
            if room.is_none() && read.max(announced) > usual {
                let free = app.large_bodies.try_acquire();
                room = Some(free.map_err(|_| last_answer(try_again_later("too many large bodies at a time")))?);
            }
            if room.is_none() {
                pass.hold(data.len()).map_err(|full| last_answer(shed(app, route, full)))?;
            }
            parts.push(data);
        }
        let body = match parts.len() {
            0 | 1 => parts.pop().unwrap_or_default(),
            _ => parts.concat().into(),
        };
        Ok((body, room))
    };
    // A 4xx is final for some vendors, and this may well be the doing of our own side.
    let late = |_| last_answer(try_again_later("the body took too long"));
    tokio::time::timeout(app.config.ingest.body_timeout, read).await.map_err(late)?
}

fn too_large(limit: u64) -> Rejected {
    let detail = format!("the body exceeds {}", ByteSize::b(limit));
    last_answer(problem(StatusCode::PAYLOAD_TOO_LARGE, Some(&detail)))
}

/// The rest of the body is not read, so the connection cannot serve another request.
fn last_answer(mut response: Response<Body>) -> Rejected {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Rejected(response)
}

/// There is no room now.
fn shed(app: &App, route: &Route, full: Full) -> Response<Body> {
    app.meter.add(&route.vendor, Count::Shed, 1);
    if let Some(left_out) = app.door.refused.now() {
        let under_way = app.door.pressure().taken();
        tracing::warn!(left_out, under_way, vendor = %route.vendor, reason = %full, "more callbacks than can be made durable: 503");
    }
    try_again_later("too much at a time")
}

fn refuse(app: &App, route: &Route, refusal: &Refusal) -> Response<Body> {
    let (vendor, service_type, reason) = (&route.vendor, &route.service_type, refusal.code());
    app.meter.refuse(vendor, refusal.code());
    if matches!(refusal, Refusal::NoKey(_) | Refusal::CertificateNeeded(_)) {
        tracing::error!(%vendor, %service_type, reason, detail = %refusal, "a callback cannot be verified: 503");
        return try_again_later("callbacks of this vendor cannot be verified now");
    }
    tracing::warn!(%vendor, %service_type, reason, detail = %refusal, "a callback was refused: 401");
    problem(StatusCode::UNAUTHORIZED, None)
}

/// The key of a callback without a natural one: a digest of everything that was sent and will be read.
fn digest_key(vendor: &str, path_and_query: &str, kept_headers: &str, body: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(path_and_query.as_bytes());
    digest.update([0]);
    digest.update(kept_headers.as_bytes());
    digest.update([0]);
    digest.update(body);
    format!("{vendor}:sha256-{}", hex::encode(digest.finalize()))
}
