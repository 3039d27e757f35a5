//! `$default`: every path and method that no other function serves.

use capstan_domain::Error;
use capstan_http::{Reply, Request};

/// Responds with 404 in the form of all errors.
///
/// # Errors
/// Always [`Error::NotFound`].
pub async fn handle((): (), _: Request) -> Result<Reply, Error> {
    Err(Error::NotFound { what: "path with this method" })
}

#[cfg(test)]
mod tests {
    use capstan_lambda::{Clock, http_function};
    use capstan_test_environment::{call, event};

    #[tokio::test]
    async fn answers_404_in_the_shape_of_every_error() {
        let function = http_function((), Clock::system(), super::handle);
        let answer = call(&function, event("route-not-found")).await;
        assert_eq!(answer.status, 404);
        insta::assert_json_snapshot!(answer.body, {".error.request_id" => "[request]"}, @r#"
        {
          "error": {
            "code": "not_found",
            "message": "There is no such path with this method.",
            "request_id": "[request]"
          }
        }
        "#);
        assert_eq!(answer.headers["x-request-id"], event("route-not-found")["requestContext"]["requestId"]);
    }
}
