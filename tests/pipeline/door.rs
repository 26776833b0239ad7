//! What a vendor, or somebody who poses as one, meets at the door.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode},
};
use futures_util::stream;
use sluice::documents::Container;

use crate::support::{TestApp, config, receipt, text, twilio_request};

const PATH: &str = "/incoming/twilio/sms/status";

async fn nothing_is_stored(app: &TestApp) {
    assert_eq!(app.waiting().await, 0, "nothing on the bus");
    for container in Container::ALL {
        assert!(app.all(container).await.is_empty(), "nothing in {}", container.name());
    }
}

#[tokio::test]
async fn a_genuine_callback_is_acknowledged_with_twiml_and_waits_on_the_bus() {
    let app = TestApp::start();
    let response = app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/xml");
    assert!(text(response).await.contains("<Response"));
    assert_eq!(app.waiting().await, 1);
}

#[tokio::test]
async fn a_wrong_signature_gets_401_and_leaves_nothing() {
    let app = TestApp::start();
    let mut request = twilio_request(&app.app.config.public_url, PATH, &receipt("SM1", "delivered"));
    request.headers_mut().insert("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".parse().unwrap());
    let response = app.send(request).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(!text(response).await.contains("signature"), "the answer tells a forger nothing");
    nothing_is_stored(&app).await;
}

#[tokio::test]
async fn unknown_vendors_and_service_types_get_404_with_a_problem_document() {
    let app = TestApp::start();
    for path in ["/incoming/nobody/sms/status", "/incoming/twilio/fax/status", "/incoming/twilio", "/incoming", "/x"] {
        let response = app.send(Request::post(path).body(Body::from("a=b")).unwrap()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(problem["status"], 404);
        assert!(problem["detail"].is_string());
    }
    nothing_is_stored(&app).await;
}

#[tokio::test]
async fn routes_ignore_case_and_the_rest_may_be_empty() {
    let app = TestApp::start();
    for (index, path) in
        ["/Incoming/TWILIO/Sms/Status", "/incoming/twilio/sms", "/incoming/twilio/sms/"].into_iter().enumerate()
    {
        let response = app.twilio(path, &receipt(&format!("SM{index}"), "sent")).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(app.process("sms").await, 3);
    assert_eq!(app.status("twilio:SM0").await.unwrap()["status"], "message.sent");
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413_without_being_read_whole() {
    let app = TestApp::start();
    let fifty = 50 << 20;
    let request = Request::post(PATH).body(Body::from(vec![b'a'; fifty])).unwrap();
    assert_eq!(app.send(request).await.status(), StatusCode::PAYLOAD_TOO_LARGE);

    // No length announced: the stream ends the test itself if it is read far beyond the limit.
    let mut sent = 0;
    let chunks = stream::iter(std::iter::from_fn(move || {
        sent += 64 << 10;
        assert!(sent < 3 << 20, "the body is read beyond its limit");
        Some(Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; 64 << 10])))
    }));
    let response = app.send(Request::post(PATH).body(Body::from_stream(chunks)).unwrap()).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    nothing_is_stored(&app).await;
}

#[tokio::test]
async fn a_body_that_stalls_gets_503_and_one_that_breaks_off_400() {
    let app = TestApp::with(config(&[("body_timeout = \"5s\"", "body_timeout = \"50ms\"")]));
    let request = Request::post(PATH).body(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
    assert_eq!(app.send(request.unwrap()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let broken = stream::iter([Ok(Bytes::from("Mess")), Err(std::io::Error::other("reset"))]);
    let response = app.send(Request::post(PATH).body(Body::from_stream(broken)).unwrap()).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    nothing_is_stored(&app).await;
}

#[tokio::test]
async fn a_key_missing_on_our_side_is_503_so_that_the_vendor_tries_again() {
    let app = TestApp::with(config(&[("TWILIO_AUTH_TOKEN = \"demo-twilio-token-not-a-secret\"\n", "")]));
    let response = app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    nothing_is_stored(&app).await;
}

#[tokio::test]
async fn a_large_body_travels_by_claim_check_and_is_applied_all_the_same() {
    let app = TestApp::start();
    let text = "grüße ".repeat(60_000);
    let parameters =
        [("MessageSid", "SM9"), ("SmsStatus", "received"), ("From", "+1202"), ("To", "+1501"), ("Body", text.as_str())];
    let response = app.twilio("/incoming/twilio/sms/inbound", &parameters).await;
    assert_eq!(response.status(), StatusCode::OK);
    let waiting = app.broker.peek(&crate::support::entity("sms"), 0, 1).await.unwrap();
    assert!(waiting[0].message.body.len() < 10_000, "the bus carries a reference");
    assert_eq!(app.process("sms").await, 1);
    let events = app.documents_of("twilio:SM9").await;
    assert!(events.iter().any(|body| body["event"]["text"] == text), "the whole text is in the ledger");
}

#[tokio::test]
async fn a_slow_or_dead_broker_is_answered_from_the_spool_and_relayed_later() {
    use std::sync::atomic::Ordering::SeqCst;
    let app = TestApp::with(config(&[("publish_timeout = \"800ms\"", "publish_timeout = \"50ms\"")]));
    app.bus.hangs.store(true, SeqCst);
    assert_eq!(app.twilio(PATH, &receipt("SM1", "delivered")).await.status(), StatusCode::OK);
    app.bus.hangs.store(false, SeqCst);
    app.bus.down.store(true, SeqCst);
    assert_eq!(app.twilio(PATH, &receipt("SM2", "delivered")).await.status(), StatusCode::OK);
    assert_eq!(app.all(Container::Spool).await.len(), 2);
    assert_eq!(app.sweep().await, StatusCode::INTERNAL_SERVER_ERROR, "the broker is still down");
    assert_eq!(app.all(Container::Spool).await.len(), 2);

    app.bus.down.store(false, SeqCst);
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert!(app.all(Container::Spool).await.is_empty());
    assert_eq!(app.process("sms").await, 2);
    for key in ["twilio:SM1", "twilio:SM2"] {
        assert_eq!(app.status(key).await.unwrap()["status"], "message.delivered");
    }
}

#[tokio::test]
async fn when_the_store_is_down_too_the_spool_falls_back_on_blobs() {
    use std::sync::atomic::Ordering::SeqCst;
    let app = TestApp::start();
    app.bus.down.store(true, SeqCst);
    app.documents.fail(|_, _, _| Some(crate::support::Fault::Before));
    assert_eq!(app.twilio(PATH, &receipt("SM1", "delivered")).await.status(), StatusCode::OK);
    app.bus.down.store(false, SeqCst);
    app.documents.heal();
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status("twilio:SM1").await.unwrap()["events"], 1);
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.waiting().await, 0, "the blob is gone: nothing is relayed twice");
}

#[tokio::test]
async fn when_nothing_can_store_a_callback_the_vendor_is_told_to_try_again() {
    use std::sync::atomic::Ordering::SeqCst;
    let app = TestApp::start();
    app.bus.down.store(true, SeqCst);
    app.documents.fail(|_, _, _| Some(crate::support::Fault::Before));
    let blobs = app.folder.path().join("blobs");
    std::fs::remove_dir_all(&blobs).unwrap();
    std::fs::write(&blobs, "not a folder").unwrap();
    let response = app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_total_standstill_is_answered_within_the_ingest_budget() {
    use std::sync::atomic::Ordering::SeqCst;
    let budget = Duration::from_millis(800) + Duration::from_secs(4);
    let app = TestApp::with(config(&[("spool_timeout = \"700ms\"", "spool_timeout = \"4s\"")]));
    app.bus.hangs.store(true, SeqCst);
    app.documents.fail(|_, _, _| Some(crate::support::Fault::Hang));
    let started = std::time::Instant::now();
    let response = app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(response.status(), StatusCode::OK, "the last resort took it");
    assert!(started.elapsed() < budget, "{:?}", started.elapsed());
}

#[tokio::test]
async fn hostile_requests_are_refused_and_never_break_the_handler() {
    let app = TestApp::start();
    let bodies: [&[u8]; 7] =
        [b"", b"\xff\xfe\x00", b"MessageSid=%zz&%=&&&=", b"[", b"{\"a\":1,\"a\":2}", b"null", &[b'['; 200_000]];
    for vendor in ["twilio/sms", "sendgrid/email", "resend/email"] {
        for body in bodies {
            for content_type in ["application/x-www-form-urlencoded", "application/json", "\u{e9}", ""] {
                let request = Request::post(format!("/incoming/{vendor}/%E0%80?x=%"))
                    .header("content-type", content_type.as_bytes())
                    .header("x-twilio-signature", &b"\xff"[..])
                    .header("webhook-id", "a")
                    .header("webhook-timestamp", "99999999999999999999")
                    .header("webhook-signature", "v1,=")
                    .body(Body::from(body))
                    .unwrap();
                let response = app.send(request).await;
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{vendor} {body:?}");
            }
        }
    }
    nothing_is_stored(&app).await;
}

#[tokio::test]
async fn probes_by_head_and_options_are_answered_and_other_methods_refused() {
    let app = TestApp::start();
    let send =
        async |method: &str| app.send(Request::builder().method(method).uri(PATH).body(Body::empty()).unwrap()).await;
    assert_eq!(send("HEAD").await.status(), StatusCode::OK);
    assert_eq!(send("OPTIONS").await.headers()["allow"], "POST, GET, HEAD, OPTIONS");
    assert_eq!(send("DELETE").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send("GET").await.status(), StatusCode::UNAUTHORIZED, "unsigned");
}

#[tokio::test]
async fn a_large_body_that_was_spooled_without_its_claim_check_is_applied_all_the_same() {
    let app = TestApp::start();
    let blobs = app.folder.path().join("blobs");
    std::fs::remove_dir_all(&blobs).unwrap();
    std::fs::write(&blobs, "not a folder").unwrap();
    let text = "grüße ".repeat(60_000);
    let parameters =
        [("MessageSid", "SM9"), ("SmsStatus", "received"), ("From", "+1202"), ("To", "+1501"), ("Body", text.as_str())];
    let response = app.twilio("/incoming/twilio/sms/inbound", &parameters).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(app.all(Container::Spool).await.len(), 1);

    std::fs::remove_file(&blobs).unwrap();
    std::fs::create_dir(&blobs).unwrap();
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert!(app.all(Container::Spool).await.is_empty());
    assert_eq!(app.process("sms").await, 1);
    let events = app.documents_of("twilio:SM9").await;
    assert!(events.iter().any(|body| body["event"]["text"] == text), "the whole text is in the ledger");
}

#[tokio::test]
async fn callbacks_that_differ_only_in_a_header_that_is_read_are_two() {
    let app = TestApp::with(config(&[
        ("[vendors.resend]\nscheme = \"standard-webhooks\"", "[vendors.resend]\nscheme = \"none\""),
        ("status = \"/type\"", "status = \"header:x-event\""),
    ]));
    for event in ["email.sent", "email.delivered", "email.delivered"] {
        let request = Request::post("/incoming/resend/email/events").header("x-event", event);
        let request = request.body(Body::from(r#"{"data":{"email_id":"m1"}}"#)).unwrap();
        assert_eq!(app.send(request).await.status(), StatusCode::OK);
    }
    assert_eq!(app.process("email").await, 2, "the repeat is dropped");
    let status = app.status("resend:m1").await.unwrap();
    assert_eq!((&status["status"], &status["events"]), (&"message.delivered".into(), &2.into()));
}

#[tokio::test]
async fn a_configured_answer_takes_the_place_of_the_vendors_own() {
    let line = "services = { sms = \"sms\", whatsapp = \"sms\", voice = \"voice\" }";
    let own = format!("{line}\nanswer = {{ content_type = \"application/json\", body = \"{{}}\" }}");
    let app = TestApp::with(config(&[(line, &own)]));
    let parameters = [("MessageSid", "SM1"), ("MessageStatus", "sent")];
    let response = app.twilio("/incoming/twilio/sms/status", &parameters).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(text(response).await, "{}");
}

#[tokio::test]
async fn an_e_mail_vendor_may_send_more_than_others_and_only_a_few_at_a_time() {
    let app = TestApp::start();
    let large = || vec![b' '; 2 << 20];
    let twilio = app.send(Request::post(PATH).body(Body::from(large())).unwrap()).await;
    assert_eq!(twilio.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let sendgrid = || Request::post("/incoming/sendgrid/email/events").body(Body::from(large())).unwrap();
    assert_eq!(app.send(sendgrid()).await.status(), StatusCode::UNAUTHORIZED, "read whole, and not signed");

    let held = app.app.large_bodies.acquire_many(8).await.unwrap();
    let response = app.send(sendgrid()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    drop(held);
    assert_eq!(app.send(sendgrid()).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_refusal_is_counted_by_vendor_and_reason() {
    let app = TestApp::start();
    let unsigned = || Request::post(PATH).body(Body::from("MessageSid=SM1&MessageStatus=sent")).unwrap();
    let forged = Request::post(PATH)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        .body(Body::from("MessageSid=SM1&MessageStatus=sent"));
    for request in [unsigned(), unsigned(), forged.unwrap()] {
        assert_eq!(app.send(request).await.status(), StatusCode::UNAUTHORIZED);
    }
    let counts = &app.app.meter.read()["twilio"];
    let refusals: Vec<_> = counts.refusals.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(refusals, [("mismatch", 1), ("missing_header", 2)]);
    assert_eq!((counts.refused(), counts.inbound), (3, 0));
}

/// Vendors of every priority, and few places.
fn crowded() -> TestApp {
    let vendor = |name, priority| {
        format!(
            "[vendors.{name}]\nscheme = \"twilio\"\nservices = {{ sms = \"sms\" }}\nsecrets = [\"env:TWILIO_AUTH_TOKEN\"]\n\
             priority = \"{priority}\"\n\n"
        )
    };
    let vendors = format!("{}{}[vendors.twilio]", vendor("opens", "low"), vendor("receipts", "normal"));
    TestApp::with(config(&[
        ("[vendors.twilio]", &vendors),
        ("in_flight = 512", "in_flight = 4"),
        ("body_memory = \"64MiB\"", "body_memory = \"4MiB\""),
        // A callback stays for as long as the bus hangs.
        ("publish_timeout = \"800ms\"", "publish_timeout = \"60s\""),
    ]))
}

fn shed(app: &TestApp, vendor: &str) -> u64 {
    app.app.meter.read()[vendor].shed
}

#[tokio::test]
async fn too_much_at_a_time_is_refused_unread_low_priority_first_and_counted() {
    use std::sync::atomic::Ordering::SeqCst;
    let app = crowded();
    app.bus.hangs.store(true, SeqCst);
    let mut waiting = tokio::task::JoinSet::new();
    // Two callbacks, then one, then one are under way when the next of the same vendor is refused.
    for (vendor, places) in [("opens", 2), ("receipts", 1), ("twilio", 1)] {
        let path = format!("/incoming/{vendor}/sms/status");
        for place in 0..places {
            let sid = format!("SM{vendor}{place}");
            let request = twilio_request(&app.app.config.public_url, &path, &receipt(&sid, "delivered"));
            let (handler, taken) = (app.handler.clone(), app.app.door.pressure().taken());
            let task =
                waiting.spawn(async move { tower::ServiceExt::oneshot(handler, request).await.unwrap().status() });
            while app.app.door.pressure().taken() == taken {
                assert!(!task.is_finished(), "{vendor} was refused");
                tokio::task::yield_now().await;
            }
        }
        let unread =
            Body::from_stream(stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, std::io::Error>>> {
                panic!("the body is read")
            }));
        let response = app.send(Request::post(&path).body(unread).unwrap()).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "unsigned, but that is not looked at: {vendor}");
        let retry_after: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((5..=10).contains(&retry_after));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(text(response).await.contains("too much at a time"));
        assert_eq!(shed(&app, vendor), 1);
    }
    // What was let in goes its way, and then everybody is welcome again.
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    app.bus.hangs.store(false, SeqCst);
    for vendor in ["opens", "receipts", "twilio"] {
        let response = app.twilio(&format!("/incoming/{vendor}/sms/status"), &receipt("SM1", "delivered")).await;
        assert_eq!(response.status(), StatusCode::OK, "{vendor}");
    }
}

#[tokio::test]
async fn bodies_that_arrive_slowly_take_memory_and_nobodys_place() {
    let app = crowded();
    let path = "/incoming/opens/sms/status";
    let slow = || {
        let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; 1 << 20]))]);
        let request =
            Request::post(path).body(Body::from_stream(futures_util::StreamExt::chain(begun, stream::pending())));
        tower::ServiceExt::oneshot(app.handler.clone(), request.unwrap())
    };
    // Low priority has 2 MiB.
    let mut waiting = [Box::pin(slow()), Box::pin(slow())];
    for request in &mut waiting {
        assert!(futures_util::FutureExt::now_or_never(request).is_none());
    }
    let response = app.twilio(path, &receipt("SM1", "delivered")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shed(&app, "opens"), 1);
    let response = app.twilio(PATH, &receipt("SM2", "delivered")).await;
    assert_eq!(response.status(), StatusCode::OK, "high priority has room in memory, and every place is free");
    drop(waiting);
    assert_eq!(app.twilio(path, &receipt("SM3", "delivered")).await.status(), StatusCode::OK);
}
