//! `sluice.toml`: the shipped file is valid and documents every key, and errors say where.

use std::path::Path;

use sluice::config::{Blobs, BusKind, Config, Connection, Documents, Keep, Priority, Profile, Secret};

fn shipped() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sluice.toml")).unwrap()
}

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let lookup = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Config::parse(Path::new("sluice.toml"), text, &lookup).map_err(|error| error.to_string())
}

/// The error that a change to the shipped file causes.
fn error_of(from: &str, to: &str) -> String {
    let text = shipped();
    assert!(text.contains(from), "sluice.toml has no {from:?}");
    parse(&text.replacen(from, to, 1), &[]).expect_err("the change must be refused")
}

fn line_of(needle: &str) -> usize {
    shipped().lines().position(|line| line.contains(needle)).unwrap() + 1
}

#[test]
fn the_shipped_file_is_valid_and_its_demo_profile_lacks_nothing() {
    let config = parse(&shipped(), &[]).unwrap();
    assert_eq!(config.profile, Profile::Demo);
    assert!(config.missing_secrets().is_empty());
    assert_eq!(config.vendors.keys().collect::<Vec<_>>(), ["acme-sms", "resend", "sendgrid", "textly", "twilio"]);
}

#[test]
fn every_vendor_that_is_commented_out_is_valid_once_it_is_not() {
    let text = shipped();
    let blocks: Vec<&str> = text.split("\n\n").filter(|block| block.starts_with("# [vendors.")).collect();
    let uncommented: Vec<String> =
        blocks.iter().map(|block| block.lines().map(|line| &line[2..]).collect::<Vec<_>>().join("\n")).collect();
    let config = parse(&format!("{text}\n{}", uncommented.join("\n\n")), &[]).unwrap();
    assert_eq!(blocks.len(), 12);
    assert_eq!(config.vendors.len(), 5 + blocks.len());
}

#[test]
fn outside_the_demo_profile_missing_secrets_are_told_with_file_line_and_key() {
    let config = parse(&shipped(), &[("SLUICE_PROFILE", "production"), ("TWILIO_AUTH_TOKEN", "t")]).unwrap();
    let missing: Vec<_> = config.missing_secrets().iter().map(ToString::to_string).collect();
    let line = line_of("secrets = [\"env:SENDGRID_PUBLIC_KEY\"]");
    let expected =
        format!("sluice.toml:{line}: vendors.sendgrid.secrets[0]: environment variable SENDGRID_PUBLIC_KEY is not set");
    assert!(missing.contains(&expected), "{missing:#?}");
    assert_eq!(missing.len(), 5, "the privacy key and every vendor's secret but Twilio's: {missing:#?}");
}

#[test]
fn a_key_vault_reference_that_was_not_resolved_is_no_secret() {
    let environment = [("TWILIO_AUTH_TOKEN", "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/t)")];
    let config = parse(&shipped(), &environment).unwrap();
    let missing = config.missing_secrets();
    assert_eq!(missing.len(), 1);
    assert!(missing[0].to_string().contains("unresolved Key Vault reference"), "{}", missing[0]);
}

#[test]
fn stores_are_in_the_data_folder_unless_the_file_or_the_environment_says_azure() {
    let shipped_as_it_is = parse(&shipped(), &[]).unwrap();
    assert!(matches!(shipped_as_it_is.documents, Documents::Embedded));
    assert!(matches!(shipped_as_it_is.blobs, Blobs::Embedded));

    let environment = [
        ("SLUICE_DOCUMENTS", "cosmos"),
        ("SLUICE_COSMOS_DATABASE", "other"),
        ("CosmosConnection__accountEndpoint", "https://acme.documents.azure.com/"),
        ("IDENTITY_CLIENT_ID", "c"),
        ("SLUICE_BLOBS", "azure"),
        ("BlobConnection", "UseDevelopmentStorage=true"),
    ];
    let config = parse(&shipped(), &environment).unwrap();
    let Documents::Cosmos(cosmos) = config.documents else { panic!("{:?}", config.documents) };
    assert_eq!(cosmos.database, "other");
    let address = "https://acme.documents.azure.com/".to_owned();
    assert_eq!(cosmos.connection, Ok(Connection::Identity { address, client_id: Some("c".into()) }));
    let Blobs::Azure(blobs) = config.blobs else { panic!("{:?}", config.blobs) };
    assert_eq!(blobs.container, "sluice");
    assert_eq!(blobs.connection, Ok(Connection::Key(Secret::new("UseDevelopmentStorage=true"))));

    let in_the_file = shipped().replacen("[documents]\nkind = \"embedded\"", "[documents]\nkind = \"cosmos\"", 1);
    let config = parse(&in_the_file, &[]).unwrap();
    let missing: Vec<_> = config.missing_connections().iter().map(ToString::to_string).collect();
    assert_eq!(missing.len(), 1);
    assert!(missing[0].starts_with("documents.connection: environment variable CosmosConnection__accountEndpoint"));
    let wrong = parse(&shipped(), &[("SLUICE_BLOBS", "s3")]).unwrap_err();
    assert_eq!(wrong, "environment variable SLUICE_BLOBS: `s3` is not a kind: use embedded or azure");
}

#[test]
fn without_the_table_deliveries_have_defaults_and_no_key() {
    let text = shipped();
    let start = text.find("[delivery]").unwrap();
    let end = start + text[start..].find("\n[channels.sms]").unwrap();
    let without = parse(&format!("{}{}", &text[..start], &text[end..]), &[]).unwrap();
    let with = parse(&text, &[]).unwrap();
    assert!(without.delivery.key.is_none() && with.delivery.key.as_ref().is_some_and(Result::is_ok));
    let figures = |config: &Config| {
        let delivery = config.delivery.clone();
        format!("{:?}", sluice::config::Delivery { key: None, ..delivery })
    };
    assert_eq!(figures(&without), figures(&with), "the file says what holds without it");
    let production = parse(&text, &[("SLUICE_PROFILE", "production")]).unwrap();
    assert!(production.delivery.key.unwrap().is_err());
}

#[test]
fn unknown_keys_and_wrong_types_name_file_line_and_key() {
    let line = line_of("body_limit");
    let unknown = error_of("body_limit = ", "body_limits = ");
    assert!(unknown.starts_with(&format!("sluice.toml:{line}: unknown field `body_limits`")), "{unknown}");

    let wrong = error_of("max_delivery_count = 10", "max_delivery_count = \"ten\"");
    let line = line_of("max_delivery_count");
    assert!(wrong.starts_with(&format!("sluice.toml:{line}: invalid type")) && wrong.contains("ten"), "{wrong}");

    let missing = error_of("publish_timeout = \"800ms\"", "");
    assert!(missing.contains("missing field `publish_timeout`"), "{missing}");
    let syntax = error_of("[retry]", "[retry");
    assert!(syntax.starts_with(&format!("sluice.toml:{}: ", line_of("[retry]"))), "{syntax}");
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    for (from, to, expected) in [
        (
            "[documents]\nkind = \"embedded\"",
            "[documents]\nkind = \"mongo\"",
            "documents.kind: `mongo` is not a kind: use embedded or cosmos",
        ),
        ("schedule = [\"5s\"", "schedule = [\"0s\"", "retry.schedule: each wait must be more than 0"),
        ("concurrency = 8", "concurrency = 0", "delivery.concurrency: must lie between 1 and 64"),
        ("disable_after = \"5d\"", "disable_after = \"0s\"", "delivery.disable_after: must be more than 0"),
        ("keep_records = \"30d\"", "keep_records = \"0s\"", "delivery.keep_records: must be more than 0"),
        ("former_secret = \"24h\"", "former_secret = \"9y\"", "delivery.former_secret: must be at most a year"),
        (
            "timeout = \"10s\"\nconcurrency",
            "timeout = \"31s\"\nconcurrency",
            "delivery.timeout: must be more than 0 and at most 30s",
        ),
        ("env:SLUICE_DELIVERY_KEY", "a-secret", "delivery.key: a secret is named as"),
        ("jitter = 0.2", "jitter = 2.0", "retry.jitter: must lie between 0 and 1"),
        ("\"http://127.0.0.1:7071\"", "\"127.0.0.1\"", "public_url: `127.0.0.1` is not a URL"),
        ("\"http://127.0.0.1:7071\"", "\"https://x/?a=b\"", "without query and fragment"),
        ("secrets = [\"env:TWILIO_AUTH_TOKEN\"]", "secrets = []", "vendors.twilio.secrets: is empty"),
        ("[vendors.twilio]", "[vendors.Twilio]", "`Twilio` must be 1 to 40 of a-z"),
        ("services = { email = \"email\" }", "services = {}", "names no service type"),
        ("services = { email = \"email\" }", "services = { email = \"fax\" }", "unknown variant `fax`"),
        ("scheme = \"sendgrid\"", "scheme = \"sengrid\"", "unknown variant `sengrid`"),
        ("scheme = \"sendgrid\"", "scheme = \"standard-webhooks\"", "vendors.sendgrid.mapping: is missing"),
        ("\"message.queued\"", "\"message.quued\"", "unknown variant `message.quued`"),
        ("body_limit = \"1MiB\"", "body_limit = \"0\"", "ingest.body_limit: must be more than 0"),
        ("body_timeout = \"5s\"", "body_timeout = \"0s\"", "ingest.body_timeout: must be more than 0"),
        ("publish_timeout = \"800ms\"", "publish_timeout = \"0s\"", "ingest.publish_timeout: must be more than 0"),
        ("spool_timeout = \"700ms\"", "spool_timeout = \"0s\"", "ingest.spool_timeout: must be more than 0"),
        ("claim_check_above = \"192KiB\"", "claim_check_above = \"1MiB\"", "ingest.claim_check_above: must not exceed"),
        (
            "deliveries_topic = \"deliveries\"",
            "deliveries_topic = \"callbacks\"",
            "bus.deliveries_topic: must be another",
        ),
        ("time_to_live = \"14d\"", "time_to_live = \"0s\"", "bus.time_to_live: must be more than 0"),
        ("lock_duration = \"60s\"", "lock_duration = \"10s\"", "bus.lock_duration: must be longer"),
        ("max_delivery_count = 10", "max_delivery_count = 0", "bus.max_delivery_count: must be more than 0"),
        ("\ntimeout = \"10s\"", "\ntimeout = \"0s\"", "dependencies.timeout: must be more than 0"),
        ("schedule = [\"5s\"", "schedule = [\"0s\"", "retry.schedule: each wait must be more than 0"),
        ("schedule = [\"5s\"", "schedule = [\"300000years\"", "at most a year"),
        ("in_flight = 512", "in_flight = 3", "ingest.in_flight: must be at least 4"),
        ("body_memory = \"64MiB\"", "body_memory = \"1MiB\"", "ingest.body_memory: must be at least twice body_limit"),
        ("sweep_limit = 20000", "sweep_limit = 0", "retry.sweep_limit: must be more than 0"),
        ("sweep_rate = 4000", "sweep_rate = 0", "retry.sweep_rate: must be more than 0"),
        ("destinations = []", "destinations = [\"crm\", \"crm\"]", "outbox.destinations: names one twice"),
        ("destinations = []", "destinations = [\"deliver\"]", "outbox.destinations: has the name of a subscription"),
        ("destinations = []", "destinations = [\"a/b\"]", "outbox.destinations: each must be 1 to 40"),
        ("\"/data/email_id\"", "\"data/email_id\"", "vendors.resend.mapping.message_id: must be a JSON Pointer"),
        ("\"header:webhook-id\"", "\"header:webhook id\"", "vendors.resend.mapping.event_id: names no header"),
        ("services = { sms", "tolerance = \"0s\"\nservices = { sms", "vendors.twilio.tolerance: must be more than 0"),
    ] {
        let error = error_of(from, to);
        assert!(error.contains(expected), "{to}: {error}");
        assert!(error.starts_with("sluice.toml:"), "{error}");
    }
}

#[test]
fn a_signature_that_cannot_be_meant_is_refused_with_its_line() {
    let line = line_of("prefix = \"v1=\"");
    for (from, to, key, expected) in [
        ("\"X-Acme-Signature\"", "\"X Acme\"", "header", "names no header that can exist"),
        ("\"hmac-sha256\"", "\"hmac-md5\"", "", "unknown variant `hmac-md5`"),
        ("encoding = \"hex\"", "encoding = \"hexx\"", "", "unknown variant `hexx`"),
        ("encoding = \"hex\"", "", "", "missing field `encoding`"),
        ("prefix = \"v1=\"", "prefix = \"v1=\"\nfield = \"v1\"", "prefix", "has no use beside `field`"),
        ("prefix = \"v1=\"", "field = \"v1=\"", "field", "must be a name"),
        ("prefix = \"v1=\"", "prefixes = \"v1=\"", "", "unknown field `prefixes`"),
        ("\"v1:{timestamp}:{body}\"", "\"v1:{timestamp}\"", "signed", "has no {body}"),
        ("\"v1:{timestamp}:{body}\"", "\"{timestmp}{body}\"", "signed", "has {timestmp}; known are {body} {timestamp}"),
        ("\"v1:{timestamp}:{body}\"", "\"{timestamp{body}\"", "signed", "has {timestamp{body}"),
        ("\"v1:{timestamp}:{body}\"", "\"{timestamp}{header:a b}{body}\"", "signed", "names no header that can exist"),
        ("\"v1:{timestamp}:{body}\"", "\"v1:{body}\"", "timestamp", "proves nothing: `signed` has no {timestamp}"),
        ("\"v1:{timestamp}:{body}\"", "\"{id}{timestamp}{body}\"", "signed", "has {id}: say where that is"),
        ("timestamp = \"header:X-Acme-Timestamp\"", "", "signed", "has {timestamp}: say where that is"),
        ("\"header:X-Acme-Timestamp\"", "\"X-Acme-Timestamp\"", "timestamp", "must be header:NAME"),
        ("\"header:X-Acme-Timestamp\"", "\"header:\"", "timestamp", "names no header that can exist"),
        ("\"header:X-Acme-Timestamp\"", "\"field:t\"", "timestamp", "is in a list: set `field`"),
        ("{timestamp}:{body}\"", "{timestamp}:{body}\"\nid = \"header:X-Id\"", "id", "proves nothing"),
        ("\"hmac-sha256\"", "\"ed25519\"\nsecret = \"text\"", "secret", "must be hex or base64"),
    ] {
        let error = error_of(from, to);
        assert!(error.contains(expected), "{to}: {error}");
        let told: usize = error.split(':').nth(1).unwrap().parse().unwrap();
        assert!((line - 3..line + 6).contains(&told), "{to}: {error}");
        assert!(key.is_empty() || error.contains(&format!("vendors.acme-sms.signature.{key}: ")), "{to}: {error}");
    }
}

#[test]
fn a_list_needs_a_name_for_its_time_that_is_not_the_signature_s() {
    let list = |time: &str| format!("field = \"v1\"\ntimestamp = \"field:{time}\"");
    let text = shipped().replacen("timestamp = \"header:X-Acme-Timestamp\"", "", 1);
    let with = |time| parse(&text.replacen("prefix = \"v1=\"", &list(time), 1), &[]);
    assert!(with("t").is_ok());
    for time in ["v1", "", "a b"] {
        assert!(
            with(time).unwrap_err().contains("vendors.acme-sms.signature.timestamp: names no other field"),
            "{time}"
        );
    }
}

#[test]
fn a_signature_and_its_scheme_belong_together() {
    for (from, to, expected) in [
        (
            "[vendors.acme-sms]\nscheme = \"signature\"",
            "[vendors.acme-sms]\nscheme = \"github\"",
            "vendors.acme-sms.signature: is only for the signature scheme",
        ),
        (
            "[vendors.resend]\nscheme = \"standard-webhooks\"",
            "[vendors.resend]\nscheme = \"signature\"",
            "vendors.resend.signature: is missing",
        ),
        (
            "[vendors.resend]\nscheme = \"standard-webhooks\"",
            "[vendors.resend]\nscheme = \"github\"\ntolerance = \"5m\"",
            "vendors.resend.tolerance: has no use: no time is signed",
        ),
        (
            "secrets = [\"env:TEXTLY_SECRET\"]",
            "secrets = [\"env:TEXTLY_SECRET\"]\ntolerance = \"5m\"",
            "vendors.textly.tolerance: has no use: no time is signed",
        ),
    ] {
        let error = error_of(from, to);
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn a_mapping_reads_a_json_body_or_a_form_and_no_query_that_is_not_signed() {
    for (from, to, expected) in [
        ("\"form:Status\"", "\"form: \"", "vendors.textly.mapping.status: names no field"),
        ("\"form:Status\"", "\"query:\"", "vendors.textly.mapping.status: names no field"),
        ("\"form:Status\"", "\"field:Status\"", "vendors.textly.mapping.status: must be a JSON Pointer"),
        ("\"form:Status\"", "\"/status\"", "vendors.textly.mapping.status: is a JSON Pointer beside form:NAME"),
        (
            "[vendors.textly.mapping]",
            "[vendors.textly.mapping]\neach = \"/events\"",
            "vendors.textly.mapping.each: has no use",
        ),
        (
            "{method}\\n{url}",
            "{method}\\n{path}",
            "vendors.textly.mapping.message_id: is in the query, which is not signed",
        ),
        ("\"header:webhook-id\"", "\"query:id\"", "vendors.resend.mapping.event_id: is in the query"),
    ] {
        let error = error_of(from, to);
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn a_secret_written_into_the_file_is_refused_and_not_repeated() {
    let error = error_of("\"env:TWILIO_AUTH_TOKEN\"", "\"5f2e-the-real-token\"");
    assert!(error.contains("vendors.twilio.secrets[0]") && error.contains("env:NAME"), "{error}");
    assert!(!error.contains("5f2e"), "{error}");
}

#[test]
fn the_demo_profile_does_not_start_in_azure() {
    // Apps with an App Service worker have the first; apps on Flex Consumption the next two, in Container Apps the last.
    for variable in ["WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "WEBSITE_POD_NAME", "CONTAINER_APP_NAME"] {
        let error = parse(&shipped(), &[(variable, "abc")]).unwrap_err();
        assert!(error.contains("demo profile"), "{error}");
        assert!(parse(&shipped(), &[(variable, "abc"), ("SLUICE_PROFILE", "production")]).is_ok());
    }
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let config = parse(&shipped(), &[("TWILIO_AUTH_TOKEN", "5f2e-the-real-token")]).unwrap();
    assert!(!format!("{config:?}").contains("5f2e"));
}

#[test]
fn a_value_that_cannot_be_meant_is_named_with_its_own_line() {
    let error = error_of("max_delivery_count = 10", "max_delivery_count = 0");
    assert!(error.starts_with(&format!("sluice.toml:{}: ", line_of("max_delivery_count"))), "{error}");
}

#[test]
fn keywords_count_in_whatever_case_the_file_has_them() {
    let config = parse(&shipped().replace("\"STOP\"", "\"arrêt \""), &[]).unwrap();
    assert!(config.channels.sms.stop_keywords.contains("ARRÊT"), "{:?}", config.channels.sms.stop_keywords);
}

#[test]
fn a_blank_secret_is_a_missing_one() {
    let config = parse(&shipped(), &[("SLUICE_PRIVACY_KEY", " \n")]).unwrap();
    assert_eq!(config.missing_secrets().len(), 1);
    assert!(config.missing_secrets()[0].to_string().ends_with("SLUICE_PRIVACY_KEY is blank"));
}

#[test]
fn service_bus_is_reached_as_the_functions_host_reaches_it() {
    let read = |environment: &[(&str, &str)]| {
        let environment = [&[("SLUICE_BUS", "service-bus")], environment].concat();
        parse(&shipped(), &environment)
    };
    let text = "Endpoint=sb://h;SharedAccessKeyName=n;SharedAccessKey=5f2e-the-real-key";
    let namespace = ("ServiceBusConnection__fullyQualifiedNamespace", "contoso.servicebus.windows.net");

    let config = read(&[("ServiceBusConnection", text)]).unwrap();
    assert_eq!(config.bus.kind, BusKind::ServiceBus);
    assert!(matches!(config.service_bus, Some(Ok(Connection::Key(_)))));
    assert!(!format!("{config:?}").contains("5f2e"));
    let config = read(&[namespace, ("IDENTITY_CLIENT_ID", "11111111")]).unwrap();
    let identity = Connection::Identity { address: namespace.1.to_owned(), client_id: Some("11111111".to_owned()) };
    assert_eq!(config.service_bus, Some(Ok(identity)));

    let https = parse(&shipped(), &[("SLUICE_BUS", "service-bus-https"), ("ServiceBusConnection", text)]);
    match cfg!(feature = "servicebus-https") {
        true => assert!(matches!(https.unwrap().service_bus, Some(Ok(Connection::Key(_))))),
        false => assert!(https.unwrap_err().contains("--features servicebus-https")),
    }

    let missing = read(&[]).unwrap().missing_connections()[0].to_string();
    assert!(missing.starts_with("bus.connection") && missing.contains(namespace.0), "{missing}");
    let unknown = parse(&shipped(), &[("SLUICE_BUS", "rabbit")]).unwrap_err();
    assert!(unknown.contains("SLUICE_BUS") && unknown.contains("`rabbit` is not a bus"), "{unknown}");
    assert!(error_of("kind = \"embedded\"", "kind = \"rabbit\"").contains("unknown variant `rabbit`"));
    assert_eq!(parse(&shipped(), &[("ServiceBusConnection", text)]).unwrap().service_bus, None);
}

#[test]
fn vendors_that_may_not_try_again_come_before_those_that_do_unless_the_file_says_otherwise() {
    let priorities = |text: &str| {
        let config = parse(text, &[]).unwrap();
        ["twilio", "resend", "sendgrid"].map(|vendor| config.vendors[vendor].priority())
    };
    assert_eq!(priorities(&shipped()), [Priority::High, Priority::Normal, Priority::Low]);
    let otherwise = shipped().replacen("scheme = \"twilio\"", "scheme = \"twilio\"\npriority = \"low\"", 1);
    assert_eq!(priorities(&otherwise), [Priority::Low, Priority::Normal, Priority::Low]);
    let error = error_of("scheme = \"twilio\"", "scheme = \"twilio\"\npriority = \"highest\"");
    assert!(error.contains("highest") && error.contains("`low`, `normal`, `high`"), "{error}");
}

#[test]
fn a_file_from_before_bus_and_stores_could_be_elsewhere_keeps_its_meaning() {
    let mut text = String::new();
    let mut newer = false;
    for line in shipped().lines() {
        if line.starts_with('[') {
            newer = ["[documents]", "[blobs]", "[delivery]", "[admin]"].contains(&line);
        }
        let is_newer = ["kind =", "connection =", "sweep_rate =", "in_flight =", "body_memory ="]
            .iter()
            .any(|key| line.starts_with(key));
        if !newer && !is_newer {
            text.push_str(line);
            text.push('\n');
        }
    }
    let config = parse(&text, &[]).unwrap();
    assert_eq!(config.embedded(), ["[bus]", "[documents]", "[blobs]"]);
    let ingest = parse(&shipped(), &[]).unwrap().ingest;
    assert_eq!(config.ingest.in_flight, ingest.in_flight, "the file says what holds without it");
    assert_eq!(config.ingest.largest_bodies(), ingest.largest_bodies());
    assert_eq!(config.retry.sweep_rate, parse(&shipped(), &[]).unwrap().retry.sweep_rate);
    let elsewhere = parse(&text, &[("SLUICE_BUS", "service-bus"), ("SLUICE_DOCUMENTS", "cosmos")]).unwrap();
    assert_eq!(elsewhere.embedded(), ["[blobs]"]);
}

#[test]
fn retention_must_not_lose_what_is_still_needed() {
    let keeps = "[retention]\nledger = \"forever\"";
    let error = error_of(keeps, "[retention]\nledger = \"10d\"");
    assert!(
        error.contains("retention.ledger: must be at least 15days 22h") && error.contains("applied again"),
        "{error}"
    );
    let error = error_of(keeps, "[retention]\nledger = \"20d\"");
    assert!(error.contains("must not be shorter than delivery.keep_records"), "{error}");
    let error = error_of("blobs = \"forever\"", "blobs = \"400d\"");
    assert!(error.contains("retention.blobs: must not be shorter than parked"), "{error}");
    let error = error_of(keeps, "[retention]\nledger = \"always\"");
    assert!(error.contains("expected \"forever\", or a duration like \"400d\""), "{error}");
    let text = shipped().replacen(keeps, "[retention]\nledger = \"400d\"", 1);
    let days = |days: u64| Keep::For(std::time::Duration::from_secs(days * 24 * 3600));
    assert_eq!(parse(&text, &[]).unwrap().retention.ledger, days(400));
}
