//! What `sluice package` lays out, and what its check finds.

mod hostile;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sluice::{
    functions::FUNCTIONS,
    package::{APPS, AppPlan, Sources, check, write_folder, write_zip},
};

fn sources() -> Sources {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Sources { config: root.join("sluice.toml"), root, executable: env!("CARGO_BIN_EXE_sluice").into() }
}

fn all() -> &'static AppPlan {
    AppPlan::named("all").unwrap()
}

fn settings(name: &str) -> Option<String> {
    name.ends_with("_TOPIC").then(|| name.to_lowercase())
}

fn problems(path: &Path) -> Vec<String> {
    check(path, &settings).unwrap()
}

fn sluice(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env_remove("FUNCTIONS_CUSTOMHANDLER_PORT").output().unwrap()
}

#[test]
fn every_function_is_in_one_app_and_in_all() {
    let functions: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
    assert_eq!(all().folders().into_iter().collect::<BTreeSet<_>>(), functions);
    let apart = APPS.iter().filter(|app| app.name != "all").flat_map(|app| app.functions);
    let mut apart: Vec<_> = apart.copied().collect();
    apart.push("health");
    apart.sort_unstable();
    assert_eq!(apart, functions.into_iter().collect::<Vec<_>>());
}

#[test]
fn every_app_passes_the_check_as_a_folder_and_as_a_zip_file() {
    let folder = tempfile::tempdir().unwrap();
    for app in APPS {
        let target = folder.path().join(app.name);
        write_folder(app, &sources(), &target).unwrap();
        assert_eq!(problems(&target), [""; 0], "{}", app.name);
        // The host looks for function folders directly below its root.
        for function in app.folders() {
            assert!(target.join(function).join("function.json").is_file(), "{}: {function}", app.name);
        }
    }
    let zip = folder.path().join("ingest.zip");
    write_zip(AppPlan::named("ingest").unwrap(), &sources(), &zip).unwrap();
    assert_eq!(problems(&zip), [""; 0]);
}

#[test]
fn a_function_that_a_setting_switches_off_is_in_the_package_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("delivery");
    write_folder(AppPlan::named("delivery").unwrap(), &sources(), &target).unwrap();
    let off = |name: &str| match name {
        "AzureWebJobs.project-sql.Disabled" => Some("true".to_owned()),
        name => settings(name),
    };
    assert_eq!(check(&target, &off).unwrap(), [""; 0]);
}

#[test]
fn equal_sources_give_equal_bytes_wherever_and_whenever_they_were_copied() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("program");
    std::fs::copy("/bin/true", &small).unwrap();
    let sources = Sources { executable: small, ..sources() };
    let first = folder.path().join("a.zip");
    write_zip(all(), &sources, &first).unwrap();
    let first = std::fs::read(first).unwrap();
    // Zip files tell times in steps of two seconds.
    std::thread::sleep(std::time::Duration::from_millis(2100));

    let again = folder.path().join("b.zip");
    write_zip(all(), &sources, &again).unwrap();
    assert!(first == std::fs::read(&again).unwrap(), "another time");

    // Another checkout: new files, with the modes that another umask gives.
    let root = folder.path().join("elsewhere");
    let copied = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        let target = root.join(path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(sources.root.join(path), &target).unwrap();
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
        target
    };
    copied("host.json");
    for function in all().folders() {
        copied(&format!("functions/{function}/function.json"));
    }
    let executable = root.join("bin");
    std::fs::copy(&sources.executable, &executable).unwrap();
    let elsewhere = Sources { config: copied("sluice.toml"), root: root.clone(), executable };
    write_zip(all(), &elsewhere, &again).unwrap();
    assert!(first == std::fs::read(&again).unwrap(), "another place");

    std::fs::write(root.join("host.json"), "{}").unwrap();
    write_zip(all(), &elsewhere, &again).unwrap();
    assert!(first != std::fs::read(&again).unwrap(), "other sources");
}

#[test]
fn a_second_package_replaces_the_first_and_nothing_else_is_ever_removed() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("build");
    write_folder(all(), &sources(), &target).unwrap();
    write_folder(AppPlan::named("sms").unwrap(), &sources(), &target).unwrap();
    assert!(!target.join("ingest").exists());

    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("letters.txt"), "dear").unwrap();
    let error = write_folder(all(), &sources(), &home).unwrap_err().to_string();
    assert!(error.contains("is not empty and holds no package"), "{error}");
    assert!(home.join("letters.txt").is_file());

    let missing = Sources { executable: folder.path().join("nowhere"), ..sources() };
    assert!(write_folder(all(), &missing, &target).is_err());
    assert!(target.join("process-sms").is_dir(), "the earlier package stays until the new one can be made");
}

#[test]
fn the_check_names_what_the_host_would_stumble_over() {
    let folder = tempfile::tempdir().unwrap();
    let spoil = |name: &str, change: &dyn Fn(&Path)| {
        let target = folder.path().join(name);
        write_folder(all(), &sources(), &target).unwrap();
        change(&target);
        problems(&target).join("\n")
    };
    let told = spoil("mode", &|root| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(root.join("sluice"), std::fs::Permissions::from_mode(0o644)).unwrap();
    });
    assert!(told.contains("sluice is not executable"), "{told}");
    let told = spoil("script", &|root| std::fs::write(root.join("sluice"), "#!/bin/sh\necho no program\n").unwrap());
    assert!(told.contains("no program for Linux on x86-64"), "{told}");
    let told = spoil("gone", &|root| std::fs::remove_file(root.join("sluice")).unwrap());
    assert!(told.contains("sluice, which host.json starts"), "{told}");
    let told = spoil("source", &|root| std::fs::create_dir(root.join("functions")).unwrap());
    assert!(told.contains("functions/ is a folder of the source"), "{told}");
    let told = spoil("secret", &|root| std::fs::write(root.join("local.settings.json"), "{}").unwrap());
    assert!(told.contains("it holds secrets"), "{told}");
    let told = spoil("half", &|root| std::fs::remove_dir_all(root.join("ingest")).unwrap());
    assert!(told.contains("these functions are no app's"), "{told}");
    let told = spoil("config", &|root| std::fs::write(root.join("sluice.toml"), "profile = 1").unwrap());
    assert!(told.contains("sluice.toml:1"), "{told}");
    let told = spoil("broken", &|root| std::fs::write(root.join("ingest/function.json"), "{").unwrap());
    assert!(told.contains("function ingest: function.json is not JSON"), "{told}");
}

#[test]
fn the_command_writes_checks_and_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("build");
    let out = out.to_str().unwrap();
    let written = sluice(&["package", "--app", "all", "--out", out, "--root", env!("CARGO_MANIFEST_DIR")]);
    let text = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(written.status.success() && text.starts_with("ok: app all: deliver, health, ingest"), "{text}{written:?}");
    assert!(sluice(&["package", "--check", out]).status.success());
    std::fs::remove_file(format!("{out}/host.json")).unwrap();
    assert!(!sluice(&["package", "--check", out]).status.success());
    assert!(!sluice(&["package", "--app", "payments", "--out", out]).status.success());
}
