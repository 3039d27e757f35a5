//! Looks into a recording and makes its renditions.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_event(env!("CARGO_BIN_NAME"), pipeline::process_recording::handle)
}
