//! Transcriptions in any state, for tests.

use capstan_domain::{
    Chunk, ChunkNumber, ChunkStatus, ContentType, LeaseId, Offset, ProviderName, Recording, RecordingId, Segment,
    Speaker, Transcript, TranscriptLocation, Transcription, TranscriptionError, TranscriptionOptions,
};
use capstan_objects::ObjectKey;
use capstan_store::{Changed, transcript_location};

use crate::recording::made;
use crate::{RECORDING, TRANSCRIPTION, TestEnvironment};

/// A transcription in the making.
#[derive(Debug)]
pub struct TranscriptionBuilder<'a> {
    environment: &'a TestEnvironment,
    id: String,
    recording_id: RecordingId,
    options: TranscriptionOptions,
}

impl<'a> TranscriptionBuilder<'a> {
    pub(crate) fn new(environment: &'a TestEnvironment) -> Self {
        Self {
            environment,
            id: TRANSCRIPTION.to_owned(),
            recording_id: RECORDING.parse().expect("a recording id"),
            options: TranscriptionOptions { provider: Some(ProviderName::Whisper), ..TranscriptionOptions::default() },
        }
    }

    /// With another id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// Of another recording than that of the event files.
    #[must_use]
    pub fn of(mut self, recording: &Recording) -> Self {
        self.recording_id = recording.id.clone();
        self
    }

    /// As it is asked for.
    #[must_use]
    pub fn asking(mut self, options: TranscriptionOptions) -> Self {
        self.options = options;
        self
    }

    /// Puts it into the table. Its recording, if there is none, has one audio file.
    pub async fn pending(self) -> Transcription {
        let Self { environment, id, recording_id, options } = self;
        let recording = match environment.stored(recording_id.as_str()).await {
            Some(known) => known,
            None => {
                let recording = environment.recording().id(recording_id.as_str());
                recording.holding(ContentType::AudioOpus, "x").completed().await
            }
        };
        let id = id.parse().expect("a transcription id");
        let new = Transcription::new(id, &recording, options, environment.now()).expect("the recording has audio");
        let kept = environment.store.create_transcription(new, &recording).await.expect("the transcription is kept");
        let _ = environment.emulators.take_calls();
        kept
    }

    /// Puts it there and claims it.
    pub async fn processing(self) -> (Transcription, LeaseId) {
        let environment = self.environment;
        let pending = self.pending().await;
        let lease = LeaseId::new(environment.now(), 2);
        let claimed = environment.store.claim_transcription(&pending.id, &lease, environment.now()).await;
        let claimed = claimed.expect("the table answers").expect("nobody else claims it");
        let _ = environment.emulators.take_calls();
        (*claimed, lease)
    }

    /// Puts it there, claims it and plans it for the provider that it asks for, uncut.
    pub async fn planned(self) -> Transcription {
        let (environment, provider) = (self.environment, self.options.provider.expect("it asks for a provider"));
        let (claimed, lease) = self.processing().await;
        let whole = Chunk { start: Offset::default(), end: Offset::default(), status: ChunkStatus::Sending };
        let chunks = [(ChunkNumber::new(0), whole)].into();
        let now = environment.now();
        let planned = environment.store.plan_transcription(&claimed.id, &lease, provider, &chunks, now).await;
        let Ok(Changed::Made(planned)) = planned else { panic!("the claim is still held: {planned:?}") };
        let _ = environment.emulators.take_calls();
        *planned
    }

    /// Puts it there, claims it and ends it with this text, which is kept where a text of its length is kept.
    pub async fn completed(self, transcript: &Transcript) -> Transcription {
        let environment = self.environment;
        let (claimed, _) = self.processing().await;
        let kept = transcript_location(transcript);
        if kept == TranscriptLocation::Object {
            let key = ObjectKey::transcript(&claimed);
            environment.objects.put_json(&key, transcript).await.expect("S3 takes the text");
        }
        let ended = environment.store.complete_transcription(&claimed.id, transcript, &kept, environment.now()).await;
        let ended = made(ended.expect("the table answers"));
        let _ = environment.emulators.take_calls();
        environment.emulators.take_object_created().await;
        ended
    }

    /// Puts it there, claims it and ends it without a text.
    pub async fn failed(self, error: &TranscriptionError) -> Transcription {
        let environment = self.environment;
        let (claimed, _) = self.processing().await;
        let ended = environment.store.fail_transcription(&claimed.id, error, environment.now()).await;
        let ended = made(ended.expect("the table answers"));
        let _ = environment.emulators.take_calls();
        ended
    }
}

impl TestEnvironment {
    /// Begins a transcription of a recording of the project, by whisper.
    pub fn transcription(&self) -> TranscriptionBuilder<'_> {
        TranscriptionBuilder::new(self)
    }

    /// Reads a transcription as it is stored.
    pub async fn stored_transcription(&self, id: &str) -> Option<Transcription> {
        self.store.transcription(&id.parse().expect("a transcription id")).await.expect("the table answers")
    }

    /// What two people say to each other, as many times two sentences as asked for.
    pub fn transcript(exchanges: u32) -> Transcript {
        let said = |at: u64, voice: u32, text: &str| Segment {
            text: text.to_owned(),
            speaker: Some(Speaker::from_index(voice)),
            start: Offset::from_milliseconds(at),
            end: Offset::from_milliseconds(at + 1_240),
            confidence: capstan_domain::Confidence::new(0.97),
        };
        let exchange = |number: u32| {
            let at = u64::from(number) * 2_500;
            [said(at, 0, "Shall we begin?"), said(at + 1_250, 1, "Yes, let us begin.")]
        };
        let length = Offset::from_milliseconds(u64::from(exchanges) * 2_500);
        let segments = (0..exchanges).flat_map(exchange).collect();
        Transcript::new(Some("en".parse().expect("a language")), length, segments)
    }
}
