//! Secrets: named in the file, held by the environment, never printed.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Environment, error::Locator};

/// A secret's text. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for keys of signatures, never for logs or errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// A secret that the file names and the environment lacks. Its vendor is answered 503 until it is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {key}: environment variable {variable} is {problem}", path.display())]
pub struct MissingSecret {
    pub path: PathBuf,
    pub line: usize,
    /// The key in the file, for example `vendors.twilio.secrets[0]`.
    pub key: String,
    pub variable: String,
    /// "not set", "blank", or what else is wrong with its value.
    pub problem: &'static str,
}

/// `env:NAME`: the environment variable that holds a secret.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("x-text" = "`env:NAME`"))]
pub(super) struct SecretSource(String);

/// Looks secrets up.
pub(super) struct Resolver<'a> {
    pub at: &'a Locator<'a>,
    pub environment: Environment<'a>,
    /// Empty outside the demo profile.
    pub demo: &'a BTreeMap<String, String>,
}

impl Resolver<'_> {
    /// The secret, or the fact that it is missing.
    ///
    /// # Errors
    /// The source is not of the form `env:NAME`.
    pub fn resolve(
        &self,
        key: &str,
        source: &Spanned<SecretSource>,
    ) -> Result<Result<Secret, MissingSecret>, ConfigError> {
        let Some(variable) = source.get_ref().0.strip_prefix("env:").filter(|name| !name.is_empty()) else {
            // The text itself may be a secret that somebody pasted: it is not repeated.
            let problem = "a secret is named as \"env:NAME\" and kept in the environment, never in this file".into();
            return Err(self.at.value(source.span(), key, problem));
        };
        let missing = |problem| MissingSecret {
            path: self.at.path.to_owned(),
            line: self.at.line(source.span().start),
            key: key.to_owned(),
            variable: variable.to_owned(),
            problem,
        };
        Ok(match (self.environment)(variable).or_else(|| self.demo.get(variable).cloned()) {
            // What the Functions host leaves behind when Key Vault refused: the reference itself.
            Some(value) if value.starts_with("@Microsoft.KeyVault(") => {
                Err(missing("an unresolved Key Vault reference"))
            }
            // An empty key is one that anybody has.
            Some(value) if value.trim().is_empty() => Err(missing("blank")),
            Some(value) => Ok(Secret::new(value)),
            None => Err(missing("not set")),
        })
    }
}
