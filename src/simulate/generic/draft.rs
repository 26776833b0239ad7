//! A callback in the making: values go to their places, then it becomes a request.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header as names};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::super::{fact::SignedRequest, pointer::place};
use crate::config::Mapping;

#[derive(Default)]
pub(super) struct Draft {
    headers: HeaderMap,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    elements: Vec<Value>,
    /// The element that values go to now.
    element: Value,
}

impl Draft {
    /// # Errors
    /// Another value is there already, or the value cannot be there.
    pub fn put(&mut self, to: &str, value: String) -> Result<(), String> {
        match to.split_once(':') {
            Some(("query", name)) => put_pair(&mut self.query, name, value),
            Some(("form", name)) => put_pair(&mut self.form, name, value),
            Some(("header", name)) => {
                let name: HeaderName = name.trim().parse().map_err(|_| format!("`{name}` is not a header's name"))?;
                let value =
                    HeaderValue::from_str(&value).map_err(|_| format!("header {name} cannot hold `{value}`"))?;
                match self.headers.insert(&name, value.clone()) {
                    Some(other) if other != value => Err(format!("header {name} is the place of two values")),
                    _ => Ok(()),
                }
            }
            _ => place(&mut self.element, to, Value::String(value)),
        }
    }

    /// The values of one event are all there.
    pub fn next_element(&mut self) {
        let element = self.element.take();
        // Where the mapping reads nothing of the body, that is still an object.
        self.elements.push(if element.is_null() { json!({}) } else { element });
    }

    /// # Errors
    /// There cannot be an array where the mapping has one.
    pub fn finish(mut self, path: String, mapping: &Mapping) -> Result<SignedRequest, String> {
        let (content_type, body) = match (&mapping.each, self.form.is_empty()) {
            (_, false) => ("application/x-www-form-urlencoded", encoded(&self.form)),
            (None, true) => ("application/json", self.elements.pop().unwrap_or_default().to_string()),
            (Some(each), true) => {
                let mut body = Value::Null;
                place(&mut body, each, Value::Array(self.elements))?;
                ("application/json", body.to_string())
            }
        };
        self.headers.insert(names::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let path = if self.query.is_empty() { path } else { format!("{path}?{}", encoded(&self.query)) };
        Ok(SignedRequest { path, headers: self.headers, body: Bytes::from(body) })
    }
}

fn put_pair(pairs: &mut Vec<(String, String)>, name: &str, value: String) -> Result<(), String> {
    let name = name.trim();
    match pairs.iter().find(|(other, _)| other == name) {
        Some((_, other)) if *other != value => Err(format!("field {name} is the place of two values")),
        Some(_) => Ok(()),
        None => {
            pairs.push((name.to_owned(), value));
            Ok(())
        }
    }
}

fn encoded(pairs: &[(String, String)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}
