//! What all contestants stand on: the emulated AWS behind its door, a provider that transcribes, and their variables.

use std::io;
use std::path::{Path, PathBuf};

use capstan_emulators::peer::Peer;
use capstan_emulators::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use capstan_test_environment::{TestEnvironment, transcribing};

use crate::contestant::{Contestant, target};
use crate::front::Front;
use crate::sandbox::{Bootstrap, Invocation, Sandbox};
use crate::work::{self, Work};

/// Where everything happens.
pub(crate) struct World {
    environment: TestEnvironment,
    front: Front,
    provider: Peer,
    certificate: Option<PathBuf>,
    prepared: u32,
    calls: Vec<String>,
}

impl World {
    /// With TLS before AWS, or without.
    pub(crate) async fn make(tls: bool) -> io::Result<Self> {
        let environment = TestEnvironment::start().await;
        work::put_clock_right(&environment);
        let certificate = tls.then(|| target().join("cold-start/tls"));
        let front = Front::open(&environment.emulators.endpoint_url(), certificate.as_deref()).await?;
        Ok(Self {
            environment,
            front,
            provider: Peer::answering(transcribing).await,
            certificate,
            prepared: 0,
            calls: Vec::new(),
        })
    }

    /// Starts a function.
    pub(crate) async fn start(&self, bootstrap: &Bootstrap) -> io::Result<Sandbox> {
        Sandbox::start(bootstrap, &self.variables()).await
    }

    /// Gives a running function something to do, and sees that it does it.
    pub(crate) async fn invoke(&mut self, sandbox: &mut Sandbox, contestant: &Contestant) -> io::Result<Invocation> {
        self.prepared += 1;
        let event = contestant.work.prepare(&self.environment, self.prepared).await;
        let _ = self.environment.emulators.take_calls();
        let invocation = sandbox.invoke(event, &self.front).await?;
        self.calls = self.environment.emulators.take_calls();
        if contestant.work.is_done_by(&invocation.answer) && self.is_stored(contestant.work).await {
            return Ok(invocation);
        }
        let text = String::from_utf8_lossy(&invocation.answer);
        Err(io::Error::other(format!("{} {} answered {text}", contestant.language, contestant.function)))
    }

    /// What the last invocation asked of AWS.
    pub(crate) fn calls(&self) -> &[String] {
        &self.calls
    }

    async fn is_stored(&self, work: Work) -> bool {
        let stored = self.environment.stored(&format!("rec_c01d{}", self.prepared)).await;
        let status = stored.map(|recording| (recording.status.as_str(), recording.media.len()));
        let done = match work {
            Work::Hello => status.is_none(),
            Work::CreateUploadUrl => status == Some(("pending", 1)),
            Work::CompleteUpload => status == Some(("uploaded", 1)),
            Work::GetRecording | Work::ProcessRecording | Work::RunTranscription => status == Some(("completed", 1)),
        };
        done && (work == Work::Hello || !self.calls.is_empty())
    }

    fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("AWS_LAMBDA_FUNCTION_NAME", "cold-start".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_ENDPOINT_URL", self.front.url()),
            ("RUST_LOG", "info".to_owned()),
            ("TABLE_NAME", self.environment.table().to_owned()),
            ("MEDIA_BUCKET", self.environment.bucket().to_owned()),
            ("EVENT_BUS_NAME", "capstan".to_owned()),
            ("API_URL", "https://api.example.com".to_owned()),
            ("SCOOT_BUCKETS", format!("arn:aws:s3:::{}", self.environment.bucket())),
            ("TRANSCRIPTION_RENDITION", "WhenNeeded".to_owned()),
            ("TRANSCRIPTION_PROVIDERS", "whisper".to_owned()),
            ("WHISPER_URL", self.provider.url.clone()),
            ("WHISPER_MODEL", "whisper-1".to_owned()),
        ];
        let file = |directory: &Path, name: &str| directory.join(name).to_string_lossy().into_owned();
        if let Some(directory) = &self.certificate {
            // Our certificate beside those that each trusts anyway, so that reading them costs what it does: Amazon's
            // five for our functions, as many as it brings itself for Python. Node has its own compiled in.
            variables.push(("SSL_CERT_FILE", file(directory, "roots.pem")));
            variables.push(("AWS_CA_BUNDLE", file(directory, "bundle.pem")));
            variables.push(("NODE_EXTRA_CA_CERTS", file(directory, "ca.pem")));
        }
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
