//! Recordings: created, read, updated, deleted.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use capstan_aws::failure;
use capstan_domain::{Error, Metadata, Name, Recording, RecordingId, Status, Timestamp, Visibility};

use crate::attributes::{DELETED_AT, DEVICE_KEY, END_USER_KEY, EXPIRES_AT, NAME, NAMES, PROJECT_KEY, UPDATED_AT};
use crate::change::{Change, Changed, delete_when};
use crate::condition::{Comparison, compares, exists, is, is_new, is_not_deleted, is_visible, status_is};
use crate::expression::Expressions;
use crate::keys::Identifier;
use crate::{Store, item, keys};

impl Store {
    /// Creates a recording. Returns the stored one if an earlier sending of the request created it: the SDK repeats a
    /// request whose answer was lost, and so does a client, with the same identifier by its `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another recording has the identifier.
    pub async fn create_recording(&self, recording: Recording) -> Result<Recording, Error> {
        let item = item::recording(&recording)?;
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
                    let conflict = || Error::Conflict { reason: "a recording with this id exists".to_owned() };
                    kept.filter(is_this).ok_or_else(conflict)
                }
                _ => Err(failure(error).context(format!("put {}", recording.id))),
            },
        }
    }

    /// A recording of any tenant, deleted or not; `None` if it does not exist.
    pub async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error> {
        self.read(id.key()).await
    }

    /// Updates what the owner may change. `None` leaves a field unchanged, `Some(None)` removes it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not visible.
    pub async fn update_recording(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        name: Option<Option<Name>>,
        metadata: Option<Metadata>,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let mut change = Change::when(is_visible(visibility)?);
        change.set(UPDATED_AT, &now)?.set_or_remove(NAME, &name)?.set_metadata(metadata.as_ref())?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(_) => Err(Error::no_recording()),
        }
    }

    /// Deletes a recording: it is in no list and not found from now on, and its objects are due for deletion. One more call
    /// for each of its transcriptions.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not visible, and when it was deleted before.
    pub async fn delete_recording(
        &self,
        visibility: &Visibility,
        id: &RecordingId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut change = Change::when(is_visible(visibility)?);
        mark_deleted(&mut change, id, now)?;
        let is_deleted = |known: &Recording| {
            let before = Recording { deleted_at: None, ..known.clone() };
            known.deleted_at == Some(now) && visibility.admit(before).is_ok()
        };
        match change.apply_once(self, id, is_deleted).await? {
            Changed::Made(deleted) => {
                // The recording is deleted whether or not this succeeds. The sweep deletes them with the objects.
                if let Err(error) = self.delete_transcriptions(&deleted).await {
                    tracing::warn!(recording_id = %id, %error, "cannot delete the transcriptions of a deleted recording");
                }
                Ok(())
            }
            Changed::Refused(_) => Err(Error::no_recording()),
        }
    }

    /// Deletes a recording whose upload was not completed in time. Refused when it was.
    pub async fn expire_recording(&self, id: &RecordingId, now: Timestamp) -> Result<Changed, Error> {
        let is_expired = compares(EXPIRES_AT, Comparison::AtMost, &now)?;
        let mut change = Change::when(status_is(Status::Pending)?.and(is_expired).and(is_not_deleted()));
        mark_deleted(&mut change, id, now)?;
        change.apply(self, id).await
    }

    /// Deletes the item of a deleted recording whose objects are deleted, after its meeting UUID.
    pub async fn delete_recording_item(&self, recording: &Recording) -> Result<(), Error> {
        if let Some(meeting) = &recording.meeting {
            let key = keys::meeting_recording(&recording.tenant, &meeting.id);
            delete_when(is(NAMES, &recording.id)?, self, key).await?;
        }
        delete_when(exists(DELETED_AT), self, recording.id.key()).await
    }
}

fn mark_deleted(change: &mut Change, id: &RecordingId, now: Timestamp) -> Result<(), Error> {
    change.set(DELETED_AT, &now)?.set(UPDATED_AT, &now)?.due_exactly(id, now)?;
    change.remove(PROJECT_KEY).remove(DEVICE_KEY).remove(END_USER_KEY);
    Ok(())
}
