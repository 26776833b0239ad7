//! The body of an invocation: `{"Data":{binding:…},"Metadata":{…}}`.

use std::{borrow::Cow, fmt};

use schemars::{Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::value;

/// One invocation, borrowed from the request's body. Values are decoded only when asked for.
#[derive(Debug)]
pub struct Invocation<'a> {
    data: Fields<'a>,
    metadata: Fields<'a>,
    function: Cow<'a, str>,
    /// Header `traceparent`, where the host sends one: it may or may not.
    pub traceparent: Option<&'a str>,
}

/// Why an invocation cannot be understood. It cannot be healed by trying again: answer 500, and the host's own rules
/// (delivery count, dead-letter) take their course.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// The body is not the JSON object of the contract.
    #[error("the body is not an invocation: {0}")]
    NotAnInvocation(serde_json::Error),
    /// `Metadata.sys.MethodName` is missing, so nobody knows which function is meant.
    #[error("the invocation does not name its function")]
    NoFunctionName,
    /// `Data` has no value for the binding: function.json and the handler disagree.
    #[error("the invocation has no data for the binding `{binding}`")]
    NoBinding { binding: String },
    /// The binding's value has a shape that its trigger never produces.
    #[error("the data of the binding `{binding}` is not {expected}: {problem}")]
    BadData { binding: String, expected: &'static str, problem: String },
}

impl<'a> Invocation<'a> {
    /// Reads an invocation.
    ///
    /// # Errors
    /// The body is not an invocation or does not name its function.
    pub fn parse(body: &'a [u8]) -> Result<Self, InvocationError> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(rename = "Data", borrow, default)]
            data: Fields<'a>,
            #[serde(rename = "Metadata", borrow, default)]
            metadata: Fields<'a>,
        }
        #[derive(Deserialize)]
        struct Sys<'a> {
            #[serde(rename = "MethodName", borrow)]
            method_name: Cow<'a, str>,
        }
        let body: Body<'a> = serde_json::from_slice(body).map_err(InvocationError::NotAnInvocation)?;
        let function = body
            .metadata
            .get("sys")
            .and_then(|sys| serde_json::from_str::<Sys<'a>>(sys).ok())
            .map(|sys| sys.method_name)
            .filter(|name| !name.is_empty())
            .ok_or(InvocationError::NoFunctionName)?;
        Ok(Self { data: body.data, metadata: body.metadata, function, traceparent: None })
    }

    /// The shape of the body. What `Data` holds depends on the trigger.
    pub fn shape(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "properties": {
                "Data": { "type": "object", "description": "Values by binding name." },
                "Metadata": {
                    "type": "object",
                    "properties": {
                        "sys": {
                            "type": "object",
                            "properties": { "MethodName": { "type": "string", "minLength": 1, "description": "The function." } },
                            "required": ["MethodName"],
                        },
                    },
                    "required": ["sys"],
                },
            },
            "required": ["Metadata"],
        })
    }

    /// The function's name: its folder's name, in its case.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The text of a `dataType: string` value (queue, Cosmos DB and single Service Bus triggers).
    ///
    /// # Errors
    /// There is no such binding, or its value is not text.
    pub fn text(&self, binding: &str) -> Result<Cow<'a, str>, InvocationError> {
        let raw = self.data(binding)?;
        value::text(raw, binding).map_err(|error| bad_data(binding, "a string", error))
    }

    /// `Metadata.RetryContext`: there only when the function has a retry policy.
    pub fn retry_context(&self) -> Option<RetryContext> {
        serde_json::from_str(self.metadata("RetryContext")?).ok()
    }

    /// The binding's value as raw JSON.
    pub(super) fn data(&self, binding: &str) -> Result<&'a str, InvocationError> {
        self.data.get(binding).ok_or_else(|| InvocationError::NoBinding { binding: binding.to_owned() })
    }

    /// A metadata value as raw JSON.
    pub(super) fn metadata(&self, key: &str) -> Option<&'a str> {
        self.metadata.get(key)
    }
}

pub(super) fn bad_data(binding: &str, expected: &'static str, problem: impl fmt::Display) -> InvocationError {
    InvocationError::BadData { binding: binding.to_owned(), expected, problem: problem.to_string() }
}

/// How often the host has tried this invocation. Exceptions of earlier tries are .NET objects and stay unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RetryContext {
    /// 0 at the first try.
    pub retry_count: u32,
    /// -1 means without end.
    pub max_retry_count: i32,
}

/// A JSON object's members, undecoded and in their order. A list beats a map here: there are about a dozen.
#[derive(Debug, Default)]
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, raw)| raw.get())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Fields::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    fields.push((key.0, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_any(FieldsVisitor)
    }
}

/// `Cow<str>` borrows only behind `#[serde(borrow)]`, which needs a field.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
