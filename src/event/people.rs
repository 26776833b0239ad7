//! Events without the people in them.

use super::Event;
use crate::{
    person::Person,
    telemetry::{Tokens, is_token},
};

impl Event {
    /// Puts tokens in place of people in the event's ids: some vendors' events are told apart by an address only. Returns the
    /// event as it was; `None` where its ids name nobody.
    ///
    /// Ids outlast the person: they tell a repeat of an event whose person was erased long ago.
    pub(crate) fn take_people_out_of_ids(&mut self, tokens: &Tokens) -> Option<Event> {
        let people = [&self.recipient, &self.sender].into_iter().flatten();
        let people: Vec<Person> = people.filter_map(|address| Person::parse(address)).collect();
        if ![&self.dedupe_key, &self.provider_message_id].into_iter().any(|id| Person::any_is_in(&people, id)) {
            return None;
        }
        let plain = self.clone();
        for person in people {
            self.forget_in_ids(&person, tokens);
        }
        Some(plain)
    }

    /// Takes a person out: tokens in place of the address, and nothing of what was written, said or clicked. `false` where
    /// the person is not in it. What the event says of its message stays, and so do its ids.
    pub(crate) fn forget(&mut self, person: &Person, tokens: &Tokens) -> bool {
        if !person.is_in(serde_json::to_string(self).expect("an event serialises to JSON")) {
            return false;
        }
        for address in [&mut self.recipient, &mut self.sender].into_iter().flatten() {
            match person.is(address) {
                true => *address = tokens.address(address),
                false => replace(address, person, tokens),
            }
        }
        self.forget_words();
        self.reason_code.iter_mut().for_each(|code| replace(code, person, tokens));
        replace(&mut self.provider_status, person, tokens);
        self.forget_in_ids(person, tokens);
        true
    }

    /// Drops what was written, where the address is a token already: somebody was erased from a body that nobody could read
    /// then.
    pub(crate) fn forget_words_of_the_erased(&mut self) {
        if [&self.recipient, &self.sender].into_iter().flatten().any(|address| is_token(address)) {
            self.forget_words();
        }
    }

    fn forget_words(&mut self) {
        (self.text, self.reason, self.url) = (None, None, None);
    }

    fn forget_in_ids(&mut self, person: &Person, tokens: &Tokens) {
        replace(&mut self.dedupe_key, person, tokens);
        replace(&mut self.provider_message_id, person, tokens);
    }
}

fn replace(text: &mut String, person: &Person, tokens: &Tokens) {
    if let Some(replaced) = person.replaced(text, tokens) {
        *text = replaced;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Secret,
        event::{Channel, EventType},
    };

    fn event() -> Event {
        let mut event =
            Event::new(EventType::MessageReceived, Channel::Email, "ses", "m-1", "ses:m-1:Ana@example.com".into());
        event.recipient = Some("Ana <Ana@example.com>".into());
        event.sender = Some("shop@acme.test".into());
        (event.text, event.reason, event.url) = (Some("my name".into()), Some("550 ana".into()), Some("/u/ana".into()));
        event
    }

    #[test]
    fn ids_name_nobody_and_repeats_have_the_same_ones() {
        let tokens = Tokens::new(&Secret::new("key"));
        let (mut one, mut again) = (event(), event());
        again.recipient = Some("ana@EXAMPLE.com".into());
        again.dedupe_key = "ses:m-1:ana@EXAMPLE.com".into();
        assert_eq!(one.take_people_out_of_ids(&tokens).unwrap(), event());
        again.take_people_out_of_ids(&tokens).unwrap();
        assert_eq!(one.dedupe_key, format!("ses:m-1:{}", tokens.address("ana@example.com")));
        assert_eq!(one.dedupe_key, again.dedupe_key);
        assert_eq!(one.take_people_out_of_ids(&tokens), None, "there is nobody left in them");
    }

    #[test]
    fn a_forgotten_person_is_a_token_and_says_nothing_and_others_stay() {
        let tokens = Tokens::new(&Secret::new("key"));
        let mut forgotten = event();
        assert!(!forgotten.forget(&Person::parse("bo@example.com").unwrap(), &tokens));
        assert_eq!(forgotten, event());
        let ana = Person::parse("ana@example.com").unwrap();
        assert!(forgotten.forget(&ana, &tokens));
        assert_eq!(forgotten.recipient, Some(tokens.address("ana@example.com")));
        assert_eq!(forgotten.sender.as_deref(), Some("shop@acme.test"));
        assert_eq!((&forgotten.text, &forgotten.reason, &forgotten.url), (&None, &None, &None));
        assert!(!ana.is_in(serde_json::to_string(&forgotten).unwrap()));
        assert_eq!(forgotten.message_key(), event().message_key());
        let again = forgotten.clone();
        assert!(!forgotten.forget(&ana, &tokens), "once is enough");
        assert_eq!(forgotten, again);
    }
}
