//! SparkPost: pings, and what the vectors leave open of its events.

use serde_json::{Value, json};
use sluice::{
    config::Scheme,
    event::{BounceClass, Channel, Event, EventType},
    vendors::{Handshake, Identity},
};

use crate::support::{NOW, Sent, at, vendor};

const URL: &str = "https://hooks.example.net/incoming/sparkpost/email/events";

fn sent(body: &Value) -> Sent {
    Sent::new(URL, &[("content-type", "application/json")], body.to_string())
}

fn events(body: &Value) -> Vec<Event> {
    let sparkpost = vendor("sparkpost", Scheme::Sparkpost, &["a:b"]);
    sparkpost.normalise(&sent(body).callback(&*sparkpost, Channel::Email)).unwrap()
}

fn bounce(class: &str) -> Value {
    json!({"msys": {"message_event": {"type": "bounce", "event_id": class, "transmission_id": "t1", "bounce_class": class, "error_code": "550", "raw_reason": "550 no", "friendly_from": "n@example.com", "msg_from": "bounces@example.com"}}})
}

#[test]
fn a_batch_of_nothing_but_pings_is_answered_at_once() {
    let sparkpost = vendor("sparkpost", Scheme::Sparkpost, &["a:b"]);
    let answer = |body: &Value| sparkpost.handshake(&sent(body).request(), at(NOW));
    let ping = json!({"msys": {}});
    assert_eq!(answer(&json!([ping])), Some(Handshake::Answer(None)));
    assert_eq!(answer(&json!([ping, ping])), Some(Handshake::Answer(None)));
    for callback in [json!([ping, bounce("10")]), json!([]), json!({}), json!([{}]), json!([{"msys": 7}]), json!("x")] {
        assert_eq!(answer(&callback), None, "{callback}");
    }
    assert_eq!(events(&json!([ping, bounce("10"), ping])).len(), 1);
}

#[test]
fn a_bounce_is_as_final_as_its_class_says() {
    let classes = [
        ("10", EventType::MessageBounced, Some(BounceClass::Hard)),
        ("21", EventType::MessageBounced, Some(BounceClass::Soft)),
        ("51", EventType::MessageBounced, Some(BounceClass::Block)),
        ("60", EventType::Unknown, None),
        ("80", EventType::Unknown, None),
        ("90", EventType::RecipientUnsubscribed, None),
        ("999", EventType::MessageBounced, None),
    ];
    for (class, event_type, bounce_class) in classes {
        let event = &events(&json!([bounce(class)]))[0];
        assert_eq!((event.event_type, event.bounce_class), (event_type, bounce_class), "{class}");
        assert_eq!((event.reason_code.as_deref(), event.reason.as_deref()), (Some("550"), Some("550 no")));
        assert_eq!((event.provider_status.as_str(), event.sender.as_deref()), ("bounce", Some("n@example.com")));
    }
}

#[test]
fn a_batch_gives_each_recipient_an_event_of_its_own() {
    let batch = json!([bounce("10"), bounce("20")]);
    let events = events(&batch);
    assert_eq!(events[0].provider_message_id, events[1].provider_message_id);
    assert_ne!(events[0].dedupe_key, events[1].dedupe_key);
    let sparkpost = vendor("sparkpost", Scheme::Sparkpost, &["a:b"]);
    assert_eq!(sent(&batch).identify(&*sparkpost), Identity::default());
}

#[test]
fn a_click_tells_its_link_and_a_text_message_its_state() {
    let events = events(&json!([
        {"msys": {"track_event": {"type": "click", "event_id": "1", "transmission_id": "t1", "target_link_url": "https://example.com/"}}},
        {"msys": {"message_event": {"type": "sms_status", "event_id": "2", "transmission_id": "t1", "stat_state": "Delivered", "sms_dst": "34600", "sms_src": "34601"}}},
    ]));
    assert_eq!(events[0].url.as_deref(), Some("https://example.com/"));
    assert_eq!((events[1].event_type, events[1].provider_status.as_str()), (EventType::MessageDelivered, "Delivered"));
    assert_eq!((events[1].recipient.as_deref(), events[1].sender.as_deref()), (Some("34600"), Some("34601")));
}

#[test]
fn a_received_mail_is_known_by_its_header_but_never_takes_the_place_of_another() {
    let mail = |text: &str| json!({"msys": {"relay_message": {"content": {"headers": [{"Subject": "Hi"}, {"Message-ID": "<x@y>"}], "text": text}, "friendly_from": "Bob <b@y.example>", "msg_from": "b@y.example", "rcpt_to": "in@x.example"}}});
    let events = events(&json!([mail("one"), mail("two")]));
    assert_eq!((events[0].event_type, events[0].provider_message_id.as_str()), (EventType::MessageReceived, "<x@y>"));
    assert_eq!((events[0].text.as_deref(), events[0].sender.as_deref()), (Some("one"), Some("b@y.example")));
    assert_ne!(events[0].dedupe_key, events[1].dedupe_key);
}

#[test]
fn what_has_another_shape_is_an_unknown_event_and_spoils_no_neighbour() {
    let odd = json!([null, 7, {}, {"msys": []}, {"msys": {"message_event": 7}}, {"msys": {"message_event": {"type": [], "event_id": {}}}}, bounce("10")]);
    let events = events(&odd);
    assert_eq!(events.len(), 7);
    assert!(
        events[..6].iter().all(|event| event.event_type == EventType::Unknown && !event.provider_message_id.is_empty())
    );
    let keys: std::collections::BTreeSet<_> = events.iter().map(|event| &event.dedupe_key).collect();
    assert_eq!(keys.len(), 7);
    let sparkpost = vendor("sparkpost", Scheme::Sparkpost, &["a:b"]);
    assert!(sparkpost.normalise(&sent(&json!({})).callback(&*sparkpost, Channel::Email)).is_err());
}
