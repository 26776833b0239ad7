//! Questions that are answered at once.

use http::Method;
use serde::Deserialize;
use sluice::{
    config::{Answer, Scheme},
    vendors::Handshake,
};

use super::{PLAIN, SECRET, URL, acme, slack_post};
use crate::support::{NOW, Sent, at, file, vendor};

/// The informative pair of this name: a body that asks, and what is answered.
fn handshake(name: &str) -> (String, Answer) {
    #[derive(Deserialize)]
    struct Pair {
        name: String,
        request: serde_json::Value,
        response: serde_json::Value,
    }
    let pairs: Vec<Pair> = serde_json::from_slice(&file("vectors-informative/handshakes.json")).unwrap();
    let pair = pairs.into_iter().find(|pair| pair.name == name).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let response = &pair.response;
    let answer = Answer { content_type: text(&response["headers"]["Content-Type"]), body: text(&response["body"]) };
    (text(&pair.request["body"]), answer)
}

#[test]
fn slack_is_told_its_challenge_and_nobody_else_is() {
    let (body, answer) = handshake("slack-url-verification");
    let slack = vendor("acme", Scheme::Slack, &[SECRET]);
    let sent = slack_post(&body);
    assert_eq!(sent.verify(&*slack), Ok(()));
    assert_eq!(slack.handshake(&sent.request(), at(NOW)), Some(Handshake::Answer(Some(answer))));

    for other in ["{\"type\":\"event_callback\",\"challenge\":\"x\"}", "{\"type\":\"url_verification\"}", "type=x", ""]
    {
        assert_eq!(slack.handshake(&slack_post(other).request(), at(NOW)), None, "{other}");
    }
    let get = Sent { method: Method::GET, ..sent.clone() };
    assert_eq!(slack.handshake(&get.request(), at(NOW)), None);
    let stripe = vendor("acme", Scheme::Stripe, &[SECRET]);
    assert_eq!(stripe.handshake(&sent.request(), at(NOW)), None);
}

#[test]
fn event_grid_is_told_its_code_by_generic_vendors() {
    let (body, answer) = handshake("eventgrid-validation-post");
    let sent = Sent::new(URL, &[("aeg-event-type", "SubscriptionValidation")], body);
    let described = acme(PLAIN);
    let named = [Scheme::StandardWebhooks, Scheme::Github, Scheme::Stripe, Scheme::Slack, Scheme::None]
        .map(|scheme| vendor("acme", scheme, &["whsec_c2VjcmV0"]));
    for vendor in named.iter().chain([&described]) {
        let answered = vendor.handshake(&sent.request(), at(NOW));
        assert_eq!(answered, Some(Handshake::Answer(Some(answer.clone()))), "{vendor:?}");
        let event = sent.clone().set("aeg-event-type", "Notification");
        assert_eq!(vendor.handshake(&event.request(), at(NOW)), None, "{vendor:?}");
        for odd in ["", "[]", "{}", "[{\"data\":{}}]", "[{\"data\":{\"validationCode\":7}}]"] {
            let odd = Sent { body: odd.into(), ..sent.clone() };
            assert_eq!(vendor.handshake(&odd.request(), at(NOW)), None, "{vendor:?}");
        }
    }
}
