//! Somebody who changes the number of workers in the moment before the operator writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::client::Body;
use serde_json::json;
use tower::{BoxError, service_fn};

/// A client whose scaler, before it writes for the time `nth` (from 1), is forestalled by somebody who asks for `replicas`.
pub fn before_write(nth: u32, replicas: i32, rival: Api<Deployment>, client: Client) -> Client {
    let (namespace, writes) = (client.default_namespace().to_owned(), Arc::new(AtomicU32::new(0)));
    let service = service_fn(move |request: Request<Body>| {
        let (client, rival, writes) = (client.clone(), rival.clone(), writes.clone());
        async move {
            let path = request.uri().path().to_owned();
            let is_scalers = request.uri().query().is_some_and(|query| query.contains("fieldManager=gritstone-scaler"));
            if is_scalers
                && let Some((_, name)) = path.split_once("/deployments/")
                && writes.fetch_add(1, Ordering::SeqCst) + 1 == nth
            {
                let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
                rival.patch(name, &PatchParams::default(), &patch).await?;
            }
            Ok::<_, BoxError>(client.send(request).await?)
        }
    });
    Client::new(service, namespace)
}
