//! Pages of lists and the cursors between them.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use capstan_domain::RecordingId;
use capstan_store::Page;
use serde::Serialize;
use utoipa::ToSchema;

use crate::RecordingBody;

/// Where a page begins. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub RecordingId);

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(drop)?;
        let id = String::from_utf8(bytes).map_err(drop)?.parse().map_err(drop)?;
        Ok(Self(id))
    }
}

impl Cursor {
    /// As it is given to a client.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_str())
    }
}

/// A page of recordings.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordingPage {
    /// The recordings, newest first.
    pub data: Vec<RecordingBody>,
    /// Whether there may be more.
    pub has_more: bool,
    /// What to send as `cursor` to get them.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl From<&Page> for RecordingPage {
    fn from(page: &Page) -> Self {
        Self {
            data: page.recordings.iter().map(RecordingBody::from).collect(),
            has_more: page.next.is_some(),
            next_cursor: page.next.clone().map(|id| Cursor(id).encode()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_does_not() {
        let cursor = Cursor("rec_1".parse().unwrap());
        assert_eq!(cursor.encode().parse(), Ok(cursor));
        assert_eq!("rec_1".parse::<Cursor>(), Err(()));
        assert_eq!(URL_SAFE_NO_PAD.encode("proj_1").parse::<Cursor>(), Err(()));
    }
}
