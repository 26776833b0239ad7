//! Infobip: what the vectors leave open of its reports.

use serde_json::{Value, json};
use sluice::{
    config::Scheme,
    event::{Channel, Event, EventType},
    vendors::Identity,
};

use crate::support::{Sent, vendor};

const URL: &str = "https://hooks.example.net/incoming/infobip/sms/status";

fn sent(body: &Value) -> Sent {
    Sent::new(URL, &[("content-type", "application/json")], body.to_string())
}

fn events(body: &Value, channel: Channel) -> Vec<Event> {
    let infobip = vendor("infobip", Scheme::Infobip, &["a:b"]);
    infobip.normalise(&sent(body).callback(&*infobip, channel)).unwrap()
}

fn identity(body: &Value) -> Identity {
    sent(body).identify(&*vendor("infobip", Scheme::Infobip, &["a:b"]))
}

fn report(id: &str, group: i64, error: &str) -> Value {
    json!({"messageId": id, "to": "34600", "doneAt": "2026-11-20T18:40:06.000+0100", "status": {"groupId": group, "groupName": "G", "name": "N"}, "error": {"id": 5001, "name": error}, "voiceCall": {"duration": 12}})
}

#[test]
fn a_single_report_is_identified_as_the_event_it_becomes_and_several_are_not() {
    let single = json!({"results": [report("m1", 3, "")]});
    let identity_of_single = identity(&single);
    let event = &events(&single, Channel::Sms)[0];
    assert_eq!(identity_of_single.dedupe_key.as_deref(), Some("infobip:m1:N"));
    assert_eq!(identity_of_single.dedupe_key.as_ref(), Some(&event.dedupe_key));
    assert_eq!(identity_of_single.subject.as_ref(), Some(&event.provider_message_id));
    assert_eq!(identity(&json!({"results": [report("m1", 3, ""), report("m2", 3, "")]})), Identity::default());
    assert_eq!(identity(&json!({"results": []})), Identity::default());
}

#[test]
fn an_offset_needs_no_colon() {
    let event = &events(&json!({"results": [report("m1", 3, "")]}), Channel::Sms)[0];
    assert_eq!(event.occurred_at.unwrap().to_rfc3339(), "2026-11-20T17:40:06+00:00");
}

#[test]
fn a_report_about_a_call_tells_how_it_ended() {
    for (group, error, expected) in [
        (1, "", EventType::CallInitiated),
        (3, "NO_ERROR", EventType::CallCompleted),
        (2, "EC_VOICE_USER_BUSY", EventType::CallBusy),
        (2, "EC_VOICE_NO_ANSWER", EventType::CallNoAnswer),
        (5, "EC_VOICE_ERROR_CALL_BARRED", EventType::CallFailed),
        (77, "", EventType::Unknown),
    ] {
        let event = &events(&json!({"results": [report("m1", group, error)]}), Channel::Voice)[0];
        assert_eq!((event.event_type, event.duration_s), (expected, Some(12)), "{group} {error}");
    }
    let event = &events(&json!({"results": [report("m1", 3, "")]}), Channel::Sms)[0];
    assert_eq!((event.event_type, event.duration_s), (EventType::MessageDelivered, None));
}

#[test]
fn a_received_message_and_a_report_about_it_do_not_share_a_key() {
    let received = json!({"results": [{"messageId": "m1", "from": "34600", "to": "34601", "text": "STOP", "receivedAt": "2026-11-20T18:42:00.000+0000"}]});
    let event = &events(&received, Channel::Sms)[0];
    assert_eq!(event.event_type, EventType::MessageReceived);
    assert_eq!((event.text.as_deref(), event.sender.as_deref()), (Some("STOP"), Some("34600")));
    assert!(event.occurred_at.is_some());
    assert_ne!(event.dedupe_key, events(&json!({"results": [report("m1", 3, "")]}), Channel::Sms)[0].dedupe_key);
    assert_eq!(identity(&received).subject.as_deref(), Some("m1"));
}

#[test]
fn what_somebody_did_with_an_email_comes_alone_and_without_a_time() {
    let notification = |name: &str| json!({"notificationType": name, "recipient": "a@b.example", "messageId": "m1", "sendDateTime": 1_795_200_000_000_i64, "url": "https://example.com/"});
    for (name, expected) in [
        ("OPENED", EventType::MessageOpened),
        ("CLICKED", EventType::MessageClicked),
        ("COMPLAINED", EventType::MessageComplained),
        ("UNSUBSCRIBED", EventType::RecipientUnsubscribed),
        ("LATE_BOUNCE", EventType::Unknown),
    ] {
        let event = &events(&notification(name), Channel::Email)[0];
        assert_eq!((event.event_type, event.provider_status.as_str(), event.occurred_at), (expected, name, None));
        assert_eq!((event.recipient.as_deref(), event.provider_message_id.as_str()), (Some("a@b.example"), "m1"));
    }
    let keys = ["OPENED", "CLICKED"].map(|name| events(&notification(name), Channel::Email)[0].dedupe_key.clone());
    assert_ne!(keys[0], keys[1]);
    let known = json!({"notificationType": "OPENED", "eventId": "e1"});
    assert_eq!(events(&known, Channel::Email)[0].dedupe_key, "infobip:e1");
}

#[test]
fn what_has_another_shape_is_an_unknown_event_and_spoils_no_neighbour() {
    let odd = json!({"results": [null, 7, [], {"status": 7}, {"messageId": {}, "status": {"groupId": "x", "name": []}}, report("m1", 3, "")]});
    let events = events(&odd, Channel::Sms);
    assert_eq!(events.len(), 6);
    assert!(
        events[..5].iter().all(|event| event.event_type == EventType::Unknown && !event.provider_message_id.is_empty())
    );
    let keys: std::collections::BTreeSet<_> = events.iter().map(|event| &event.dedupe_key).collect();
    assert_eq!(keys.len(), 6);
    let infobip = vendor("infobip", Scheme::Infobip, &["a:b"]);
    for body in [json!({}), json!([]), json!({"results": {}}), json!("x")] {
        assert!(infobip.normalise(&sent(&body).callback(&*infobip, Channel::Sms)).is_err(), "{body}");
        assert_eq!(identity(&body), Identity::default());
    }
}
