//! What payloads mean, beyond the samples.

use std::sync::Arc;

use serde_json::json;
use sluice::{
    config::{Mapping, Scheme},
    event::{BounceClass, Channel, Event, EventType},
    vendors::{Vendor, build},
};

use crate::support::{FORM, Sent, at, config, mapping, vendor};

const URL: &str = "https://hooks.example.net/incoming/acme/any/status";

fn twilio(form: &str) -> Vec<Event> {
    let vendor = vendor("acme", Scheme::Twilio, &["token"]);
    vendor.normalise(&Sent::form(URL, "-", form).callback(&*vendor, Channel::Sms)).unwrap()
}

fn sendgrid(event: serde_json::Value) -> Event {
    let vendor = vendor("acme", Scheme::Sendgrid, &["-"]);
    let sent = Sent::new(URL, &[("content-type", "application/json")], json!([event]).to_string());
    vendor.normalise(&sent.callback(&*vendor, Channel::Email)).unwrap().remove(0)
}

fn mapped(change: impl FnOnce(&mut Mapping)) -> Arc<dyn Vendor> {
    let mut config = config(Scheme::None, &[]);
    change(config.mapping.as_mut().unwrap());
    build("acme", &config)
}

fn read(vendor: &dyn Vendor, headers: &[(&str, &str)], body: serde_json::Value) -> Vec<Event> {
    vendor.normalise(&Sent::new(URL, headers, body.to_string()).callback(vendor, Channel::Email)).unwrap()
}

#[test]
fn every_status_of_a_twilio_message_has_its_type_and_a_new_one_is_kept_as_unknown() {
    use EventType::*;
    for (status, event_type) in [
        ("accepted", MessageAccepted),
        ("scheduled", MessageQueued),
        ("queued", MessageQueued),
        ("sending", MessageSending),
        ("sent", MessageSent),
        ("delivered", MessageDelivered),
        ("undelivered", MessageUndelivered),
        ("failed", MessageFailed),
        ("read", MessageRead),
        ("canceled", MessageCanceled),
        ("partially_delivered", Unknown),
    ] {
        let events = twilio(&format!("MessageSid=SM1&MessageStatus={status}"));
        assert_eq!((events.len(), events[0].event_type), (1, event_type), "{status}");
        assert_eq!(events[0].provider_status, status);
        assert_eq!(events[0].dedupe_key, format!("acme:SM1:{status}"));
    }
}

#[test]
fn every_status_of_a_twilio_call_has_its_type() {
    use EventType::*;
    for (status, event_type) in [
        ("queued", CallInitiated),
        ("initiated", CallInitiated),
        ("ringing", CallRinging),
        ("in-progress", CallAnswered),
        ("completed", CallCompleted),
        ("busy", CallBusy),
        ("no-answer", CallNoAnswer),
        ("failed", CallFailed),
        ("canceled", CallCanceled),
        ("levitating", Unknown),
    ] {
        let events = twilio(&format!("CallSid=CA1&CallStatus={status}&SequenceNumber=4"));
        assert_eq!((events.len(), events[0].event_type), (1, event_type), "{status}");
        assert_eq!(events[0].dedupe_key, format!("acme:CA1:4:{status}"));
    }
}

#[test]
fn a_call_that_failed_tells_its_sip_code_and_one_that_completed_does_not() {
    let code = |status| twilio(&format!("CallSid=CA1&CallStatus={status}&SipResponseCode=486"))[0].reason_code.clone();
    assert_eq!(code("busy").as_deref(), Some("486"));
    assert_eq!(code("completed"), None);
}

#[test]
fn an_opt_out_is_about_the_person_who_sent_the_message() {
    for (word, event_type, suffix) in [
        ("STOP", EventType::RecipientOptedOut, "optout"),
        ("START", EventType::RecipientOptedIn, "optin"),
        ("help", EventType::RecipientHelp, "help"),
        ("PAUSE", EventType::Unknown, "optout:PAUSE"),
    ] {
        let events = twilio(&format!("MessageSid=SM1&SmsStatus=received&From=%2B1&To=%2B2&Body=x&OptOutType={word}"));
        let [received, opt_out] = events.try_into().unwrap();
        assert_eq!((received.event_type, received.sender.as_deref()), (EventType::MessageReceived, Some("+1")));
        assert_eq!((opt_out.event_type, opt_out.recipient.as_deref()), (event_type, Some("+1")));
        assert_eq!(opt_out.dedupe_key, format!("acme:SM1:{suffix}"));
        assert_eq!((opt_out.provider_status.as_str(), opt_out.text), (word, None));
    }
}

#[test]
fn the_text_stop_alone_is_only_a_message() {
    let events = twilio("MessageSid=SM1&SmsStatus=received&From=%2B1&To=%2B2&Body=STOP");
    assert_eq!(events.iter().map(|event| event.event_type).collect::<Vec<_>>(), [EventType::MessageReceived]);
}

#[test]
fn a_machine_found_twice_is_one_fact() {
    let own = twilio("CallSid=CA1&AnsweredBy=machine_start");
    let repeated = twilio("CallSid=CA1&CallStatus=completed&SequenceNumber=3&AnsweredBy=machine_start");
    assert_eq!(own[0].event_type, EventType::CallMachineDetected);
    assert_eq!(repeated.len(), 2);
    assert_eq!(repeated[1].dedupe_key, own[0].dedupe_key);
    assert_eq!(twilio("CallSid=CA1&AnsweredBy=human")[0].event_type, EventType::CallAnswered);
    assert_eq!(twilio("CallSid=CA1&AnsweredBy=unknown")[0].event_type, EventType::Unknown);
}

#[test]
fn parameters_of_a_request_without_a_body_are_in_its_query() {
    let vendor = vendor("acme", Scheme::Twilio, &["token"]);
    let url = format!("{URL}?tenant=acme&MessageSid=SM1&MessageStatus=sent&To=%2B34");
    let sent = Sent::new(&url, &[], "");
    assert_eq!(sent.identify(&*vendor).dedupe_key.as_deref(), Some("acme:SM1:sent"));
    let events = vendor.normalise(&sent.callback(&*vendor, Channel::Sms)).unwrap();
    assert_eq!((events[0].dedupe_key.as_str(), events[0].recipient.as_deref()), ("acme:SM1:sent", Some("+34")));
}

#[test]
fn a_query_beside_a_body_says_nothing_about_the_message() {
    let vendor = vendor("acme", Scheme::Twilio, &["token"]);
    let sent =
        Sent::form(&format!("{URL}?MessageStatus=failed&MessageSid=SM9"), "-", "MessageSid=SM1&MessageStatus=sent");
    assert_eq!(sent.identify(&*vendor).dedupe_key.as_deref(), Some("acme:SM1:sent"));
    let events = vendor.normalise(&sent.callback(&*vendor, Channel::Sms)).unwrap();
    assert_eq!(events[0].dedupe_key, "acme:SM1:sent");
}

#[test]
fn json_parameters_are_read_as_the_form_would_be() {
    let vendor = vendor("acme", Scheme::Twilio, &["token"]);
    let body = json!({"MessageSid": "SM1", "MessageStatus": "failed", "ErrorCode": 30007, "Extra": {"a": []}});
    let sent = Sent::new(URL, &[("content-type", "application/json")], body.to_string());
    let events = vendor.normalise(&sent.callback(&*vendor, Channel::Sms)).unwrap();
    assert_eq!(events[0].dedupe_key, "acme:SM1:failed");
    assert_eq!(events[0].reason_code.as_deref(), Some("30007"));
}

#[test]
fn a_parameter_that_is_there_twice_leaves_the_identity_to_a_digest() {
    let vendor = vendor("acme", Scheme::Twilio, &["token"]);
    for form in [
        "MessageSid=SM1&MessageStatus=sent&MessageStatus=failed",
        "MessageSid=SM1&MessageSid=SM2&MessageStatus=sent",
        "MessageSid=&MessageStatus=sent",
        "MessageSid=SM1",
        "CallSid=CA1&CallStatus=completed",
        "CallSid=CA1&CallStatus=completed&SequenceNumber=1&RecordingStatus=completed",
    ] {
        assert_eq!(Sent::form(URL, "-", form).identify(&*vendor).dedupe_key, None, "{form}");
    }
}

#[test]
fn callbacks_that_nobody_knows_are_kept_apart_from_each_other() {
    let first = twilio("Digits=1").remove(0);
    let second = twilio("Digits=2").remove(0);
    assert_eq!((first.event_type, second.event_type), (EventType::Unknown, EventType::Unknown));
    assert_ne!(first.dedupe_key, second.dedupe_key);
    assert_eq!(first, twilio("Digits=1").remove(0), "a repeat is the same event");
    let conference = twilio("CallSid=CA1&StatusCallbackEvent=participant-join&SequenceNumber=1").remove(0);
    assert_eq!(
        (conference.provider_message_id.as_str(), conference.provider_status.as_str()),
        ("CA1", "participant-join")
    );
}

#[test]
fn a_bounce_is_as_final_as_its_type_or_else_its_status_says() {
    let class = |kind, status| sendgrid(json!({"event": "bounce", "type": kind, "status": status})).bounce_class;
    assert_eq!(class("bounce", "4.2.2"), Some(BounceClass::Hard));
    assert_eq!(class("blocked", "5.7.1"), Some(BounceClass::Block));
    assert_eq!(class("", "5.1.1"), Some(BounceClass::Hard));
    assert_eq!(class("expired", "4.4.1"), Some(BounceClass::Soft));
    assert_eq!(class("", ""), None);
}

#[test]
fn a_custom_argument_is_not_taken_for_a_field_of_another_event() {
    let event = sendgrid(json!({
        "event": "delivered", "reason": "mine", "status": "mine", "url": "mine", "type": "blocked", "asm_group_id": 5
    }));
    assert_eq!((event.reason, event.reason_code, event.url), (None, None, None));
    assert_eq!((event.bounce_class, event.unsubscribe_group), (None, None));
}

#[test]
fn a_resubscription_without_its_group_is_no_consent_to_all_mail() {
    assert_eq!(sendgrid(json!({"event": "group_resubscribe"})).event_type, EventType::Unknown);
    let event = sendgrid(json!({"event": "group_resubscribe", "asm_group_id": "15"}));
    assert_eq!((event.event_type, event.unsubscribe_group), (EventType::RecipientResubscribed, Some(15)));
    assert_eq!(sendgrid(json!({"event": "group_unsubscribe"})).event_type, EventType::RecipientUnsubscribed);
}

fn multipart(boundary: &str, fields: &[(&str, &str)]) -> Sent {
    let part = |(name, value): &(&str, &str)| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = fields.iter().map(part).chain([format!("--{boundary}--\r\n")]).collect::<String>();
    Sent::new(URL, &[("content-type", &format!("multipart/form-data; boundary={boundary}"))], body)
}

fn inbound(sent: &Sent) -> Event {
    let vendor = vendor("acme", Scheme::Sendgrid, &["-"]);
    vendor.normalise(&sent.callback(&*vendor, Channel::Email)).unwrap().remove(0)
}

#[test]
fn received_mail_has_plain_addresses_and_its_own_message_id() {
    let fields = [
        ("headers", "From: Ana <ana@example.net>\r\nMessage-ID:\r\n <long@example.net>\r\nSubject: Hi\r\n"),
        ("envelope", "{\"to\":[\"in@parse.example.com\"],\"from\":\"ana@example.net\"}"),
        ("from", "Ana <ana@example.net>"),
        ("to", "Us <in@parse.example.com>"),
        ("text", "Hola ñ\r\n"),
    ];
    let event = inbound(&multipart("xYzZY", &fields));
    assert_eq!(event.event_type, EventType::MessageReceived);
    assert_eq!(event.provider_message_id, "<long@example.net>");
    assert_eq!(event.sender.as_deref(), Some("ana@example.net"));
    assert_eq!(event.recipient.as_deref(), Some("in@parse.example.com"));
    assert_eq!(event.text.as_deref(), Some("Hola ñ\r\n"));
    assert_eq!(event.occurred_at, None);
    assert_eq!(inbound(&multipart("another", &fields)), event, "another boundary is the same mail");
}

#[test]
fn a_batch_under_another_content_type_is_still_a_batch() {
    let batch = r#"[{"event":"open","sg_event_id":"a"}]"#;
    for content_type in [FORM, "multipart/form-data; boundary=x", "text/plain"] {
        let event = inbound(&Sent::new(URL, &[("content-type", content_type)], batch));
        assert_eq!(event.event_type, EventType::MessageOpened, "{content_type}");
    }
}

#[test]
fn one_mail_to_two_of_our_addresses_is_two_facts() {
    let to = |address: &str| {
        let envelope = json!({"to": [address], "from": "ana@example.net"}).to_string();
        inbound(&multipart("x", &[("headers", "Message-ID: <1@example.net>"), ("envelope", &envelope)]))
    };
    let (first, second) = (to("a@parse.example.com"), to("b@parse.example.com"));
    assert_eq!(first.provider_message_id, second.provider_message_id);
    assert_ne!(first.dedupe_key, second.dedupe_key);
}

#[test]
fn a_stranger_cannot_name_his_mail_as_one_of_our_messages() {
    let event = inbound(&multipart("x", &[("headers", "Message-ID: aBcDeFgHQ1SmTnUoVpWqXr")]));
    assert_eq!(event.provider_message_id, "<aBcDeFgHQ1SmTnUoVpWqXr>");
}

#[test]
fn a_mapping_reads_pointers_and_headers_and_keeps_unknown_words() {
    let vendor = mapped(|mapping| {
        mapping.event_id = Some("header:X-Event-Id".into());
        mapping.sender = Some("header:x-from".into());
        mapping.occurred_at = Some("header:x-time".into());
    });
    assert_eq!(vendor.kept_headers(), ["x-event-id", "x-from", "x-time"]);
    let headers = [("x-event-id", "e1"), ("x-from", "us"), ("x-time", "1795200000000")];
    let body = json!({"type": "email.teleported", "data": {"email_id": 7, "to": ["ana@example.com"], "bounce": {"code": 550}}});
    let [event] = read(&*vendor, &headers, body).try_into().unwrap();
    assert_eq!((event.event_type, event.provider_status.as_str()), (EventType::Unknown, "email.teleported"));
    assert_eq!((event.provider_message_id.as_str(), event.dedupe_key.as_str()), ("7", "acme:e1"));
    assert_eq!((event.sender.as_deref(), event.recipient.as_deref()), (Some("us"), Some("ana@example.com")));
    assert_eq!((event.occurred_at, event.reason_code.as_deref()), (Some(at(1_795_200_000)), Some("550")));
    let request = Sent::new(URL, &headers, "");
    assert_eq!(request.identify(&*vendor).dedupe_key.as_deref(), Some("acme:e1"));
}

#[test]
fn elements_of_one_webhook_have_different_keys_under_its_one_id() {
    let vendor = mapped(|mapping| mapping.each = Some("/items".into()));
    let element = json!({"type": "email.sent", "data": {"email_id": "m"}});
    let events = read(&*vendor, &[("webhook-id", "w")], json!({"items": [element, element, null]}));
    let keys: Vec<_> = events.iter().map(|event| event.dedupe_key.as_str()).collect();
    assert_eq!(keys, ["acme:w:0", "acme:w:1", "acme:w:2"]);
    assert_eq!(events[2].event_type, EventType::Unknown);

    let vendor = mapped(|mapping| {
        mapping.each = Some(String::new());
        mapping.event_id = Some("/id".into());
    });
    let events = read(&*vendor, &[], json!([{"id": 1}, {"id": "b"}]));
    let keys: Vec<_> = events.iter().map(|event| event.dedupe_key.as_str()).collect();
    assert_eq!(keys, ["acme:1", "acme:b"], "an id of the element's own needs no place");
}

#[test]
fn without_ids_a_repeat_is_the_same_event_and_anything_else_is_another() {
    let vendor = mapped(|mapping| mapping.message_id = "header:x-message".into());
    let event = |id, body| read(&*vendor, &[("x-message", id)], body).remove(0);
    let body = json!({"type": "email.sent"});
    assert_eq!(event("1", body.clone()), event("1", body.clone()));
    assert_ne!(event("1", body.clone()).dedupe_key, event("2", body.clone()).dedupe_key);
    assert_ne!(event("1", body).dedupe_key, event("1", json!({"type": "email.delivered"})).dedupe_key);
}

#[test]
fn a_mapping_that_fits_nothing_loses_nothing() {
    let vendor = mapped(|mapping| {
        mapping.message_id = "no pointer".into();
        mapping.event_id = Some("header:no header".into());
        mapping.status = String::new();
    });
    assert_eq!(vendor.kept_headers(), [""; 0]);
    for body in [json!({"a": 1}), json!([]), json!(null)] {
        let [event] = read(&*vendor, &[], body).try_into().unwrap();
        assert_eq!(event.event_type, EventType::Unknown);
        assert!(event.dedupe_key.starts_with("acme:sha256-"));
    }
    let vendor = mapped(|mapping| mapping.each = Some("/items".into()));
    let sent = Sent::new(URL, &[("content-type", FORM)], r#"{"items":{}}"#);
    assert!(vendor.normalise(&sent.callback(&*vendor, Channel::Email)).is_err());

    let mut config = config(Scheme::None, &[]);
    config.mapping = None;
    assert!(build("acme", &config).normalise(&sent.callback(&*vendor, Channel::Email)).is_err());
    assert!(mapping().each.is_none());
}
