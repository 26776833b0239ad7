//! Connection strings: `Name=value;Name=value`. Names have no case; a value may hold `=`.

use crate::config::Secret;

/// The parts of a connection string.
pub(super) struct ConnectionString<'a>(Vec<(&'a str, &'a str)>);

impl<'a> ConnectionString<'a> {
    pub fn parse(text: &'a Secret) -> Self {
        let parts = text.expose().split(';').filter_map(|part| part.trim().split_once('='));
        Self(parts.map(|(name, value)| (name.trim(), value.trim())).collect())
    }

    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(part, _)| part.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_padding_and_names_have_no_case() {
        let text = Secret::new("accountendpoint=https://localhost:8081/; AccountKey=C2y6==;");
        let text = ConnectionString::parse(&text);
        assert_eq!(text.get("AccountEndpoint"), Some("https://localhost:8081/"));
        assert_eq!(text.get("AccountKey"), Some("C2y6=="));
        assert_eq!(text.get("Database"), None);
    }
}
