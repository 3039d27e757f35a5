//! Saving: creates or updates what a meeting worker names by its UUID, and starts over if another request comes first.

use std::ops::ControlFlow;

use capstan_aws::busy;
use capstan_domain::Error;
use capstan_store::{ByName, retry_overtaken};

/// How often a request is tried that other requests overtake. As many workers may save the same entity at once.
const MAX_TRIES: usize = 32;

/// A saved entity.
pub(crate) enum Saved<E> {
    /// It was created, or its status changed: its event is to be published.
    Changed(E),
    /// Its status is unchanged.
    Unchanged(E),
}

/// A meeting worker's request to save a recording or a transcription.
pub(crate) trait SaveRequest: Sync {
    /// What is saved.
    type Entity: Send;
    /// Identifier.
    type Id: Send;

    /// Finds the entity by the worker's UUID.
    fn find(&self) -> impl Future<Output = Result<ByName<Self::Entity, Self::Id>, Error>> + Send;

    /// Creates the entity. `gone` is the deleted entity that had the UUID. `None` when another request came first.
    fn create(
        &self,
        gone: Option<&Self::Id>,
    ) -> impl Future<Output = Result<Option<Saved<Self::Entity>>, Error>> + Send;

    /// Updates the entity as it was read. `None` when another request came first.
    fn update(&self, seen: Self::Entity) -> impl Future<Output = Result<Option<Saved<Self::Entity>>, Error>> + Send;
}

/// Carries out a request.
///
/// # Errors
/// Those of the request, and [`Error::Unavailable`] when other requests overtook every try.
pub(crate) async fn save<R: SaveRequest>(request: &R) -> Result<Saved<R::Entity>, Error> {
    let overtaken = || busy("other requests kept changing the same meeting recording or transcription");
    retry_overtaken(MAX_TRIES, overtaken, (), |()| attempt(request)).await
}

async fn attempt<R: SaveRequest>(request: &R) -> Result<ControlFlow<Saved<R::Entity>>, Error> {
    let saved = match request.find().await? {
        ByName::Known(seen) => request.update(*seen).await?,
        ByName::Gone(id) => request.create(Some(&id)).await?,
        ByName::Unknown => request.create(None).await?,
    };
    Ok(saved.map_or(ControlFlow::Continue(()), ControlFlow::Break))
}
