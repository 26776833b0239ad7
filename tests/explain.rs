//! `sluice explain`: each broken capture in tests/captures has one true cause, and it is the one that is named. Below
//! them, requests that are broken here, one way after the other.

#[path = "explain/broken.rs"]
mod broken;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// What [demo.secrets] of tests/captures/sluice.toml holds: none of it may be printed.
const SECRETS: [&str; 5] = [
    "captures-twilio-token",
    "captures-twilio-secondary",
    "captures-twilio-eu-not",
    "captures-resend",
    "Y2FwdHVyZXMtcmVzZW5kLW5vdC1hLXNlY3JldA",
];
const CAPTURED: &str = "2026-11-20T18:40:00Z";

struct Told {
    code: Option<i32>,
    text: String,
    stderr: String,
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// Runs the command in the captures' folder, with these variables set.
fn sluice(arguments: &[&str], environment: &[(&str, &str)]) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    for name in ["SLUICE_PROFILE", "SLUICE_PUBLIC_URL", "TWILIO_AUTH_TOKEN", "RESEND_WEBHOOK_SECRET"] {
        command.env_remove(name);
    }
    let output = command
        .args(["explain", "--config", "sluice.toml"])
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(captures())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for secret in SECRETS {
        assert!(!text.contains(secret), "a secret is printed: {text}");
    }
    Told { code: output.status.code(), text, stderr: String::from_utf8(output.stderr).unwrap() }
}

fn json(arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let told = sluice(&[arguments, &["--json"]].concat(), environment);
    serde_json::from_str(&told.text).unwrap_or_else(|error| panic!("{error}: {} {}", told.text, told.stderr))
}

/// The codes of all causes.
fn causes(report: &Value) -> Vec<&str> {
    report["causes"]
        .as_array()
        .map_or_else(Vec::new, |causes| causes.iter().map(|cause| cause["code"].as_str().unwrap()).collect())
}

/// The capture is refused, for this reason and this cause, and undoing the cause makes it genuine.
fn assert_cause(arguments: &[&str], refusal: &str, cause: &str, said: &str) {
    let report = json(arguments, &[]);
    assert_eq!(report["genuine"], false, "{report:#}");
    assert_eq!(report["refusal"]["code"], refusal, "{report:#}");
    assert_eq!(causes(&report), [cause], "{report:#}");
    assert_eq!(report["proven"], true, "{report:#}");
    let told = sluice(arguments, &[]);
    assert_eq!(told.code, Some(1));
    let line = told.text.lines().find(|line| line.starts_with("likely cause:")).unwrap_or_default();
    assert!(line.contains(said), "{}", told.text);
}

#[test]
fn the_vendor_has_an_http_url_in_its_console() {
    let said = "http instead of https";
    assert_cause(&["--curl-trace", "twilio-signed-http.trace"], "mismatch", "url.scheme", said);
}

#[test]
fn public_url_names_another_host_than_the_vendor_called() {
    let said = "https://callbacks.example.com/incoming/twilio/sms/status: host callbacks.example.com, as the header x-forwarded-host";
    assert_cause(&["--curl-trace", "twilio-other-host.trace-ascii"], "mismatch", "url.host", said);
}

#[test]
fn a_gateway_dropped_the_beginning_of_the_path() {
    assert_cause(&["--curl-trace", "twilio-api-prefix.trace"], "mismatch", "url.prefix", "with /api before the path");
}

#[test]
fn a_proxy_escaped_an_apostrophe_in_the_query() {
    let said = "?team=O'Brien&region=eu: with an apostrophe";
    assert_cause(&["--har", "twilio-apostrophe-escaped.har"], "mismatch", "url.query_encoding", said);
}

#[test]
fn the_secret_is_another_accounts() {
    let said = "signed with the secret of vendor twilio-eu";
    assert_cause(&["--curl-trace", "twilio-eu-token.trace"], "mismatch", "key.other_vendor", said);
}

#[test]
fn a_form_arrived_as_json() {
    assert_cause(&["--raw", "twilio-as-json.raw"], "malformed", "header.content_type", "arrived as application/json");
}

#[test]
fn the_signature_lost_its_padding() {
    let signature = std::fs::read_to_string(captures().join("twilio-padding-lost.signature")).unwrap();
    let arguments = [
        "--url",
        "https://hooks.example.com/incoming/twilio/sms/status",
        "-H",
        "Content-Type: application/x-www-form-urlencoded",
        "-H",
        &format!("X-Twilio-Signature: {signature}"),
        "--body-file",
        "twilio-padding-lost.form",
    ];
    assert_cause(&arguments, "malformed", "header.padding", "lost its padding");
}

#[test]
fn curl_dropped_the_bodys_line_ends() {
    let said = "with CRLF between the elements";
    assert_cause(&["--curl-trace", "sendgrid-newlines-stripped.trace"], "mismatch", "body.line_ends_lost", said);
}

#[test]
fn the_body_lost_its_last_line_end() {
    assert_cause(
        &["--har", "sendgrid-final-line-end-lost.har"],
        "mismatch",
        "body.final_line_end",
        "with a final CRLF",
    );
}

#[test]
fn a_gateway_wrote_the_json_anew() {
    // Python's separators and escapes on the way; numbers keep their text, or this could not be undone.
    let said = "in compact form";
    assert_cause(&["--har", "resend-rewritten.har"], "mismatch", "body.json_rewritten", said);
}

#[test]
fn the_sender_takes_the_secret_as_text() {
    let said = "was used by the sender as text";
    assert_cause(&["--raw", "resend-secret-as-text.raw", "--at", CAPTURED], "mismatch", "key.encoding", said);
}

#[test]
fn the_callback_is_old() {
    let said = "172800 s old (tolerance 300 s)";
    assert_cause(&["--raw", "resend-old.raw", "--at", CAPTURED], "stale", "clock.late", said);
    let unknown = sluice(&["--raw", "resend-old.raw"], &[]);
    assert!(unknown.text.contains("repeat with --at TIME"), "{}", unknown.text);
}

#[test]
fn a_secret_in_quotes_is_told_though_it_is_no_key() {
    let quoted = [("RESEND_WEBHOOK_SECRET", "\"whsec_Y2FwdHVyZXMtcmVzZW5kLW5vdC1hLXNlY3JldA==\"")];
    let report = json(&["--raw", "resend-genuine.raw", "--at", CAPTURED], &quoted);
    assert_eq!((causes(&report), &report["refusal"]["status"]), (vec!["key.quotes"], &503.into()), "{report:#}");
}

#[test]
fn a_missing_secret_is_told_with_its_variable() {
    let report = json(&["--curl-trace", "twilio-genuine.trace"], &[("SLUICE_PROFILE", "production")]);
    assert_eq!((causes(&report), &report["proven"]), (vec!["config.no_key"], &false.into()), "{report:#}");
    assert!(report.to_string().contains("TWILIO_AUTH_TOKEN is not set"), "{report:#}");
    let other = [("SLUICE_PROFILE", "production"), ("TWILIO_AUTH_TOKEN_SECONDARY", "some other secret")];
    let report = json(&["--curl-trace", "twilio-genuine.trace"], &other);
    assert!(report.to_string().contains("so that one may have signed it"), "{report:#}");
}

#[test]
fn a_genuine_request_is_called_so() {
    let told = sluice(&["--curl-trace", "twilio-genuine.trace"], &[]);
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert!(told.text.contains("genuine: signed with the primary secret (vendors.twilio.secrets[0])"), "{}", told.text);
    assert!(!told.text.contains("not the first") && !told.text.contains("likely cause"), "{}", told.text);
    let told = sluice(&["--raw", "resend-genuine.raw", "--at", CAPTURED], &[]);
    assert_eq!(told.code, Some(0), "{}", told.text);
}

#[test]
fn a_match_of_the_secondary_secret_is_noted() {
    let told = sluice(&["--raw", "twilio-secondary.raw"], &[]);
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert!(told.text.contains("the secondary secret (vendors.twilio.secrets[1])"), "{}", told.text);
    assert!(told.text.contains("it is not the first"), "{}", told.text);
}

#[test]
fn a_wrong_secret_is_what_remains_when_nothing_verifies() {
    let wrong = [("RESEND_WEBHOOK_SECRET", "whsec_c29tZSBvdGhlciBzZWNyZXQ=")];
    let told = sluice(&["--raw", "resend-genuine.raw", "--at", CAPTURED], &wrong);
    assert_eq!(told.code, Some(1));
    assert!(told.text.contains("likely cause: not found."), "{}", told.text);
    assert!(told.text.contains("another one than the vendor's"), "{}", told.text);
    assert!(!told.text.contains("c29tZSBvdGhlciBzZWNyZXQ"), "{}", told.text);
}

#[test]
fn no_whole_signature_and_little_of_the_body_is_shown_unless_asked_for() {
    for arguments in [
        &["--curl-trace", "twilio-genuine.trace"][..],
        &["--curl-trace", "twilio-eu-token.trace", "--full"],
        &["--har", "sendgrid-final-line-end-lost.har"],
        &["--raw", "resend-genuine.raw", "--at", CAPTURED, "--full"],
    ] {
        let report = json(arguments, &[]);
        for step in report["steps"].as_array().unwrap() {
            for signature in [&step["expected"], &step["received"]].into_iter().filter_map(Value::as_str) {
                let shown = signature.split("...").next().unwrap();
                assert!(shown.len() <= 6 && signature.contains("... ("), "{step:#}");
            }
        }
        let personal = ["12025550143", "ana@example.com"].iter().any(|text| report.to_string().contains(text));
        assert_eq!(personal, arguments.contains(&"--full"), "{report:#}");
    }
}

#[test]
fn what_cannot_be_told_is_an_error_of_its_own() {
    for (arguments, expected) in [
        (&["--raw", "missing.raw"][..], "missing.raw"),
        (&["--har", "twilio-genuine.trace"], "not an HTTP Archive"),
        (&["--curl-trace", "sluice.toml"], "no section"),
        (&["--har", "resend-rewritten.har", "--entry", "2"], "counts from 0"),
        (&["--url", "/elsewhere"], "--vendor"),
        (&["--url", "/incoming/nobody/sms"], "twilio-eu"),
        (&[], "--curl-trace"),
    ] {
        let told = sluice(arguments, &[]);
        assert_eq!((told.code, told.text.as_str()), (Some(2), ""), "{arguments:?}: {}", told.stderr);
        assert!(told.stderr.contains(expected), "{arguments:?}: {}", told.stderr);
    }
}

#[test]
fn the_help_teaches_by_examples() {
    let help = sluice(&["--help"], &[]).text;
    for needle in ["Examples:", "--data-binary", "sluice explain --har", "Exit codes"] {
        assert!(help.contains(needle), "{needle}: {help}");
    }
}
