//! What is said without asking any service, and in which form.

use std::path::Path;

use serde_json::Value;

use crate::world::{ROOT, command, doctor, owned, run};

#[tokio::test]
async fn settings_are_taken_from_the_file_that_func_start_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.settings.json");
    let with = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let mut doctor = command([], folder.path());
        doctor.arg("--settings").arg(&path);
        run(doctor)
    };
    let told = with(&std::fs::read_to_string(Path::new(ROOT).join("local.settings.json.example")).unwrap()).await;
    // Whether or not the emulators are there.
    told.has(&["ok", "bus", "Service", "Bus"], "localhost:5672 (plain TCP, an emulator)");
    told.has(&["ok", "documents", "Cosmos", "DB"], "https://localhost:8081");
    told.has(&["ok", "blobs", "Blob", "Storage"], "http://127.0.0.1:10000");
    told.has(&["ok", "triggers", "AzureWebJobsStorage"], "");
    assert!(!told.page.contains("FAIL  config") && !told.page.contains("FAIL  functions"), "{}", told.page);
    assert!(!told.page.contains("FAIL  triggers"), "{}", told.page);

    let told = with(r#"{"IsEncrypted":true,"Values":{}}"#).await;
    assert_eq!(told.code, 2);
    assert!(told.errors.contains("func settings decrypt"), "{}", told.errors);
    let told = with(r#"{"Values":{"TWILIO_AUTH_TOKEN":["topsecret"]}}"#).await;
    assert_eq!(told.code, 2);
    assert!(told.errors.contains("line 1") && !told.errors.contains("topsecret"), "{}", told.errors);
}

#[tokio::test]
async fn secrets_that_are_missing_are_named_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("SLUICE_PROFILE", "production"), ("TWILIO_AUTH_TOKEN", "topsecret")];
    let told = doctor(&settings, folder.path()).await;
    told.is_ill();
    told.has(&["FAIL", "config", "secret"], "SENDGRID_PUBLIC_KEY is not set");
    told.has_advice("app setting with a Key Vault reference");
    assert!(!told.page.contains("TWILIO_AUTH_TOKEN") && !told.page.contains("topsecret"), "{}", told.page);

    let settings = [("SENDGRID_PUBLIC_KEY", "@Microsoft.KeyVault(SecretUri=https://v/secrets/s/)")];
    let told = doctor(&settings, folder.path()).await;
    told.has(&["FAIL", "config", "secret"], "unresolved Key Vault reference");
    told.has_advice("Key Vault Secrets User");
}

#[tokio::test]
async fn without_a_configuration_it_says_why_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let mut missing = command([], folder.path());
    missing.args(["--config", "/nowhere/sluice.toml"]);
    let told = run(missing).await;
    assert_eq!((told.code, told.page.as_str()), (2, ""), "{}", told.errors);
    assert!(told.errors.contains("/nowhere/sluice.toml"), "{}", told.errors);
}

#[tokio::test]
async fn a_script_gets_json_with_the_same_steps() {
    let folder = tempfile::tempdir().unwrap();
    let mut json = command(owned(&[("SLUICE_PROFILE", "production")]), folder.path());
    json.arg("--json");
    let told = run(json).await;
    assert_eq!(told.code, 1);
    let report: Value = serde_json::from_str(&told.page).unwrap();
    assert_eq!(report["healthy"], false);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let steps = report["steps"].as_array().unwrap();
    let failed: Vec<_> = steps.iter().filter(|step| step["outcome"] == "fail").collect();
    assert!(!failed.is_empty() && failed.iter().all(|step| step["advice"].is_string()), "{failed:?}");
    assert!(steps.iter().any(|step| step["part"] == "data" && step["outcome"] == "ok"), "{steps:?}");
}
