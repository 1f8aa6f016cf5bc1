//! What is particular about a worker's pods.

use gritstone_crds::kinds::QueueWorker;
use kube::Resource;

use crate::engine::{Engine, Role, without};

/// What the engine doesn't read: how many workers there are, where and on which database. A change of that rolls no pods, or does so
/// by itself.
const NOT_READ: [&str; 4] = ["database", "replicas", "autoscaling", "template"];

/// The pods of a worker whose spec is valid, `replicas` of them if that is ours to say.
pub(super) fn engine<'a>(
    worker: &'a QueueWorker,
    name: &'a str,
    database_digest: Option<&'a str>,
    replicas: Option<i32>,
) -> Engine<'a> {
    let spec = &worker.spec;
    Engine {
        role: Role::Worker,
        name,
        owner: worker.controller_owner_ref(&()),
        spec: without(spec, &NOT_READ),
        database: spec.database.as_ref(),
        database_digest,
        replicas,
        // A pod more would hold connections that nobody has room for.
        may_surge: spec.autoscaling.is_none_or(|scaling| scaling.max_database_connections.is_none()),
        drain_timeout: spec.drain_timeout,
        handler: spec.handler(),
        template: spec.template.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_engine_reads_only_what_is_about_its_work() {
        let worker = |replicas: i32| {
            let spec = json!({
                "database": {"secretRef": {"name": "app-db"}},
                "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
                "replicas": replicas,
                "template": {"spec": {"nodeSelector": {"disk": "ssd"}}},
            });
            QueueWorker::new("mail", serde_json::from_value(spec).expect("a spec"))
        };
        let (one, two) = (worker(1), worker(2));
        let read = engine(&one, "mail", None, Some(1)).spec;
        assert_eq!(read, engine(&two, "mail", None, Some(2)).spec);
        let manifest = json!({
            "apiVersion": gritstone_crds::API_VERSION, "kind": "QueueWorker", "metadata": {"name": "mail"}, "spec": read,
        });
        let read = gritstone_crds::read_manifests(&manifest.to_string(), "worker.yaml").expect("a manifest");
        assert_eq!(read.len(), 1);
        assert!(!manifest.to_string().contains("app-db"));
    }
}
