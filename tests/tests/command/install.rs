//! `gritstone install` and `gritstone probe`: what is for containers.

use super::support::Home;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_program_and_the_authorities_are_there_and_work() {
    let home = Home::empty();
    home.write("roots.pem", "authorities");
    let folder = home.path("volume/tools");
    home.run(&["install", "volume/tools", "--ca", "roots.pem"]).ok();
    assert_eq!(names(&folder), ["ca-certificates.crt", "gritstone"]);
    assert_eq!(std::fs::read(folder.join("ca-certificates.crt")).unwrap(), b"authorities");
    let mode = |name: &str| std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("gritstone"), mode("ca-certificates.crt")), (0o755, 0o644));
    let version = Command::new(folder.join("gritstone")).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("gritstone 0."));
}

#[test]
fn it_can_be_done_again_also_while_the_copy_runs() {
    let home = Home::new();
    home.write("roots.pem", "old");
    home.run(&["install", "tools", "--ca", "roots.pem"]).ok();
    let mut copy = Command::new(home.path("tools/gritstone"));
    let mut running = copy.args(["dispatch", "--database", home.url()]).spawn().unwrap();
    home.write("roots.pem", "new");
    home.run(&["install", "tools", "--ca", "roots.pem"]).ok();
    assert_eq!(std::fs::read(home.path("tools/ca-certificates.crt")).unwrap(), b"new");
    assert_eq!(names(&home.path("tools")), ["ca-certificates.crt", "gritstone"]);
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn what_is_in_the_way_is_said_and_nothing_is_left_behind() {
    let home = Home::empty();
    home.run(&["install", "tools", "--ca", "nowhere.pem"]).code(1).says("the file nowhere.pem can't be read");
    home.write("roots.pem", "authorities");
    home.write("file", "");
    home.run(&["install", "file/tools", "--ca", "roots.pem"]).code(1).says("the folder file/tools can't be made");
    std::fs::create_dir_all(home.path("taken/gritstone/x")).unwrap();
    home.run(&["install", "taken", "--ca", "roots.pem"]).code(1).says("the file taken/gritstone can't be written");
    assert_eq!(names(&home.path("taken")), ["ca-certificates.crt", "gritstone"]);
}

#[test]
fn a_probe_says_whether_a_server_is_healthy() {
    let home = Home::empty();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    home.run(&["probe", "no url"]).code(2).says("is not a URL");
    let answering = std::thread::spawn(move || {
        for status in ["200 OK", "503 Service Unavailable"] {
            let (mut stream, _) = server.accept().unwrap();
            let _request = stream.read(&mut [0; 4_096]).unwrap();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
        }
    });
    let url = format!("http://{address}/healthz");
    home.run(&["probe", &url]).ok();
    home.run(&["probe", &url]).code(1).says("answered 503");
    answering.join().unwrap();
    home.run(&["probe", &url]).code(1).says(&address.to_string());
}
