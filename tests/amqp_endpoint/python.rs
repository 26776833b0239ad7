//! The official Python SDK, which shares no code with anything here. Ignored unless asked for, because it is installed
//! from a package index: `.ci/python-sdk` runs it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sluice::{bus::Property, local::amqp::connection_string};

use crate::client::{World, sms};

const SDK: &str = "azure-servicebus==7.15.0";
const MESSAGES: usize = 1000;

/// A virtual environment with the SDK, made once.
fn environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python-sdk");
    let python = folder.join("bin/python");
    let has_sdk = |python: &Path| {
        let check = "import importlib.metadata as m, sys; sys.exit(m.version('azure-servicebus') != sys.argv[1])";
        let version = SDK.split("==").nth(1).unwrap();
        Command::new(python).args(["-c", check, version]).output().is_ok_and(|output| output.status.success())
    };
    if !has_sdk(&python) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", SDK]));
        assert!(has_sdk(&python), "{SDK} is not there after its installation");
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    print!("{}", text(&output.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "installs the Python SDK: run .ci/python-sdk"]
async fn python_sdk_sends_receives_settles_peeks_and_schedules() {
    let python = tokio::task::spawn_blocking(environment).await.unwrap();
    let world = World::system().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/amqp_endpoint/python/conformance.py");
    let connection_string = connection_string(world.address);
    let conversation = tokio::task::spawn_blocking(move || {
        run(Command::new(python).arg(script).arg(connection_string).arg(MESSAGES.to_string()));
    });
    conversation.await.unwrap();

    // What Python's client left behind, as the broker sees it.
    let left = world.broker.peek(&sms(), 0, 10).await.unwrap();
    let [left] = left.as_slice() else { panic!("one message is left, not {}", left.len()) };
    assert_eq!(left.message.message_id, "left-behind");
    assert_eq!(left.message.properties["attempt"], Property::Integer(7));
    assert_eq!(left.message.properties["share"], Property::Float(0.5));
    assert_eq!(left.message.properties["urgent"], Property::Bool(true));
    assert_eq!(left.message.properties["text"], Property::Text("naïve ☎".into()));
    assert_eq!(left.message.content_type.as_deref(), Some("application/json"));
}
