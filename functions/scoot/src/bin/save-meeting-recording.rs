//! Creates or updates a meeting recording and starts its processing.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(scoot::save_meeting_recording::handle)
}
