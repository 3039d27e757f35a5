//! The texts of transcriptions, wherever they are kept.

use capstan_domain::{Error, Transcript, TranscriptLocation, Transcription};

use crate::{ObjectKey, Objects};

impl Objects {
    /// The text of a transcription; `None` as long as there is none. No call where the item holds it.
    pub async fn transcript(&self, transcription: &Transcription) -> Result<Option<Transcript>, Error> {
        match &transcription.transcript {
            None => Ok(None),
            Some(TranscriptLocation::Item(transcript)) => Ok(Some(transcript.clone())),
            Some(TranscriptLocation::Object) => self.json(&ObjectKey::transcript(transcription)).await,
        }
    }
}
