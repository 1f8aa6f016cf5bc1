//! One API server for all tests of this binary, with our kinds in it, and a namespace for each test.

use gritstone_tests::cluster::Cluster;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::{Path, PathBuf};
use tokio::sync::OnceCell;

/// The repository's folder of manifests and definitions.
pub fn crds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds")
}

/// The API server, with `crds/*.yaml` applied as a user would.
pub async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let cluster = Cluster::start().await.unwrap();
            let folder = crds().display().to_string();
            cluster.kubectl(&["apply", "-f", &folder]).await.unwrap();
            let kinds = ["queueworkers", "dispatchers", "recurringtasks", "cronschedules"];
            for kind in kinds.map(|kind| format!("crd/{kind}.gritstone.dev")) {
                cluster.kubectl(&["wait", "--for=condition=Established", &kind]).await.unwrap();
            }
            cluster
        })
        .await
}

/// A client of it. Each test has a runtime of its own, and so needs one of its own.
pub async fn client() -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster().await.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// A new namespace.
pub async fn namespace(name: &str) -> String {
    let namespaces: Api<Namespace> = Api::all(client().await);
    let metadata = ObjectMeta { generate_name: Some(format!("{name}-")), ..ObjectMeta::default() };
    let made = namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await;
    made.unwrap().metadata.name.unwrap()
}
