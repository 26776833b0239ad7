//! What is checked in for the emulators agrees with the program. The emulators themselves need Docker, and are not run here.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde::Deserialize;
use serde_json::Value;
use sluice::{
    azure::{blobs, cosmos::Account, service_bus::ConnectionString},
    config::{Blobs, Config, Connection, Documents},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn the_service_bus_emulators_configuration_is_what_the_topology_generates() {
    let folder = tempfile::tempdir().unwrap();
    let mut init = Command::new(env!("CARGO_BIN_EXE_sluice"));
    init.args(["init-azure", "--emulator-config"]).arg(folder.path().join("new")).arg("--root").arg(root()).env_clear();
    let output = init.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("duplicate detection for PT5M instead of PT10M"), "{told}");
    let generated = std::fs::read_to_string(folder.path().join("new/service-bus.json")).unwrap();
    let again = "run sluice init-azure --emulator-config emulators";
    assert!(generated == read("emulators/service-bus.json"), "emulators/service-bus.json is out of date: {again}");
}

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    image: String,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    depends_on: Vec<String>,
}

impl Service {
    /// Ports of this machine.
    fn ports(&self) -> Vec<u16> {
        let port = |text: &String| {
            let here = text.strip_prefix("127.0.0.1:").expect("only this machine may reach an emulator");
            here.split(':').next().unwrap().parse().unwrap()
        };
        self.ports.iter().map(port).collect()
    }
}

#[test]
fn the_compose_file_serves_what_the_example_of_local_settings_connects_to() {
    let compose: Compose = serde_saphyr::from_str(&read("compose.yaml")).unwrap();
    let settings: Value = serde_json::from_str(&read("local.settings.json.example")).unwrap();
    let setting = |name: &str| settings["Values"][name].as_str().map(str::to_owned);
    let config = Config::parse(Path::new("sluice.toml"), &read("sluice.toml"), &setting).unwrap();

    let bus = &compose.services["service-bus"];
    let Some(Ok(Connection::Key(key))) = &config.service_bus else { panic!("{:?}", config.service_bus) };
    let endpoint = ConnectionString::parse(key.expose()).unwrap().endpoint;
    assert!(bus.ports().contains(&endpoint.port) && !endpoint.tls, "{endpoint}");
    let mounted =
        bus.volumes.iter().find_map(|volume| volume.split_once(":/ServiceBus_Emulator/ConfigFiles/Config.json"));
    assert!(root().join(mounted.unwrap().0).is_file());
    // It keeps everything in SQL Server, with the same password.
    let sql = &compose.services[&bus.depends_on[0]];
    assert_eq!(bus.environment["SQL_SERVER"], bus.depends_on[0]);
    assert_eq!(bus.environment["MSSQL_SA_PASSWORD"], sql.environment["MSSQL_SA_PASSWORD"]);

    let Documents::Cosmos(cosmos) = &config.documents else { panic!("{:?}", config.documents) };
    let url = Account::url(cosmos.connection.as_ref().unwrap()).unwrap();
    let service = &compose.services["cosmos"];
    assert_eq!(service.ports(), [url.port_or_known_default().unwrap()]);
    assert_eq!(service.environment["PROTOCOL"], url.scheme());

    let Blobs::Azure(container) = &config.blobs else { panic!("{:?}", config.blobs) };
    let url = blobs::url(container.connection.as_ref().unwrap()).unwrap();
    assert!(compose.services["azurite"].ports().contains(&url.port().unwrap()), "{url}");

    for (name, service) in &compose.services {
        assert!(service.image.starts_with("mcr.microsoft.com/"), "{name} is not Microsoft's own: {}", service.image);
        service.ports();
    }
}
