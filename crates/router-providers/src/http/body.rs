//! Bodies, read to their end but not beyond what is reasonable.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

/// What became of a body.
#[derive(Debug)]
pub(super) enum Read {
    /// It was read to its end.
    Whole(Bytes),
    /// It is longer than the limit; this is its beginning.
    Beginning(Bytes),
}

/// Reads a body up to `limit` bytes. A body that came in one piece is not copied.
pub(super) async fn read(response: &mut Response, limit: usize) -> Result<Read, reqwest::Error> {
    let expected = response.content_length().and_then(|length| usize::try_from(length).ok());
    let Some(first) = response.chunk().await? else { return Ok(Read::Whole(Bytes::new())) };
    if first.len() > limit {
        return Ok(Read::Beginning(first.slice(..limit)));
    }
    if expected == Some(first.len()) {
        // Still ask for the end, so that the connection goes back to the pool.
        while response.chunk().await?.is_some() {}
        return Ok(Read::Whole(first));
    }
    let Some(second) = response.chunk().await? else { return Ok(Read::Whole(first)) };
    let mut body = BytesMut::with_capacity(expected.unwrap_or(2 * first.len() + second.len()).min(limit));
    body.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(piece) = next {
        let room = limit - body.len();
        if piece.len() > room {
            body.extend_from_slice(&piece.slice(..room));
            return Ok(Read::Beginning(body.freeze()));
        }
        body.extend_from_slice(&piece);
        next = response.chunk().await?;
    }
    Ok(Read::Whole(body.freeze()))
}
