//! Blob Storage: the account, the container, and whether a blob can be written.

use futures_util::StreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, path::Path as Name};

use super::{
    bus::who,
    patience::{Patience, STEP, Silence, TOKEN},
    reach,
    report::Steps,
};
use crate::{
    azure::blobs,
    config::{BlobContainer, Blobs, Config, Connection},
};

/// Always the same, so that probes that could not be deleted do not gather.
const PROBE: &str = "doctor/probe";

/// Also returns by how many seconds our clock is ahead, where the account told.
pub(super) async fn examine(config: &Config) -> (Steps, Option<f64>) {
    let mut steps = Steps::of("blobs");
    let Blobs::Azure(container) = &config.blobs else { return (steps, None) };
    let skew = look(container, &mut steps).await;
    (steps, skew)
}

async fn look(container: &BlobContainer, steps: &mut Steps) -> Option<f64> {
    let connection = match &container.connection {
        Ok(connection) => connection,
        Err(missing) => {
            steps.skip("Blob Storage", missing.to_string());
            return None;
        }
    };
    let opened = blobs::url(connection)
        .and_then(|url| Ok((url, blobs::open(connection, &container.container, STEP.mul_f64(0.9))?)));
    let (url, store) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            steps.fail("Blob Storage", error.to_string(), "Correct the setting: it names no account");
            return None;
        }
    };
    let place = url.origin().ascii_serialization();
    steps.ok("Blob Storage", format!("{place}, container {}, with {}", container.container, who(connection)));

    let patience = Patience::new();
    let skew = reach::over_http(&url, false, "container", patience, steps).await?.skew;
    let what = format!("container {}", container.container);
    // The first call gets the token, too.
    let listed = patience.wait(TOKEN, async { store.list(Some(&Name::from("doctor"))).next().await.transpose() }).await;
    if tell(&what, "it can be listed", listed.map(|listed| listed.map(|_| ())), container, connection, steps) {
        let written = patience.wait(STEP, write(store.as_ref())).await;
        tell("write", "a blob was written and deleted", written, container, connection, steps);
    }
    skew
}

async fn write(store: &dyn ObjectStore) -> object_store::Result<()> {
    let probe = Name::from(PROBE);
    store.put(&probe, "written by sluice doctor".into()).await?;
    match store.delete(&probe).await {
        // Another doctor was here.
        Err(Error::NotFound { .. }) => Ok(()),
        deleted => deleted,
    }
}

/// Adds the step; whether it went well.
fn tell(
    what: &str,
    good: &str,
    looked: Result<object_store::Result<()>, Silence>,
    container: &BlobContainer,
    connection: &Connection,
    steps: &mut Steps,
) -> bool {
    let name = &container.container;
    let error = match looked {
        Ok(Ok(())) => {
            steps.ok(what, good);
            return true;
        }
        Err(silence) => {
            steps.fail(what, silence.to_string(), "The account hangs, or no token comes: wait, and ask again");
            return false;
        }
        Ok(Err(error)) => error,
    };
    let (found, advice) = match (status(&error), connection) {
        (Some(404), _) => (
            "does not exist",
            "Create it: terraform apply, or sluice init-azure against Azurite; or correct blobs.container".to_owned(),
        ),
        (Some(401 | 403), Connection::Identity { .. }) => (
            "access denied",
            format!(
                "Assign the role Storage Blob Data Contributor on the container (scope <account id>/blobServices/default/\
                 containers/{name}), and let the account's network rules admit this app"
            ),
        ),
        (Some(401 | 403), Connection::Key(_)) => (
            "access denied",
            "Correct the connection string's key, and let the account's network rules admit this machine".to_owned(),
        ),
        _ => ("it failed", "Ask again; if it stays, look at the account's metrics".to_owned()),
    };
    steps.fail(what, format!("{found} ({error})"), advice);
    false
}

/// The status of an answer. `object_store` keeps it to itself where it lists: there it is in the text alone.
fn status(error: &Error) -> Option<u16> {
    match error {
        Error::NotFound { .. } => Some(404),
        Error::PermissionDenied { .. } => Some(403),
        Error::Unauthenticated { .. } => Some(401),
        other => other.to_string().split_once("status code: ")?.1.get(..3)?.parse().ok(),
    }
}
