//! The status of a recording and its transitions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Status of a recording in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its files are awaited.
    Pending,
    /// The upload is complete.
    Uploaded,
    /// A worker processes its files.
    Processing,
    /// Processing succeeded.
    Completed,
    /// Processing failed; `error` says why.
    Failed,
}

/// Who changes the status of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransitionCause {
    /// The client completes the upload.
    Client,
    /// Capstan processes the recording.
    Processing,
    /// A meeting worker reports the end of a recording that it processes itself.
    Report,
}

/// Every transition: the status that it leaves, its cause, and the status that it leads to.
pub const TRANSITIONS: [(Status, TransitionCause, Status); 11] = [
    (Status::Pending, TransitionCause::Client, Status::Uploaded),
    (Status::Uploaded, TransitionCause::Processing, Status::Processing),
    (Status::Processing, TransitionCause::Processing, Status::Completed),
    (Status::Processing, TransitionCause::Processing, Status::Failed),
    (Status::Failed, TransitionCause::Processing, Status::Processing),
    // A meeting worker may report the end of its own processing before Capstan begins.
    (Status::Pending, TransitionCause::Report, Status::Completed),
    (Status::Pending, TransitionCause::Report, Status::Failed),
    (Status::Uploaded, TransitionCause::Report, Status::Completed),
    (Status::Uploaded, TransitionCause::Report, Status::Failed),
    (Status::Processing, TransitionCause::Report, Status::Completed),
    (Status::Processing, TransitionCause::Report, Status::Failed),
];

impl Status {
    /// Every status.
    pub const ALL: [Status; 5] = [Self::Pending, Self::Uploaded, Self::Processing, Self::Completed, Self::Failed];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Uploaded => "uploaded",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The status after a transition. Every write of a status goes through here.
    ///
    /// # Errors
    /// [`Error::Conflict`] when [`TRANSITIONS`] has no such transition.
    pub fn transition(self, cause: TransitionCause, next: Self) -> Result<Self, Error> {
        if TRANSITIONS.contains(&(self, cause, next)) {
            return Ok(next);
        }
        Err(Error::Conflict { reason: format!("the recording is {self} and cannot become {next}") })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn allows_the_listed_transitions_and_no_other() {
        use TransitionCause::{Client, Processing, Report};
        for from in Status::ALL {
            for cause in [Client, Processing, Report] {
                for next in Status::ALL {
                    let is_listed = TRANSITIONS.contains(&(from, cause, next));
                    assert_eq!(from.transition(cause, next).is_ok(), is_listed, "{from} {cause:?} {next}");
                }
            }
        }
        let unique: BTreeSet<_> = TRANSITIONS.iter().map(|transition| format!("{transition:?}")).collect();
        assert_eq!(unique.len(), TRANSITIONS.len());
    }

    #[test]
    fn architecture_md_draws_every_transition_and_no_other() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
        let document = std::fs::read_to_string(path).unwrap();
        let diagram = document.split("```mermaid").find(|block| block.contains("pending --> uploaded"));
        let diagram =
            diagram.expect("ARCHITECTURE.md has no state diagram of a recording").split("```").next().unwrap();
        let drawn = diagram.lines().map(str::trim).filter(|line| line.contains("-->") && !line.contains("[*]"));
        let drawn: BTreeSet<_> = drawn.map(str::to_owned).collect();
        let name = |cause: TransitionCause| format!("{cause:?}").to_lowercase();
        let listed = TRANSITIONS.map(|(from, cause, next)| format!("{from} --> {next}: {}", name(cause)));
        assert_eq!(drawn, BTreeSet::from(listed));
    }
}
