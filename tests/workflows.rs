//! The delivery pipeline: what GitHub runs is pinned and keeps no secret, and its scripts do what they say.

#[path = "support/doubles.rs"]
mod doubles;

use std::{collections::BTreeMap, fs, path::Path};

use doubles::{Doubles, OUTPUTS};
use sluice::package::APPS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every workflow, by its file's name.
fn workflows() -> BTreeMap<String, String> {
    let files = fs::read_dir(root().join(".github/workflows")).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())).collect()
}

/// The action, its commit and its version, of `owner/action@commit # v1.2.3`.
fn pinned(reference: &str) -> Option<(&str, &str, &str)> {
    let (action, rest) = reference.split_once('@')?;
    let (commit, version) = rest.split_once(" # v")?;
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let numbers = version.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    (commit.len() == 40 && commit.bytes().all(hexadecimal) && numbers).then_some((action, commit, version))
}

#[test]
fn every_action_is_pinned_by_its_commit_and_says_its_version() {
    assert_eq!(pinned("actions/checkout@v4 # v4"), None);
    assert_eq!(pinned("actions/checkout@main"), None);
    let mut commits = BTreeMap::new();
    for (file, text) in workflows() {
        let references = text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses:"));
        for reference in references.map(str::trim).filter(|reference| !reference.starts_with("./")) {
            let found = pinned(reference);
            let (action, commit, version) = found.unwrap_or_else(|| panic!("{file}: {reference} can change under us"));
            let first = commits.entry(action.to_owned()).or_insert((commit.to_owned(), version.to_owned()));
            assert_eq!((first.0.as_str(), first.1.as_str()), (commit, version), "{file}: {action} in two versions");
        }
    }
    assert!(commits.len() >= 6, "{commits:?}");
}

#[test]
fn no_workflow_uses_a_stored_secret_or_may_do_more_than_it_says() {
    for (file, text) in workflows() {
        // `github.token` is made for the run; variables are names and ids.
        assert!(!text.contains("secrets."), "{file} uses a stored secret");
        assert!(!text.contains("secrets: inherit"), "{file} hands secrets on");
        assert!(!text.contains("pull_request_target"), "{file} would run a fork's code with our rights");
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{file} begins with the least");
        assert!(!text.contains("write-all"), "{file}");
    }
}

#[test]
fn a_release_has_a_package_for_each_app() {
    let release = &workflows()["release.yml"];
    let apps: Vec<_> = APPS.iter().map(|app| app.name).filter(|name| *name != "all").collect();
    assert!(release.contains(&format!("for app in {}; do", apps.join(" "))), "{apps:?}");
}

// The lines of docs/deployment.md, as they are there: tests/documentation holds them against each other.
const DEPLOY: &str = "terraform/deploy packages";
const SMOKE: &str = r#"export SMOKE_VENDOR=twilio
terraform/smoke "$(command -v sluice)""#;
const VAULT: &str = "export VAULT=$(terraform -chdir=terraform output -json key_vault | jq -r .name)";

#[test]
#[ignore = "needs jq, which the scripts use; .ci/workflows runs it"]
fn packages_are_deployed_readers_first_and_the_door_last() {
    let doubles = Doubles::of_a_deployment(OUTPUTS);
    let output = doubles.lines(DEPLOY);
    assert!(output.status.success(), "{output:?}");
    let deployed: Vec<_> = doubles.calls().into_iter().filter(|call| call.starts_with("az ")).collect();
    let of = |app: &str| {
        let what = "functionapp deployment source config-zip --resource-group rg-x";
        format!("az {what} --name func-{app} --src packages/sluice-{app}.zip --output none")
    };
    assert_eq!(deployed, [of("delivery"), of("sms"), of("ingest")]);
}

#[test]
#[ignore = "needs jq, which the scripts use; .ci/workflows runs it"]
fn nothing_is_deployed_where_a_package_is_missing() {
    let doubles = Doubles::of_a_deployment(OUTPUTS);
    fs::remove_file(doubles.package("ingest")).unwrap();
    let output = doubles.lines(DEPLOY);
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stdout).contains("sluice-ingest.zip is missing")
    );
    assert!(doubles.calls().iter().all(|call| !call.starts_with("az ")), "{:?}", doubles.calls());
}

#[test]
#[ignore = "needs jq, which the scripts use; .ci/workflows runs it"]
fn on_dedicated_plans_a_package_is_put_where_the_app_runs_it_from() {
    let doubles = Doubles::of_a_deployment(&OUTPUTS.replace("flex", "dedicated"));
    let output = doubles.lines(DEPLOY);
    assert!(output.status.success(), "{output:?}");
    let calls = doubles.calls().join("\n");
    assert!(calls.contains("--blob-url https://st.example/deploy-sms/package.zip"), "{calls}");
    assert!(calls.contains("az functionapp restart --resource-group rg-x --name func-sms"), "{calls}");
}

#[test]
#[ignore = "needs jq, which the scripts use; .ci/workflows runs it"]
fn the_smoke_test_asks_every_app_runs_the_doctor_and_follows_one_signed_callback() {
    let doubles = Doubles::of_a_deployment(OUTPUTS);
    let output = doubles.lines(SMOKE);
    assert!(output.status.success(), "{output:?}");
    let calls = doubles.calls();
    let at =
        |what: &str| calls.iter().position(|call| call.contains(what)).unwrap_or_else(|| panic!("{what}: {calls:#?}"));
    assert!(at("https://in.example/health") < at("https://ops.example/health"));
    assert!(at("https://ops.example/health") < at("sluice doctor"));
    assert!(at("sluice doctor") < at("secret show --vault-name kv-x --name twilio-auth-token"));
    let simulate = at("sluice simulate --url https://hooks.example --vendor twilio --count 1 --verify");
    let with = "with service-bus https://hooks.example sb.example https://cosmos.example sto [s3cret]";
    assert_eq!(calls[simulate + 1].trim(), with);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("s3cret"), "the secret is printed");

    let unknown = doubles.lines(&SMOKE.replace("twilio", "nobody"));
    assert!(!unknown.status.success(), "a vendor that is not there cannot be played");

    doubles.program("sluice", "exit 1");
    let ill = doubles.lines(SMOKE);
    assert!(!ill.status.success(), "what the doctor finds fails the smoke test");
}

#[test]
#[ignore = "needs jq, which the page uses; .ci/workflows runs it"]
fn the_vaults_name_is_read_from_terraform() {
    let output = Doubles::of_a_deployment(OUTPUTS).lines(&format!("{VAULT}\necho $VAULT"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "kv-x\n");
}
