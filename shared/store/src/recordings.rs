//! Recordings: made, read, changed, deleted.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use capstan_aws::failure;
use capstan_domain::{Error, Metadata, Name, Recording, RecordingId, Status, Timestamp, Visibility};

use crate::change::{Change, Changed, delete_when};
use crate::condition::{Comparison, compares, exists, is, is_kept, is_new, is_within};
use crate::expression::Expressions;
use crate::keys::Identifier;
use crate::{Store, item, keys};

impl Store {
    /// Keeps a new recording, and gives it as it is kept. Finding it kept is no conflict: the SDK repeats a call whose
    /// answer was lost, and so does a client, who gets the same identifier by its `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Error::Conflict`] when that identifier is another's.
    pub async fn create_recording(&self, recording: Recording) -> Result<Recording, Error> {
        let item = item::recording(&recording, recording.due_at(recording.created_at))?;
        let Expressions { condition, names, .. } = is_new().expressions();
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(recording),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    let kept: Option<Recording> = refusal.item.clone().map(item::from_item).transpose()?;
                    let is_this =
                        |kept: &Recording| kept.tenant == recording.tenant && kept.created_at == recording.created_at;
                    let conflict = || Error::Conflict { reason: "a recording of this id exists".to_owned() };
                    kept.filter(is_this).ok_or_else(conflict)
                }
                _ => Err(failure(error)),
            },
        }
    }

    /// The recording of that id, deleted or not, whoever's it is; `None` when there is none.
    pub async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error> {
        self.read(id.key()).await
    }

    /// Changes what the owner may change. `None` leaves a field as it is, `Some(None)` empties it.
    ///
    /// # Errors
    /// [`Error::NotFound`] out of visibility.
    pub async fn update_recording(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        name: Option<Option<Name>>,
        metadata: Option<Metadata>,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let mut change = Change::when(is_within(visibility)?);
        change.set("updated_at", &now)?.set_or_remove("name", &name)?.set_metadata(metadata.as_ref())?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(_) => Err(Error::no_recording()),
        }
    }

    /// Deletes a recording: it is in no list and no read from now on, and due for the removal of its objects. A call
    /// more for each of its transcriptions.
    ///
    /// # Errors
    /// [`Error::NotFound`] out of visibility, and when it was deleted before.
    pub async fn delete_recording(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_within(visibility)?);
        mark_deleted(&mut change, id, now)?;
        match change.apply(self, id).await? {
            Changed::Made(deleted) => {
                // It is deleted whether or not they can be removed now; they are tried again with its objects.
                if let Err(error) = self.forget_transcriptions(&deleted).await {
                    tracing::warn!(recording_id = %id, %error, "transcriptions of a deleted recording are left");
                }
                Ok(())
            }
            // The SDK repeats a call whose answer was lost: then this very call deleted it.
            Changed::Refused(Some(old)) if old.deleted_at == Some(now) => {
                visibility.admit(Recording { deleted_at: None, ..*old }).map(drop)
            }
            Changed::Refused(_) => Err(Error::no_recording()),
        }
    }

    /// Deletes a recording that nobody completed in time. Does nothing to one that somebody did.
    pub async fn expire_recording(&self, id: &RecordingId, now: Timestamp) -> Result<Changed, Error> {
        let expired = compares("expires_at", Comparison::AtMost, &now)?;
        let mut change = Change::when(is("status", &Status::Pending)?.and(expired).and(is_kept()));
        mark_deleted(&mut change, id, now)?;
        change.apply(self, id).await
    }

    /// Removes the item of a deleted recording whose objects are gone, and before it what workers call it.
    pub async fn forget_recording(&self, recording: &Recording) -> Result<(), Error> {
        if let Some(meeting) = &recording.meeting {
            let key = keys::meeting_recording(&recording.tenant, &meeting.id);
            delete_when(is("names", &recording.id)?, self, key).await?;
        }
        delete_when(exists("deleted_at"), self, recording.id.key()).await
    }
}

fn mark_deleted(change: &mut Change, id: &RecordingId, now: Timestamp) -> Result<(), Error> {
    change.set("deleted_at", &now)?.set("updated_at", &now)?.due_exactly(id, now)?;
    for index in [keys::BY_PROJECT, keys::BY_DEVICE, keys::BY_END_USER] {
        change.remove(index.partition);
    }
    Ok(())
}
