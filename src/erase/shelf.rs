//! The embedded broker's messages, changed where they lie.

use super::{
    EraseError,
    message::Erased,
    walk::{Page, Walk},
};
use crate::bus::Replaced;

/// Messages in memory at once: 256 KB each at the most.
const PAGE: usize = 100;

impl Walk<'_> {
    pub(super) async fn shelf(&self, position: Option<&str>) -> Result<Page, EraseError> {
        let Some(shelf) = self.app.bus.shelf() else { return Ok(Page::default()) };
        let behind = match position {
            None => 0,
            Some(position) => {
                position.parse().map_err(|_| EraseError::Malformed("the continuation is malformed".to_owned()))?
            }
        };
        let messages = shelf.look(behind, PAGE).await?;
        let mut page =
            Page { position: messages.last().map(|last| last.sequence_number.to_string()), ..Page::default() };
        for shelved in messages {
            page.counts.looked_at += 1;
            if !self.is_in_message(&shelved.message).await? {
                continue;
            }
            if self.is_looking() {
                page.counts.tokenised += 1;
                continue;
            }
            let Erased { message, obsolete } = self.erase_message(&shelved.message).await?;
            match shelf.replace(shelved.sequence_number, message).await? {
                Replaced::Done => {
                    page.counts.tokenised += 1;
                    self.discard(obsolete).await?;
                }
                // Whoever has it writes elsewhere what it makes of it.
                Replaced::Locked => page.held += 1,
                Replaced::Gone => page.again = true,
            }
        }
        Ok(page)
    }
}
