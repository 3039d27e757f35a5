//! The event pipeline: stored objects are recorded, recordings processed, due work swept.

pub mod on_object_created;
pub mod process_recording;
pub mod run_due_work;

use capstan_lambda::Registration;

/// Every function of this area, by its name in `template.yaml`.
pub fn functions() -> Vec<Registration> {
    vec![
        Registration::event("on-object-created", on_object_created::handle),
        Registration::event("process-recording", process_recording::handle),
        Registration::event("run-due-work", run_due_work::handle),
    ]
}
