//! Faults of ports: a rule looks at each call and says what becomes of it; one decorator around each port carries that out.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sluice::documents::{
    Action, CommitError, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query,
};

/// What a fault does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and has no effect.
    Before,
    /// The call has its effect, and then its answer is lost. A driver that retries an ambiguous write by itself then meets
    /// its own effect, and says so.
    After,
    /// The call has its effect, and then its answer is lost: an error says that nothing is known.
    Lost,
    /// The call never answers and has no effect.
    Hang,
    /// The call has its effect and never answers.
    Mute,
    /// The call takes this much longer.
    Slow(Duration),
    /// The call never answers, and has its effect after so long, whatever the caller has done since.
    Late(Duration),
}

/// A call, as a rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `bus.publish`, `documents.commit` ...
    pub method: &'static str,
    /// The container or topic.
    pub of: &'a str,
    /// What the call is about, where it is about one thing: a partition, a message id, a blob's name.
    pub about: &'a str,
    pub operations: &'a [Operation],
}

type Rule = dyn Fn(&Call<'_>) -> Option<Fault> + Send + Sync;

/// Where a test says which calls fail. Clones are one switch.
#[derive(Clone, Default)]
pub struct Switch(Arc<Mutex<Option<Arc<Rule>>>>);

impl fmt::Debug for Switch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Switch")
    }
}

impl Switch {
    pub fn set(&self, rule: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        *self.0.lock().unwrap() = Some(Arc::new(rule));
    }

    pub fn heal(&self) {
        *self.0.lock().unwrap() = None;
    }

    pub fn fault(&self, call: &Call<'_>) -> Option<Fault> {
        let rule = self.0.lock().unwrap().clone();
        rule.and_then(|rule| rule(call))
    }
}

/// Carries a call out as its fault wants it. `lost` is the error of a port that knows nothing.
pub async fn carry_out<T, E>(
    fault: Option<Fault>,
    call: impl Future<Output = Result<T, E>> + Send + 'static,
    lost: impl FnOnce() -> E,
) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    match fault {
        None => call.await,
        Some(Fault::Before) => Err(lost()),
        Some(Fault::After | Fault::Lost) => {
            call.await?;
            Err(lost())
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Mute) => {
            call.await?;
            std::future::pending().await
        }
        Some(Fault::Slow(more)) => {
            tokio::time::sleep(more).await;
            call.await
        }
        Some(Fault::Late(after)) => {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                call.await
            });
            std::future::pending().await
        }
    }
}

/// Documents with faults.
#[derive(Debug)]
pub struct FaultyDocuments {
    pub inner: Arc<dyn Documents>,
    pub switch: Switch,
    pub commits: AtomicUsize,
}

impl FaultyDocuments {
    pub fn new(inner: Arc<dyn Documents>) -> Self {
        Self { inner, switch: Switch::default(), commits: AtomicUsize::default() }
    }

    /// Faults of commits.
    pub fn fail(&self, rule: impl Fn(Container, &str, &[Operation]) -> Option<Fault> + Send + Sync + 'static) {
        self.switch.set(move |call| {
            let container = Container::ALL.into_iter().find(|container| container.name() == call.of)?;
            (call.method == "documents.commit").then(|| rule(container, call.about, call.operations))?
        });
    }

    pub fn heal(&self) {
        self.switch.heal();
    }

    fn fault(&self, method: &'static str, container: Container, about: &str) -> Option<Fault> {
        self.switch.fault(&Call { method, of: container.name(), about, operations: &[] })
    }
}

fn away() -> DocumentsError {
    DocumentsError::Unavailable("injected".into())
}

#[async_trait]
impl Documents for FaultyDocuments {
    async fn read(&self, container: Container, partition: &str, id: &str) -> Result<Option<Document>, DocumentsError> {
        let fault = self.fault("documents.read", container, partition);
        let (inner, partition, id) = (self.inner.clone(), partition.to_owned(), id.to_owned());
        carry_out(fault, async move { inner.read(container, &partition, &id).await }, away).await
    }

    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError> {
        let fault = self.fault("documents.query", container, query.partition.as_deref().unwrap_or_default());
        let (inner, query) = (self.inner.clone(), query.clone());
        carry_out(fault, async move { inner.query(container, &query).await }, away).await
    }

    async fn count(&self, container: Container, query: &Query) -> Result<u64, DocumentsError> {
        let fault = self.fault("documents.count", container, query.partition.as_deref().unwrap_or_default());
        let (inner, query) = (self.inner.clone(), query.clone());
        carry_out(fault, async move { inner.count(container, &query).await }, away).await
    }

    async fn commit(
        &self,
        container: Container,
        partition: &str,
        operations: Vec<Operation>,
    ) -> Result<Vec<Option<Etag>>, CommitError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let call = Call { method: "documents.commit", of: container.name(), about: partition, operations: &operations };
        let fault = self.switch.fault(&call);
        let created = operations.iter().enumerate().find_map(|(operation, step)| match step.action {
            Action::Create { .. } => Some(CommitError::Conflict { operation, id: step.id.clone() }),
            _ => None,
        });
        let lost = || match (fault, created) {
            (Some(Fault::After), Some(conflict)) => conflict,
            _ => CommitError::Unavailable("injected".into()),
        };
        let (inner, partition) = (self.inner.clone(), partition.to_owned());
        carry_out(fault, async move { inner.commit(container, &partition, operations).await }, lost).await
    }

    async fn compact(&self) -> Result<Option<(u64, u64)>, DocumentsError> {
        self.inner.compact().await
    }
}
