//! Pages of lists and the cursors between them.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use capstan_store::{Page, Position};
use serde::Serialize;
use utoipa::ToSchema;

use crate::RecordingBody;

/// A function's answer may hold 6 MB. A hundred recordings of a hundred processed media come to more.
const MAX_PAGE_BYTES: usize = 5_000_000;

/// Where a page begins. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Position);

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(drop)?;
        let text = String::from_utf8(bytes).map_err(drop)?;
        let (after, left_out) = text.split_once('+').unwrap_or((&text, "0"));
        let (after, left_out) = (after.parse().map_err(drop)?, left_out.parse().map_err(drop)?);
        Ok(Self(Position { after, left_out }))
    }
}

impl Cursor {
    /// As it is given to a client.
    pub fn encode(&self) -> String {
        let Position { after, left_out } = &self.0;
        URL_SAFE_NO_PAD.encode(if *left_out == 0 { after.to_string() } else { format!("{after}+{left_out}") })
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
        let (mut data, mut next, mut bytes) = (Vec::<RecordingBody>::new(), page.next.clone(), 0);
        for (index, recording) in page.recordings.iter().enumerate() {
            let body = RecordingBody::from(recording);
            bytes += serde_json::to_string(&body).map_or(0, |text| text.len());
            if let Some(last) = index.checked_sub(1).and_then(|last| page.recordings.get(last))
                && bytes > MAX_PAGE_BYTES
            {
                next = Some(Position { after: last.id.clone(), left_out: 0 });
                break;
            }
            data.push(body);
        }
        Self { data, has_more: next.is_some(), next_cursor: next.map(|next| Cursor(next).encode()) }
    }
}

#[cfg(test)]
mod tests {
    use capstan_domain::Recording;

    use super::*;

    #[test]
    fn a_page_that_would_be_too_large_ends_early_and_goes_on_where_it_ended() {
        let project_id = "proj_1".parse().unwrap();
        let tenant = capstan_domain::Tenant { project_id, mode: capstan_domain::Mode::Live };
        let now = capstan_domain::Timestamp::from_milliseconds(0).unwrap();
        let recording = |number: usize| {
            let id = format!("rec_{number}").parse().unwrap();
            let mut recording = Recording::new(id, tenant.clone(), "eu_1".parse().unwrap(), now);
            let text = serde_json::json!({"text": "x".repeat(16_000)});
            recording.metadata = serde_json::from_value(text).unwrap();
            recording
        };
        let page = Page { recordings: (0..400).map(recording).collect(), next: None };
        let body = RecordingPage::from(&page);
        assert!((200..400).contains(&body.data.len()));
        let last = body.data.last().unwrap().id.parse().unwrap();
        assert_eq!(body.next_cursor.unwrap().parse(), Ok(Cursor(Position { after: last, left_out: 0 })));
    }

    #[test]
    fn a_cursor_reads_back_and_anything_else_does_not() {
        for left_out in [0, 7] {
            let cursor = Cursor(Position { after: "rec_1".parse().unwrap(), left_out });
            assert_eq!(cursor.encode().parse(), Ok(cursor));
        }
        assert_eq!("rec_1".parse::<Cursor>(), Err(()));
        assert_eq!(URL_SAFE_NO_PAD.encode("proj_1").parse::<Cursor>(), Err(()));
    }
}
