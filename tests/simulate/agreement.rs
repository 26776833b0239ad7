//! What is simulated and what is read: the product's own verifiers accept every callback, and its normalisers find the
//! facts that the judge will ask for.

use chrono::TimeDelta;
use http::{HeaderMap, HeaderName, Method};
use sluice::{
    simulate::{Fact, Plan},
    vendors::{Callback, Request, Trace, Vendors},
};

use crate::{callbacks::MAPPED, cast, config, shape, started};

/// One vendor for each way to prove oneself that the shipped configuration has no example of.
fn proofs() -> String {
    let mapping =
        "message_id = \"/id\"\nevent_id = \"/event\"\nstatus = \"/status\"\nstatuses = { up = \"message.sent\" }";
    let described = |more: &str| {
        format!("scheme = \"signature\"\nsecrets = [\"env:OTHER_SECRET\"]\n[vendors.NAME.signature]\n{more}")
    };
    let schemes = [
        "scheme = \"github\"\nsecrets = [\"env:OTHER_SECRET\"]".to_owned(),
        "scheme = \"stripe\"\nsecrets = [\"env:OTHER_SECRET\"]".to_owned(),
        "scheme = \"slack\"\nsecrets = [\"env:OTHER_SECRET\"]".to_owned(),
        "scheme = \"credential\"\ncredential = \"basic\"\nsecrets = [\"env:BASIC_SECRET\"]".to_owned(),
        "scheme = \"credential\"\ncredential = \"bearer\"\nsecrets = [\"env:OTHER_SECRET\"]".to_owned(),
        "scheme = \"credential\"\ncredential = \"header:X-Api-Key\"\nsecrets = [\"env:OTHER_SECRET\"]".to_owned(),
        described(
            "header = \"X-Sig\"\nalgorithm = \"hmac-sha1\"\nencoding = \"base64\"\nsecret = \"base64\"\n\
             field = \"sig\"\ntimestamp = \"field:at\"\nsigned = \"{header:X-Kind}{path} {timestamp} {body}\"",
        ),
        described(
            "header = \"X-Sig\"\nalgorithm = \"hmac-sha384\"\nencoding = \"hex\"\nfield = \"sig\"\n\
             timestamp = \"header:X-At\"\nid = \"header:X-Id\"\nsigned = \"{id}{timestamp}{body}\"",
        ),
    ];
    let table = |(number, scheme): (usize, &String)| {
        let name = format!("proof-{number}");
        let head = format!("[vendors.{name}]\nservices = {{ sms = \"sms\" }}\n");
        format!("{head}{}\n[vendors.{name}.mapping]\n{mapping}\n", scheme.replace("NAME", &name))
    };
    schemes.iter().enumerate().map(table).collect()
}

fn kept(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    names.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

#[test]
fn the_product_accepts_and_reads_every_simulated_callback() {
    let config = config(&format!("{MAPPED}{}", proofs()));
    let vendors = Vendors::from_config(&config.vendors);
    let plan = Plan::new(cast(&config, &[]).generators, shape(4000, 21));
    for number in 0..plan.stories() {
        let (generator, story) = plan.story(number);
        let vendor = vendors.get(generator.vendor()).unwrap();
        for (callback, facts) in plan.callbacks_of(number).zip(&story.steps) {
            let sent = plan.build(callback, started());
            let url = format!("{}{}", config.public_url, sent.path);
            let request = Request { method: &Method::POST, url: &url, headers: &sent.headers, body: &sent.body };
            vendor.verify(&request, started() + TimeDelta::seconds(30), &mut Trace::off()).unwrap();
            let callback = Callback {
                channel: story.channel,
                service_type: story.service.clone(),
                request_type: story.request_type.into(),
                query: sent.path.split_once('?').map(|(_, query)| query.into()).unwrap_or_default(),
                headers: kept(&sent.headers, vendor.kept_headers()),
                content_type: sent.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned()),
                body: sent.body.clone(),
                received_at: started(),
            };
            let events = vendor.normalise(&callback).unwrap();
            assert_eq!(events.len(), facts.len());
            for (event, fact) in events.iter().zip(facts) {
                let read = Fact {
                    message_id: event.provider_message_id.clone(),
                    status: event.provider_status.clone(),
                    event_type: event.event_type,
                    dedupe_key: event.dedupe_key.clone(),
                    at: event.occurred_at,
                    recipient: fact.recipient.clone(),
                    salt: fact.salt,
                };
                assert_eq!(&read, fact);
                assert_eq!(event.message_key(), format!("{}:{}", generator.vendor(), fact.message_id));
            }
        }
    }
}
