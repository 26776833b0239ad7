//! Programs that stand before the real ones on the path and write down how they were called. Terraform's answers for its
//! outputs, as `terraform/outputs.tf` declares them, and for nothing else.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// What a deployment's outputs are like.
pub const OUTPUTS: &str = r#"{
  "resource_group": {"value": "rg-x"}, "hosting": {"value": "flex"}, "reachable": {"value": ["in.example", "ops.example"]},
  "apps": {"value": {
    "ingest": {"name": "func-ingest", "deployment_url": "https://st.example/deploy-ingest"},
    "delivery": {"name": "func-delivery", "deployment_url": "https://st.example/deploy-delivery"},
    "sms": {"name": "func-sms", "deployment_url": "https://st.example/deploy-sms"}}},
  "vendor_url": {"value": "https://hooks.example"}, "key_vault": {"value": {"name": "kv-x", "secrets": []}},
  "service_bus": {"value": "sb.example"}, "cosmos": {"value": "https://cosmos.example"}, "overflow_account": {"value": "sto"}
}"#;

/// `terraform -chdir=terraform output [-raw|-json] [NAME]`; as Terraform, it prints only text raw.
const TERRAFORM: &str = r#"
case "$1 $2 $3 $#" in
  "-chdir=terraform output -json 3") exec cat "$DOUBLES/outputs.json" ;;
  "-chdir=terraform output -json 4") exec cat "$DOUBLES/output.$4.json" ;;
  "-chdir=terraform output -raw 4") exec cat "$DOUBLES/output.$4.raw" ;;
esac
echo "this is a double, which knows no such command: terraform $*" >&2
exit 1"#;

/// A folder of such programs, and one that looks like a checkout.
pub struct Doubles {
    folder: tempfile::TempDir,
}

impl Doubles {
    /// Terraform alone.
    ///
    /// # Panics
    /// `terraform/outputs.tf` has no such output.
    pub fn terraform(outputs: &str) -> Self {
        let doubles = Self { folder: tempfile::tempdir().unwrap() };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let declared = fs::read_to_string(root.join("terraform/outputs.tf")).unwrap();
        for (name, output) in serde_json::from_str::<BTreeMap<String, Value>>(outputs).unwrap() {
            let line = format!("output \"{name}\" {{");
            assert!(declared.lines().any(|declared| declared == line), "terraform/outputs.tf has no {name}");
            let value = &output["value"];
            fs::write(doubles.path(&format!("output.{name}.json")), value.to_string()).unwrap();
            if let Some(text) = value.as_str() {
                fs::write(doubles.path(&format!("output.{name}.raw")), text).unwrap();
            }
        }
        fs::write(doubles.path("outputs.json"), outputs).unwrap();
        doubles.program("terraform", TERRAFORM);
        doubles
    }

    /// Everything that the scripts of terraform/ call.
    pub fn of_a_deployment(outputs: &str) -> Self {
        let doubles = Self::terraform(outputs);
        doubles.program("az", "case \"$*\" in *secret*) echo s3cret;; esac");
        doubles.program("curl", "");
        doubles.program(
            "sluice",
            "echo \"  with $SLUICE_BUS $SLUICE_PUBLIC_URL $ServiceBusConnection__fullyQualifiedNamespace \
             $CosmosConnection__accountEndpoint $BlobConnection__accountName [$TWILIO_AUTH_TOKEN]\" >>\"$DOUBLES/calls\"
             case \"$1\" in vendors) echo '[{\"vendor\":\"twilio\",\"missing\":[\"TWILIO_AUTH_TOKEN\"]}]';; esac",
        );
        fs::create_dir_all(doubles.path("checkout/packages")).unwrap();
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform"), doubles.path("checkout/terraform")).unwrap();
        for app in ["ingest", "sms", "delivery"] {
            fs::write(doubles.package(app), "").unwrap();
        }
        doubles
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn package(&self, app: &str) -> PathBuf {
        self.path(&format!("checkout/packages/sluice-{app}.zip"))
    }

    pub fn program(&self, name: &str, then: &str) {
        let text = format!("#!/bin/sh\necho {name} \"$@\" >>\"$DOUBLES/calls\"\n{then}\n");
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a command needs that is to find them.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        [("PATH", path), ("DOUBLES", self.folder.path().display().to_string())]
    }

    /// Runs lines as a reader would paste them.
    pub fn lines(&self, lines: &str) -> Output {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", lines]).current_dir(self.path("checkout")).envs(self.settings());
        command.env_remove("GITHUB_ACTIONS").env_remove("SMOKE_VENDOR").output().unwrap()
    }

    pub fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.path("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}
