//! Does what is due.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_event(env!("CARGO_BIN_NAME"), pipeline::run_due_work::handle)
}
