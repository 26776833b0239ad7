//! Packages that must not be written, and archives that must not be trusted.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use sluice::package::{AppPlan, Sources, check, write_folder};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A folder as a checkout has it: host.json, functions/, sluice.toml and a program.
fn checkout(root: &Path) -> Sources {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(root).unwrap();
    for file in ["host.json", "sluice.toml"] {
        fs::copy(here.join(file), root.join(file)).unwrap();
    }
    for folder in all().folders() {
        let file = format!("functions/{folder}/function.json");
        fs::create_dir_all(root.join(&file).parent().unwrap()).unwrap();
        fs::copy(here.join(&file), root.join(&file)).unwrap();
    }
    let executable = root.join("program");
    fs::copy("/bin/true", &executable).unwrap();
    fs::write(root.join("thesis.txt"), "years of work").unwrap();
    Sources { config: root.join("sluice.toml"), root: root.to_owned(), executable }
}

fn all() -> &'static AppPlan {
    AppPlan::named("all").unwrap()
}

fn settings(name: &str) -> Option<String> {
    name.ends_with("_TOPIC").then(|| name.to_lowercase())
}

#[test]
fn a_package_never_takes_the_place_of_what_it_is_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("checkout");
    let sources = checkout(&root);
    let roundabout: PathBuf = root.join("functions/..");
    for target in [root.as_path(), &roundabout] {
        let error = write_folder(all(), &sources, target).unwrap_err().to_string();
        assert!(error.contains("choose another folder"), "{error}");
        assert_eq!(fs::read_to_string(root.join("thesis.txt")).unwrap(), "years of work");
        assert!(root.join("functions/ingest/function.json").is_file());
    }
    write_folder(all(), &sources, &root.join("build")).unwrap();
    assert!(root.join("build/ingest/function.json").is_file());

    // The program of a package makes a package of another app in the place of its own.
    let own = Sources { executable: root.join("build/sluice"), ..sources };
    assert!(write_folder(AppPlan::named("sms").unwrap(), &own, &root.join("build")).is_err());
    assert!(root.join("build/sluice").is_file());
}

#[test]
fn an_archive_that_unpacks_to_more_than_a_disk_holds_is_not_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.zip");
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    zip.start_file("host.json", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"{}").unwrap();
    zip.finish().unwrap();
    // What the central directory says of the size is all that anybody knows before it is unpacked.
    let mut bytes = fs::read(&path).unwrap();
    let entry = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[entry + 24..entry + 28].copy_from_slice(&0xf000_0000_u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();

    let error = check(&path, &settings).unwrap_err().to_string();
    assert!(error.contains("bomb.zip") && error.contains("no package is so large"), "{error}");
}

#[test]
fn an_archive_that_lies_about_its_size_unpacks_to_no_more_than_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("liar.zip");
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    zip.start_file("host.json", SimpleFileOptions::default()).unwrap();
    zip.write_all(&vec![b' '; 4 << 20]).unwrap();
    zip.finish().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let entry = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[entry + 24..entry + 28].copy_from_slice(&10_u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();

    assert!(check(&path, &settings).unwrap_err().to_string().contains("liar.zip"));
}

#[test]
fn an_archive_reaches_nothing_outside_of_where_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret.toml");
    fs::write(&secret, "private = \"5f2e\"").unwrap();
    for (name, target) in [("sluice.toml", secret.to_str().unwrap()), ("sluice.toml", "/dev/zero")] {
        let path = folder.path().join("link.zip");
        let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
        zip.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        let told = match check(&path, &settings) {
            Ok(problems) => problems.join("\n"),
            Err(error) => error.to_string(),
        };
        assert!(!told.is_empty() && !told.contains("5f2e"), "{told}");
    }
    let path = folder.path().join("climb.zip");
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    zip.start_file("../../climbed.txt", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    assert!(check(&path, &settings).is_err());
}
