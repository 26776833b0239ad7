//! Documents in Azure Cosmos DB (NoSQL).
//!
//! Every container has the partition key path `/pk`, and every item the same shape ([`item`]): the port's document under
//! `body`, untouched, beside what the store needs to know of it. [`commit`] is a transactional batch, [`query`] writes
//! SQL, [`containers`] is the one list of containers, [`account`] connects, and [`failure`] says in words what an error
//! means and what to do about it.
//!
//! The driver's own limits let a call wait for 109 s; ours are in [`account`]. Nothing is contacted before the first
//! call: a store that is away does not keep the program from starting.

mod account;
mod commit;
pub mod containers;
mod failure;
mod item;
mod probe;
mod query;

use std::{fmt, num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use azure_data_cosmos::{
    CosmosClient, CosmosError, CosmosRuntime,
    clients::ContainerClient,
    feed::FeedScope,
    options::{MaxItemCountHint, QueryOptions},
};
use futures_util::TryStreamExt;
use tokio::{sync::OnceCell, time::timeout};

pub use account::{Account, AccountError};
pub use probe::LookError;

use crate::documents::{
    CommitError, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query, continuation, limits,
};
use failure::Failure;
use item::Stored;
use query::Search;

/// Items that the service is asked for at once, at the most.
const MOST_AT_ONCE: u32 = 1000;

/// The documents of a page, and whether others follow.
#[derive(Default)]
struct Found {
    documents: Vec<Document>,
    more: bool,
}

/// The store.
pub struct CosmosDocuments {
    account: Account,
    database: String,
    limit: Duration,
    runtime: Option<CosmosRuntime>,
    client: OnceCell<CosmosClient>,
    containers: [OnceCell<ContainerClient>; Container::ALL.len()],
}

impl fmt::Debug for CosmosDocuments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CosmosDocuments").field("database", &self.database).finish_non_exhaustive()
    }
}

impl CosmosDocuments {
    /// A store that gives up on a call after about `limit`.
    pub fn new(account: Account, database: impl Into<String>, limit: Duration) -> Self {
        Self {
            account,
            database: database.into(),
            limit,
            runtime: None,
            client: OnceCell::new(),
            containers: Default::default(),
        }
    }

    /// Uses this driver runtime (connections, transport) instead of one of its own.
    pub fn with_runtime(mut self, runtime: CosmosRuntime) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Finds the account, the database and every container.
    ///
    /// # Errors
    /// The first that cannot be found, and what to do about it.
    pub async fn connect(&self) -> Result<(), DocumentsError> {
        for container in Container::ALL {
            self.container(container).await.map_err(Failure::reading)?;
        }
        Ok(())
    }

    async fn client(&self) -> azure_data_cosmos::Result<&CosmosClient> {
        self.client.get_or_try_init(|| self.account.client(self.runtime.clone(), self.limit)).await
    }

    async fn container(&self, container: Container) -> Result<&ContainerClient, Failure> {
        let connect = || async {
            let database = self.client().await?.database_client(self.database.clone());
            database.container_client(container.name(), None).await
        };
        // The driver's limit does not hold for what comes before an operation: a token, the account's description.
        match timeout(self.limit, self.containers[container as usize].get_or_try_init(connect)).await {
            Ok(found) => found.map_err(|error| Failure::connecting(&error, container, &self.database)),
            Err(_) => Err(Failure::no_connection(container, self.limit)),
        }
    }

    fn failure(&self, container: Container, error: &CosmosError) -> Failure {
        Failure::of(error, container, &self.database)
    }

    async fn stored(&self, container: Container, partition: &str, id: &str) -> Result<Option<Stored>, Failure> {
        let found = match self.container(container).await?.read_item(partition.to_owned(), id, None).await {
            Ok(response) => response.into_model().map(Some),
            Err(error) if error.status().is_not_found() => Ok(None),
            Err(error) => Err(error),
        };
        found.map_err(|error| self.failure(container, &error))
    }

    async fn found(&self, client: &ContainerClient, search: &Search) -> azure_data_cosmos::Result<Found> {
        let at_once = u32::try_from(search.page_size).unwrap_or(u32::MAX).saturating_add(1).min(MOST_AT_ONCE);
        let hint = NonZeroU32::new(at_once).map_or(MaxItemCountHint::ServerDecides, MaxItemCountHint::Limit);
        let options = QueryOptions::default().with_max_item_count(hint);
        let mut found = client.query_items::<Stored>(search.page()?, search.scope(), Some(options)).await?;
        let mut page = Found::default();
        let mut bytes = 0;
        while let Some(stored) = found.try_next().await? {
            // One more than the page holds: there is a next one.
            if page.documents.len() >= search.page_size || (search.page_bytes > 0 && bytes >= search.page_bytes) {
                page.more = true;
                break;
            }
            let document = Document::from(stored);
            bytes += document.body.len();
            page.documents.push(document);
        }
        Ok(page)
    }

    async fn counted(&self, client: &ContainerClient, search: &Search) -> azure_data_cosmos::Result<u64> {
        match search.scope() {
            scope @ FeedScope::Partition(_) => {
                let counts = client.query_items::<u64>(search.count()?, scope, None).await?;
                counts.try_fold(0, |sum, count| async move { Ok(sum + count) }).await
            }
            // The SDK has no aggregates across partitions: ones are counted here.
            scope => {
                let ones = client.query_items::<u8>(search.ones()?, scope, None).await?;
                ones.try_fold(0, |count, _| async move { Ok(count + 1) }).await
            }
        }
    }
}

#[async_trait]
impl Documents for CosmosDocuments {
    async fn read(&self, container: Container, partition: &str, id: &str) -> Result<Option<Document>, DocumentsError> {
        // Nothing can be stored under such an id, and in a URL it would name something else.
        if !limits::is_id(id) {
            return Ok(None);
        }
        let found = self.stored(container, partition, id).await.map_err(Failure::reading)?;
        Ok(found.map(Document::from))
    }

    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError> {
        let search = Search::new(container, query)?;
        let client = self.container(container).await.map_err(Failure::reading)?;
        let found = self.found(client, &search).await;
        let Found { documents, more } = found.map_err(|error| self.failure(container, &error).reading())?;
        if !more {
            return Ok(Page { documents, continuation: None });
        }
        let place = documents.last().map(|last| search.place_of(last)).transpose()?;
        let continuation = place.map(|place| continuation::write(&search.fingerprint, place));
        Ok(Page { documents, continuation })
    }

    async fn count(&self, container: Container, query: &Query) -> Result<u64, DocumentsError> {
        let unpaged = Query { order_by: None, continuation: None, ..query.clone() };
        let search = Search::new(container, &unpaged)?;
        let client = self.container(container).await.map_err(Failure::reading)?;
        self.counted(client, &search).await.map_err(|error| self.failure(container, &error).reading())
    }

    async fn commit(
        &self,
        container: Container,
        partition: &str,
        operations: Vec<Operation>,
    ) -> Result<Vec<Option<Etag>>, CommitError> {
        limits::check_commit(partition, &operations)?;
        commit::commit(self, container, partition, &operations).await
    }
}
