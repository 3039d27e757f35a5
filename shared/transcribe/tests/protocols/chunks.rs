//! Long audio: cut, transcribed, joined.

use std::io::Cursor;
use std::ops::ControlFlow::Continue;

use capstan_audio::{Chunk, CutJob, Cutting, cut};
use capstan_domain::{ContentType, Offset, ProviderName};
use capstan_emulators::peer::{Peer, Reply};
use capstan_transcribe::{Audio, AudioLocation, Failure, Job, Part, Provider, Started, join, start};

use crate::stage::{job, provider};

fn job_of(url: &str, index: u32, chunk: &Chunk) -> Job {
    let mut job = job(url);
    job.name.chunk = Some(index);
    job.audio = Audio {
        content_type: ContentType::AudioFlac,
        size_bytes: chunk.size_bytes,
        location: AudioLocation::File(chunk.path.clone()),
    };
    job.duration = Offset::from_milliseconds(chunk.end_ms - chunk.start_ms);
    job
}

async fn start_each(provider: &Provider, jobs: &[Job]) -> Result<Vec<Started>, Failure> {
    let mut started = Vec::new();
    for job in jobs {
        started.push(start(provider, job).await?);
    }
    Ok(started)
}

#[tokio::test]
async fn speech_is_cut_transcribed_and_joined_in_order() {
    let spoken = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/local/sample/spoken.ogg")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let job = CutJob { scratch: scratch.path(), longest_ms: 10_000, largest_bytes: u64::MAX };
    let mut chunks = Vec::new();
    cut(Cursor::new(&spoken), spoken.len() as u64, &job, &mut |news| {
        if let Cutting::Chunk(chunk) = news {
            chunks.push(chunk);
        }
        Continue(())
    })
    .unwrap();
    assert!(chunks.len() >= 3);

    // Each chunk is answered with its own number, the later the sooner.
    let server = Peer::answering(|seen| {
        let number = seen.header("content-type").unwrap().rsplit('.').next().unwrap().to_owned();
        Reply::json(
            200,
            format!(r#"{{"text": "{number}", "segments": [{{"start": 0.5, "end": 1.5, "text": "chunk {number}"}}]}}"#),
        )
    })
    .await;
    let jobs: Vec<_> = (0..).zip(&chunks).map(|(index, chunk)| job_of(&server.url, index, chunk)).collect();
    let started = start_each(&provider(ProviderName::Whisper, &server.url), &jobs).await.unwrap();
    let parts = chunks.iter().zip(started).map(|(chunk, started)| {
        let Started::Done(transcript) = started else { panic!() };
        Part {
            start: Offset::from_milliseconds(chunk.start_ms),
            end: Offset::from_milliseconds(chunk.end_ms),
            transcript,
        }
    });
    let whole = join(parts.collect());
    let expected: Vec<_> =
        (0..).zip(&chunks).map(|(index, chunk)| (format!("chunk {index}"), chunk.start_ms + 500)).collect();
    let said: Vec<_> =
        whole.segments().iter().map(|segment| (segment.text.clone(), segment.start.milliseconds())).collect();
    assert_eq!(said, expected);
    assert_eq!(whole.duration.milliseconds(), chunks.last().unwrap().end_ms);
}

fn small_jobs(url: &str, count: u32) -> (Vec<Job>, tempfile::TempDir) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("chunk.flac");
    std::fs::write(&path, b"fLaC").unwrap();
    let chunk = Chunk { path, size_bytes: 4, start_ms: 0, end_ms: 1_000 };
    ((0..count).map(|index| job_of(url, index, &chunk)).collect(), scratch)
}

#[tokio::test]
async fn transient_errors_are_retried() {
    let server = Peer::replying([
        Reply::json(429, "{}").with("retry-after", "0"),
        Reply::json(200, "<html>"),
        Reply::json(200, r#"{"text": "at last"}"#),
        Reply::json(200, r#"{"text": "and on"}"#),
    ])
    .await;
    let (jobs, _scratch) = small_jobs(&server.url, 2);
    let started = start_each(&provider(ProviderName::Whisper, &server.url), &jobs).await.unwrap();
    let texts = started.iter().map(|started| match started {
        Started::Done(transcript) => transcript.full_text(),
        Started::Awaiting(_) => panic!(),
    });
    assert_eq!(texts.collect::<Vec<_>>(), ["at last", "and on"]);
}

#[tokio::test]
async fn permanent_errors_and_long_delays_are_not_retried() {
    let refused =
        Reply::json(400, r#"{"error": {"message": "Audio file is too short. Minimum audio length is 0.1 seconds."}}"#);
    let put_off = Reply::json(429, "{}").with("retry-after", "3600");
    for (reply, later) in [(refused, false), (put_off, true)] {
        let server = Peer::replying([reply]).await;
        let (jobs, _scratch) = small_jobs(&server.url, 1);
        let failure = start_each(&provider(ProviderName::Whisper, &server.url), &jobs).await.unwrap_err();
        assert_eq!(matches!(failure, Failure::Later { .. }), later, "{failure}");
        assert_eq!(server.take_seen().len(), 1);
    }
}
