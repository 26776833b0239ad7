//! The one list of containers: names come from [`Container`], and here is what else makes them. Terraform creates the
//! same; [`create`] does it where only a key is needed, on an emulator.
//!
//! Bodies are not indexed but for what the program's queries ask for: an index over everything would double what a write
//! costs (<https://learn.microsoft.com/azure/cosmos-db/index-policy>).

use azure_data_cosmos::{
    CosmosError,
    models::{
        CompositeIndex, CompositeIndexOrder::Ascending, CompositeIndexProperty, ContainerProperties, IndexingMode,
        IndexingPolicy, TimeToLive,
    },
};

use super::CosmosDocuments;
use crate::documents::Container;

/// The path of the partition key in every container.
pub const PARTITION_KEY_PATH: &str = "/pk";

/// The properties of the bodies that queries sort by.
pub fn sorted(container: Container) -> &'static [&'static str] {
    match container {
        Container::Ledger => &["created_at"],
        Container::Retries | Container::Spool => &["due_at"],
        Container::Parked => &["parked_at"],
        Container::Consent | Container::Registry | Container::Deliveries => &[],
    }
}

/// The properties of the bodies that queries filter by.
pub fn filtered(container: Container) -> &'static [&'static str] {
    match container {
        Container::Ledger => &["created_at"],
        Container::Retries => &["due_at", "message_key"],
        Container::Parked => &["parked_at", "message_key"],
        Container::Spool => &["due_at"],
        Container::Consent | Container::Registry | Container::Deliveries => &[],
    }
}

/// What the container is created from. Items may have a time to live of their own; there is no default.
pub fn properties(container: Container) -> ContainerProperties {
    let composite = |sort: Option<&str>| {
        let paths = sort.map(|field| format!("/body/{field}")).into_iter();
        paths.chain([PARTITION_KEY_PATH.to_owned(), "/id".to_owned()]).fold(CompositeIndex::default(), |index, path| {
            index.with_property(CompositeIndexProperty::new(path, Ascending))
        })
    };
    let mut policy = IndexingPolicy::default()
        .with_indexing_mode(IndexingMode::Consistent)
        .with_included_path(format!("{PARTITION_KEY_PATH}/?"))
        .with_excluded_path("/*")
        .with_composite_index(composite(None));
    policy.automatic = true;
    for field in filtered(container) {
        policy = policy.with_included_path(format!("/body/{field}/?"));
    }
    for field in sorted(container) {
        policy = policy.with_composite_index(composite(Some(field)));
    }
    ContainerProperties::new(container.name(), PARTITION_KEY_PATH.into())
        .with_indexing_policy(policy)
        .with_default_ttl(TimeToLive::NoDefault)
}

/// Whether something was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New,
    Existed,
}

/// Creates the database and every container that is missing. What exists stays as it is. Needs a key: the data plane's
/// roles cannot create containers.
///
/// # Errors
/// The account cannot be reached, or does not allow it.
pub async fn create(store: &CosmosDocuments) -> Result<Vec<(String, Created)>, CosmosError> {
    let client = store.client().await?;
    let database = client.create_database(&store.database, None).await.map(|_| ());
    let mut report = vec![(format!("database {}", store.database), created(database)?)];
    let database = client.database_client(store.database.clone());
    for container in Container::ALL {
        let answer = database.create_container(properties(container), None).await.map(|_| ());
        report.push((format!("container {}", container.name()), created(answer)?));
    }
    Ok(report)
}

fn created(answer: Result<(), CosmosError>) -> Result<Created, CosmosError> {
    match answer {
        Ok(()) => Ok(Created::New),
        Err(error) if error.status().is_conflict() => Ok(Created::Existed),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_indexes_what_is_asked_for_and_nothing_else() {
        let retries = serde_json::to_value(properties(Container::Retries)).unwrap();
        assert_eq!(retries["id"], "retries");
        assert_eq!(retries["partitionKey"]["paths"], json!(["/pk"]));
        assert_eq!(retries["defaultTtl"], -1);
        let policy = &retries["indexingPolicy"];
        assert_eq!(policy["excludedPaths"], json!([{"path": "/*"}]));
        let included = json!([{"path": "/pk/?"}, {"path": "/body/due_at/?"}, {"path": "/body/message_key/?"}]);
        assert_eq!(policy["includedPaths"], included);
        let index = |paths: &[&str]| {
            json!(paths.iter().map(|path| json!({"path": path, "order": "ascending"})).collect::<Vec<_>>())
        };
        let composite = json!([index(&["/pk", "/id"]), index(&["/body/due_at", "/pk", "/id"])]);
        assert_eq!(policy["compositeIndexes"], composite);
    }
}
