//! Cosmos DB: the account, the database, each container, and whether a document can be written.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    bus::{no_token, who},
    patience::{Patience, STEP, Silence, TOKEN},
    reach,
    report::Steps,
};
use crate::{
    azure::{
        cosmos::{Account, CosmosDocuments, LookError},
        identity,
    },
    config::{self, Config, Connection, Cosmos},
    documents::{Container, Documents, Operation},
};

/// What tokens for Cosmos DB are asked for.
const SCOPE: &str = "https://cosmos.azure.com/.default";
/// The probe's partition and id; in `registry` nothing else is below this partition.
const PROBE: &str = "doctor";
/// Should the delete not get through, the probe goes by itself.
const PROBE_LIVES: Duration = Duration::from_secs(60);

/// Also returns by how many seconds our clock is ahead, where the account told.
pub(super) async fn examine(config: &Config) -> (Steps, Option<f64>) {
    let mut steps = Steps::of("documents");
    let config::Documents::Cosmos(cosmos) = &config.documents else { return (steps, None) };
    let skew = look(cosmos, &mut steps).await;
    (steps, skew)
}

async fn look(cosmos: &Cosmos, steps: &mut Steps) -> Option<f64> {
    let connection = match &cosmos.connection {
        Ok(connection) => connection,
        Err(missing) => {
            steps.skip("Cosmos DB", missing.to_string());
            return None;
        }
    };
    let account = Account::url(connection).and_then(|url| Ok((url, Account::from_connection(connection)?)));
    let (url, account) = match account {
        Ok(account) => account,
        Err(error) => {
            steps.fail("Cosmos DB", error.to_string(), "Correct the setting: it names no account");
            return None;
        }
    };
    steps.ok(
        "Cosmos DB",
        format!("{}, database {}, with {}", url.origin().ascii_serialization(), cosmos.database, who(connection)),
    );

    let patience = Patience::new();
    let host = url.host_str().unwrap_or_default();
    let emulator = matches!(connection, Connection::Key(_)) && ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    let skew = reach::over_http(&url, emulator, "containers", patience, steps).await?.skew;
    if token(connection, patience, steps).await {
        let store = Arc::new(CosmosDocuments::new(account, cosmos.database.clone(), STEP));
        containers(&store, cosmos, connection, patience, steps).await;
    }
    skew
}

/// Whether there is a token, where one is needed.
async fn token(connection: &Connection, patience: Patience, steps: &mut Steps) -> bool {
    let Connection::Identity { client_id, .. } = connection else { return true };
    let failed = match identity::credential(client_id.as_deref()) {
        Err(error) => error.to_string(),
        Ok(credential) => match patience.wait(TOKEN, credential.get_token(&[SCOPE], None)).await {
            Ok(Ok(_)) => {
                steps.ok("token", "Entra ID gives one");
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(silence) => silence.to_string(),
        },
    };
    steps.fail("token", failed, no_token());
    false
}

async fn containers(
    store: &CosmosDocuments,
    cosmos: &Cosmos,
    connection: &Connection,
    patience: Patience,
    steps: &mut Steps,
) {
    let advisor = Advisor { cosmos, connection };
    let looked = patience.wait(STEP, store.look_at_account()).await;
    if !advisor.tell("account", "it lets us in", looked, steps) {
        return;
    }
    let looked = patience.wait(STEP, store.look_at_database()).await;
    if !advisor.tell(&format!("database {}", cosmos.database), "it is there", looked, steps) {
        return;
    }
    let mut registry = false;
    for container in Container::ALL {
        let looked = patience.wait(STEP, store.look_at(container)).await;
        let silent = looked.is_err();
        let works = advisor.tell(&format!("container {}", container.name()), "it can be read", looked, steps);
        registry |= works && container == Container::Registry;
        if silent {
            steps.skip("containers", "not looked at further: the account is silent");
            return;
        }
    }
    if registry {
        write(store, &advisor, patience, steps).await;
    } else {
        steps.skip("write", "not tried: it needs the container registry");
    }
}

/// Writes a document as the program does, in a commit, and takes it back.
async fn write(store: &CosmosDocuments, advisor: &Advisor<'_>, patience: Patience, steps: &mut Steps) {
    let probe = Operation::upsert(PROBE, &json!({ "written_by": "sluice doctor" })).with_ttl(PROBE_LIVES);
    let commits = async {
        store.commit(Container::Registry, PROBE, vec![probe]).await?;
        store.commit(Container::Registry, PROBE, vec![Operation::delete(PROBE)]).await
    };
    match patience.wait(STEP, commits).await {
        Ok(Ok(_)) => steps.ok("write", "a document in registry was written and deleted"),
        Ok(Err(error)) => steps.fail("write", error.to_string(), advisor.role()),
        Err(silence) => steps.fail("write", silence.to_string(), "The account hangs: wait, and ask again"),
    }
}

/// Says what to do.
struct Advisor<'a> {
    cosmos: &'a Cosmos,
    connection: &'a Connection,
}

impl Advisor<'_> {
    /// Adds the step; whether it went well.
    fn tell(&self, what: &str, good: &str, looked: Result<Result<(), LookError>, Silence>, steps: &mut Steps) -> bool {
        match &looked {
            Ok(Ok(())) => steps.ok(what, good),
            Ok(Err(error)) => {
                let (found, advice) = self.meaning(error);
                steps.fail(what, found, advice);
            }
            Err(silence) => steps.fail(what, silence.to_string(), "The account hangs: wait, and ask again"),
        }
        matches!(looked, Ok(Ok(())))
    }

    fn meaning(&self, error: &LookError) -> (String, String) {
        let detail = &error.detail;
        match error.status {
            401 => (
                format!("no valid token or key ({detail})"),
                match self.connection {
                    Connection::Key(_) => "Correct the connection string's key".to_owned(),
                    Connection::Identity { .. } => self.role(),
                },
            ),
            403 if detail.to_ascii_lowercase().contains("firewall") => (
                format!("the account's network rules keep us out ({detail})"),
                "Let this app's subnet in, or use the account's private endpoint".to_owned(),
            ),
            403 => (format!("access denied ({detail})"), self.role()),
            404 => (
                format!("does not exist ({detail})"),
                "Create it: terraform apply, or sluice init-azure against an emulator; or correct documents.database"
                    .to_owned(),
            ),
            _ => (detail.clone(), "Ask again; if it stays, look at the account's metrics".to_owned()),
        }
    }

    fn role(&self) -> String {
        match self.connection {
            Connection::Identity { .. } => format!(
                "Assign the role Cosmos DB Built-in Data Contributor (az cosmosdb sql role assignment, scope <account id>/dbs/\
                 {}); it takes minutes to become effective",
                self.cosmos.database
            ),
            Connection::Key(_) => "Take the connection string with a read-write key".to_owned(),
        }
    }
}
