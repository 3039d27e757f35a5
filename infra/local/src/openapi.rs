//! The OpenAPI document, generated from the handlers and their request and response bodies.

use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

/// General information and tags.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Capstan",
        description = "Cloud backend of a voice recorder: receives recordings, verifies and analyses them, makes renditions, \
            and has them transcribed.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(),
    ),
    tags(
        (name = "Recordings", description = "Recordings and their media files."),
        (name = "Uploads", description = "Uploading files."),
        (name = "Downloads", description = "Downloading files."),
        (name = "End users", description = "People with recordings in a project."),
        (name = "Devices", description = "Recorders and their binding to end users."),
        (name = "Transcriptions", description = "Transcriptions of recordings."),
        (name = "Settings", description = "Settings of a project."),
        (name = "Files", description = "Files and devices of Plaud-shaped clients. Each file is a recording."),
        (name = "Meetings", description = "Recordings and transcriptions of Scoot-shaped meeting workers."),
        (name = "Documents", description = "This document."),
    ),
)]
struct Contract;

/// The kinds of credentials. Each operation names those that it accepts.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, format, description) in [
            ("secretKey", "sk_live_ or sk_test_", "Secret key of a project, for all of its live or test data."),
            (
                "restrictedKey",
                "rk_live_ or rk_test_",
                "Restricted key of a project, limited to its scopes. Each operation names the scope that it needs.",
            ),
            (
                "deviceToken",
                "dtok_",
                "Token of one device, for its own recordings, uploads, heartbeats and its next token.",
            ),
            ("uploadToken", "up_", "Token for the upload of one recording. It expires after 15 minutes."),
        ] {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format);
            let scheme = SecurityScheme::Http(scheme.description(Some(description)).build());
            components.add_security_scheme(name, scheme);
        }
    }
}

/// Every POST accepts an `Idempotency-Key`.
struct IdempotentPosts;

impl Modify for IdempotentPosts {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_-]{1,255}$"));
        let header = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("Makes the request safe to repeat for 24 hours: a repeated request with the same key and body gets the same response."))
            .schema(Some(text))
            .build();
        let refusal =
            refusal("The `Idempotency-Key` was used with another body, or its original request is still running.");
        for post in document.paths.paths.values_mut().filter_map(|item| item.post.as_mut()) {
            post.parameters.get_or_insert_default().push(RefOr::T(header.clone()));
            post.responses.responses.entry("409".to_owned()).or_insert_with(|| refusal.clone().into());
        }
    }
}

/// Every operation with a body limits its size.
struct BoundedBodies;

impl Modify for BoundedBodies {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let refusal = refusal("The body is over 1 MiB, or the payload of a meeting worker over 256 KiB.");
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
            let operations = operations.into_iter().flatten().filter(|operation| operation.request_body.is_some());
            for operation in operations {
                operation.responses.responses.entry("413".to_owned()).or_insert_with(|| refusal.clone().into());
            }
        }
    }
}

fn refusal(description: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    ResponseBuilder::new().description(description).content("application/json", body).build()
}

/// An operation whose summary says everything has no description.
struct WithoutEmptyDescriptions;

impl Modify for WithoutEmptyDescriptions {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                operation.description.take_if(|description| description.is_empty());
            }
        }
    }
}

/// The document, as it is stored in `openapi.json` and served at `GET /openapi.json`.
///
/// # Errors
/// When it cannot be serialized.
pub fn document() -> Result<String, serde_json::Error> {
    let mut document = Contract::openapi();
    for operations in [
        api::Operations::openapi(),
        devices::Operations::openapi(),
        end_users::Operations::openapi(),
        plaud::Operations::openapi(),
        recordings::Operations::openapi(),
        scoot::Operations::openapi(),
        settings::Operations::openapi(),
        transcriptions::Operations::openapi(),
        uploads::Operations::openapi(),
    ] {
        document.merge(operations);
    }
    let modifiers: [&dyn Modify; 4] = [&Credentials, &IdempotentPosts, &BoundedBodies, &WithoutEmptyDescriptions];
    for modifier in modifiers {
        modifier.modify(&mut document);
    }
    let mut text = document.to_pretty_json()?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use capstan_emulators::template::{Template, Trigger};
    use serde_json::Value;

    use super::document;

    #[test]
    fn openapi_json_is_up_to_date() {
        let stored = api::get_openapi::DOCUMENT;
        assert!(stored == document().unwrap(), "run: cargo run -- openapi > openapi.json");
    }

    #[test]
    fn the_document_has_every_route_of_the_template_and_no_other() {
        let template = Template::of_this_project().unwrap();
        // The requests to transcription-callback are described by the providers.
        let described = template.functions.iter().filter(|function| function.name != "transcription-callback");
        let triggers = described.flat_map(|function| &function.triggers);
        let routes: BTreeSet<String> = triggers
            .filter_map(|trigger| match trigger {
                Trigger::Http { method, path } if path != "$default" => Some(format!("{method} {path}")),
                _ => None,
            })
            .collect();
        let document: Value = serde_json::from_str(api::get_openapi::DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        assert_eq!(operations, routes);
    }

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_is_defined() {
        let document: Value = serde_json::from_str(api::get_openapi::DOCUMENT).unwrap();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} is not defined");
        }
    }

    #[test]
    fn every_summary_has_at_most_8_words() {
        let document: Value = serde_json::from_str(api::get_openapi::DOCUMENT).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let summary = operation["summary"].as_str().unwrap_or_default();
                let words = summary.split_whitespace().count();
                assert!(
                    (1..=8).contains(&words),
                    "{method} {path}: give it a summary of 1 to 8 words, not {summary:?}"
                );
            }
        }
    }

    /// Words that hide who does what, with what to write instead. See docs/glossary.md.
    const UNCLEAR: [(&str, &str); 16] = [
        ("told", "published, reported or sent"),
        ("made known", "created or registered"),
        ("makes known", "creates or registers"),
        ("taken note", "recorded"),
        ("take note", "record"),
        ("takes note", "records"),
        ("looked into", "processed or analysed"),
        ("look into", "process or analyse"),
        ("whose", "the owner by its name"),
        ("let go", "released"),
        ("lets go", "releases"),
        ("announced", "published"),
        ("what became of", "the result of"),
        ("leave to", "a presigned URL or a permission"),
        ("medium", "media file"),
        ("owes", "is due"),
    ];

    fn unclear_words(name: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let words: Vec<_> =
                line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
            let line = format!(" {} ", words.join(" ").to_lowercase());
            for (word, instead) in UNCLEAR {
                if line.contains(&format!(" {word} ")) {
                    found.push(format!("{name}:{}: instead of `{word}` write {instead}", number + 1));
                }
            }
        }
        found
    }

    fn documents(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(documents(&path));
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
        found
    }

    #[test]
    fn documents_use_clear_words() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut paths = documents(&root.join("docs"));
        paths.extend(["openapi.json", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
        let read = |path: &PathBuf| unclear_words(&path.display().to_string(), &std::fs::read_to_string(path).unwrap());
        let found: Vec<_> = paths.iter().flat_map(read).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn an_unclear_word_is_found_in_any_case() {
        assert_eq!(
            unclear_words("a.md", "x\nWhat is Told."),
            ["a.md:2: instead of `told` write published, reported or sent"]
        );
        assert!(unclear_words("a.md", "tolduring, untold").is_empty());
    }

    #[test]
    fn docs_reliability_names_tests_that_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let document = std::fs::read_to_string(root.join("docs/reliability.md")).unwrap();
        let named =
            document.split('`').filter(|name| name.matches('_').count() >= 3 && !name.contains(['.', ' ', '/']));
        let named: BTreeSet<_> = named.collect();
        assert!(named.len() > 20, "{named:?}");
        let mut sources = String::new();
        for folder in ["functions", "shared", "infra"] {
            append_sources(&root.join(folder), &mut sources);
        }
        for name in named {
            assert!(
                sources.contains(&format!("fn {name}(")),
                "docs/reliability.md names the test {name}: there is none"
            );
        }
    }

    fn append_sources(folder: &Path, sources: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                append_sources(&path, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
}
