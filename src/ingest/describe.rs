//! The front door as OpenAPI tells it.

use axum::http::{Method, StatusCode};

use crate::openapi::{Answer, At, Header, Operation, Parameter, shape};

const fn in_path(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { at: At::Path, name, required: true, meaning, shape: shape::<String> }
}

const PATH: [Parameter; 3] = [
    in_path("vendor", "The vendor's name in sluice.toml, in any letter case."),
    in_path("servicetype", "One of the vendor's `services` in sluice.toml, in any letter case."),
    in_path("requesttype", "Whatever tells callbacks apart. It may have slashes, and it may be missing."),
];

const ALLOW: Header =
    Header { name: "Allow", always: true, meaning: "The methods of this path.", shape: shape::<String> };
const CONSENT: &[Header] = &[
    ALLOW,
    Header { name: "WebHook-Allowed-Origin", always: true, meaning: "The origin that asked.", shape: shape::<String> },
    Header { name: "WebHook-Allowed-Rate", always: true, meaning: "Always `*`: any rate.", shape: shape::<String> },
];

/// What is answered below `/{segment}/`.
pub fn operations(segment: &str) -> Vec<Operation> {
    let path = format!("/{segment}/{{vendor}}/{{servicetype}}/{{requesttype}}");
    let unknown = || Answer::problem(StatusCode::NOT_FOUND, "No such vendor or service type is configured.");
    let operation = |method, summary, answers| Operation {
        method,
        path: path.clone().into(),
        summary,
        description: "".into(),
        tag: "vendors",
        parameters: PATH.to_vec(),
        body: None,
        answers,
    };
    let callback = |method, summary| Operation {
        description:
            "The body is what the vendor sends, of any media type; the signature is where the vendor puts it. \
                      Handshakes, which some vendors begin with, are answered as the vendor expects."
                .into(),
        answers: vec![
            Answer::bare(
                StatusCode::OK,
                "A callback is on disk, and will be processed. The body is what the vendor expects, mostly nothing \
                 (`answer` in sluice.toml).",
            ),
            Answer::problem(StatusCode::BAD_REQUEST, "The body broke off."),
            Answer::problem(StatusCode::UNAUTHORIZED, "The signature does not verify. Nothing is kept."),
            unknown(),
            Answer::problem(StatusCode::PAYLOAD_TOO_LARGE, "The body exceeds the vendor's limit."),
            Answer::later(
                "The callback is not on disk: no room, a body that took too long, a key that is missing here, or nowhere to \
                 keep it. The vendor loses nothing by trying again.",
            ),
        ],
        ..operation(method, summary, Vec::new())
    };
    vec![
        Operation {
            body: Some(("*/*", |_| schemars::json_schema!({}))),
            ..callback(Method::POST, "A callback of a vendor's")
        },
        callback(Method::GET, "A callback of a vendor that puts it into the query"),
        operation(
            Method::HEAD,
            "A vendor looks whether the URL is there",
            vec![Answer::bare(StatusCode::OK, "It is."), Answer::bare(StatusCode::NOT_FOUND, "It is not.")],
        ),
        Operation {
            parameters: PATH
                .into_iter()
                .chain([Parameter {
                    at: At::Header,
                    name: "WebHook-Request-Origin",
                    required: false,
                    meaning: "Who asks for consent to send.",
                    shape: shape::<String>,
                }])
                .collect(),
            ..operation(
                Method::OPTIONS,
                "A sender asks for consent (CloudEvents HTTP webhooks, section 4)",
                vec![
                    Answer::bare(StatusCode::OK, "It may send.").with_headers(CONSENT),
                    Answer::bare(StatusCode::NO_CONTENT, "Nobody asked for consent: this is what the path takes.")
                        .with_headers(&[ALLOW]),
                    unknown(),
                    Answer::problem(
                        StatusCode::METHOD_NOT_ALLOWED,
                        "It may not: its origin is not among the vendor's `allowed_origins`.",
                    ),
                ],
            )
        },
    ]
}
