//! The contract as an OpenAPI document, made from the handlers and the types that they read and answer with.

use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

/// What the operations of all areas have around them.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Capstan",
        description = "Receives the recordings of voice recorders, checks that they are whole, and makes them ready \
            to be played and transcribed.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(),
    ),
    tags(
        (name = "Recordings", description = "Recordings and their media."),
        (name = "Uploads", description = "Sending files."),
        (name = "Downloads", description = "Fetching files."),
        (name = "End users", description = "The people who record."),
        (name = "Devices", description = "Recorders, and whose they are."),
        (name = "Transcriptions", description = "What is said in recordings."),
        (name = "Settings", description = "What holds for a project."),
        (name = "Files", description = "Files and recorders of Plaud-shaped clients; each file is a recording."),
        (name = "Meetings", description = "Recordings and transcriptions that Scoot-shaped workers tell of."),
        (name = "Documents", description = "This document."),
    ),
)]
struct Contract;

/// The kinds of credentials. Which of them an operation takes, each handler says.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, format, description) in [
            ("secretKey", "sk_live_ or sk_test_", "Secret key of a project: everything in its live or its test data."),
            (
                "restrictedKey",
                "rk_live_ or rk_test_",
                "Restricted key of a project: what its scopes say. An operation names the scope that it needs.",
            ),
            ("deviceToken", "dtok_", "Token of one device: its own recordings, its heartbeats, its next token."),
            ("uploadToken", "up_", "Token for the upload of one recording. It ends by itself after minutes."),
        ] {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format);
            let scheme = SecurityScheme::Http(scheme.description(Some(description)).build());
            components.add_security_scheme(name, scheme);
        }
    }
}

/// Every POST takes an `Idempotency-Key`, whatever its handler does.
struct RepeatablePosts;

impl Modify for RepeatablePosts {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_-]{1,255}$"));
        let header = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("Marks the request for 24 hours: its repeat does nothing more and gets the same answer."))
            .schema(Some(text))
            .build();
        let refusal = refusal("The `Idempotency-Key` came with another body, or its first request is still running.");
        for post in document.paths.paths.values_mut().filter_map(|item| item.post.as_mut()) {
            post.parameters.get_or_insert_default().push(RefOr::T(header.clone()));
            post.responses.responses.entry("409".to_owned()).or_insert_with(|| refusal.clone().into());
        }
    }
}

/// No body is read beyond what makes sense, whatever the operation.
struct BoundedBodies;

impl Modify for BoundedBodies {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let refusal = refusal("The body is larger than 1 MiB, or a text in it than the 256 KiB that are kept of it.");
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

/// The first line of a handler's documentation says what it does; its section on errors names Rust types.
struct WithoutRustdocSections;

impl Modify for WithoutRustdocSections {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                let sections = |text: &mut String| text.starts_with("# ");
                operation.description.take_if(sections);
            }
        }
    }
}

/// The document as it is kept in `openapi.json` and served at `GET /openapi.json`.
///
/// # Errors
/// When it cannot be written as JSON.
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
    let modifiers: [&dyn Modify; 4] = [&Credentials, &RepeatablePosts, &BoundedBodies, &WithoutRustdocSections];
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

    use capstan_emulators::template::{Template, Trigger};
    use serde_json::Value;

    use super::document;

    #[test]
    fn the_kept_document_is_the_one_that_the_code_gives() {
        let kept = api::get_openapi::DOCUMENT;
        assert!(kept == document().unwrap(), "write it anew: cargo run -- openapi > openapi.json");
    }

    #[test]
    fn the_document_has_every_route_of_the_template_and_no_other() {
        let template = Template::of_this_project().unwrap();
        // Providers' references say what comes to transcription-callback.
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
}
