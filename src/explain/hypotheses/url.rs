//! URLs that are not what the vendor was given: wrong `public_url`, or a proxy that rewrites.

mod parts;
mod query;

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::{AUTHORIZATION, HOST};
use sha2::{Digest, Sha256};

use super::Hypothesis;
use crate::explain::{
    capture::host_of,
    case::{Case, Change},
};
use parts::Parts;

/// Where proxies write the host that was called.
const HOSTS: [&str; 5] = ["x-forwarded-host", "x-original-host", "disguised-host", "x-forwarded-server", "x-host"];
/// Where they write the path that was called.
const PATHS: [&str; 4] = ["x-original-url", "x-rewrite-url", "x-forwarded-uri", "x-original-uri"];
const PREFIXES: [&str; 7] = ["/api", "/webhook", "/webhooks", "/hooks", "/callbacks", "/sluice", "/v1"];
const PORTS: [&str; 7] = [":443", ":80", ":8443", ":8080", ":7071", ":3000", ":5000"];

const ORIGIN: &str =
    "Set public_url (or SLUICE_PUBLIC_URL) to exactly the scheme, host and port in the vendor's console.";
const PROXY: &str = "Let the proxy pass path and query unchanged, or give the vendor the URL as it arrives here.";

/// Every URL that the vendor may have signed, the likelier first.
pub(super) fn hypotheses(case: &Case) -> Vec<Hypothesis> {
    let url = Parts::of(&case.url);
    let origins = origins(case, &url);
    let rests = rests(case, &url);
    let mut all: Vec<_> = origins.iter().chain(&rests).map(|(code, parts, what)| told(code, parts, what)).collect();
    // A path that a gateway rewrites is often one under another host or scheme.
    for (_, origin, _) in origins.iter().filter(|(_, origin, _)| origin.port == url.port) {
        for (code, rest, what) in &rests {
            let both = Parts { path: rest.path.clone(), query: rest.query.clone(), ..origin.clone() };
            let what = format!("{what}, and scheme or host differ");
            all.push(told(code, &both, &what));
        }
    }
    all
}

/// The likeliest of them, to be tried together with changes of the body.
pub(super) fn common(case: &Case) -> Vec<Hypothesis> {
    let url = Parts::of(&case.url);
    let origins = origins(case, &url).into_iter().filter(|(_, origin, _)| origin.port == url.port);
    origins.chain(slashes(&url)).map(|(code, parts, what)| told(code, &parts, &what)).collect()
}

type Variant = (&'static str, Parts, String);

fn told(code: &'static str, parts: &Parts, what: &str) -> Hypothesis {
    let advice = match code {
        "url.scheme" | "url.host" | "url.port" | "url.credentials" => ORIGIN,
        _ => PROXY,
    };
    let cause = format!("The vendor signed another URL, {}: {what}.", parts.for_people(code.starts_with("url.query")));
    Hypothesis::new(code, Change::Url(parts.to_string()), cause, advice)
}

/// Other schemes, hosts and ports: one difference first, then two, then all.
fn origins(case: &Case, url: &Parts) -> Vec<Variant> {
    let headers = |name: &str| case.headers.get(name).and_then(|value| value.to_str().ok());
    let mut hosts = vec![(url.host.clone(), "")];
    let mut ports = vec![url.port.clone(), String::new()];
    let forwarded = headers("forwarded").and_then(|text| {
        let pairs = text.split([';', ',']).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, host)| host.trim_matches('"')).next()
    });
    let named = HOSTS.iter().map(|name| (*name, headers(name))).chain([("forwarded", forwarded)]);
    for (name, value) in named.chain([(HOST.as_str(), headers(HOST.as_str()))]) {
        for value in value.into_iter().flat_map(|value| value.split(',')) {
            let other = Parts::of(&format!("x://{}/", host_of(value.trim())));
            if !other.host.is_empty() && hosts.iter().all(|(host, _)| *host != other.host) {
                hosts.push((other.host, name));
            }
            ports.push(other.port);
        }
    }
    let bare = url.host.strip_prefix("www.").map_or_else(|| format!("www.{}", url.host), str::to_owned);
    hosts.push((bare, "www"));
    ports.extend(headers("x-forwarded-port").map(|port| format!(":{port}")));
    ports.extend(PORTS.map(str::to_owned));
    let distinct: BTreeSet<_> = ports.drain(..).collect();

    let mut all = Vec::new();
    for scheme in ["https", "http"] {
        for (host, source) in &hosts {
            for port in &distinct {
                let parts = Parts { scheme: scheme.into(), host: host.clone(), port: port.clone(), ..url.clone() };
                let (other_scheme, other_host, other_port) =
                    (parts.scheme != url.scheme, parts.host != url.host, parts.port != url.port);
                let mut what = Vec::new();
                if other_host {
                    what.push(match *source {
                        "www" => format!("host {host} instead of {}", url.host),
                        header => format!("host {host}, as the header {header} says, instead of {}", url.host),
                    });
                }
                if other_scheme {
                    what.push(format!("{scheme} instead of {}", url.scheme));
                }
                if other_port {
                    what.push(if port.is_empty() {
                        "without a port".into()
                    } else {
                        format!("with port {}", &port[1..])
                    });
                }
                let code = match (other_host, other_scheme) {
                    (true, _) => "url.host",
                    (false, true) => "url.scheme",
                    (false, false) => "url.port",
                };
                if !what.is_empty() {
                    all.push((what.len(), (code, parts, what.join(", "))));
                }
            }
        }
    }
    all.sort_by_key(|(differences, _)| *differences);
    all.into_iter().map(|(_, variant)| variant).chain(credentials(case, url)).collect()
}

/// Vendors that sign the URL sign the credentials in it too; they arrive in a header of their own.
fn credentials(case: &Case, url: &Parts) -> Vec<Variant> {
    let basic = case.headers.get(AUTHORIZATION).and_then(|value| {
        let decoded = STANDARD.decode(value.to_str().ok()?.strip_prefix("Basic ")?).ok()?;
        String::from_utf8(decoded).ok()
    });
    let sent = basic.map(|basic| {
        let parts = Parts { credentials: format!("{basic}@"), ..url.clone() };
        ("url.credentials", parts, "with the credentials that arrived in authorization".to_owned())
    });
    let without = (!url.credentials.is_empty()).then(|| {
        let parts = Parts { credentials: String::new(), ..url.clone() };
        ("url.credentials", parts, "without credentials".to_owned())
    });
    sent.into_iter().chain(without).collect()
}

fn slashes(url: &Parts) -> Vec<Variant> {
    let (path, what) = match url.path.strip_suffix('/') {
        Some(path) => (path.to_owned(), "without the slash at the end of the path"),
        None => (format!("{}/", url.path), "with a slash at the end of the path"),
    };
    vec![("url.trailing_slash", Parts { path, ..url.clone() }, what.to_owned())]
}

/// Other paths and queries.
fn rests(case: &Case, url: &Parts) -> Vec<Variant> {
    let mut all = slashes(url);
    let mut path = |code, path: String, what: &str| all.push((code, Parts { path, ..url.clone() }, what.to_owned()));
    let base = url.path.to_ascii_lowercase().find("/incoming/").unwrap_or(0);
    if base > 0 {
        path("url.prefix", url.path[base..].to_owned(), "without what stands before /incoming");
    }
    let forwarded = case.headers.get("x-forwarded-prefix").and_then(|value| value.to_str().ok());
    for prefix in forwarded.into_iter().chain(PREFIXES) {
        let prefix = prefix.trim_end_matches('/');
        path(
            "url.prefix",
            format!("{prefix}{}", url.path),
            &format!("with {prefix} before the path, which something here drops"),
        );
        if let Some(shorter) = url.path.strip_prefix(prefix).filter(|path| path.starts_with('/')) {
            path("url.prefix", shorter.to_owned(), &format!("without {prefix} before the path"));
        }
    }
    path("url.path_case", url.path.to_ascii_lowercase(), "with the path in lower case");
    path("url.path_case", url.path.replacen("/incoming", "/Incoming", 1), "with another case in the path");
    path("url.path_encoding", query::plain(&url.path), "with fewer escapes in the path");
    path("url.path_encoding", url.path.replace("//", "/"), "without the doubled slash in the path");

    for name in PATHS {
        let Some(value) = case.headers.get(name).and_then(|value| value.to_str().ok()) else { continue };
        let given = match value.starts_with('/') {
            true => Parts::of(&format!("x://h{value}")),
            false => Parts::of(value),
        };
        let what = format!("with the path and query that the header {name} has");
        all.push(("url.path", Parts { path: given.path, query: given.query, ..url.clone() }, what));
    }
    for (code, text, what) in query::variants(url.query.as_deref()) {
        all.push((code, Parts { query: text, ..url.clone() }, what.to_owned()));
    }
    // Twilio binds a JSON body by its digest in the query, and refuses a body without it.
    let digest = format!("bodySHA256={}", hex::encode(Sha256::digest(&case.body)));
    let query = url.query.as_ref().map_or_else(|| digest.clone(), |query| format!("{query}&{digest}"));
    all.push(("url.query_lost", Parts { query: Some(query), ..url.clone() }, "with bodySHA256 in its query".into()));
    all
}
