//! `scripts/build-images` and `images/pack`: what is in an image, without any program that could run it.

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The least that passes for a static program for amd64: a header, and no wish for a dynamic linker.
fn static_program() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..6].copy_from_slice(b"\x7fELF\x02\x01");
    header[18] = 62;
    header
}

/// A folder with programs of the names that are asked for, and a bundle of authorities.
fn programs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["gritstone", "gritstone-operator"] {
        std::fs::write(folder.path().join(name), static_program()).unwrap();
        Command::new("chmod").arg("755").arg(folder.path().join(name)).status().unwrap();
    }
    std::fs::write(folder.path().join("ca.crt"), "authorities").unwrap();
    folder
}

fn build_images(from: &Path, to: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(root().join("scripts/build-images"));
    command.args(["--tag", "1", "--arch", "amd64", "--binaries"]).arg(from).arg("--ca").arg(from.join("ca.crt"));
    command.args(more).arg(to).output().unwrap()
}

fn built(to: &Path) {
    let built = build_images(programs().path(), to, &[]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// A file out of an archive.
fn read(archive: &Path, name: &str) -> Vec<u8> {
    let read = Command::new("tar").arg("-xOf").arg(archive).arg(name).output().unwrap();
    assert!(read.status.success(), "{name}: {}", String::from_utf8_lossy(&read.stderr));
    read.stdout
}

fn read_json(archive: &Path, name: &str) -> Value {
    serde_json::from_slice(&read(archive, name)).unwrap()
}

/// The blob of a digest, which it is held to.
fn blob(archive: &Path, descriptor: &Value) -> Vec<u8> {
    let hex = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let content = read(archive, &format!("blobs/sha256/{hex}"));
    let is: String = digest(&SHA256, &content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((hex, descriptor["size"].as_u64()), (is.as_str(), Some(content.len() as u64)));
    content
}

/// The one image of an archive: its entry in the index, its configuration, its layer.
fn image(archive: &Path) -> (Value, Value, Vec<u8>) {
    let index = read_json(archive, "index.json");
    let entry = index["manifests"][0].clone();
    let manifest: Value = serde_json::from_slice(&blob(archive, &entry)).unwrap();
    let config: Value = serde_json::from_slice(&blob(archive, &manifest["config"])).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([manifest["layers"][0]["digest"]]), "the layer is not compressed");
    (entry, config, blob(archive, &manifest["layers"][0]))
}

/// Modes and owners by name, as `tar` lists them.
fn entries(layer: &[u8]) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer.tar");
    std::fs::write(&file, layer).unwrap();
    let listed = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(&file).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let fields = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.map(|field| (field[5].to_owned(), format!("{} {}", field[0], field[1]))).collect()
}

#[test]
fn an_image_holds_one_program_and_what_it_needs_for_tls_and_runs_as_nobody() {
    let folder = tempfile::tempdir().unwrap();
    built(folder.path());
    for (part, program) in [("worker", "gritstone"), ("operator", "gritstone-operator")] {
        let (entry, config, layer) = image(&folder.path().join(format!("gritstone-{part}.tar")));
        assert_eq!(entry["annotations"]["io.containerd.image.name"], json!(format!("localhost/gritstone-{part}:1")));
        assert_eq!(entry["platform"], json!({"architecture": "amd64", "os": "linux"}));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!([format!("/{program}")]));
        let expected: BTreeMap<String, String> = [
            (program, "-rwxr-xr-x 0/0"),
            ("LICENSE", "-rw-r--r-- 0/0"),
            ("etc/", "drwxr-xr-x 0/0"),
            ("etc/group", "-rw-r--r-- 0/0"),
            ("etc/passwd", "-rw-r--r-- 0/0"),
            ("etc/ssl/", "drwxr-xr-x 0/0"),
            ("etc/ssl/certs/", "drwxr-xr-x 0/0"),
            ("etc/ssl/certs/ca-certificates.crt", "-rw-r--r-- 0/0"),
            ("tmp/", "drwxrwxrwt 0/0"),
        ]
        .map(|(name, mode)| (name.to_owned(), mode.to_owned()))
        .into();
        assert_eq!(entries(&layer), expected);
    }
}

#[test]
fn docker_finds_its_own_manifest() {
    let folder = tempfile::tempdir().unwrap();
    built(folder.path());
    let archive = folder.path().join("gritstone-worker.tar");
    let manifest = read_json(&archive, "manifest.json");
    assert_eq!(manifest[0]["RepoTags"], json!(["localhost/gritstone-worker:1"]));
    let (_, config, layer) = image(&archive);
    let config_file = manifest[0]["Config"].as_str().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&read(&archive, config_file)).unwrap(), config);
    assert_eq!(read(&archive, manifest[0]["Layers"][0].as_str().unwrap()), layer);
}

#[test]
fn the_same_files_make_the_same_archive() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    built(one.path());
    built(two.path());
    for name in ["gritstone-worker.tar", "gritstone-operator.tar"] {
        assert!(std::fs::read(one.path().join(name)).unwrap() == std::fs::read(two.path().join(name)).unwrap());
    }
}

#[test]
fn what_would_not_start_in_an_empty_image_is_refused() {
    let refused = |replace: &dyn Fn(&Path), more: &[&str]| {
        let (from, to) = (programs(), tempfile::tempdir().unwrap());
        replace(&from.path().join("gritstone"));
        let built = build_images(from.path(), to.path(), more);
        assert!(!built.status.success());
        assert!(!to.path().join("gritstone-worker.tar").exists());
        String::from_utf8(built.stderr).unwrap()
    };
    // This test itself is linked to the system's libraries.
    let dynamic = refused(&|program| assert!(std::fs::copy(std::env::current_exe().unwrap(), program).is_ok()), &[]);
    assert!(dynamic.contains("is not static"), "{dynamic}");
    let script = refused(&|program| std::fs::write(program, "#!/bin/sh\n").unwrap(), &[]);
    assert!(script.contains("is no program for 64-bit Linux"), "{script}");
    let of_another = refused(&|_| {}, &["--arch", "arm64"]);
    assert!(of_another.contains("is not for arm64"), "{of_another}");
    let missing = refused(&|program| std::fs::remove_file(program).unwrap(), &[]);
    assert!(missing.contains("there is no gritstone in"), "{missing}");
    let without_authorities = refused(&|_| {}, &["--ca", "/nowhere/ca.crt"]);
    assert!(without_authorities.contains("ca-certificates"), "{without_authorities}");
}

#[test]
fn a_folder_is_packed_with_its_links_and_modes() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir_all(tree.join("bin")).unwrap();
    std::fs::write(tree.join("bin/busybox"), "#!").unwrap();
    Command::new("chmod").arg("700").arg(tree.join("bin/busybox")).status().unwrap();
    std::os::unix::fs::symlink("busybox", tree.join("bin/sh")).unwrap();
    let archive = folder.path().join("image.tar");
    let mut pack = Command::new(root().join("images/pack"));
    pack.arg(&archive).arg("localhost/any:1").arg(format!("{}:/", tree.display()));
    assert!(pack.output().unwrap().status.success());
    let (_, config, layer) = image(&archive);
    assert_eq!(config["config"]["User"], "");
    let entries = entries(&layer);
    assert_eq!(entries["bin/busybox"], "-rwx------ 0/0");
    assert_eq!(entries["bin/sh"], "lrwxrwxrwx 0/0");
}
