//! Pages of lists and the cursors between them.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use capstan_domain::{
    Device, DeviceId, EndUser, EndUserId, Error, Recording, RecordingId, Transcript, Transcription, TranscriptionId,
};
use capstan_store::{Page, PageQuery, Position};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{DeviceBody, EndUserBody, RecordingBody, Request, TranscriptionBody};

const DEFAULT_LIMIT: usize = 25;
const MAX_LIMIT: usize = 100;
const MAX_OFFSET: usize = 10_000;

/// Largest page in bytes. A response may have 6 MB, in which quotes and line breaks count twice; a hundred recordings
/// with a hundred processed files are larger.
pub(crate) const MAX_BODY_BYTES: usize = 5_000_000;
/// Transcripts that are read concurrently.
const TEXTS_AT_ONCE: usize = 8;

/// Start of a page. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<I>(pub Position<I>);

impl<I: FromStr> FromStr for Cursor<I> {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(drop)?;
        let text = String::from_utf8(bytes).map_err(drop)?;
        let (after, left_out) = text.split_once('+').unwrap_or((&text, "0"));
        // 16 bits are more than any offset.
        let (after, left_out) = (after.parse().map_err(drop)?, left_out.parse::<u16>().map_err(drop)?);
        Ok(Self(Position { after, left_out: left_out.into() }))
    }
}

impl<I: Display> Cursor<I> {
    /// As text for clients.
    pub fn encode(&self) -> String {
        let Position { after, left_out } = &self.0;
        URL_SAFE_NO_PAD.encode(if *left_out == 0 { after.to_string() } else { format!("{after}+{left_out}") })
    }
}

impl Request {
    /// The `limit` parameter.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not 1 to 100.
    fn limit(&self) -> Result<usize, Error> {
        let rule = "must be 1 to 100";
        let limit = self.query("limit", rule)?.unwrap_or(DEFAULT_LIMIT);
        if (1..=MAX_LIMIT).contains(&limit) { Ok(limit) } else { Err(Error::invalid("limit", rule)) }
    }

    /// The parameters `limit`, `cursor` and `offset`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one is out of its range, and when both `cursor` and `offset` are given.
    pub fn page<I: FromStr>(&self) -> Result<PageQuery<I>, Error> {
        let rule = "must be 0 to 10000";
        let offset = self.query("offset", rule)?.unwrap_or(0);
        if offset > MAX_OFFSET {
            return Err(Error::invalid("offset", rule));
        }
        let from = self.cursor()?;
        if offset > 0 && from.is_some() {
            return Err(Error::invalid("offset", "must not be given together with cursor"));
        }
        let (after, offset) = from.map_or((None, offset), |from: Position<I>| (Some(from.after), from.left_out));
        Ok(PageQuery { after, offset, limit: self.limit()? })
    }

    /// The `cursor` parameter.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no cursor of such a list.
    fn cursor<I: FromStr>(&self) -> Result<Option<Position<I>>, Error> {
        let cursor: Option<Cursor<I>> = self.query("cursor", "must be the next_cursor of a page")?;
        Ok(cursor.map(|cursor| cursor.0))
    }
}

/// The bodies that fit into one response.
struct Filling<B, I> {
    data: Vec<B>,
    bytes: usize,
    last: Option<I>,
}

impl<B: Serialize, I: Clone> Filling<B, I> {
    fn new() -> Self {
        Self { data: Vec::new(), bytes: 0, last: None }
    }

    /// Adds a body if it fits. The first always does.
    fn takes(&mut self, id: &I, body: B) -> bool {
        self.bytes += serde_json::to_string(&body).map_or(0, |text| text.len());
        if self.last.is_some() && self.bytes > MAX_BODY_BYTES {
            return false;
        }
        self.data.push(body);
        self.last = Some(id.clone());
        true
    }

    /// Start of the next page, after a page that is full.
    fn end(&self) -> Option<Position<I>> {
        self.last.clone().map(|after| Position { after, left_out: 0 })
    }
}

macro_rules! page {
    ($(#[$doc:meta])* $name:ident, $body:ident, $id:ident) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, ToSchema)]
        pub struct $name {
            /// Newest first.
            pub data: Vec<$body>,
            /// Whether another page may follow.
            pub has_more: bool,
            /// `cursor` of the next page. Null on the last page.
            #[schema(required)]
            pub next_cursor: Option<String>,
        }

        impl $name {
            fn of(filling: Filling<$body, $id>, next: Option<Position<$id>>) -> Self {
                let has_more = next.is_some();
                Self { data: filling.data, has_more, next_cursor: next.map(|next| Cursor(next).encode()) }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $body:ident, $id:ident, $entity:ident) => {
        page!($(#[$doc])* $name, $body, $id);

        impl From<&Page<$entity, $id>> for $name {
            fn from(page: &Page<$entity, $id>) -> Self {
                let mut filling = Filling::new();
                let all = page.entities.iter().all(|entity| filling.takes(&entity.id, $body::from(entity)));
                let next = if all { page.next.clone() } else { filling.end() };
                Self::of(filling, next)
            }
        }
    };
}

page!(/** A page of recordings. */ RecordingPage, RecordingBody, RecordingId, Recording);
page!(/** A page of end users. */ EndUserPage, EndUserBody, EndUserId, EndUser);
page!(/** A page of devices. */ DevicePage, DeviceBody, DeviceId, Device);
page!(/** A page of transcriptions. */ TranscriptionPage, TranscriptionBody, TranscriptionId);

impl TranscriptionPage {
    /// The page with the transcripts that `read` returns. Only a few are read that do not fit into the response.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn with_texts<F>(
        page: Page<Transcription, TranscriptionId>,
        read: impl Fn(Transcription) -> F,
    ) -> Result<Self, Error>
    where
        F: Future<Output = Result<(Transcription, Option<Transcript>), Error>>,
    {
        let mut filling = Filling::new();
        let mut texts = stream::iter(page.entities).map(read).buffered(TEXTS_AT_ONCE);
        while let Some(found) = texts.next().await {
            let (transcription, transcript) = found?;
            let body = TranscriptionBody::new(&transcription, transcript.as_ref());
            if !filling.takes(&transcription.id, body) {
                let next = filling.end();
                return Ok(Self::of(filling, next));
            }
        }
        Ok(Self::of(filling, page.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_too_large_page_ends_early_and_the_next_continues() {
        let project_id = "proj_1".parse().unwrap();
        let tenant = capstan_domain::Tenant { project_id, mode: capstan_domain::Mode::Live };
        let now = capstan_domain::Timestamp::from_milliseconds(0).unwrap();
        let recording = |number: usize| {
            let id = format!("rec_{number}").parse().unwrap();
            let mut recording = Recording::new(id, tenant.clone(), Some("eu_1".parse().unwrap()), now);
            let text = serde_json::json!({"text": "x".repeat(16_000)});
            recording.metadata = serde_json::from_value(text).unwrap();
            recording
        };
        let page = Page { entities: (0..400).map(recording).collect(), next: None };
        let body = RecordingPage::from(&page);
        assert!((200..400).contains(&body.data.len()));
        let last: RecordingId = body.data.last().unwrap().id.parse().unwrap();
        assert_eq!(body.next_cursor.unwrap().parse(), Ok(Cursor(Position { after: last, left_out: 0 })));
    }

    #[test]
    fn a_cursor_reads_back_and_anything_else_does_not() {
        for left_out in [0, 7] {
            let cursor: Cursor<RecordingId> = Cursor(Position { after: "rec_1".parse().unwrap(), left_out });
            assert_eq!(cursor.encode().parse(), Ok(cursor));
        }
        assert_eq!("rec_1".parse::<Cursor<RecordingId>>(), Err(()));
        for forged in ["proj_1", "rec_1+-1", "rec_1+65536", "rec_1+18446744073709551615"] {
            assert_eq!(URL_SAFE_NO_PAD.encode(forged).parse::<Cursor<RecordingId>>(), Err(()), "{forged}");
        }
    }
}
