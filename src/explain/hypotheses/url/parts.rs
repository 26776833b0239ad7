//! A URL in parts, kept as they were written: no library that normalises sees it.

use std::fmt;

const LONGEST_QUERY: usize = 80;

/// `scheme://credentials host port path ? query`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub scheme: String,
    /// With the `@`; may be empty.
    pub credentials: String,
    pub host: String,
    /// With the colon; may be empty.
    pub port: String,
    pub path: String,
    pub query: Option<String>,
}

impl Parts {
    pub fn of(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (credentials, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        // An IPv6 address has colons inside its brackets.
        let name_end = host.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = host.split_at(host[name_end..].find(':').map_or(host.len(), |at| name_end + at));
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        Self {
            scheme: scheme.into(),
            credentials: credentials.into(),
            host: host.into(),
            port: port.into(),
            path: path.into(),
            query,
        }
    }

    /// To be read by people: no password, and little of the query, which may hold phone numbers; none where it is
    /// not what matters.
    pub fn for_people(&self, query_matters: bool) -> String {
        let credentials = if self.credentials.is_empty() { "" } else { "...@" };
        let query = match &self.query {
            None => String::new(),
            Some(query) if query_matters && query.chars().count() <= LONGEST_QUERY => format!("?{query}"),
            Some(query) if query_matters => format!("?{}...", query.chars().take(LONGEST_QUERY).collect::<String>()),
            Some(_) => "?...".to_owned(),
        };
        format!("{}://{credentials}{}{}{}{query}", self.scheme, self.host, self.port, self.path)
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, credentials, host, port, path, query } = self;
        write!(formatter, "{scheme}://{credentials}{host}{port}{path}")?;
        query.iter().try_for_each(|query| write!(formatter, "?{query}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_comes_back_as_it_was() {
        for url in [
            "https://a.example/x?y=1",
            "http://u:p@a.example:8443/x",
            "https://[::1]:1/?",
            "https://[::1]",
            "https://a.example?x=@/:",
        ] {
            assert_eq!(Parts::of(url).to_string(), url);
        }
        let parts = Parts::of("https://u:p@a.example:1/x?To=%2B1");
        assert_eq!((parts.host.as_str(), parts.port.as_str()), ("a.example", ":1"));
        assert_eq!(parts.for_people(false), "https://...@a.example:1/x?...");
        assert_eq!(parts.for_people(true), "https://...@a.example:1/x?To=%2B1");
    }
}
