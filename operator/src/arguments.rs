//! The command line.

use std::net::SocketAddr;

use clap::{ArgAction, Parser};

use crate::logging::LogFormat;
use crate::pull::{Pull, PullPolicy};
use crate::scope::Scope;

/// Keeps true on Kubernetes what manifests of gritstone.dev ask for
#[derive(Clone, Debug, Parser)]
#[command(name = "gritstone-operator", version)]
pub struct Arguments {
    /// A namespace to look after: given again, or separated by commas, for more; * for all [default: its own]
    #[arg(long, env = "GRITSTONE_OPERATOR_NAMESPACE", value_delimiter = ',', value_name = "NAME")]
    pub namespace: Vec<String>,
    /// The image of workers and dispatchers, with `gritstone` at /gritstone
    #[arg(long, env = "GRITSTONE_OPERATOR_IMAGE")]
    pub image: String,
    /// A Secret that it is pulled with, in the namespace of the pods: given again, or separated by commas, for more
    #[arg(long, env = "GRITSTONE_OPERATOR_IMAGE_PULL_SECRET", value_delimiter = ',', value_name = "NAME")]
    pub image_pull_secret: Vec<String>,
    /// When it is pulled [default: by Kubernetes' own rule]
    #[arg(long, env = "GRITSTONE_OPERATOR_IMAGE_PULL_POLICY", value_enum, value_name = "POLICY")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Its own namespace, where the Lease and the cluster's id are kept [default: the pod's, or that of KUBECONFIG's context]
    #[arg(long, env = "GRITSTONE_NAMESPACE", value_name = "NAME")]
    pub own_namespace: Option<String>,
    /// Work only while holding the Lease, so that several replicas take turns; false for one replica alone
    #[arg(long, env = "GRITSTONE_OPERATOR_LEADER_ELECT", default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub leader_elect: bool,
    /// The Lease's name. Operators of the same take turns, so those for other namespaces need one of their own
    #[arg(long, env = "GRITSTONE_OPERATOR_LEASE", default_value = "gritstone-operator", value_name = "NAME")]
    pub lease: String,
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "GRITSTONE_OPERATOR_HEALTH", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub health: SocketAddr,
    /// Its name among replicas [default: HOSTNAME]
    #[arg(long, env = "GRITSTONE_POD", value_name = "NAME")]
    pub pod: Option<String>,
    /// What tells this cluster from others in a database [default: the UID of the namespace kube-system]
    #[arg(long, env = "GRITSTONE_CLUSTER_ID", value_name = "ID")]
    pub cluster_id: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a filter such as gritstone_operator=debug
    #[arg(long, env = "GRITSTONE_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How to write it
    #[arg(long, env = "GRITSTONE_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

impl Arguments {
    /// What to look after.
    pub fn scopes(&self, own_namespace: &str) -> Vec<Scope> {
        let mut named = names(&self.namespace);
        named.sort_unstable();
        named.dedup();
        match &named[..] {
            [] => vec![Scope::Namespace(own_namespace.to_owned())],
            named if named.contains(&"*") => vec![Scope::Everywhere],
            named => named.iter().map(|name| Scope::Namespace((*name).to_owned())).collect(),
        }
    }

    /// How the image of workers and dispatchers is pulled.
    pub fn pull(&self) -> Pull {
        let secrets = names(&self.image_pull_secret).into_iter().map(str::to_owned).collect();
        Pull { secrets, policy: self.image_pull_policy }
    }
}

/// What stands between commas.
fn names(given: &[String]) -> Vec<&str> {
    given.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_given_again_or_by_commas_each_once_and_the_election_can_be_left_out() {
        let read = |more: &[&str]| {
            Arguments::try_parse_from([&["gritstone-operator", "--image", "g:1"], more].concat()).expect("arguments")
        };
        let scopes = |more: &[&str]| read(more).scopes("own");
        let named = ["a", "b", "c"].map(|name| Scope::Namespace(name.to_owned()));
        assert_eq!(scopes(&["--namespace", "b, a,b", "--namespace", "c"]), named);
        assert_eq!(scopes(&["--namespace", "*"]), [Scope::Everywhere]);
        assert_eq!(scopes(&[]), [Scope::Namespace("own".to_owned())]);
        assert!(read(&[]).leader_elect && read(&["--leader-elect"]).leader_elect);
        assert!(!read(&["--leader-elect=false"]).leader_elect);
    }

    #[test]
    fn the_image_is_pulled_as_kubernetes_does_unless_something_is_said() {
        let pull = |more: &[&str]| {
            let given = [&["gritstone-operator", "--image", "g:1"], more].concat();
            Arguments::try_parse_from(given).expect("arguments").pull()
        };
        assert_eq!(pull(&["--image-pull-secret", ""]), Pull::default());
        let said = pull(&["--image-pull-secret", "a, b", "--image-pull-policy", "IfNotPresent"]);
        assert_eq!(said.secrets, ["a", "b"]);
        assert_eq!(said.policy, Some(PullPolicy::IfNotPresent));
    }
}
