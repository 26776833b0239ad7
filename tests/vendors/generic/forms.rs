//! Forms, queries, and what names an event.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use sluice::{
    config::{Mapping, Scheme, VendorConfig},
    event::{Channel, Event, EventType},
    vendors::{Vendor, build},
};

use super::{PLAIN, URL, acme, post};
use crate::support::{FORM, NOW, Sent, at, mapping};

fn form_mapping() -> Mapping {
    Mapping {
        message_id: "query:message".into(),
        event_id: Some("form:Event Id".into()),
        status: "form:Status".into(),
        occurred_at: Some("form:Time".into()),
        recipient: Some("form:To".into()),
        sender: Some("header:X-From".into()),
        reason_code: Some("form:Error".into()),
        reason: None,
        statuses: [("SENT".to_owned(), EventType::MessageSent)].into(),
        ..mapping()
    }
}

fn mapped(mapping: Mapping) -> Arc<dyn Vendor> {
    build("acme", &VendorConfig { mapping: Some(mapping), ..VendorConfig::new(Scheme::None) })
}

fn read(vendor: &dyn Vendor, sent: &Sent) -> Vec<Event> {
    vendor.normalise(&sent.callback(vendor, Channel::Sms)).unwrap()
}

#[test]
fn a_form_and_a_query_are_read_decoded() {
    let vendor = mapped(form_mapping());
    let url = format!("{URL}?x=1&message=m%2F1+a&message=second");
    let body = "Event+Id=e%2B1&Status=SENT&To=%2B12025550143&Time=1795199998&Error=&Extra=%zz";
    let sent = Sent::new(&url, &[("content-type", FORM), ("x-from", "us")], body);
    let expected = Event {
        provider_status: "SENT".into(),
        occurred_at: Some(at(NOW - 2)),
        recipient: Some("+12025550143".into()),
        sender: Some("us".into()),
        ..Event::new(EventType::MessageSent, Channel::Sms, "acme", "m/1 a", "acme:e+1".into())
    };
    assert_eq!(read(&*vendor, &sent), [expected]);
    assert_eq!(sent.identify(&*vendor).dedupe_key.as_deref(), Some("acme:e+1"));
}

#[test]
fn a_body_that_is_no_form_with_any_mapped_field_is_unreadable() {
    let vendor = mapped(form_mapping());
    for body in ["", "{\"Status\":\"SENT\"}", "status=SENT", "Status=", "Status=%ff"] {
        let sent = Sent::new(&format!("{URL}?message=m1"), &[("content-type", FORM)], body);
        assert!(vendor.normalise(&sent.callback(&*vendor, Channel::Sms)).is_err(), "{body}");
        assert_eq!(sent.identify(&*vendor).dedupe_key, None, "{body}");
    }
}

#[test]
fn what_a_form_lacks_is_absent_and_without_an_event_id_different_forms_stay_apart() {
    let vendor = mapped(form_mapping());
    let sent = |body: &str| Sent::new(URL, &[("content-type", FORM)], body);
    let (one, other) = (read(&*vendor, &sent("Status=ODD")), read(&*vendor, &sent("Status=ODD&n=2")));
    assert_eq!((one[0].event_type, one[0].provider_status.as_str()), (EventType::Unknown, "ODD"));
    assert_eq!(one[0].recipient, None);
    assert!(!one[0].provider_message_id.is_empty());
    assert_ne!(one[0].dedupe_key, other[0].dedupe_key);
    assert_eq!(one, read(&*vendor, &sent("Status=ODD")));
}

#[test]
fn a_callback_that_is_all_query_needs_no_body() {
    let places = |name: &str| format!("query:{name}");
    let vendor = mapped(Mapping {
        message_id: places("id"),
        event_id: Some(places("event")),
        status: places("status"),
        occurred_at: None,
        recipient: None,
        sender: None,
        reason_code: None,
        reason: None,
        ..form_mapping()
    });
    let sent = Sent { method: Method::GET, ..Sent::new(&format!("{URL}?id=m1&status=SENT&event=e1"), &[], "") };
    let events = read(&*vendor, &sent);
    assert_eq!((events[0].event_type, events[0].dedupe_key.as_str()), (EventType::MessageSent, "acme:e1"));
    assert_eq!(sent.identify(&*vendor).dedupe_key.as_deref(), Some("acme:e1"));
}

#[test]
fn the_id_of_a_query_names_the_callback_and_each_element_has_its_number() {
    let vendor = mapped(Mapping { each: Some("/items".into()), event_id: Some("query:event".into()), ..mapping() });
    let body = json!({ "items": [{ "type": "email.sent" }, { "type": "email.sent" }] }).to_string();
    let events = read(&*vendor, &Sent::new(&format!("{URL}?event=e1"), &[], body));
    assert_eq!(events.iter().map(|event| &*event.dedupe_key).collect::<Vec<_>>(), ["acme:e1:0", "acme:e1:1"]);
}

#[test]
fn by_default_an_event_is_named_by_the_signed_id_and_never_by_an_unsigned_header() {
    let with_id = format!("{}id = \"header:X-Delivery\"\n", PLAIN.replace("{body}", "{id}{body}"));
    let vendor = acme(&with_id);
    let sent = post(&[("x-delivery", "d1"), ("webhook-id", "other")]);
    assert_eq!(sent.identify(&*vendor).dedupe_key.as_deref(), Some("acme:d1"));
    assert_eq!(read(&*vendor, &sent)[0].dedupe_key, "acme:d1");

    let without = acme(PLAIN);
    assert_eq!(sent.identify(&*without).dedupe_key, None);
    let events = read(&*without, &sent);
    assert!(events[0].dedupe_key.starts_with("acme:sha256-"), "{}", events[0].dedupe_key);
}
