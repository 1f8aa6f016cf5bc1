//! How the image of workers and dispatchers is pulled.

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

/// What holds unless a manifest's template says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pull {
    /// The names of Secrets for its registry. Each is looked for in the namespace of the pods.
    pub secrets: Vec<String>,
    /// When it is pulled: by Kubernetes' own rule if none is given.
    pub policy: Option<PullPolicy>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum PullPolicy {
    /// Whenever a container starts.
    Always,
    /// If the node doesn't have it.
    IfNotPresent,
    /// By somebody else.
    Never,
}

impl Pull {
    /// The fields of a container of this image.
    pub(crate) fn container(&self, image: &str) -> Value {
        let mut fields = json!({"image": image});
        if let Some(policy) = self.policy {
            fields["imagePullPolicy"] = json!(policy);
        }
        fields
    }

    /// The fields of a pod that has such a container.
    pub(crate) fn pod(&self) -> Value {
        if self.secrets.is_empty() {
            return json!({});
        }
        let secrets: Vec<_> = self.secrets.iter().map(|name| json!({"name": name})).collect();
        json!({"imagePullSecrets": secrets})
    }
}
