//! The custom-handler contract, against requests and answers as the Functions host writes and reads them.
//!
//! Every file in `golden/` has a test here that says what becomes of it.

use std::time::Duration;

use bytes::Bytes;
use chrono::{TimeZone, Utc};
use http::{StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::{
    bus::{Message, Properties, Property},
    clock::Timestamp,
    host::{
        Invocation, InvocationError, InvocationFailure, InvocationResult, RetryContext, TimerInfo,
        answer::{BadAnswer, judge},
        encode::{self, Call, Received},
        value::{self, DataType},
    },
};
use uuid::{Uuid, uuid};

const LOCK_1: Uuid = uuid!("4e773554-f6b7-4ea2-b07d-4c5fd5aba741");
const LOCK_2: Uuid = uuid!("4e773554-f6b7-4ea2-b07d-4c5fd5aba742");

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("golden/", $name)).as_slice()
    };
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn message(id: &str, body: &'static [u8]) -> Message {
    Message {
        message_id: id.into(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties: Properties::new(),
        time_to_live: Some(Duration::from_secs(60)),
        scheduled_enqueue_time: None,
        body: Bytes::from_static(body),
    }
}

fn received(message: &Message, number: i64) -> Received<'_> {
    Received {
        message,
        delivery_count: number as u32,
        sequence_number: number,
        enqueued_at: at("2023-10-12T20:13:49.64Z") + Duration::from_millis(361 * (number as u64 - 1)),
        expires_at: None,
        lock_token: Some(if number == 1 { LOCK_1 } else { LOCK_2 }),
    }
}

fn attempt(number: i64) -> Properties {
    Properties::from([("attempt".into(), Property::Integer(number))])
}

// Requests

#[test]
fn g01_a_queue_message_is_text_in_a_json_string_in_a_json_string() {
    let invocation = Invocation::parse(golden!("g01_queue_trigger.json")).unwrap();
    assert_eq!(invocation.function(), "queue");
    assert_eq!(invocation.text("queue").unwrap(), "hello!!");
}

#[test]
fn g02_a_text_message_keeps_its_body_though_the_body_leaks_into_the_metadata() {
    let invocation = Invocation::parse(golden!("g02_service_bus_one_string.json")).unwrap();
    let messages = invocation.service_bus_batch_as("queue", DataType::Text).unwrap();
    let [message] = messages.as_slice() else { panic!("one message") };
    assert_eq!(message.body, r#"{"message":"hello","number":2}"#);
    assert_eq!(message.message_id.as_deref(), Some("m-1"));
    assert_eq!(message.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(message.content_type.as_deref(), Some("application/json"));
    assert_eq!((message.delivery_count, message.sequence_number), (1, Some(1)));
    assert_eq!(message.enqueued_at, Some(at("2023-10-12T20:13:49Z")));
    assert_eq!(message.properties["attempt"], Property::Integer(3));
    assert!(message.properties["Diagnostic-Id"].as_str().unwrap().starts_with("00-0af7"));
}

#[test]
fn g03_a_binary_message_is_base64_once() {
    let invocation = Invocation::parse(golden!("g03_service_bus_one_binary.json")).unwrap();
    let messages = invocation.service_bus_batch("queue").unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].body, r#"{"message":"hello","number":2}"#);
    assert_eq!(messages[0].message_id.as_deref(), Some("m-1"));
    assert_eq!(messages[0].properties, Properties::new(), "what the host left out is empty");
}

#[test]
fn g03_our_encoding_of_a_binary_message_says_the_same() {
    let mut sent = message("m-1", br#"{"message":"hello","number":2}"#);
    sent.content_type = Some("application/json".into());
    let call = Call { function: "helloQueue", binding: "queue", now: at("2023-10-12T20:13:49.640002Z"), id: LOCK_1 };
    let ours = encode::service_bus_message(&call, &received(&sent, 1));
    assert_agrees(&ours, golden!("g03_service_bus_one_binary.json"));
}

#[test]
fn g04_a_text_batch_decodes_with_its_parallel_arrays() {
    let invocation = Invocation::parse(golden!("g04_service_bus_many_string.json")).unwrap();
    let messages = invocation.service_bus_batch_as("msgs", DataType::Text).unwrap();
    assert_eq!(messages.iter().map(|message| &message.body[..]).collect::<Vec<_>>(), [&br#"{"a":1}"#[..], b"m1"]);
    assert_eq!(messages[1].message_id.as_deref(), Some("m-2"));
    assert_eq!(messages[1].delivery_count, 2);
    assert_eq!(messages[1].sequence_number, Some(2));
    assert_eq!(messages[1].enqueued_at, Some(at("2023-10-12T20:13:50.001Z")));
    assert_eq!((&messages[0].content_type, &messages[1].content_type), (&Some("application/json".into()), &None));
    assert_eq!((&messages[0].correlation_id, &messages[1].correlation_id), (&Some("c-1".into()), &None));
    assert_eq!((&messages[0].properties, &messages[1].properties), (&attempt(3), &Properties::new()));
}

#[test]
fn g04_our_encoding_of_a_text_batch_says_the_same() {
    let mut first = message("m-1", br#"{"a":1}"#);
    first.content_type = Some("application/json".into());
    first.correlation_id = Some("c-1".into());
    first.properties = attempt(3);
    let second = message("m-2", b"m1");
    let batch = [received(&first, 1), received(&second, 2)];
    let call = Call { function: "batchFn", binding: "msgs", now: at("2023-10-12T20:13:49.640002Z"), id: LOCK_1 };
    let ours = encode::service_bus_batch(&call, DataType::Text, batch.into_iter());
    assert_agrees(&ours, golden!("g04_service_bus_many_string.json"));
}

#[test]
fn g05_a_timer_tells_no_date_for_the_run_before_the_first() {
    let invocation = Invocation::parse(golden!("g05_timer_trigger.json")).unwrap();
    assert_eq!(invocation.function(), "uk-generation-mix");
    let expected = TimerInfo {
        is_past_due: false,
        last: None,
        next: Some(at("2024-11-30T14:45:51Z")),
        last_updated: Some(at("2024-11-30T14:43:50.403838Z")),
    };
    assert_eq!(invocation.timer("myTimer").unwrap(), expected);
}

#[test]
fn g05_our_encoding_of_a_timer_is_the_same_to_the_byte() {
    let golden = golden!("g05_timer_trigger.json");
    let info = Invocation::parse(golden).unwrap().timer("myTimer").unwrap();
    let call = Call {
        function: "uk-generation-mix",
        binding: "myTimer",
        now: at("2024-11-30T14:43:50.46239Z"),
        id: uuid!("fa3b2fbc-26ed-4fcb-be75-82db8773b519"),
    };
    let ours = encode::timer(&call, &info, true, true);
    assert_eq!(std::str::from_utf8(&ours), std::str::from_utf8(golden.trim_ascii()));
}

#[test]
fn g06_cosmos_db_documents_are_encoded_twice() {
    let invocation = Invocation::parse(golden!("g06_cosmos_db_trigger.json")).unwrap();
    let documents: Value = serde_json::from_str(&invocation.text("docs").unwrap()).unwrap();
    assert_eq!(documents, json!([{"id": "1", "_ts": 1_700_000_000}]));
}

#[test]
fn g07_a_request_that_is_not_forwarded_is_described_in_json() {
    let invocation = Invocation::parse(golden!("g07_http_not_forwarded.json")).unwrap();
    let request = invocation.http_request("req").unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "http://localhost:7071/api/order?color=black")
    );
    assert_eq!(request.query["color"], "black");
    assert_eq!(request.headers["Content-Type"], ["application/json"]);
    assert_eq!(request.body.unwrap(), r#"{"id":1005,"quantity":2,"color":"black"}"#);
}

#[test]
fn g10_the_retry_context_is_read_where_there_is_one() {
    let invocation = Invocation::parse(golden!("g10_retry_context.json")).unwrap();
    assert_eq!(invocation.retry_context(), Some(RetryContext { retry_count: 0, max_retry_count: 2 }));
    let invocation = Invocation::parse(golden!("g05_timer_trigger.json")).unwrap();
    assert_eq!(invocation.retry_context(), None);
}

#[test]
fn g12_text_is_double_encoded_and_dates_have_no_zone() {
    let golden = golden!("g12_metadata_conversion.json");
    let invocation = Invocation::parse(golden).unwrap();
    assert_eq!(invocation.text("myqueueItem").unwrap(), "HelloWorld");
    let metadata = &serde_json::from_slice::<Value>(golden).unwrap()["Metadata"];
    let date = value::date(metadata["VisibleTime"].as_str().unwrap());
    assert_eq!(date, Some(Utc.with_ymd_and_hms(2019, 10, 1, 0, 0, 0).unwrap()));
}

// Answers

#[test]
fn g08_outputs_of_an_answer_are_kept_as_they_are() {
    let result = judge(StatusCode::OK, Some("application/json"), golden!("g08_answer_http_and_queue.json")).unwrap();
    assert_eq!(result.outputs["message"], r#"{"id":1005,"quantity":2,"color":"black"}"#);
    assert_eq!(result.outputs["res"], json!({"body": "Order enqueued"}));
    assert_eq!((result.logs, result.return_value), (vec![], None));
}

#[test]
fn g09_our_answer_is_written_as_the_host_reads_it() {
    let golden = golden!("g09_answer_full.json");
    let result = InvocationResult {
        outputs: json!({"output1": "output1Value", "output2": "output2Value"}).as_object().unwrap().clone(),
        logs: vec!["invocation log1".into(), "invocation log2".into()],
        return_value: Some("Hello return".into()),
    };
    assert_eq!(result.to_json(), golden.trim_ascii());
    assert_eq!(judge(StatusCode::OK, Some("application/json"), golden).unwrap(), result);
}

#[test]
fn g11_every_form_of_an_http_output_passes_unchanged() {
    let forms: Vec<Value> = serde_json::from_slice(golden!("g11_http_outputs.json")).unwrap();
    for form in forms {
        let body = json!({"Outputs": {"res": form}}).to_string();
        let result = judge(StatusCode::OK, Some("application/json"), body.as_bytes()).unwrap();
        assert_eq!(result.outputs["res"], form);
    }
}

#[test]
fn g14_wrong_answers_are_told_apart() {
    let cases: Vec<Value> = serde_json::from_slice(golden!("g14_answers.json")).unwrap();
    for case in cases {
        let status = StatusCode::from_u16(case["status"].as_u64().unwrap() as u16).unwrap();
        let verdict = match judge(status, case["contentType"].as_str(), case["body"].as_str().unwrap().as_bytes()) {
            Ok(_) => "success",
            Err(BadAnswer::Hang(_)) => "hang",
            Err(BadAnswer::Status(_)) => "status",
            Err(BadAnswer::ContentType(_)) => "content type",
            Err(BadAnswer::Malformed(_)) => "malformed",
        };
        assert_eq!(verdict, case["verdict"], "{case}");
    }
}

/// `tests/projection/handler.rs` has the function that answers so. The host parses what looks like an ISO 8601 date, which
/// costs it all but three decimals, and takes a text for bytes only where it is the whole output.
#[test]
fn g15_rows_for_sql_are_an_array_of_flat_objects_without_iso_dates() {
    let golden = golden!("g15_answer_sql_rows.json");
    let result = judge(StatusCode::OK, Some("application/json"), golden).unwrap();
    let rows = result.outputs["rows"].as_array().unwrap();
    for (name, value) in rows.iter().flat_map(|row| row.as_object().unwrap()) {
        assert!(!value.is_object() && !value.is_array(), "{name}: columns are scalars");
        assert_ne!(value.as_str().and_then(|text| text.chars().nth(10)), Some('T'), "{name}");
    }
    assert_eq!(result.to_json(), golden.trim_ascii());
}

#[tokio::test]
async fn an_empty_result_is_a_json_object_all_the_same() {
    use axum::response::IntoResponse;
    let response = InvocationResult::default().into_response();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"Outputs":{},"Logs":[],"ReturnValue":null}"#);
    assert!(judge(StatusCode::OK, Some("application/json"), &body).is_ok());
}

#[tokio::test]
async fn a_failure_is_a_500_that_says_why() {
    use axum::response::IntoResponse;
    let response = InvocationFailure::new("the ledger is away").into_response();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"error":"the ledger is away"}"#);
}

// Tolerance

#[test]
fn odd_metadata_costs_only_itself() {
    let body = br#"{"Data":{"messages":"[\"bTE=\",\"bTI=\"]"},"Metadata":{
        "MessageIdArray":"[\"a\",7]","DeliveryCountArray":"[\"many\",3]","SequenceNumberArray":"[1]",
        "EnqueuedTimeUtcArray":"[\"yesterday\",\"2023-10-12T20:13:49.64+02:00\"]","ContentTypeArray":"nonsense",
        "ApplicationPropertiesArray":"[{\"n\":1.5,\"t\":true,\"o\":{\"x\":[1]},\"z\":null,\"s\":\"x\"},null]",
        "sys":{"MethodName":"process-sms"}}}"#;
    let messages = Invocation::parse(body).unwrap().service_bus_batch("messages").unwrap();
    assert_eq!(messages.iter().map(|message| &message.body[..]).collect::<Vec<_>>(), [b"m1", b"m2"]);
    assert_eq!((messages[0].message_id.as_deref(), messages[1].message_id.as_deref()), (Some("a"), None));
    assert_eq!((messages[0].delivery_count, messages[1].delivery_count), (1, 3));
    assert_eq!(messages[0].sequence_number, None, "an array of another length describes other messages");
    assert_eq!((messages[0].enqueued_at, messages[1].enqueued_at), (None, Some(at("2023-10-12T18:13:49.64Z"))));
    assert_eq!(messages[0].content_type, None);
    let properties = Properties::from([
        ("n".into(), Property::Float(1.5)),
        ("t".into(), Property::Bool(true)),
        ("s".into(), Property::from("x")),
    ]);
    assert_eq!((&messages[0].properties, &messages[1].properties), (&properties, &Properties::new()));
}

#[test]
fn what_is_not_base64_is_taken_as_text_instead_of_being_lost() {
    let body = br#"{"Data":{"messages":"[\"not base64!\",\"bTI=\"]"},"Metadata":{"sys":{"MethodName":"f"}}}"#;
    let messages = Invocation::parse(body).unwrap().service_bus_batch("messages").unwrap();
    assert_eq!(messages.iter().map(|message| &message.body[..]).collect::<Vec<_>>(), [&b"not base64!"[..], b"m2"]);
}

#[test]
fn a_plain_array_is_read_as_well_as_one_in_a_string() {
    let body = br#"{"Data":{"messages":["bTE=","bTI="]},"Metadata":{"sys":{"MethodName":"f"}}}"#;
    let messages = Invocation::parse(body).unwrap().service_bus_batch("messages").unwrap();
    assert_eq!(messages.iter().map(|message| &message.body[..]).collect::<Vec<_>>(), [b"m1", b"m2"]);
}

#[test]
fn a_timer_without_a_schedule_status_is_fine() {
    let body = br#"{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":true}},
        "Metadata":{"sys":{"MethodName":"sweep-retries"}}}"#;
    let timer = Invocation::parse(body).unwrap().timer("timer").unwrap();
    assert_eq!(timer, TimerInfo { is_past_due: true, ..TimerInfo::default() });
}

#[test]
fn errors_say_what_is_missing() {
    let error = |body: &[u8]| Invocation::parse(body).unwrap_err().to_string();
    assert!(error(b"").starts_with("the body is not an invocation"));
    assert!(error(b"7").starts_with("the body is not an invocation"));
    assert_eq!(error(b"{}"), "the invocation does not name its function");
    assert_eq!(
        error(br#"{"Data":null,"Metadata":{"sys":{"MethodName":""}}}"#),
        "the invocation does not name its function"
    );
    let invocation = Invocation::parse(br#"{"Data":{"messages":7},"Metadata":{"sys":{"MethodName":"f"}}}"#).unwrap();
    assert!(matches!(invocation.service_bus_batch("messages"), Err(InvocationError::BadData { .. })));
    let error = invocation.service_bus_batch("nachrichten").unwrap_err().to_string();
    assert_eq!(error, "the invocation has no data for the binding `nachrichten`");
}

proptest! {
    #[test]
    fn any_batch_survives_the_way_to_the_handler(
        sent in prop::collection::vec((any::<Vec<u8>>(), any::<String>(), any::<Option<String>>(), any::<i64>()), 1..5),
        key in any::<String>(),
        text in any::<String>(),
        micros in 0_i64..4_000_000_000_000_000,
    ) {
        let enqueued_at = Timestamp::from_timestamp_micros(micros + 1).unwrap();
        let messages: Vec<Message> = sent
            .iter()
            .map(|(body, id, subject, _)| Message {
                subject: subject.clone(),
                session_id: subject.clone(),
                correlation_id: subject.clone(),
                properties: Properties::from([(key.clone().into(), Property::from(text.clone()))]),
                body: Bytes::from(body.clone()),
                ..message(id, b"")
            })
            .collect();
        let batch: Vec<Received> = messages
            .iter()
            .zip(&sent)
            .map(|(message, (_, _, _, number))| Received {
                message,
                delivery_count: 2,
                sequence_number: *number,
                enqueued_at,
                expires_at: Some(enqueued_at),
                lock_token: None,
            })
            .collect();
        let call = Call { function: &text, binding: &key, now: enqueued_at, id: LOCK_1 };
        let encoded = encode::service_bus_batch(&call, DataType::Binary, batch.iter().copied());
        if text.is_empty() {
            return Ok(());
        }
        let invocation = Invocation::parse(&encoded).unwrap();
        prop_assert_eq!(invocation.function(), &text);
        let decoded = invocation.service_bus_batch(&key).unwrap();
        prop_assert_eq!(decoded.len(), messages.len());
        for (decoded, received) in decoded.iter().zip(&batch) {
            prop_assert_eq!(&decoded.body, &received.message.body);
            prop_assert_eq!(decoded.message_id.as_ref(), Some(&received.message.message_id));
            prop_assert_eq!(&decoded.subject, &received.message.subject);
            prop_assert_eq!(&decoded.session_id, &received.message.session_id);
            prop_assert_eq!(&decoded.correlation_id, &received.message.correlation_id);
            prop_assert_eq!(&decoded.properties, &received.message.properties);
            prop_assert_eq!(decoded.sequence_number, Some(received.sequence_number));
            prop_assert_eq!(decoded.delivery_count, 2);
            prop_assert_eq!(decoded.enqueued_at, Some(enqueued_at));
        }
        // Cardinality one goes the same way.
        let one = encode::service_bus_message(&call, &batch[0]);
        let decoded = Invocation::parse(&one).unwrap().service_bus_batch(&key).unwrap();
        prop_assert_eq!(&decoded[0].body, &messages[0].body);
        prop_assert_eq!(decoded[0].message_id.as_ref(), Some(&messages[0].message_id));
    }

    #[test]
    fn no_body_makes_the_decoder_panic(body in any::<Vec<u8>>(), data in any::<String>()) {
        let _ = Invocation::parse(&body);
        let body = json!({"Data": {"b": data}, "Metadata": {"sys": {"MethodName": "f"}}}).to_string();
        let invocation = Invocation::parse(body.as_bytes()).unwrap();
        let _ = (invocation.service_bus_batch("b"), invocation.timer("b"), invocation.text("b"));
    }
}

/// Every value that the golden request has, ours has too, to the character.
fn assert_agrees(ours: &[u8], golden: &[u8]) {
    let ours: Value = serde_json::from_slice(ours).expect("we write JSON");
    let golden: Value = serde_json::from_slice(golden).unwrap();
    for part in ["Data", "Metadata"] {
        for (key, value) in golden[part].as_object().unwrap() {
            assert_eq!(&ours[part][key], value, "{part}.{key}");
        }
    }
}
