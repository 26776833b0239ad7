//! A genuine request, broken in one way at a time: the diagnosis must name that way.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use sluice::{
    clock::Timestamp,
    config::{Config, Secret},
    explain::{Capture, Question, Report, explain},
};

const HOST: &str = "https://hooks.example.com";
const FORM: &str = "application/x-www-form-urlencoded";
const NOW: i64 = 1_795_200_000;
const TOKEN: &str = "captures-twilio-token-not-a-secret";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).unwrap()
}

fn config() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/sluice.toml");
    Config::parse(&path, &std::fs::read_to_string(&path).unwrap(), &|_| None).unwrap()
}

/// Twilio's signature of a URL and a form.
fn twilio(url: &str, form: &str) -> String {
    let pairs: BTreeMap<_, _> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    pairs.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Standard Webhooks' signature of a body, by the key of tests/captures/sluice.toml.
fn standard(time: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"captures-resend-not-a-secret").unwrap();
    [format!("msg_1.{time}.").as_bytes(), body].iter().for_each(|part| mac.update(part));
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

struct Sent {
    method: &'static str,
    target: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Sent {
    /// A callback of Twilio's that arrived at `target`, and was signed for `url` and `signed`.
    fn twilio(target: &str, url: &str, signed: &str) -> Self {
        let headers = vec![format!("content-type: {FORM}"), format!("x-twilio-signature: {}", twilio(url, signed))];
        Self { method: "POST", target: target.into(), headers, body: signed.into() }
    }

    /// A callback of Resend's that arrived with this body.
    fn resend(arrived: impl Into<Vec<u8>>, signed: impl AsRef<[u8]>) -> Self {
        Self::resend_of(NOW, arrived, signed)
    }

    fn resend_of(time: i64, arrived: impl Into<Vec<u8>>, signed: impl AsRef<[u8]>) -> Self {
        let signature = standard(time, signed.as_ref());
        let headers = [
            "content-type: application/json".into(),
            "webhook-id: msg_1".into(),
            format!("webhook-timestamp: {time}"),
            format!("webhook-signature: {signature}"),
        ];
        Self {
            method: "POST",
            target: "/incoming/resend/email/events".into(),
            headers: headers.into(),
            body: arrived.into(),
        }
    }

    fn header(mut self, line: &str) -> Self {
        self.headers.push(line.into());
        self
    }

    /// Replaces text in every header.
    fn rewrite(mut self, change: impl Fn(&str) -> String) -> Self {
        let last = self.headers.last_mut().unwrap();
        let (name, value) = last.split_once(": ").unwrap();
        *last = format!("{name}: {}", change(value));
        self
    }

    fn explained(&self, config: &Config, question: &Question) -> Report {
        let body = Bytes::from(self.body.clone());
        let capture = Capture::from_parts(self.method, &self.target, &self.headers, body).unwrap();
        explain(&capture, question, config, at(NOW)).unwrap().report(config, false)
    }

    fn report(&self) -> Report {
        self.explained(&config(), &Question::default())
    }
}

#[track_caller]
fn assert_causes(sent: &Sent, expected: &[&str]) {
    let report = sent.report();
    let causes: Vec<_> = report.causes.iter().map(|cause| cause.code).collect();
    assert_eq!((causes.as_slice(), report.proven), (expected, Some(true)), "{report:#?}");
}

const STATUS: &str = "/incoming/twilio/sms/status";
const RECEIPT: &str = "MessageSid=SM1&MessageStatus=delivered&To=%2B12025550143";

#[test]
fn urls_that_are_not_what_the_vendor_was_given() {
    for (signed, cause) in [
        (format!("{HOST}:8443{STATUS}"), "url.port"),
        (format!("http://hooks.example.com:7071{STATUS}"), "url.scheme"),
        (format!("{HOST}{STATUS}/"), "url.trailing_slash"),
        (format!("{HOST}/webhooks{STATUS}"), "url.prefix"),
        (format!("{HOST}/Incoming/twilio/sms/status"), "url.path_case"),
        (format!("https://www.hooks.example.com{STATUS}"), "url.host"),
    ] {
        assert_causes(&Sent::twilio(STATUS, &signed, RECEIPT), &[cause]);
    }
    let upper = format!("{HOST}{STATUS}");
    assert_causes(&Sent::twilio("/incoming/Twilio/SMS/status", &upper, RECEIPT), &["url.path_case"]);
}

#[test]
fn queries_that_were_changed() {
    for (arrived, signed, cause) in [
        ("?b=2&a=1", "?a=1&b=2", "url.query_order"),
        ("?a=x+y", "?a=x%20y", "url.query_encoding"),
        ("?a=x%20y", "?a=x+y", "url.query_encoding"),
        ("?a=%c3%a9", "?a=%C3%A9", "url.query_encoding"),
        ("?a=user@host", "?a=user%40host", "url.query_encoding"),
        ("?a=1&code=functionkey", "?a=1", "url.query_added"),
        ("?code=functionkey", "", "url.query_added"),
    ] {
        let url = format!("{HOST}{STATUS}{signed}");
        let sent = Sent::twilio(&format!("{STATUS}{arrived}"), &url, RECEIPT);
        assert_causes(&sent, &[cause]);
        assert!(!format!("{:?}", sent.report()).contains("functionkey"), "{:?}", sent.report());
    }
}

#[test]
fn what_a_proxy_says_of_the_url_is_believed_once_it_verifies() {
    let sent =
        Sent::twilio(STATUS, "http://10.1.2.3:8080/incoming/twilio/sms/status", RECEIPT).header("host: 10.1.2.3:8080");
    assert_causes(&sent, &["url.host"]);
    let url = format!("{HOST}/hook?tenant=7");
    assert_causes(&Sent::twilio(STATUS, &url, RECEIPT).header("x-original-url: /hook?tenant=7"), &["url.path"]);
    let url = format!("https://user:pass-word@hooks.example.com{STATUS}");
    let basic = format!("authorization: Basic {}", BASE64_STANDARD.encode("user:pass-word"));
    let sent = Sent::twilio(STATUS, &url, RECEIPT).header(&basic);
    assert_causes(&sent, &["url.credentials"]);
    assert!(!format!("{:?}", sent.report()).contains("pass-word"), "{:?}", sent.report());
}

#[test]
fn a_json_body_needs_its_digest_in_the_query() {
    let body = "{\"a\":1}";
    let url = format!("{HOST}{STATUS}?bodySHA256={}", hex::encode(Sha256::digest(body)));
    let headers = vec!["content-type: application/json".into(), format!("x-twilio-signature: {}", twilio(&url, ""))];
    let sent = Sent { method: "POST", target: STATUS.into(), headers, body: body.into() };
    assert_causes(&sent, &["url.query_lost"]);
}

#[test]
fn forms_that_were_decoded_too_often() {
    let url = format!("{HOST}{STATUS}");
    let mut sent = Sent::twilio(STATUS, &url, RECEIPT);
    sent.body = RECEIPT.replace("%2B", "+").into();
    assert_causes(&sent, &["body.form_encoding"]);
}

#[test]
fn the_url_and_the_body_may_both_be_wrong() {
    let mut sent = Sent::twilio(STATUS, &format!("http://hooks.example.com{STATUS}"), RECEIPT);
    sent.body.extend(b"\r\n");
    assert_causes(&sent, &["url.scheme", "body.final_line_end"]);
}

#[test]
fn bodies_that_were_treated_as_text() {
    for (arrived, signed, cause) in [
        ("{}\n", "{}", "body.final_line_end"),
        ("{}", "{}\n", "body.final_line_end"),
        ("{}\n", "{}\r\n", "body.final_line_end"),
        ("\u{feff}{}", "{}", "body.bom"),
        ("{}", "\u{feff}{}", "body.bom"),
        ("{\n\"a\":\n1}", "{\r\n\"a\":\r\n1}", "body.line_ends"),
        ("{\"a\":\"Ã©\"}", "{\"a\":\"é\"}", "body.charset"),
    ] {
        assert_causes(&Sent::resend(arrived, signed), &[cause]);
    }
}

#[test]
fn json_that_was_written_anew() {
    let compact = r#"{"type":"x","data":{"to":["é/<"],"n":1.50}}"#;
    for signed in [
        r#"{"type": "x", "data": {"to": ["\u00e9/<"], "n": 1.50}}"#,
        r#"{"type":"x","data":{"to":["\u00e9\/<"],"n":1.50}}"#,
        r#"{"data":{"n":1.50,"to":["é/<"]},"type":"x"}"#,
        "{\n  \"type\": \"x\",\n  \"data\": {\n    \"to\": [\n      \"é/<\"\n    ],\n    \"n\": 1.50\n  }\n}\n",
        r#"{"data":{"n":1.50,"to":["é/\u003c"]},"type":"x"}"#,
    ] {
        assert_causes(&Sent::resend(compact, signed), &["body.json_rewritten"]);
        let loose = signed.replace([':'], " : ");
        assert_causes(&Sent::resend(loose, signed), &["body.json_rewritten"]);
    }
}

#[test]
fn signatures_that_were_changed_on_the_way() {
    let genuine = || Sent::resend("{}", "{}");
    let bare = |value: &str| value.strip_prefix("v1,").unwrap().to_owned();
    for (sent, cause) in [
        (genuine().rewrite(|value| value.trim_end_matches('=').into()), "header.padding"),
        (genuine().rewrite(bare), "header.encoding"),
        (genuine().rewrite(|value| format!("\"{value}\"")), "header.encoding"),
        (
            genuine().rewrite(|value| format!("v1,{}", hex::encode(BASE64_STANDARD.decode(bare(value)).unwrap()))),
            "header.encoding",
        ),
        (
            genuine().rewrite(|value| value.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F")),
            "header.encoding",
        ),
        (genuine().header("webhook-signature: v1,AAAA"), "header.repeated"),
    ] {
        assert_causes(&sent, &[cause]);
    }
}

#[test]
fn a_clock_that_is_wrong_is_told_apart_from_what_else_is() {
    assert_causes(&Sent::resend_of(NOW - 301, "{}", "{}"), &["clock.late"]);
    assert_causes(&Sent::resend_of(NOW + 301, "{}", "{}"), &["clock.early"]);
    assert_causes(&Sent::resend_of(NOW * 1000, "{}", "{}"), &["clock.early"]);
    // Without --at the clock is only the time of the explanation: the other cause comes first.
    assert_causes(&Sent::resend_of(NOW - 9_000, "{}\n", "{}"), &["body.final_line_end", "clock.late"]);
    let question = Question { at: Some(at(NOW)), ..Question::default() };
    let report = Sent::resend_of(NOW - 9_000, "{}\n", "{}").explained(&config(), &question);
    let causes: Vec<_> = report.causes.iter().map(|cause| cause.code).collect();
    assert_eq!(causes, ["clock.late", "body.final_line_end"]);
    let absurd = Sent::resend_of(i64::MAX, "{}", "{}").report();
    assert_eq!((absurd.causes[0].code, absurd.proven), ("clock.unit", Some(false)), "{absurd:#?}");
}

#[test]
fn secrets_that_were_pasted_or_read_wrongly() {
    for (secret, cause) in [
        ("'captures-twilio-token-not-a-secret'", "key.quotes"),
        ("TWILIO_AUTH_TOKEN=captures-twilio-token-not-a-secret", "key.quotes"),
        ("captures-twilio-token-not-a-secret\\n", "key.quotes"),
        ("Y2FwdHVyZXMtdHdpbGlvLXRva2VuLW5vdC1hLXNlY3JldA==", "key.encoding"),
        ("CAPTURES-TWILIO-TOKEN-NOT-A-SECRET", "key.encoding"),
    ] {
        let mut config = config();
        config.vendors.get_mut("twilio").unwrap().secrets = vec![Ok(Secret::new(secret))];
        let url = format!("{HOST}{STATUS}");
        let report = Sent::twilio(STATUS, &url, RECEIPT).explained(&config, &Question::default());
        assert_eq!((report.causes[0].code, report.proven), (cause, Some(true)), "{report:#?}");
        assert!(!format!("{report:?}").contains(secret), "{report:?}");
    }
}

#[test]
fn a_callback_at_another_vendors_url_is_recognised() {
    let mut sent = Sent::resend("{}", "{}");
    sent.target = STATUS.into();
    assert_causes(&sent, &["route.other_vendor"]);
}

#[test]
fn a_header_that_is_missing_is_the_cause() {
    let mut sent = Sent::resend("{}", "{}");
    sent.headers.pop();
    let report = sent.report();
    assert_eq!((report.causes[0].code, report.unexplained), ("header.missing", false), "{report:#?}");
    assert!(report.causes[0].what.contains("webhook-timestamp"), "{report:#?}");
}

#[test]
fn what_is_not_of_the_schemes_form_says_so_itself() {
    for (line, cause) in [
        ("webhook-signature: v9,AAAA", "request.unknown"),
        ("webhook-signature:", "header.missing"),
        ("webhook-signature: v1,\u{e9}", "request.malformed"),
    ] {
        let mut sent = Sent::resend("{}", "{}");
        sent.headers.pop();
        let report = sent.header(line).report();
        assert_eq!((report.causes[0].code, report.unexplained), (cause, false), "{report:#?}");
    }
}

#[test]
fn a_request_that_the_door_would_not_even_verify_is_told() {
    let mut sent =
        Sent::twilio("/api/incoming/twilio/fax/status", &format!("{HOST}/api/incoming/twilio/fax/status"), RECEIPT);
    let report = sent.report();
    assert!(report.genuine && report.notes.iter().any(|note| note.contains("404: the path")), "{report:#?}");
    sent = Sent::twilio("/incoming/twilio/fax/status", &format!("{HOST}/incoming/twilio/fax/status"), RECEIPT);
    let report = sent.report();
    assert!(report.genuine && report.notes.iter().any(|note| note.contains("no service type \"fax\"")), "{report:#?}");
}

#[test]
fn nothing_is_found_in_a_forgery() {
    let sent = Sent::resend("{\"a\":1}", "{\"a\":2}");
    let report = sent.report();
    assert_eq!((report.causes.len(), report.unexplained, report.proven), (0, true, Some(false)), "{report:#?}");
    let tried: usize = report.tried.values().sum();
    assert!(tried > 100, "{:?}", report.tried);
}
