//! Values that make no sense.

use crate::support::{helm, root};

fn said(values: &[&str]) -> String {
    let mut arguments = vec!["template", "blue", "charts/gritstone"];
    for value in values {
        arguments.extend(["--set", value]);
    }
    let output = helm(&arguments);
    assert!(!output.status.success(), "{values:?} was taken");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_makes_no_sense_is_refused_with_the_place_and_the_reason() {
    let refused: &[(&[&str], &str)] = &[
        (&["operator.replica=2"], "additional properties 'replica' not allowed"),
        (&["operator.replicas=-1"], "minimum"),
        (&["operator.replicas=two"], "got string, want integer"),
        (&["operator.logFormat=xml"], "/operator/logFormat"),
        (&["worker.image.digest=sha256:12"], "/worker/image/digest"),
        (&["worker.image.pullPolicy=Sometimes"], "/worker/image/pullPolicy"),
        (&["worker.imagePullSecrets={registry}"], "/worker/imagePullSecrets/0"),
        (&["namespaces={Shop}"], "/namespaces/0"),
        (
            &["operator.databaseFiles[0].path=/ca.crt", "operator.databaseFiles[0].secret=a"],
            "/operator/databaseFiles/0/path",
        ),
        (&["operator.databaseFiles[0].path=/etc/db/ca.crt"], "/operator/databaseFiles/0"),
        (
            &["namespaces={*}", "operator.databaseFiles[0].path=/etc/db/ca.crt", "operator.databaseFiles[0].secret=a"],
            "operator.databaseFiles: /etc/db/ca.crt would not be opened: with several namespaces a file goes to /etc/databases/NAMESPACE/",
        ),
        (
            &[
                "namespaces={mail,shop}",
                "operator.databaseFiles[0].path=/etc/databases/ca.crt",
                "operator.databaseFiles[0].secret=a",
            ],
            "operator.databaseFiles: /etc/databases/ca.crt would not be opened",
        ),
        (&["namespaces={*,shop}"], "\"*\" is every namespace, so name it alone"),
        (&["metrics.port=0"], "/metrics/port"),
        (&["metrics.rules.lateAfter=soon"], "/metrics/rules/lateAfter"),
        (&["serviceAccount.create=false"], "serviceAccount.name: name the account"),
        (
            &["metrics.serviceMonitor.create=true", "metrics.service.create=false"],
            "metrics.serviceMonitor.create: needs metrics.service.create",
        ),
        (&["gritstone-crds.annotation.a=b"], "additional properties 'annotation' not allowed"),
    ];
    for (values, reason) in refused {
        let said = said(values);
        assert!(said.contains(reason), "{values:?}: {said}");
    }
}

#[test]
fn every_value_says_what_it_is_for() {
    let values = std::fs::read_to_string(root().join("charts/gritstone/values.yaml")).unwrap();
    let lines: Vec<&str> = values.lines().collect();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with(char::is_alphabetic)) {
        assert!(number > 0 && lines[number - 1].starts_with('#'), "values.yaml:{}: {line}", number + 1);
    }
}
