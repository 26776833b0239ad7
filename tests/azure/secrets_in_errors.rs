//! What a wrong setting makes the program say never holds the key that somebody put there.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// In every setting of these tests. Base64, so that it passes for a key where one is decoded.
const KEY: &str = "5f2eTheRealKey5f2eTheRealKey5f2eTheRealKey5f2e==";

/// Everything that `sluice serve` says with these settings until it gives up, or for a moment.
fn said(settings: &[(&str, &str)]) -> String {
    let data = tempfile::tempdir().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["serve", "--port", "0", "--root", env!("CARGO_MANIFEST_DIR"), "--data"])
        .arg(data.path())
        .env("RUST_LOG", "debug")
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while process.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(20));
    }
    process.kill().ok();
    let output = process.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn a_connection_string_where_an_address_belongs_is_not_repeated_and_told_where_it_belongs() {
    for (kind, variable, text, home) in [
        (
            ("SLUICE_BUS", "service-bus"),
            "ServiceBusConnection__fullyQualifiedNamespace",
            format!("Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={KEY}"),
            "ServiceBusConnection",
        ),
        (
            ("SLUICE_DOCUMENTS", "cosmos"),
            "CosmosConnection__accountEndpoint",
            format!("AccountEndpoint=https://contoso.documents.azure.com:443/;AccountKey={KEY};"),
            "CosmosConnection",
        ),
        (
            ("SLUICE_BLOBS", "azure"),
            "BlobConnection__accountName",
            format!("DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey={KEY}"),
            "BlobConnection",
        ),
        (("SLUICE_BLOBS", "azure"), "BlobConnection__accountName", format!("SharedAccessSignature=sv=1&sig={KEY}"), ""),
    ] {
        let told = said(&[kind, (variable, &text)]);
        assert!(!told.contains("5f2e"), "{told}");
        assert!(told.contains(variable) && told.contains(home) && told.contains("connection string"), "{told}");
    }
}

#[test]
fn a_connection_that_key_vault_refused_is_told_as_such() {
    let reference = "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/bus)";
    for variable in ["ServiceBusConnection", "ServiceBusConnection__fullyQualifiedNamespace"] {
        let told = said(&[("SLUICE_BUS", "service-bus"), (variable, reference)]);
        assert!(told.contains(variable) && told.contains("unresolved Key Vault reference"), "{told}");
    }
}

#[test]
fn a_connection_string_that_cannot_be_used_is_told_without_its_key() {
    for (kind, variable, text) in [
        (
            ("SLUICE_BUS", "service-bus"),
            "ServiceBusConnection",
            format!(
                "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=Root;SharedAccessKey={KEY};UseDevelopmentEmulator=true"
            ),
        ),
        (("SLUICE_BUS", "service-bus"), "ServiceBusConnection", format!("SharedAccessKey={KEY}")),
        (
            ("SLUICE_DOCUMENTS", "cosmos"),
            "CosmosConnection",
            format!("AccountEndpoint=http://127.0.0.1:1/;AccountKey={KEY}"),
        ),
        (
            ("SLUICE_DOCUMENTS", "cosmos"),
            "CosmosConnection",
            format!("AccountEndpoint=http://127.0.0.1:1/;AccountKey=?{KEY}"),
        ),
        (("SLUICE_DOCUMENTS", "cosmos"), "CosmosConnection", format!("AccountKey={KEY}")),
        (("SLUICE_BLOBS", "azure"), "BlobConnection", format!("AccountName=contoso;AccountKey=?{KEY}")),
        (
            ("SLUICE_BLOBS", "azure"),
            "BlobConnection",
            format!("AccountName=contoso;AccountKey={KEY};BlobEndpoint=no address"),
        ),
    ] {
        let told = said(&[kind, (variable, &text)]);
        assert!(!told.is_empty() && !told.contains("5f2e"), "{told}");
    }
}
