//! `sluice partners` and `sluice deliveries` against a running server.

use axum::body::to_bytes;

use crate::{
    server::{Server, stderr, stdout},
    support::partner_double::{Act, PartnerDouble},
    support::{receipt, twilio_request},
    world::{PATH, until},
};

async fn callback(server: &Server, sid: &str) {
    let (head, body) = twilio_request("http://127.0.0.1:7071", PATH, &receipt(sid, "delivered")).into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let request = reqwest::Client::new().post(format!("{}{PATH}", server.url)).headers(head.headers).body(body);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_is_onboarded_watched_and_removed_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let partner = PartnerDouble::start().await;
    let said = async |arguments: &[&str]| stdout(&server.sluice(arguments).await);

    assert!(said(&["partners", "list"]).await.contains("no partners"));
    let refused = server.sluice(&["partners", "add", "acme", "--endpoint", &partner.url]).await;
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("use https, or allow_internal for a test"), "{}", stderr(&refused));
    let add =
        ["partners", "add", "acme", "--endpoint", &partner.url, "--allow-internal", "--event", "message.*,call.*"];
    let added = said(&add).await;
    assert!(added.contains("secret       whsec_") && added.contains("public key   whpk_"), "{added}");
    let shown = said(&["partners", "show", "acme"]).await;
    assert!(!shown.contains("whsec_") && shown.contains("events       call.*, message.*"), "{shown}");
    let secret = said(&["partners", "show", "acme", "--secret"]).await;
    assert!(added.contains(secret.split("secret").nth(1).unwrap().trim()), "{secret}");
    let tested = said(&["partners", "test", "acme"]).await;
    assert!(tested.starts_with("message.delivered evt_test") && tested.contains("answered 200"), "{tested}");

    callback(&server, "SM1").await;
    until("the event arrives", async || partner.seen().len() == 2).await;
    partner.usually(Act::Says(503, "call +12025550143".into()));
    let failing = server.sluice(&["partners", "test", "acme"]).await;
    assert_eq!(failing.status.code(), Some(1), "{failing:?}");
    callback(&server, "SM2").await;
    until("it fails and is on record", async || {
        let shown = server.sluice(&["deliveries", "--partner", "acme"]).await;
        stdout(&shown).contains("answered 503")
    })
    .await;
    let deliveries = said(&["deliveries"]).await;
    assert!(deliveries.contains("attempt 2 of twilio:SM2 due") && deliveries.contains("50.00 %"), "{deliveries}");
    let data = folder.path().to_str().unwrap();
    let show = async |more: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.args(["show", "twilio:SM2", "--root", env!("CARGO_MANIFEST_DIR"), "--data", data]).args(more);
        stdout(&command.output().await.unwrap())
    };
    let told = show(&[]).await;
    assert!(told.contains("message.delivered to acme: pending") && told.contains("ms: answered 503"), "{told}");
    assert!(told.contains("17 bytes of answer (hidden)") && !told.contains("555"), "{told}");
    assert!(show(&["--reveal"]).await.contains("call +12025550143"));

    let updated = said(&["partners", "update", "acme", "--event", "", "--rate", "7", "--timeout", "3s"]).await;
    assert!(updated.contains("events       all") && updated.contains("7/s"), "{updated}");
    let rotated = said(&["partners", "rotate-secret", "acme", "--window", "1h"]).await;
    assert!(rotated.contains("generation   2") && rotated.contains("former       generation 1 until"), "{rotated}");
    assert!(said(&["partners", "disable", "acme", "--reason", "moving"]).await.contains(": moving"));
    assert!(said(&["partners", "enable", "acme"]).await.contains("state        enabled"));
    assert!(said(&["partners", "remove", "acme"]).await.contains("removed acme"));
    let gone = server.sluice(&["partners", "show", "acme"]).await;
    assert!(stderr(&gone).contains("there is no partner acme"), "{}", stderr(&gone));
    assert!(said(&["audit", "list"]).await.contains("partner.rotate-secret  acme  done"));
}
