//! What the custom handler refuses inside a Function App, whatever the app's plan.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[test]
fn a_function_app_on_any_plan_never_acknowledges_onto_its_own_disk() {
    for variable in ["WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "WEBSITE_POD_NAME"] {
        let data = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["serve", "--port", "0", "--root", env!("CARGO_MANIFEST_DIR"), "--data"])
            .arg(data.path().join("sluice"))
            .env("SLUICE_PROFILE", "production")
            .env("SLUICE_PRIVACY_KEY", "0123456789abcdef0123456789abcdef")
            .env(variable, "abc")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while process.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        process.kill().ok();
        let output = process.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{variable}: {told}");
        assert!(told.contains("a Function App's disk is not kept"), "{variable}: {told}");
        assert!(!data.path().join("sluice").exists(), "{variable}");
    }
}
