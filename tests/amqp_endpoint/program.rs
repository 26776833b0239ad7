//! The option of the one-machine system.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use fe2o3_amqp::{Connection, Receiver, Session};

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn sluice(data: &std::path::Path, amqp: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(["--root", env!("CARGO_MANIFEST_DIR"), "--port", "0", "--amqp", amqp]).env("SLUICE_DATA", data);
    command.env_remove("FUNCTIONS_CUSTOMHANDLER_PORT");
    command
}

#[tokio::test]
async fn the_one_machine_system_says_how_to_connect_and_takes_clients() {
    let data = tempfile::tempdir().unwrap();
    let mut program = Program(sluice(data.path(), "127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let found = tokio::task::spawn_blocking(move || {
        let mut lines = lines.map_while(Result::ok);
        lines.find_map(|line| line.trim().strip_prefix("Endpoint=sb://").map(str::to_owned))
    });
    let found = found.await.unwrap().expect("the banner has a connection string");
    let (address, rest) = found.split_once(';').unwrap();
    assert_eq!(rest, "SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true");
    let url = format!("amqp://{address}");
    let mut connection = Connection::builder().container_id("test").open(url.as_str()).await.unwrap();
    let mut session = Session::begin(&mut connection).await.unwrap();
    Receiver::attach(&mut session, "r", "callbacks/Subscriptions/sms").await.unwrap();
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let output = sluice(data.path(), "0.0.0.0:5672").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("asks for no credentials"), "{error}");
}
