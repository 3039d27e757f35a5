//! `GET /openapi.json`

use capstan_domain::Error;
use capstan_http::{Reply, Request};

/// The API as an OpenAPI 3.1 document.
pub const DOCUMENT: &str = include_str!("../../../openapi.json");

/// Returns the OpenAPI document. Needs no credential.
///
/// # Errors
/// None.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getOpenapi",
    summary = "Retrieve the OpenAPI document",
    description = "Needs no credential.",
    tag = "Documents", security(()),
    responses((status = 200, description = "This document.", body = Object)),
)]
pub async fn handle((): (), _: Request) -> Result<Reply, Error> {
    Ok(Reply::json_text(DOCUMENT))
}

#[cfg(test)]
mod tests {
    use capstan_lambda::{Clock, http_function};
    use capstan_test_environment::{call, event};

    #[tokio::test]
    async fn gives_the_document_without_a_credential() {
        let function = http_function((), Clock::system(), super::handle);
        let mut event = event("get-openapi");
        event["headers"].as_object_mut().unwrap().remove("authorization");
        let answer = call(&function, event).await;
        assert_eq!((answer.status, answer.body["openapi"].as_str()), (200, Some("3.1.0")));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}
