//! Recordings: made, read, changed, deleted.

use capstan_aws::failure;
use capstan_domain::{Error, Metadata, Name, Reach, Recording, RecordingId, Timestamp};

use crate::change::{Change, Changed, in_tenant};
use crate::keys::Identifier;
use crate::transaction::{Committed, Transaction};
use crate::{Store, item, keys};

impl Store {
    /// Keeps a new recording of an end user and, where it names one, a device of the same tenant's.
    ///
    /// # Errors
    /// [`Error::Invalid`] of `end_user_id` or `device_id` when there is none, [`Error::Conflict`] when there is a
    /// recording of that id.
    pub async fn create_recording(&self, recording: &Recording) -> Result<(), Error> {
        let mut transaction = Transaction::default();
        transaction.put_new(item::recording(recording, recording.due_at(recording.created_at))?);
        let end_user = transaction.require(&recording.end_user_id, in_tenant(&recording.tenant)?);
        let device = match &recording.device_id {
            Some(device_id) => Some(transaction.require(device_id, in_tenant(&recording.tenant)?)),
            None => None,
        };
        match transaction.commit(self).await? {
            Committed::Made => Ok(()),
            Committed::Refused(refusals) if refusals.has(end_user) => {
                Err(Error::invalid("end_user_id", "must be an end user of this project"))
            }
            Committed::Refused(refusals) if device.is_some_and(|device| refusals.has(device)) => {
                Err(Error::invalid("device_id", "must be a device of this project"))
            }
            Committed::Refused(_) => Err(Error::Conflict { reason: "a recording of this id exists".to_owned() }),
        }
    }

    /// The recording of that id, deleted or not, whoever's it is; `None` when there is none.
    pub async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error> {
        self.read(id.key()).await
    }

    /// Changes what the owner may change. `None` leaves a field as it is, `Some(None)` empties it.
    ///
    /// # Errors
    /// [`Error::NotFound`] out of reach.
    pub async fn update_recording(
        &self,
        reach: &Reach,
        id: &RecordingId,
        name: Option<Option<Name>>,
        metadata: Option<Metadata>,
        now: Timestamp,
    ) -> Result<Recording, Error> {
        let mut change = Change::default();
        change
            .require_reach(reach)?
            .set("updated_at", &now)?
            .set_or_remove("name", &name)?
            .set_metadata(metadata.as_ref())?;
        match change.apply(self, id).await? {
            Changed::Made(recording) => Ok(*recording),
            Changed::Refused(_) => Err(Error::no_recording()),
        }
    }

    /// Deletes a recording: it is in no list and no read from now on, and due for the removal of its objects.
    ///
    /// # Errors
    /// [`Error::NotFound`] out of reach, and when it was deleted before.
    pub async fn delete_recording(&self, reach: &Reach, id: &RecordingId, now: Timestamp) -> Result<(), Error> {
        let mut change = Change::default();
        change.require_reach(reach)?;
        mark_deleted(&mut change, id, now)?;
        match change.apply(self, id).await? {
            Changed::Made(_) => Ok(()),
            // The SDK repeats a call whose answer was lost: then this very call deleted it.
            Changed::Refused(Some(old)) if old.deleted_at == Some(now) => {
                reach.admit(Recording { deleted_at: None, ..*old }).map(drop)
            }
            Changed::Refused(_) => Err(Error::no_recording()),
        }
    }

    /// Deletes a recording that nobody completed in time. Does nothing to one that somebody did.
    pub async fn expire_recording(&self, id: &RecordingId, now: Timestamp) -> Result<Changed, Error> {
        let mut change = Change::default();
        let pending = change.is("status", &capstan_domain::Status::Pending)?;
        let expired = change.compares("expires_at", "<=", &now)?;
        let kept = change.is_missing("deleted_at");
        change.require(pending).require(expired).require(kept);
        mark_deleted(&mut change, id, now)?;
        change.apply(self, id).await
    }

    /// Removes the item of a deleted recording whose objects are gone.
    pub async fn forget_recording(&self, id: &RecordingId) -> Result<(), Error> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(id.key()))
            .condition_expression("attribute_exists(deleted_at)")
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(failure(error)),
        }
    }
}

fn mark_deleted(change: &mut Change, id: &RecordingId, now: Timestamp) -> Result<(), Error> {
    change.set("deleted_at", &now)?.set("updated_at", &now)?.due(id, Some(now))?;
    for index in [keys::BY_PROJECT, keys::BY_DEVICE, keys::BY_END_USER] {
        change.remove(index.partition);
    }
    Ok(())
}
