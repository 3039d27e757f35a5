//! Which provider a deployment has.

use std::time::Duration;

use capstan_domain::{ProviderName, TranscriptionErrorCode};
use capstan_transcribe::{Http, Providers};

use crate::stage::aws;

fn providers(variables: &'static [(&str, &str)]) -> Result<Providers, &'static str> {
    let variables =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Providers::from_variables(&variables, &Http::new(Duration::from_secs(1)), &aws("http://127.0.0.1:9"))
}

#[tokio::test]
async fn the_default_is_the_one_that_is_named_or_the_first_that_has_what_it_needs() {
    for (variables, default) in [
        (&[][..], ProviderName::Aws),
        (&[("ASSEMBLYAI_API_KEY", "k"), ("DEEPGRAM_API_KEY", "k")], ProviderName::Deepgram),
        (&[("ASSEMBLYAI_API_KEY", "k"), ("DEEPGRAM_API_KEY", "")], ProviderName::AssemblyAi),
        (&[("DEEPGRAM_API_KEY", "k"), ("WHISPER_URL", "http://127.0.0.1:8000")], ProviderName::Whisper),
        (&[("WHISPER_URL", "http://127.0.0.1:8000"), ("TRANSCRIPTION_PROVIDER", "aws")], ProviderName::Aws),
    ] {
        assert_eq!(providers(variables).unwrap().get(None).unwrap().name(), default, "{variables:?}");
    }
    assert!(providers(&[("TRANSCRIPTION_PROVIDER", "siri")]).is_err());
}

#[tokio::test]
async fn one_that_the_deployment_has_not_is_not_configured() {
    let error = providers(&[]).unwrap().get(Some(ProviderName::Deepgram)).unwrap_err();
    assert_eq!(error.code, TranscriptionErrorCode::ProviderNotConfigured);
    assert_eq!(error.message, "This deployment is not set up for deepgram");
}

#[tokio::test]
async fn nothing_that_is_printed_of_a_provider_holds_its_key() {
    let providers = crate::stage::providers("http://127.0.0.1:9", Duration::from_secs(1));
    let printed = format!("{providers:?} {:?}", crate::stage::job("http://127.0.0.1:9"));
    assert!(!printed.contains(crate::stage::KEY) && !printed.contains(crate::stage::SIGNATURE), "{printed}");
}
