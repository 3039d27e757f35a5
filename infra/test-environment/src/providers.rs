//! Transcription providers for tests: one server that speaks the protocols of all four, with the bodies of their
//! references, and says the same two sentences whatever it hears.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use capstan_emulators::peer::{Reply, Seen};
use capstan_transcribe::{Http, Providers};
use serde_json::{Value, json};

use crate::TestEnvironment;

/// The key of every provider that has one; that in the event of a callback.
pub const PROVIDER_KEY: &str = "EXAMPLE-not-a-real-key";
/// What the providers hear.
pub const SAID: [&str; 2] = ["Good morning.", "Shall we begin?"];
/// By which AssemblyAI knows its jobs.
const JOB: &str = "9ea68fd3-f953-42c1-9742-976c447fb463";

/// The variables of a deployment that has these providers, each at this server.
pub fn provider_variables(names: &str, url: &str) -> Vec<(&'static str, String)> {
    let urls = ["WHISPER_URL", "DEEPGRAM_URL", "ASSEMBLYAI_URL"].map(|name| (name, url.to_owned()));
    let keys =
        ["WHISPER_API_KEY", "DEEPGRAM_API_KEY", "ASSEMBLYAI_API_KEY"].map(|name| (name, PROVIDER_KEY.to_owned()));
    [("TRANSCRIPTION_PROVIDERS", names.to_owned())].into_iter().chain(urls).chain(keys).collect()
}

impl TestEnvironment {
    /// These providers, each at this server, which wait two seconds for an answer.
    pub fn providers(&self, names: &str, url: &str) -> Providers {
        self.providers_waiting(names, url, Duration::from_secs(2))
    }

    /// The same with more or less patience.
    pub fn providers_waiting(&self, names: &str, url: &str, patience: Duration) -> Providers {
        let variables = provider_variables(names, url);
        let variable =
            |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
        let aws = self.emulators.sdk_config().to_builder().endpoint_url(url);
        let aws = aws.retry_config(RetryConfig::disabled()).build();
        Providers::from_variables(&variable, &Http::new(patience), &aws).expect("names of providers")
    }
}

/// Response of the requested provider.
pub fn transcribing(asked: &Seen) -> Reply {
    let (line, host) = (asked.line.as_str(), asked.header("host").unwrap_or_default());
    let target = asked.header("x-amz-target").unwrap_or_default();
    let answer = match (line, target) {
        (_, "Transcribe.StartTranscriptionJob") => job("IN_PROGRESS", &asked.json(), host),
        (_, "Transcribe.GetTranscriptionJob") => job("COMPLETED", &asked.json(), host),
        ("GET /output.json", _) => output(),
        ("POST /v1/audio/transcriptions", _) => spoken(),
        ("POST /v2/transcript", _) => json!({"id": JOB, "status": "queued"}),
        _ if line.starts_with("GET /v2/transcript/") => transcript(),
        _ if line.starts_with("POST /v2/upload") => json!({"upload_url": format!("http://{host}/upload/1")}),
        _ if line.starts_with("POST /v1/listen") && line.contains("callback=") => json!({"request_id": JOB}),
        _ if line.starts_with("POST /v1/listen") => listened(),
        _ => return Reply::json(404, json!({"error": format!("nobody expects {line}")}).to_string()),
    };
    Reply::json(200, answer.to_string())
}

/// OpenAI: "The transcription object (Verbose JSON)".
fn spoken() -> Value {
    json!({
        "task": "transcribe", "language": "english", "duration": 2.5, "text": SAID.join(" "),
        "segments": [
            {"id": 0, "start": 0.1, "end": 0.9, "text": SAID[0], "avg_logprob": -0.05},
            {"id": 1, "start": 1.2, "end": 2.3, "text": SAID[1], "avg_logprob": -0.1},
        ],
    })
}

/// Deepgram: the body of an answer and of a callback.
pub fn listened() -> Value {
    let words = |voice: u32, words: &[(&str, f64, f64)]| -> Vec<Value> {
        let word = |(word, start, end): &(&str, f64, f64)| {
            json!({"word": word.to_lowercase(), "punctuated_word": word, "start": start, "end": end, "confidence": 0.98,
                "speaker": voice})
        };
        words.iter().map(word).collect()
    };
    let first = words(0, &[("Good", 0.1, 0.4), ("morning.", 0.4, 0.9)]);
    let second = words(1, &[("Shall", 1.2, 1.6), ("we", 1.6, 1.8), ("begin?", 1.8, 2.3)]);
    let all: Vec<_> = first.iter().chain(&second).cloned().collect();
    json!({
        "metadata": {"request_id": JOB, "duration": 2.5, "channels": 1},
        "results": {
            "channels": [{"detected_language": "en", "alternatives": [
                {"transcript": SAID.join(" "), "confidence": 0.98, "words": all},
            ]}],
            "utterances": [
                {"start": 0.1, "end": 0.9, "confidence": 0.98, "transcript": SAID[0], "speaker": 0, "words": first},
                {"start": 1.2, "end": 2.3, "confidence": 0.98, "transcript": SAID[1], "speaker": 1, "words": second},
            ],
        },
    })
}

/// AssemblyAI: "Get transcript".
fn transcript() -> Value {
    let utterance = |voice: &str, start: u32, end: u32, text: &str| {
        json!({"start": start, "end": end, "text": text, "speaker": voice, "confidence": 0.98, "words": [
            {"start": start, "end": end, "text": text, "speaker": voice, "confidence": 0.98},
        ]})
    };
    let utterances = [utterance("A", 100, 900, SAID[0]), utterance("B", 1200, 2300, SAID[1])];
    json!({"id": JOB, "status": "completed", "language_code": "en", "audio_duration": 3, "text": SAID.join(" "),
        "utterances": utterances, "words": []})
}

/// Amazon Transcribe: `TranscriptionJob`.
fn job(status: &str, asked: &Value, host: &str) -> Value {
    let mut job = json!({
        "TranscriptionJobName": asked["TranscriptionJobName"], "TranscriptionJobStatus": status, "LanguageCode": "en-US",
    });
    if status == "COMPLETED" {
        job["Transcript"] = json!({"TranscriptFileUri": format!("http://{host}/output.json")});
    }
    json!({"TranscriptionJob": job})
}

/// Amazon Transcribe: the output of a job.
fn output() -> Value {
    let item = |(voice, start, end, content): (&str, &str, &str, &str)| {
        json!({"type": "pronunciation", "start_time": start, "end_time": end, "speaker_label": voice,
            "alternatives": [{"confidence": "0.98", "content": content}]})
    };
    let mark =
        |content: &str| json!({"type": "punctuation", "alternatives": [{"confidence": "0.0", "content": content}]});
    let items = [
        item(("spk_0", "0.1", "0.4", "Good")),
        item(("spk_0", "0.4", "0.9", "morning")),
        mark("."),
        item(("spk_1", "1.2", "1.6", "Shall")),
        item(("spk_1", "1.6", "1.8", "we")),
        item(("spk_1", "1.8", "2.3", "begin")),
        mark("?"),
    ];
    json!({"status": "COMPLETED", "results": {"transcripts": [{"transcript": SAID.join(" ")}], "items": items}})
}
