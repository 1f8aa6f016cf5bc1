//! A story, told with and without mischief.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use gritstone_tests::rig::until_shown;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::api::ListParams;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::mischief::{Call, Fate, Mischief, Watching, through};
use crate::support::Rig;

/// How long what is disturbed may take: a watch that broke waits up to half a minute before it begins anew.
const PATIENCE: Duration = Duration::from_secs(240);
/// How many are told at once.
const AT_ONCE: usize = 12;

/// What people and workers do, and what is to come of it.
pub trait Story: Sized {
    const NAME: &'static str;

    /// Kinds of calls that it is about: the operator makes each of them.
    const CALLS: &'static [&'static str];

    /// What there is before the operator.
    async fn begin(rig: &Rig) -> Self;

    /// What is done. Waits where the next step takes what the operator has made of the one before.
    async fn act(&self, rig: &Rig);

    /// All there is, without what differs from one time to another.
    async fn look(&self, rig: &Rig) -> Vec<Value>;

    /// Whether everything is there that was asked for, and what is to be said of it.
    fn is_there(objects: &[Value]) -> bool;

    /// Something that the operator will undo.
    async fn meddle(&self, rig: &Rig);

    /// Where it is remembered what comes of it when nothing goes wrong.
    fn memory() -> &'static OnceCell<Undisturbed>;
}

/// What comes of it when nothing goes wrong.
pub struct Undisturbed {
    objects: Vec<Value>,
    /// The calls that the operator made for it: how many of each kind.
    calls: BTreeMap<String, usize>,
}

async fn undisturbed<S: Story>() -> &'static Undisturbed {
    S::memory()
        .get_or_init(|| async {
            let rig = Rig::without_operator(S::NAME).await;
            let story = S::begin(&rig).await;
            let fate = start(&rig, Mischief::Nothing);
            story.act(&rig).await;
            let objects = until_shown(PATIENCE, "all is there and nothing more comes", async || {
                let before = story.look(&rig).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                let now = story.look(&rig).await;
                if S::is_there(&now) && before == now { Ok(now) } else { Err(format!("{now:#?}")) }
            })
            .await;
            let calls = fate.calls();
            for call in S::CALLS {
                assert!(calls.contains_key(*call), "no {call} among {calls:#?}");
            }
            Undisturbed { objects, calls }
        })
        .await
}

/// An operator that meets with this.
fn start(rig: &Rig, mischief: Mischief) -> Fate {
    let fate = Fate::default();
    let of_operator = fate.clone();
    rig.start_operator_with(move |client| through(mischief, of_operator, client));
    fate
}

async fn disturbed<S: Story>(mischief: Mischief) {
    let wanted = &undisturbed::<S>().await.objects;
    let rig = Rig::without_operator(S::NAME).await;
    let story = S::begin(&rig).await;
    let fate = start(&rig, mischief.clone());
    let told = async {
        story.act(&rig).await;
        rig.until(&format!("{mischief:?} has happened"), async || {
            // It may need fewer calls this time, since it sees several changes at once: then it is given more to do.
            if fate.met() == 0 && &story.look(&rig).await == wanted {
                fate.dies_next();
                story.meddle(&rig).await;
            }
            fate.met() > 0
        })
        .await;
    };
    let replaced = async {
        if let Mischief::Die(_) = &mischief {
            // Only when it is said to be dead: waiting for that is the other's.
            while fate.met() == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            rig.start_operator();
        }
    };
    tokio::join!(told, replaced);
    until_shown(PATIENCE, &format!("all is as without {mischief:?}:"), async || {
        let now = story.look(&rig).await;
        if &now == wanted { Ok(()) } else { Err(differences(wanted, &now)) }
    })
    .await;
}

fn differences(wanted: &[Value], now: &[Value]) -> String {
    let missing = wanted.iter().filter(|object| !now.contains(object)).map(|object| format!("- {object}\n"));
    missing.chain(now.iter().filter(|object| !wanted.contains(object)).map(|object| format!("+ {object}\n"))).collect()
}

pub async fn killed_at_any_of_its_calls<S: Story>() {
    let calls = &undisturbed::<S>().await.calls;
    println!("{}: killed at each of {} calls, of {} kinds", S::NAME, calls.values().sum::<usize>(), calls.len());
    let calls = calls.iter().flat_map(|(kind, count)| (1..=*count).map(|nth| Call { kind: kind.clone(), nth }));
    let kills = calls.map(|call| disturbed::<S>(Mischief::Die(call)));
    futures::stream::iter(kills).buffer_unordered(AT_ONCE).collect::<()>().await;
}

pub async fn refused_or_unheard<S: Story>() {
    let answers = [Some(409), Some(429), Some(500), Some(503), None];
    let answers = answers.map(|answer| disturbed::<S>(Mischief::Answer(answer)));
    futures::future::join_all(answers).await;
}

pub async fn watches_that_lose_double_or_delay<S: Story>() {
    let watches = [Watching::Doubled, Watching::Torn, Watching::Late, Watching::Forgotten];
    let watches = watches.map(|watching| disturbed::<S>(Mischief::Watch(watching)));
    futures::future::join_all(watches).await;
}

/// All objects of a kind, without what differs from one time to another.
pub async fn objects<K>(rig: &Rig) -> Vec<Value>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let list = rig.api::<K>().list(&ListParams::default()).await.unwrap();
    list.items.iter().map(|object| without_chance(json!(object), rig.namespace())).collect()
}

fn without_chance(mut object: Value, namespace: &str) -> Value {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let owners: Vec<_> = owners.map(|owner| owner["name"].clone()).collect();
    let metadata = &object["metadata"];
    // How many there were depends on whether an edit came before what is made of it was there.
    let generation = metadata["generation"].clone();
    let is_seen = |seen: &Value| if seen.is_null() { Value::Null } else { json!(*seen == generation) };
    object["metadata"] = json!({"name": metadata["name"], "labels": metadata["labels"], "owners": owners});
    for condition in object.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        condition["lastTransitionTime"] = Value::Null;
        condition["observedGeneration"] = is_seen(&condition["observedGeneration"]);
    }
    if let Some(seen) = object.pointer_mut("/status/observedGeneration") {
        *seen = is_seen(seen);
    }
    for chance in [
        // A digest of this Secret, of which there is one in each namespace.
        "/spec/template/metadata/annotations/gritstone.dev~1database-digest",
        // One that died before it said what it did says nothing of it later.
        "/status/lastScaling",
        // Another, once this one has passed.
        "/status/nextRunTime",
    ] {
        if let Some(value) = object.pointer_mut(chance) {
            *value = Value::Null;
        }
    }
    serde_json::from_str(&object.to_string().replace(namespace, "here")).unwrap()
}

/// Those of a kind.
pub fn of_kind<'o>(objects: &'o [Value], kind: &'o str) -> impl Iterator<Item = &'o Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// Whether there is one such object, and it says so of what it is now.
pub fn says(objects: &[Value], kind: &str, reason: &str) -> bool {
    let says = |object: &Value| {
        let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        conditions.any(|said| said["reason"] == reason) && object["status"]["observedGeneration"] == true
    };
    of_kind(objects, kind).count() == 1 && of_kind(objects, kind).all(says)
}
