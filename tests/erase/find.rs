//! A search that shares no code with the product: every byte of a place, for an address in every spelling and encoding.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use sluice::documents::Container;

use crate::support::TestApp;

/// What stands for an address in bytes.
pub struct Needles {
    exact: Vec<Vec<u8>>,
    lower: Vec<Vec<u8>>,
}

impl Needles {
    /// Of a phone number without `+`, and with the separators that people write.
    pub fn phone(digits: &str) -> Self {
        let (country, rest) = digits.split_at(1);
        let formatted = [
            format!("({}) {}-{}", &rest[..3], &rest[3..6], &rest[6..]),
            format!("{country} {} {} {}", &rest[..3], &rest[3..6], &rest[6..]),
            format!("{}-{}-{}", &rest[..3], &rest[3..6], &rest[6..]),
            format!("{}+{}+{}", &rest[..3], &rest[3..6], &rest[6..]),
        ];
        let mut exact: Vec<Vec<u8>> = formatted.into_iter().map(String::into_bytes).collect();
        exact.push(digits.into());
        Self { exact: exact.into_iter().chain(base64_of(digits)).collect(), lower: Vec::new() }
    }

    /// Of an e-mail address; its case is ignored but in base64, where it is looked for as it is given and in upper case.
    pub fn email(address: &str) -> Self {
        let (local, domain) = address.split_once('@').unwrap();
        let at = ["@", "%40", "%2540", "\\u0040", "&#64;", "=40", "="];
        let lower = at.map(|at| format!("{local}{at}{domain}").to_lowercase().into_bytes()).to_vec();
        let exact = base64_of(address).into_iter().chain(base64_of(&address.to_uppercase())).collect();
        Self { exact, lower }
    }

    pub fn are_in(&self, bytes: &[u8]) -> bool {
        let lower = bytes.to_ascii_lowercase();
        let has = |bytes: &[u8], needle: &Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle);
        self.exact.iter().any(|needle| has(bytes, needle)) || self.lower.iter().any(|needle| has(&lower, needle))
    }
}

/// The middle of a text's base64, at each of the three places where it can begin.
fn base64_of(text: &str) -> Vec<Vec<u8>> {
    let alignments = 0..3_usize;
    let middle = |before: usize| {
        let encoded = BASE64_STANDARD_NO_PAD.encode([vec![0; before], text.into()].concat());
        let whole = (before + text.len()) * 8 / 6;
        encoded.as_bytes()[(before * 8).div_ceil(6)..whole].to_vec()
    };
    alignments.map(middle).collect()
}

/// The files below a folder that hold any of the needles.
pub fn in_files(folder: &Path, needles: &[Needles]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if needles.iter().any(|needles| needles.are_in(&std::fs::read(&path).unwrap())) {
                found.push(path);
            }
        }
    }
    found
}

/// The documents and blobs that hold any of the needles, wherever the app keeps them.
pub async fn in_stores(app: &TestApp, needles: &[Needles]) -> Vec<String> {
    let is_in = |text: &[u8]| needles.iter().any(|needles| needles.are_in(text));
    let mut found = Vec::new();
    for container in Container::ALL {
        for document in app.all(container).await {
            let whole = format!("{} {} {}", document.partition, document.id, document.body);
            if is_in(whole.as_bytes()) {
                found.push(format!("{}: {whole}", container.name()));
            }
        }
    }
    let blobs = &app.blobs.inner;
    for blob in blobs.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = blobs.get(&blob.location).await.unwrap().bytes().await.unwrap();
        if is_in(blob.location.as_ref().as_bytes()) || is_in(&bytes) {
            found.push(format!("blob {}: {}", blob.location, String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])));
        }
    }
    found
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let (phone, mail) = (Needles::phone("12025550143"), Needles::email("Ana.Lopez@example.com"));
    for text in ["To=%2B12025550143", "(202) 555-0143", "1+202+555+0143"] {
        assert!(phone.are_in(text.as_bytes()), "{text}");
    }
    for text in ["ana.lopez%40EXAMPLE.com", "ana.lopez\\u0040example.com"] {
        assert!(mail.are_in(text.as_bytes()), "{text}");
    }
    for before in ["", "a", "ab", "abc"] {
        let packed = |text: &str| BASE64_STANDARD_NO_PAD.encode(format!("{before}{text}z"));
        assert!(
            phone.are_in(packed("12025550143").as_bytes()) && mail.are_in(packed("ANA.LOPEZ@EXAMPLE.COM").as_bytes())
        );
    }
    assert!(!phone.are_in(b"12025550144") && !mail.are_in(b"bo@example.com"));
}
