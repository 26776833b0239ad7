//! Where the namespace is and how to prove who we are: connection strings and fully qualified namespaces.

use std::fmt;

use crate::config::Secret;

/// The port of AMQP over TLS.
const TLS_PORT: u16 = 5671;
/// The port of the emulator, which speaks plain TCP.
const EMULATOR_PORT: u16 = 5672;

/// A namespace's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
    /// Off for emulators only.
    pub tls: bool,
}

impl Endpoint {
    /// The namespace of a name like `contoso.servicebus.windows.net`.
    ///
    /// # Errors
    /// It is no host name.
    pub fn fully_qualified(namespace: &str) -> Result<Self, ConnectionStringError> {
        let (host, port) = host_and_port(namespace)?;
        Ok(Self { host, port: port.unwrap_or(TLS_PORT), tls: true })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A parsed connection string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionString {
    pub endpoint: Endpoint,
    pub key: SharedKey,
}

/// What signs, or is, a shared access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedKey {
    /// A shared access policy: tokens are made of it as they are needed.
    Policy { name: String, key: Secret },
    /// A token that somebody else made.
    Token(Secret),
}

/// Why a connection string cannot be used. Never repeats a part of it that could be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionStringError {
    #[error("it has no {0}: copy the namespace's connection string whole")]
    Missing(&'static str),
    #[error("its Endpoint is no sb:// address")]
    Endpoint,
    #[error("it is for the entity {0} alone: use one of the namespace")]
    Entity(String),
    #[error("UseDevelopmentEmulator is neither true nor false")]
    Emulator,
}

impl ConnectionString {
    /// Reads `Endpoint=sb://...;SharedAccessKeyName=...;SharedAccessKey=...`, or with `SharedAccessSignature`.
    /// `UseDevelopmentEmulator=true` means plain TCP.
    ///
    /// Format: <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas>.
    ///
    /// # Errors
    /// A part is missing or cannot be read, or the string is for one entity.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let mut endpoint = None;
        let (mut name, mut key, mut token) = (None, None, None);
        let mut emulator = false;
        for part in text.split(';') {
            // Keys end in `=`: only the first one separates.
            let Some((label, value)) = part.split_once('=') else { continue };
            let value = value.trim();
            match label.trim().to_ascii_lowercase().as_str() {
                "endpoint" => endpoint = Some(value),
                "sharedaccesskeyname" => name = Some(value),
                "sharedaccesskey" => key = Some(value),
                "sharedaccesssignature" => token = Some(value),
                "entitypath" if !value.is_empty() => return Err(ConnectionStringError::Entity(value.to_owned())),
                "usedevelopmentemulator" => {
                    emulator = value.to_ascii_lowercase().parse().map_err(|_| ConnectionStringError::Emulator)?;
                }
                _ => {}
            }
        }
        let address = endpoint.ok_or(ConnectionStringError::Missing("Endpoint"))?;
        let address = strip_scheme(address).ok_or(ConnectionStringError::Endpoint)?;
        let (host, port) = host_and_port(address)?;
        let usual = if emulator { EMULATOR_PORT } else { TLS_PORT };
        let endpoint = Endpoint { host, port: port.unwrap_or(usual), tls: !emulator };
        let key = match (token, name, key) {
            (Some(token), ..) => SharedKey::Token(Secret::new(token)),
            (None, Some(name), Some(key)) => SharedKey::Policy { name: name.to_owned(), key: Secret::new(key) },
            (None, None, _) => return Err(ConnectionStringError::Missing("SharedAccessKeyName")),
            (None, _, None) => return Err(ConnectionStringError::Missing("SharedAccessKey")),
        };
        Ok(Self { endpoint, key })
    }
}

fn strip_scheme(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    ["sb", "amqp", "amqps"].contains(&scheme.to_ascii_lowercase().as_str()).then_some(rest)
}

fn host_and_port(address: &str) -> Result<(String, Option<u16>), ConnectionStringError> {
    // The url crate knows what a host is, also an IPv6 one.
    let url = url::Url::parse(&format!("amqp://{address}")).map_err(|_| ConnectionStringError::Endpoint)?;
    let plain = url.username().is_empty() && url.query().is_none() && matches!(url.path(), "" | "/");
    match url.host_str() {
        Some(host) if plain && !host.is_empty() => Ok((host.to_owned(), url.port())),
        _ => Err(ConnectionStringError::Endpoint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        ConnectionString::parse(text).unwrap().endpoint
    }

    #[test]
    fn a_namespace_is_reached_over_tls() {
        let parsed = ConnectionString::parse(
            "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=a+b/c==",
        )
        .unwrap();
        let host = "contoso.servicebus.windows.net".to_owned();
        assert_eq!(parsed.endpoint, Endpoint { host, port: 5671, tls: true });
        assert_eq!(parsed.key, SharedKey::Policy { name: "Root".into(), key: Secret::new("a+b/c==") });
    }

    #[test]
    fn the_emulator_is_reached_over_plain_tcp_on_the_port_that_is_named() {
        let tail = ";SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true;";
        let at = |address: &str| endpoint(&format!("Endpoint={address}{tail}"));
        let local = |host: &str, port| Endpoint { host: host.to_owned(), port, tls: false };
        assert_eq!(at("sb://127.0.0.1"), local("127.0.0.1", 5672));
        assert_eq!(at("sb://127.0.0.1:5675/"), local("127.0.0.1", 5675));
        assert_eq!(at("sb://localhost"), local("localhost", 5672));
        assert_eq!(at("sb://[::1]:5675"), local("[::1]", 5675));
    }

    #[test]
    fn labels_are_read_whatever_their_case_and_spaces() {
        let text = " endpoint = sb://h ; SHAREDACCESSKEYNAME=n;sharedAccessKey= k ; usedevelopmentemulator=True";
        assert_eq!(endpoint(text), Endpoint { host: "h".into(), port: 5672, tls: false });
    }

    #[test]
    fn a_ready_made_token_is_taken_as_it_is() {
        let token = "SharedAccessSignature sr=sb%3a%2f%2fh&sig=x%3d&se=1&skn=n";
        let parsed = ConnectionString::parse(&format!("Endpoint=sb://h;SharedAccessSignature={token}")).unwrap();
        assert_eq!(parsed.key, SharedKey::Token(Secret::new(token)));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        let wrong = |text: &str| {
            let error = ConnectionString::parse(text).unwrap_err();
            assert!(!error.to_string().contains("topsecret"), "{error}");
            error
        };
        assert_eq!(wrong(""), ConnectionStringError::Missing("Endpoint"));
        assert_eq!(wrong("topsecret"), ConnectionStringError::Missing("Endpoint"));
        assert_eq!(wrong("Endpoint=sb://h"), ConnectionStringError::Missing("SharedAccessKeyName"));
        assert_eq!(
            wrong("Endpoint=sb://h;SharedAccessKeyName=topsecret"),
            ConnectionStringError::Missing("SharedAccessKey")
        );
        for address in ["h", "https://h", "sb://", "sb://user@h", "sb://h/queue", "sb://h:port"] {
            let text = format!("Endpoint={address};SharedAccessKeyName=n;SharedAccessKey=topsecret");
            assert_eq!(wrong(&text), ConnectionStringError::Endpoint, "{address}");
        }
        assert_eq!(
            wrong("Endpoint=sb://h;SharedAccessKeyName=n;SharedAccessKey=topsecret;EntityPath=callbacks"),
            ConnectionStringError::Entity("callbacks".into())
        );
        assert_eq!(wrong("Endpoint=sb://h;UseDevelopmentEmulator=perhaps"), ConnectionStringError::Emulator);
    }

    #[test]
    fn a_fully_qualified_namespace_is_a_host_name() {
        let endpoint = Endpoint::fully_qualified("contoso.servicebus.windows.net").unwrap();
        assert_eq!((endpoint.port, endpoint.tls), (5671, true));
        assert!(Endpoint::fully_qualified("sb://contoso").is_err());
        assert!(Endpoint::fully_qualified("").is_err());
    }
}
