//! Environment of all candidates: emulated AWS behind the TLS proxy, a transcription provider, environment variables.

use std::io;
use std::path::{Path, PathBuf};

use capstan_emulators::peer::Peer;
use capstan_emulators::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use capstan_test_environment::{TestEnvironment, transcribing};

use crate::candidate::{Candidate, target};
use crate::sandbox::{Bootstrap, Invocation, Sandbox};
use crate::tls_proxy::TlsProxy;
use crate::work::{self, Work};

/// Running environment for functions.
pub(crate) struct World {
    environment: TestEnvironment,
    proxy: TlsProxy,
    provider: Peer,
    certificate: Option<PathBuf>,
    prepared: u32,
    calls: Vec<String>,
}

impl World {
    /// Start the environment, with or without TLS for calls to AWS.
    pub(crate) async fn start(tls: bool) -> io::Result<Self> {
        let environment = TestEnvironment::start().await;
        work::synchronize_clock(&environment);
        let certificate = tls.then(|| target().join("cold-start/tls"));
        let proxy = TlsProxy::open(&environment.emulators.endpoint_url(), certificate.as_deref()).await?;
        Ok(Self {
            environment,
            proxy,
            provider: Peer::answering(transcribing).await,
            certificate,
            prepared: 0,
            calls: Vec::new(),
        })
    }

    /// Start a function.
    pub(crate) async fn start_function(&self, bootstrap: &Bootstrap) -> io::Result<Sandbox> {
        Sandbox::start(bootstrap, &self.variables()).await
    }

    /// Invoke a running function, and verify the response and the stored recording.
    pub(crate) async fn invoke(&mut self, sandbox: &mut Sandbox, candidate: &Candidate) -> io::Result<Invocation> {
        self.prepared += 1;
        let event = candidate.work.prepare(&self.environment, self.prepared).await;
        let _ = self.environment.emulators.take_calls();
        let invocation = sandbox.invoke(event, &self.proxy).await?;
        self.calls = self.environment.emulators.take_calls();
        if candidate.work.is_success(&invocation.response) && self.is_stored(candidate.work).await {
            return Ok(invocation);
        }
        let text = String::from_utf8_lossy(&invocation.response);
        Err(io::Error::other(format!(
            "{} {} failed or stored no result; its response: {text}",
            candidate.language, candidate.function
        )))
    }

    /// AWS calls of the last invocation.
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
            ("AWS_ENDPOINT_URL", self.proxy.url()),
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
            // The benchmark's certificate in addition to the usual roots, so that reading them takes as long as usual:
            // Amazon's five for the Rust functions, the system's for Python. Node's roots are compiled in.
            variables.push(("SSL_CERT_FILE", file(directory, "roots.pem")));
            variables.push(("AWS_CA_BUNDLE", file(directory, "bundle.pem")));
            variables.push(("NODE_EXTRA_CA_CERTS", file(directory, "ca.pem")));
        }
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
