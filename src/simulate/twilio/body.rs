//! The parameters of each kind of request, in the order in which Twilio sends them.

use crate::event::EventType;

use super::KEYWORDS;
use crate::simulate::fact::{Fact, Story};

const ACCOUNT: &str = "AC5d41402abc4b2a76b9719d911017c592";
const MESSAGING_SERVICE: &str = "MG7d793037a0760186574b0282f2f435e7";
const TEXTS: [&str; 6] = [
    "Hello there, ¿qué tal?",
    "Yes please, 10:30 works for me & my brother",
    "1+1=2 and 100% sure 👍",
    "Where is my parcel? The tracking page says it left Rotterdam on Tuesday.",
    "Thanks!",
    "",
];

/// Names and values, not yet encoded.
pub(super) type Params = Vec<(&'static str, String)>;

/// A message's way to its recipient.
pub(super) fn message(story: &Story, fact: &Fact) -> Params {
    let mut params = vec![
        ("SmsSid", fact.message_id.clone()),
        ("SmsStatus", fact.status.clone()),
        ("MessageStatus", fact.status.clone()),
        ("To", fact.recipient.clone()),
        ("MessagingServiceSid", MESSAGING_SERVICE.into()),
        ("MessageSid", fact.message_id.clone()),
        ("SmsMessageSid", fact.message_id.clone()),
        ("NumSegments", "1".into()),
        ("AccountSid", ACCOUNT.into()),
        ("From", story.sender.clone()),
        ("ApiVersion", "2010-04-01".into()),
    ];
    if let Some((prefix, _)) = story.sender.split_once(':') {
        params.push(("ChannelPrefix", prefix.into()));
        params.push(("ChannelToAddress", fact.recipient.clone()));
        params.push(("ChannelInstallSid", format!("XE{}", &fact.message_id[2..])));
        params.push(("StructuredMessage", "false".into()));
    }
    match fact.event_type {
        EventType::MessageDelivered => {
            // The carrier's own clock, without a zone: nothing to rely on.
            params.push(("RawDlrDoneDate", format!("26{:02}{:02}1{:03}", 11, fact.salt % 28 + 1, fact.salt % 600)));
        }
        EventType::MessageRead => params.push(("EventType", "READ".into())),
        EventType::MessageUndelivered => params.push(("ErrorCode", "30003".into())),
        EventType::MessageFailed => {
            params.push(("ErrorCode", "30007".into()));
            params.push(("ErrorMessage", "Message filtered".into()));
        }
        _ => {}
    }
    params
}

/// A message from a person; a second fact is what its keyword asks for.
pub(super) fn inbound(story: &Story, facts: &[Fact]) -> Params {
    let received = &facts[0];
    let keyword = facts.get(1);
    let texts = match keyword {
        Some(keyword) => KEYWORDS.iter().find(|(word, ..)| *word == keyword.status).map_or(&TEXTS[..], |(.., t)| *t),
        None => &TEXTS,
    };
    let text = texts[(received.salt % texts.len() as u64) as usize];
    let mut params: Params = vec![
        ("ToCountry", "US".into()),
        ("ToState", "CA".into()),
        ("SmsMessageSid", received.message_id.clone()),
        ("NumMedia", "0".into()),
        ("ToCity", String::new()),
        ("FromZip", "94105".into()),
        ("SmsSid", received.message_id.clone()),
        ("FromState", "CA".into()),
        ("SmsStatus", "received".into()),
        ("FromCity", "SAN FRANCISCO".into()),
        ("Body", text.into()),
        ("FromCountry", "US".into()),
        ("To", received.recipient.clone()),
        ("MessagingServiceSid", MESSAGING_SERVICE.into()),
        ("ToZip", String::new()),
        ("NumSegments", "1".into()),
        ("MessageSid", received.message_id.clone()),
        ("AccountSid", ACCOUNT.into()),
        ("From", story.sender.clone()),
        ("ApiVersion", "2010-04-01".into()),
    ];
    if let Some(keyword) = keyword {
        params.push(("OptOutType", keyword.status.clone()));
    }
    params
}

/// A call's progress.
pub(super) fn call(story: &Story, step: usize) -> Params {
    let fact = &story.steps[step][0];
    let at = fact.at.expect("every fact of a call has a time");
    let answered = story.steps[..step].iter().find(|facts| facts[0].event_type == EventType::CallAnswered);
    let mut params: Params = vec![
        ("Called", fact.recipient.clone()),
        ("ToState", "CA".into()),
        ("CallerCountry", "US".into()),
        ("Direction", "outbound-api".into()),
        ("Timestamp", at.format("%a, %d %b %Y %H:%M:%S +0000").to_string()),
        ("CallbackSource", "call-progress-events".into()),
        ("SequenceNumber", step.to_string()),
        ("CallerState", "IL".into()),
        ("ToZip", String::new()),
        ("CallSid", fact.message_id.clone()),
        ("To", fact.recipient.clone()),
        ("CallerZip", "60601".into()),
        ("ToCountry", "US".into()),
        ("CalledZip", String::new()),
        ("ApiVersion", "2010-04-01".into()),
        ("CalledCity", String::new()),
        ("CallStatus", fact.status.clone()),
        ("From", story.sender.clone()),
        ("AccountSid", ACCOUNT.into()),
        ("CalledCountry", "US".into()),
        ("CallerCity", "CHICAGO".into()),
        ("Caller", story.sender.clone()),
        ("ToCity", String::new()),
        ("FromCountry", "US".into()),
        ("FromCity", "CHICAGO".into()),
        ("CalledState", "CA".into()),
        ("FromZip", "60601".into()),
        ("FromState", "IL".into()),
    ];
    let (sip, seconds) = match (fact.event_type, answered) {
        (EventType::CallCompleted, Some(answered)) => {
            (200, answered[0].at.map_or(0, |answered| (at - answered).num_seconds()))
        }
        (EventType::CallBusy, _) => (486, 0),
        (EventType::CallNoAnswer, _) => (487, 0),
        (EventType::CallFailed, _) => (404, 0),
        _ => return params,
    };
    params.push(("CallDuration", seconds.to_string()));
    params.push(("SipResponseCode", sip.to_string()));
    if fact.event_type == EventType::CallCompleted {
        // Billed minutes, begun ones whole.
        params.push(("Duration", (seconds / 60 + 1).to_string()));
    }
    params
}
