//! Whatever goes wrong between the operator and the API server, the same comes of it: the operator killed at each of its calls, watches
//! that lose, double or delay what they say, refusals, answers that never come.
//!
//! Three stories are told to it so: of the `objects` that manifests become, of the `load` that calls for workers, of the `rows` that it
//! writes into a database and takes out of it. What comes of a `story` without any `mischief` is what has to come of it with some.

mod load;
mod mischief;
mod objects;
mod rows;
mod story;
#[path = "../support/mod.rs"]
mod support;

/// The tests of a story.
macro_rules! disturbed {
    ($($module:ident: $story:ty),* $(,)?) => {$(
        mod $module {
            #[tokio::test]
            async fn killed_at_any_of_its_calls() {
                crate::story::killed_at_any_of_its_calls::<$story>().await;
            }

            #[tokio::test]
            async fn refused_or_unheard() {
                crate::story::refused_or_unheard::<$story>().await;
            }

            #[tokio::test]
            async fn watches_that_lose_double_or_delay() {
                crate::story::watches_that_lose_double_or_delay::<$story>().await;
            }
        }
    )*};
}

disturbed!(
    what_manifests_become: crate::objects::Objects,
    what_the_load_calls_for: crate::load::Load,
    what_a_database_has: crate::rows::Rows,
);
