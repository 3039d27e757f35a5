//! Takes note of what S3 received.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_event(env!("CARGO_BIN_NAME"), pipeline::on_object_created::handle)
}
