//! Who is let in.

use reqwest::{Client, StatusCode};

use crate::server::{KEY, Server, sluice, stderr, stdout};

async fn ask(server: &Server, path: &str, header: Option<&str>) -> (StatusCode, String) {
    let mut request = Client::new().get(format!("{}{path}", server.url));
    if let Some(key) = header {
        request = request.header("x-functions-key", key);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

async fn only_the_key_opens(server: &Server) {
    for (path, header) in [
        ("/manage", None),
        ("/manage/audit", None),
        ("/MANAGE/audit", None),
        ("/manage/audit?code=wrong", None),
        ("/manage/audit", Some("wrong")),
        ("/manage/audit", Some("")),
        (&*format!("/manage/audit?code={KEY}"), Some("wrong")),
    ] {
        let answer = ask(server, path, header).await;
        assert_eq!(answer, (StatusCode::UNAUTHORIZED, String::new()), "{path} {header:?}");
    }
    for (path, header) in [("/manage", Some(KEY)), (&*format!("/manage/audit?code={KEY}"), None)] {
        let (status, body) = ask(server, path, header).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
    let (_, body) = ask(server, "/manage", Some(KEY)).await;
    assert!(body.contains("/manage/audit"), "{body}");
}

#[tokio::test]
async fn the_one_machine_system_lets_nobody_in_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    only_the_key_opens(&Server::start(folder.path()).await).await;
}

#[tokio::test]
async fn neither_does_the_handler_where_the_host_checks_no_keys() {
    let folder = tempfile::tempdir().unwrap();
    only_the_key_opens(&Server::serve(folder.path()).await).await;
}

#[tokio::test]
async fn without_a_key_everybody_is_refused_and_check_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sluice.toml")).unwrap();
    let config = config.replace("SLUICE_ADMIN_KEY = ", "ANOTHER_KEY = ");
    let path = folder.path().join("keyless.toml");
    std::fs::write(&path, config).unwrap();
    let server = Server::start_with(&folder.path().join("data"), |command| {
        command.arg("--config").arg(&path).env_remove("SLUICE_ADMIN_KEY");
    })
    .await;
    assert_eq!(ask(&server, "/manage", Some(KEY)).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&server, "/manage?code=", Some("")).await.0, StatusCode::UNAUTHORIZED);
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["check", "--root", env!("CARGO_MANIFEST_DIR"), "--config"])
        .arg(&path)
        .env_remove("SLUICE_ADMIN_KEY")
        .output()
        .unwrap();
    let said = stdout(&check);
    assert!(said.contains("SLUICE_ADMIN_KEY is not set: operators are answered 401"), "{said}");
}

#[tokio::test]
async fn the_command_line_says_what_to_do_when_it_is_not_let_in_or_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), |command| {
        command.env("SLUICE_ADMIN_KEY", "another-key");
    })
    .await;
    let refused = server.sluice(&["audit", "list"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("does not accept the key: set SLUICE_ADMIN_KEY"), "{}", stderr(&refused));
    let url = server.url.clone();
    server.kill();
    let alone = sluice(&url, &["audit", "list"]).await;
    assert!(stderr(&alone).contains("start the one-machine system with `sluice`"), "{}", stderr(&alone));
    let far = sluice("http://example.com", &["audit", "list"]).await;
    assert!(stderr(&far).contains("the key would travel unprotected"), "{}", stderr(&far));
}
