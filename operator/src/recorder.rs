//! Publishing Events.

use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, Recorder, Reporter};
use kube::{Client, Error};

use crate::FIELD_MANAGER;

/// How many Events are remembered.
const REMEMBERED: usize = 500;

/// Publishes Events; one that comes again within minutes is counted, and is no other.
///
/// kube's recorder has to remember for that what it published: each Event whole, until another comes more than six minutes after it, and it
/// goes through all of them with each. With a thousand new QueueWorkers that was half of the heap, 9 of 19 MB, and was kept at rest. So after so
/// many it is another recorder, which remembers nothing.
pub(crate) struct Events {
    client: Client,
    current: Mutex<(Recorder, usize)>,
}

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        let recorder = recorder(&client);
        Self { client, current: Mutex::new((recorder, 0)) }
    }

    /// Publishes one about an object.
    ///
    /// # Errors
    /// Those of the API server.
    pub(crate) async fn publish(&self, event: &Event, object: &ObjectReference) -> Result<(), Error> {
        let recorder = self.recorder();
        recorder.publish(event, object).await
    }

    fn recorder(&self) -> Recorder {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (recorder, published) = &mut *current;
        if *published >= REMEMBERED {
            (*recorder, *published) = (self::recorder(&self.client), 0);
        }
        *published += 1;
        recorder.clone()
    }
}

fn recorder(client: &Client) -> Recorder {
    let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: None };
    Recorder::new(client.clone(), reporter)
}
