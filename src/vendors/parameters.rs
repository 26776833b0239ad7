//! Parameters that come as a form, as a JSON object or in the query, by a setting of the customer's account.

use serde::{
    Deserialize,
    de::value::{Error, MapDeserializer},
};
use serde_json::{Map, Value};

use super::{Callback, Request, Unreadable, json};

/// Where a callback's parameters are. Verifier and normaliser both ask here, so that only what was signed is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parameters<'a> {
    Form(&'a [u8]),
    Json(&'a [u8]),
}

impl<'a> Parameters<'a> {
    /// In the body where there is one, and then nowhere else; else in the query.
    fn of(content_type: Option<&str>, query: &'a str, body: &'a [u8]) -> Self {
        if body.is_empty() {
            return Parameters::Form(query.as_bytes());
        }
        let form = content_type
            .and_then(|text| text.split(';').next())
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        // The content type is not signed: JSON must not become a form by changing it, or a text that a stranger wrote
        // into it would be parameters.
        let json = body.trim_ascii_start().starts_with(b"{");
        if form && !json { Parameters::Form(body) } else { Parameters::Json(body) }
    }

    pub fn of_request(request: &Request<'a>) -> Self {
        let content_type = request.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let query = request.url.split_once('?').map_or("", |(_, query)| query);
        Self::of(content_type, query, request.body)
    }

    pub fn of_callback(callback: &'a Callback) -> Self {
        Self::of(callback.content_type.as_deref(), &callback.query, &callback.body)
    }

    /// All of them. The first of a name counts in a form, the last in JSON.
    ///
    /// # Errors
    /// The body is not a JSON object.
    pub fn object(self) -> Result<Map<String, Value>, Unreadable> {
        match self {
            Parameters::Json(body) => {
                serde_json::from_slice(body).map_err(|error| json::unreadable("a form or a JSON object", &error))
            }
            Parameters::Form(form) => {
                let mut object = Map::new();
                for (name, value) in form_urlencoded::parse(form) {
                    object.entry(name).or_insert_with(|| value.into());
                }
                Ok(object)
            }
        }
    }

    /// The few that `T` asks for. `None` where one of them is no text or is there twice.
    pub fn look<T: Deserialize<'a>>(self) -> Option<T> {
        match self {
            Parameters::Json(body) => serde_json::from_slice(body).ok(),
            Parameters::Form(form) => {
                T::deserialize(MapDeserializer::<_, Error>::new(form_urlencoded::parse(form))).ok()
            }
        }
    }
}
