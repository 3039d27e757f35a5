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
async fn the_first_named_provider_is_the_default() {
    const KEYS: [(&str, &str); 2] = [("DEEPGRAM_API_KEY", "k"), ("WHISPER_URL", "http://127.0.0.1:8000")];
    for (names, preferred) in [
        ("aws", ProviderName::Aws),
        ("deepgram,whisper", ProviderName::Deepgram),
        ("whisper, deepgram", ProviderName::Whisper),
    ] {
        let variables: &'static [_] = vec![KEYS[0], KEYS[1], ("TRANSCRIPTION_PROVIDERS", names)].leak();
        assert_eq!(providers(variables).unwrap().get(None).unwrap().name(), preferred, "{names}");
    }
    assert!(providers(&[("TRANSCRIPTION_PROVIDERS", "siri")]).is_err());
}

#[tokio::test]
async fn a_provider_without_a_key_is_not_configured() {
    for (variables, message) in [
        (&[][..], "This deployment is not set up for deepgram"),
        (&[("DEEPGRAM_API_KEY", "k")], "This deployment is not set up for deepgram"),
        (
            &[("TRANSCRIPTION_PROVIDERS", "deepgram"), ("DEEPGRAM_API_KEY", "")],
            "This deployment names deepgram and lacks what it needs, such as its key",
        ),
    ] {
        let error = providers(variables).unwrap().get(Some(ProviderName::Deepgram)).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (TranscriptionErrorCode::ProviderNotConfigured, message));
    }
    assert!(providers(&[]).unwrap().get(None).is_err());
}

#[tokio::test]
async fn nothing_that_is_printed_of_a_provider_holds_its_key() {
    let providers = crate::stage::providers("http://127.0.0.1:9", Duration::from_secs(1));
    let printed = format!("{providers:?} {:?}", crate::stage::job("http://127.0.0.1:9"));
    assert!(!printed.contains(crate::stage::KEY) && !printed.contains(crate::stage::SIGNATURE), "{printed}");
}
