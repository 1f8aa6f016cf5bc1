//! What tells this cluster's processes from others' in a database that both use.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use rand::Rng;
use serde_json::json;

use crate::FIELD_MANAGER;

/// Where it is kept when the namespace `kube-system` may not be read.
const CONFIG_MAP: &str = "gritstone-cluster-id";
const KEY: &str = "id";

/// The UID of the namespace `kube-system`; where that may not be read, a random id kept in a ConfigMap of `own_namespace`, which then
/// tells this operator's processes rather than this cluster's.
///
/// # Errors
/// Those of the API server.
pub async fn cluster_id(client: &Client, own_namespace: &str) -> Result<String, Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.get("kube-system").await {
        Ok(Namespace { metadata, .. }) if metadata.uid.is_some() => return Ok(metadata.uid.unwrap_or_default()),
        Ok(_) => {}
        Err(Error::Api(status)) if matches!(status.code, 403 | 404) => {}
        Err(error) => return Err(error),
    }
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), own_namespace);
    let kept = |map: ConfigMap| map.data.and_then(|mut data| data.remove(KEY)).filter(|id| !id.is_empty());
    if let Some(id) = maps.get_opt(CONFIG_MAP).await?.and_then(kept) {
        return Ok(id);
    }
    let id = format!("{:032x}", rand::rng().random::<u128>());
    let map = json!({"metadata": {"name": CONFIG_MAP}, "immutable": true, "data": {KEY: id}});
    let map: ConfigMap = serde_json::from_value(map).map_err(Error::SerdeError)?;
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match maps.create(&parameters, &map).await {
        Ok(_) => {
            tracing::info!(name = CONFIG_MAP, "kube-system may not be read: the cluster's id is kept in a ConfigMap");
            Ok(id)
        }
        Err(Error::Api(status)) if status.code == 409 => {
            let map = maps.get(CONFIG_MAP).await?;
            kept(map)
                .ok_or_else(|| Error::Service(format!("the ConfigMap {CONFIG_MAP} has no {KEY}: delete it").into()))
        }
        Err(error) => Err(error),
    }
}
