//! Keeps what a Scoot-shaped worker tells of a recording, and begins its processing.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(scoot::save_meeting_recording::handle)
}
