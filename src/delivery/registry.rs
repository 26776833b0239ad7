//! Changing partners: each change is one document, written under its etag.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    Breakers, Partners, Snapshot, breakers,
    changes::Invalid,
    partner::{Former, PARTITION, Partner, Settings, Signing, State, is_name},
    partners,
};
use crate::{
    clock::SharedClock,
    documents::{Action, CommitError, Container, DocumentsError, Etag, Operation, SharedDocuments},
};

/// Rounds against others who change the same partner.
const ROUNDS: u32 = 5;
/// Secrets that are valid beside the newest.
const MOST_FORMER: usize = 4;

/// Why a partner is as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("{0:?} must be 1 to 40 of a-z, 0-9 and -")]
    Name(String),
    #[error("there is a partner {0} already: use update, or another name")]
    Exists(String),
    #[error("there is no partner {0}: `sluice partners list` names them")]
    Unknown(String),
    #[error("partner {0} was written by another version of Sluice, which this one cannot read")]
    Unreadable(String),
    /// Others keep changing it: look at it again.
    #[error("partner {0} is being changed by others")]
    Busy(String),
    /// Whether the change happened is not known.
    #[error(transparent)]
    Store(#[from] DocumentsError),
}

/// The partners, for those who change them.
#[derive(Debug, Clone)]
pub struct Registry {
    pub documents: SharedDocuments,
    pub clock: SharedClock,
    pub partners: Arc<Partners>,
    pub breakers: Arc<Breakers>,
}

impl Registry {
    /// All partners, as the store has them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self) -> Result<Snapshot, RegistryError> {
        Ok(partners::read(self.documents.as_ref()).await?)
    }

    /// One partner, as the store has it.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn get(&self, name: &str) -> Result<Partner, RegistryError> {
        Ok(self.read(name).await?.0)
    }

    /// Adds a partner, enabled, with secrets that nobody ever had.
    ///
    /// # Errors
    /// The name cannot be one or is taken, or the store failed.
    pub async fn add(&self, name: &str, settings: Settings) -> Result<Partner, RegistryError> {
        if !is_name(name) {
            return Err(RegistryError::Name(name.to_owned()));
        }
        let now = self.clock.now();
        let signing = Signing { salt: Uuid::new_v4().simple().to_string(), generation: 1, former: Vec::new() };
        let partner = Partner {
            id: name.to_owned(),
            key: PARTITION.to_owned(),
            writer: Uuid::now_v7().to_string(),
            settings,
            state: State::Enabled,
            signing,
            created_at: now,
            updated_at: now,
        };
        match self.commit(Operation::create(name, &partner)).await {
            Ok(()) => {}
            // Our own write, whose answer was lost; or somebody else's.
            Err(CommitError::Conflict { .. }) => match self.get(name).await {
                Ok(found) if found.writer == partner.writer => {}
                Ok(_) | Err(RegistryError::Unreadable(_)) => return Err(RegistryError::Exists(name.to_owned())),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(store(error)),
        }
        // What an earlier partner of this name left.
        self.breakers.reset(name).await?;
        Ok(partner)
    }

    /// Changes a partner; returns it as it was and as it is. `change` may be asked more than once.
    ///
    /// # Errors
    /// There is none, `change` refuses, or the store failed.
    pub async fn change(
        &self,
        name: &str,
        mut change: impl FnMut(&mut Partner) -> Result<(), RegistryError> + Send,
    ) -> Result<(Partner, Partner), RegistryError> {
        let writer = Uuid::now_v7().to_string();
        let mut tried = None;
        for _ in 0..ROUNDS {
            let (before, etag) = self.read(name).await?;
            // Our own write, whose answer was lost.
            if before.writer == writer
                && let Some(known) = tried
            {
                return Ok((known, before));
            }
            let mut after = before.clone();
            change(&mut after)?;
            (after.writer, after.updated_at) = (writer.clone(), self.clock.now());
            match self.commit(Operation::replace(name, &after, etag)).await {
                Ok(()) => return Ok((before, after)),
                Err(CommitError::PreconditionFailed { .. }) => tried = Some(before),
                Err(error) => return Err(store(error)),
            }
        }
        Err(RegistryError::Busy(name.to_owned()))
    }

    /// Changes a partner's settings. A breaker that is open closes: it knows another endpoint, perhaps.
    ///
    /// # Errors
    /// There is none, the settings cannot be meant, or the store failed.
    pub async fn update(
        &self,
        name: &str,
        mut settings: impl FnMut(&Settings) -> Result<Settings, Invalid> + Send,
    ) -> Result<(Partner, Partner), RegistryError> {
        let changed = self.change(name, |partner| {
            partner.settings = settings(&partner.settings)?;
            Ok(())
        });
        let changed = changed.await?;
        self.breakers.reset(name).await?;
        Ok(changed)
    }

    /// Stops sending. What is owed and what comes is parked with the reason.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn disable(&self, name: &str, reason: &str) -> Result<(Partner, Partner), RegistryError> {
        let since = self.clock.now();
        let change = |partner: &mut Partner| {
            if partner.state == State::Enabled {
                partner.state = State::Disabled { reason: reason.to_owned(), since };
            }
            Ok(())
        };
        self.change(name, change).await
    }

    /// Sends again. What was parked meanwhile waits for a replay.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn enable(&self, name: &str) -> Result<(Partner, Partner), RegistryError> {
        let change = |partner: &mut Partner| {
            partner.state = State::Enabled;
            Ok(())
        };
        let changed = self.change(name, change).await?;
        self.breakers.reset(name).await?;
        Ok(changed)
    }

    /// Gives a partner new secrets. Those it had are valid for `window` more.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn rotate(&self, name: &str, window: Duration) -> Result<(Partner, Partner), RegistryError> {
        let now = self.clock.now();
        let change = |partner: &mut Partner| {
            let signing = &mut partner.signing;
            signing.former.retain(|former| former.until > now);
            if !window.is_zero() {
                signing.former.insert(0, Former { generation: signing.generation, until: now + window });
            }
            signing.former.truncate(MOST_FORMER);
            signing.generation += 1;
            Ok(())
        };
        self.change(name, change).await
    }

    /// Removes a partner. What is still owed to it is parked when its turn comes.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn remove(&self, name: &str) -> Result<Partner, RegistryError> {
        let (partner, etag) = self.read(name).await?;
        let delete = Operation { id: name.to_owned(), action: Action::Delete { if_match: Some(etag) } };
        match self.commit(delete).await {
            Ok(()) => {}
            Err(CommitError::PreconditionFailed { .. }) if self.is_gone(name).await? => {}
            Err(CommitError::PreconditionFailed { .. }) => return Err(RegistryError::Busy(name.to_owned())),
            Err(error) => return Err(store(error)),
        }
        let breaker = vec![Operation::delete(name)];
        self.documents.commit(Container::Registry, breakers::PARTITION, breaker).await.map_err(store)?;
        Ok(partner)
    }

    async fn is_gone(&self, name: &str) -> Result<bool, RegistryError> {
        Ok(self.documents.read(Container::Registry, PARTITION, name).await?.is_none())
    }

    async fn read(&self, name: &str) -> Result<(Partner, Etag), RegistryError> {
        let found = self.documents.read(Container::Registry, PARTITION, name).await?;
        let document = found.ok_or_else(|| RegistryError::Unknown(name.to_owned()))?;
        let partner = document.parse().map_err(|_| RegistryError::Unreadable(name.to_owned()))?;
        Ok((partner, document.etag))
    }

    async fn commit(&self, write: Operation) -> Result<(), CommitError> {
        self.documents.commit(Container::Registry, PARTITION, vec![write]).await?;
        self.partners.changed();
        Ok(())
    }
}

fn store(error: CommitError) -> RegistryError {
    RegistryError::Store(match error {
        CommitError::Refused(problem) => DocumentsError::Refused(problem),
        error => DocumentsError::Unavailable(error.to_string()),
    })
}
