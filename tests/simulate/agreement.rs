//! What is simulated and what is read: the product's own verifiers accept every callback, and its normalisers find the
//! facts that the judge will ask for.

use chrono::TimeDelta;
use http::Method;
use sluice::{
    simulate::{Fact, Plan},
    vendors::{Callback, Request, Trace, Vendors},
};

use crate::{callbacks::MAPPED, cast, config, shape, started};

#[test]
fn the_product_accepts_and_reads_every_simulated_callback() {
    let config = config(MAPPED);
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
                query: String::new(),
                headers: sent.headers.clone(),
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
