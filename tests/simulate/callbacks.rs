//! What is in the callbacks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sluice::{
    config::Mapping,
    event::{Channel, EventType},
    simulate::{Cast, Fact, Plan, SENDGRID_KEY, SignedRequest, SimulateError},
};

use crate::{cast, config, plan_of, shape, started};

/// Every callback of a plan with the facts that it states.
fn told(plan: &Plan) -> Vec<(String, SignedRequest, Vec<Fact>)> {
    let mut told = Vec::new();
    for number in 0..plan.stories() {
        let (generator, story) = plan.story(number);
        for (callback, facts) in plan.callbacks_of(number).zip(story.steps) {
            told.push((generator.vendor().to_owned(), plan.build(callback, started()), facts));
        }
    }
    told
}

#[test]
fn equal_seeds_give_equal_callbacks_of_every_vendor() {
    let all = ["twilio", "sendgrid", "resend"];
    let (one, same, other) = (plan_of(&all, shape(400, 7)), plan_of(&all, shape(400, 7)), plan_of(&all, shape(400, 8)));
    assert_eq!(told(&one), told(&same));
    let keys = |plan| -> BTreeSet<String> {
        told(plan).into_iter().flat_map(|(_, _, facts)| facts).map(|fact| fact.dedupe_key).collect()
    };
    assert!(keys(&one).is_disjoint(&keys(&other)));
}

#[test]
fn every_dedupe_key_is_the_vendors_and_occurs_once() {
    let plan = plan_of(&[], shape(3000, 3));
    let mut seen = BTreeSet::new();
    for (vendor, _, facts) in told(&plan) {
        for fact in facts {
            assert!(fact.dedupe_key.starts_with(&format!("{vendor}:")));
            assert!(seen.insert(fact.dedupe_key));
        }
    }
}

#[test]
fn every_kind_of_event_occurs_on_its_route() {
    use EventType::*;
    let mut seen: BTreeMap<String, BTreeSet<EventType>> = BTreeMap::new();
    for (_, request, facts) in told(&plan_of(&[], shape(6000, 5))) {
        let path = request.path.split('?').next().unwrap().to_owned();
        seen.entry(path).or_default().extend(facts.iter().map(|fact| fact.event_type));
    }
    let sms = BTreeSet::from([
        MessageQueued,
        MessageSending,
        MessageSent,
        MessageDelivered,
        MessageUndelivered,
        MessageFailed,
    ]);
    let inbound = BTreeSet::from([MessageReceived, RecipientOptedOut, RecipientOptedIn, RecipientHelp]);
    let calls =
        BTreeSet::from([CallInitiated, CallRinging, CallAnswered, CallCompleted, CallBusy, CallNoAnswer, CallFailed]);
    let mail = BTreeSet::from([
        MessageAccepted,
        MessageDelivered,
        MessageDeferred,
        MessageBounced,
        MessageRejected,
        MessageOpened,
        MessageClicked,
        MessageComplained,
        RecipientUnsubscribed,
    ]);
    let mapped = |vendor: &str| -> BTreeSet<_> {
        config("").vendors[vendor].mapping.clone().unwrap().statuses.into_values().collect()
    };
    assert_eq!(seen["/incoming/twilio/sms/status"], sms);
    assert!(seen["/incoming/twilio/whatsapp/status"].contains(&MessageRead));
    assert_eq!(seen["/incoming/twilio/sms/inbound"], inbound);
    assert_eq!(seen["/incoming/twilio/voice/status"], calls);
    assert_eq!(seen["/incoming/sendgrid/email/events"], mail);
    assert_eq!(seen["/incoming/resend/email/events"], mapped("resend"));
    assert_eq!(seen["/incoming/acme-sms/sms/events"], mapped("acme-sms"));
    assert_eq!(seen["/incoming/textly/sms/events"], mapped("textly"));
}

#[test]
fn twilio_bodies_say_what_the_facts_say_and_have_a_real_size() {
    for (_, request, facts) in told(&plan_of(&["twilio"], shape(2000, 2))) {
        let form: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let fact = &facts[0];
        assert!((300..1000).contains(&request.body.len()), "{} bytes", request.body.len());
        assert_eq!(form["To"], fact.recipient);
        if request.path.ends_with("/voice/status") {
            assert_eq!((&form["CallSid"], &form["CallStatus"]), (&fact.message_id, &fact.status));
            let at = chrono::DateTime::parse_from_rfc2822(&form["Timestamp"]).unwrap();
            assert_eq!(Some(at.to_utc()), fact.at);
            let key = format!("twilio:{}:{}:{}", fact.message_id, form["SequenceNumber"], fact.status);
            assert_eq!(fact.dedupe_key, key);
            assert_eq!(form.contains_key("CallDuration"), fact.event_type > EventType::CallAnswered);
        } else {
            assert_eq!((&form["MessageSid"], &form["SmsStatus"]), (&fact.message_id, &fact.status));
            assert_eq!(fact.dedupe_key, format!("twilio:{}:{}", fact.message_id, fact.status));
            assert_eq!(form.get("OptOutType"), facts.get(1).map(|keyword| &keyword.status));
            let code = form.get("ErrorCode").map(String::as_str);
            assert_eq!(code == Some("30003"), fact.event_type == EventType::MessageUndelivered);
        }
    }
}

#[test]
fn sendgrid_batches_hold_the_facts_of_several_messages() {
    let mut widest = 0;
    for (_, request, facts) in told(&plan_of(&["sendgrid"], shape(300, 2))) {
        let events: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(events.len(), facts.len());
        assert!((1..=20).contains(&events.len()));
        for (event, fact) in events.iter().zip(&facts) {
            assert_eq!(event["event"], fact.status);
            assert_eq!(format!("sendgrid:{}", event["sg_event_id"].as_str().unwrap()), fact.dedupe_key);
            assert_eq!(event["sg_message_id"].as_str().unwrap().split('.').next(), Some(fact.message_id.as_str()));
            assert_eq!(event["timestamp"].as_i64(), fact.at.map(|at| at.timestamp()));
        }
        widest = widest.max(facts.iter().map(|fact| &fact.message_id).collect::<BTreeSet<_>>().len());
    }
    assert!(widest > 3, "no batch had more than {widest} messages");
}

/// Two vendors that exist only as mappings: one batches calls and keeps everything in the body, one signs nothing and
/// puts the status into a header.
pub const MAPPED: &str = r#"
[vendors.callco]
scheme = "standard-webhooks"
services = { voice = "voice", mail = "email" }
secrets = ["env:OTHER_SECRET"]
[vendors.callco.mapping]
each = "/events"
message_id = "/call/id"
event_id = "/id"
status = "/call/state"
occurred_at = "/at"
recipient = "/call/legs/1/number"
reason_code = "/error~1code"
[vendors.callco.mapping.statuses]
"start" = "call.initiated"
"ring" = "call.ringing"
"up" = "call.answered"
"done" = "call.completed"
"lost" = "call.failed"
"voicemail" = "call.machine_detected"
"odd" = "unknown"

[vendors.listco]
scheme = "standard-webhooks"
services = { mail = "email" }
secrets = ["env:OTHER_SECRET"]
[vendors.listco.mapping]
each = ""
message_id = "/id"
status = "/state"
[vendors.listco.mapping.statuses]
"out" = "message.sent"
"in" = "message.delivered"

[vendors.plainco]
scheme = "none"
services = { sms = "sms" }
[vendors.plainco.mapping]
message_id = "/id"
status = "header:x-status"
[vendors.plainco.mapping.statuses]
"gone" = "message.sent"
"there" = "message.delivered"
"#;

#[test]
fn any_mapping_can_be_read_backwards() {
    let config = config(MAPPED);
    let plan = Plan::new(cast(&config, &["callco", "listco", "plainco"]).generators, shape(600, 4));
    let mut batched = false;
    for (vendor, request, facts) in told(&plan) {
        let mapping = config.vendors[&vendor].mapping.clone().unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let elements = match &mapping.each {
            Some(each) => body.pointer(each).unwrap().as_array().unwrap().clone(),
            None => vec![body],
        };
        assert_eq!(elements.len(), facts.len());
        batched |= facts.len() > 1;
        for (element, fact) in elements.iter().zip(&facts) {
            let read = |place: &str| match place.strip_prefix("header:") {
                Some(name) => request.headers[name].to_str().unwrap().to_owned(),
                None => element.pointer(place).unwrap().as_str().unwrap().to_owned(),
            };
            let Mapping { message_id, event_id, status, occurred_at, statuses, .. } = &mapping;
            assert_eq!(read(message_id), fact.message_id);
            assert_eq!(statuses[&read(status)], fact.event_type);
            let event_id = read(event_id.as_deref().unwrap_or("header:webhook-id"));
            // A header names the whole callback: the key says which element of it.
            let element = if vendor == "listco" { ":0" } else { "" };
            assert_eq!(format!("{vendor}:{event_id}{element}"), fact.dedupe_key);
            let at = occurred_at.as_deref().map(|place| read(place).parse().unwrap());
            assert_eq!(at, fact.at);
        }
        assert_eq!(request.headers.contains_key("webhook-signature"), vendor != "plainco");
        assert_ne!(request.path, "/incoming/callco/mail/events", "no status of callco's fits mail");
    }
    assert!(batched);
}

#[test]
fn a_mapping_that_contradicts_itself_is_told_before_anything_is_sent() {
    let config = config(&MAPPED.replace("/call/state", "/call/id/state"));
    let error = Cast::new(&config, &["callco".into()], &|_| None).err().unwrap();
    assert!(matches!(&error, SimulateError::NothingToTell { vendor, .. } if vendor == "callco"), "{error}");
}

#[test]
fn a_form_and_a_query_are_written_as_a_vendor_would() {
    for (_, request, facts) in told(&plan_of(&["textly"], shape(300, 4))) {
        let (path, query) = request.path.split_once('?').unwrap();
        assert_eq!((path, query), ("/incoming/textly/sms/events", &*format!("message={}", facts[0].message_id)));
        assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
        let form: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        assert_eq!((&form["Status"], &form["To"]), (&facts[0].status, &facts[0].recipient));
        assert!(String::from_utf8_lossy(&request.body).contains("To=%2B1"));
        assert_eq!(form["Time"].parse().ok(), facts[0].at);
        let wrong = matches!(facts[0].event_type, EventType::MessageUndelivered | EventType::MessageRejected);
        assert_eq!(form.contains_key("ErrorCode"), wrong);
        let delivery = request.headers["x-textly-delivery"].to_str().unwrap();
        assert_eq!(format!("textly:{delivery}"), facts[0].dedupe_key);
    }
}

#[test]
fn without_an_id_by_which_the_ledger_could_be_asked_nobody_plays() {
    let github = "[vendors.hub]\nscheme = \"github\"\nservices = { sms = \"sms\" }\nsecrets = [\"env:OTHER_SECRET\"]\n\
                  [vendors.hub.mapping]\nmessage_id = \"/id\"\nstatus = \"/s\"\nstatuses = { a = \"message.sent\" }\n";
    let error = Cast::new(&config(github), &["hub".into()], &|_| None).err().unwrap().to_string();
    assert!(error.contains("event_id"), "{error}");
}

#[test]
fn who_cannot_be_signed_for_is_skipped_unless_named() {
    let mut config = config("");
    config.demo_secrets.clear();
    let cast = Cast::new(&config, &[], &|_| None).unwrap();
    let playing: Vec<_> = cast.generators.iter().map(|generator| generator.vendor().to_owned()).collect();
    assert_eq!(playing, ["acme-sms", "resend", "textly", "twilio"]);
    let error = Cast::new(&config, &["sendgrid".into()], &|_| None).err().unwrap().to_string();
    assert!(error.contains(SENDGRID_KEY), "{error}");

    let error = Cast::new(&config, &["sendgrid".into()], &|_| Some("bm90IGEga2V5".into())).err().unwrap();
    assert!(matches!(error, SimulateError::BadKey { .. }), "{error}");
    let error = Cast::new(&config, &["nobody".into()], &|_| None).err().unwrap().to_string();
    assert!(error.contains("nobody") && error.contains("twilio"), "{error}");
}

#[test]
fn a_private_key_of_another_pair_is_told_before_anything_is_sent() {
    // The key pair of the example in RFC 6979, A.2.5, as PKCS#8.
    let scalar = hex::decode("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721").unwrap();
    let key = p256::SecretKey::from_slice(&scalar).unwrap();
    let der = p256::pkcs8::EncodePrivateKey::to_pkcs8_der(&key).unwrap();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der.as_bytes());
    let error = Cast::new(&config(""), &["sendgrid".into()], &|_| Some(text.clone())).err().unwrap().to_string();
    assert!(error.contains("does not belong"), "{error}");
}

#[test]
fn a_vendor_without_a_channel_that_it_knows_is_told() {
    let config = config(
        "[vendors.mailtwilio]\nscheme = \"twilio\"\nservices = { email = \"email\" }\nsecrets = [\"env:OTHER_SECRET\"]\n",
    );
    assert_eq!(config.vendors["mailtwilio"].services["email"], Channel::Email);
    let error = Cast::new(&config, &["mailtwilio".into()], &|_| None).err().unwrap();
    assert!(matches!(error, SimulateError::NothingToTell { .. }), "{error}");
}
