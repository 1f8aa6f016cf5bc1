//! `gritstone check`.

use super::support::Home;

const FINE: &str = "\
apiVersion: gritstone.dev/v1alpha1
kind: QueueWorker
metadata: {name: mail}
spec:
  queues: [mail]
  handler: {command: {command: [./run-job]}}
";

#[test]
fn what_is_fine_is_said() {
    let home = Home::empty();
    home.write("worker.yaml", FINE);
    home.run(&["check", "-f", "worker.yaml"]).ok().prints("worker.yaml:1: QueueWorker mail is fine");
    let checked = home.run(&["check", "worker.yaml", "--json"]).ok().json();
    assert_eq!((&checked["ok"], &checked["manifests"][0]["name"]), (&true.into(), &"mail".into()));
}

#[test]
fn every_problem_gets_a_line_with_its_place_and_the_nearest_name() {
    let home = Home::empty();
    std::fs::create_dir(home.path("manifests")).unwrap();
    home.write("manifests/a.yaml", &FINE.replace("queues", "queus"));
    home.write("manifests/b.yaml", &FINE.replace("[mail]", "[mail]\n  threads: many"));
    let ran = home.run(&["check", "-f", "manifests"]).code(1).says("2 problems");
    ran.says("manifests/a.yaml:5: spec.queus: unknown field; did you mean queues?")
        .says("manifests/b.yaml:6: spec.threads: ");
    let checked = home.run(&["check", "manifests", "--json"]).code(1);
    assert_eq!(checked.json()["problems"][0]["line"], 5);
    assert_eq!(checked.err, "");
}

#[test]
fn nothing_to_check_is_not_fine() {
    let home = Home::empty();
    home.write("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n");
    home.run(&["check", "secret.yaml"]).code(1).says("there is nothing to check in secret.yaml");
    home.run(&["check"]).code(2).says("name a manifest");
}

#[test]
fn the_manifests_of_the_examples_are_fine() {
    let home = Home::empty();
    for folder in ["first-run", "commands"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(folder);
        home.run(&["check", path.to_str().unwrap()]).ok();
    }
}
