//! Images and documents.

use std::borrow::Cow;

use router_core::ProviderError;
use serde_json::value::RawValue;

use super::{ANTHROPIC, unsupported};
use crate::anthropic::wire::{Block, Source};
use crate::media::{self, File};

/// Converts an image: `{"url": …}`, or a bare URL as some write it.
pub(super) fn image<'a>(
    image: &'a RawValue,
    cache_control: Option<&'a RawValue>,
    place: &str,
) -> Result<Block<'a>, ProviderError> {
    let source = media::source(media::url(image, place)?, place)?;
    Ok(Block::Image { source: wire_source(source, place)?, cache_control })
}

/// Converts a document as Mistral's clients write it: a bare URL, or `{"url": …}`.
pub(super) fn document<'a>(
    document: &'a RawValue,
    cache_control: Option<&'a RawValue>,
    place: &str,
) -> Result<Block<'a>, ProviderError> {
    let source = media::source(media::url(document, place)?, place)?;
    pdf(wire_source(source, place)?, None, cache_control, place)
}

/// Converts `{"file_data": …, "filename": …}`. Only PDFs: Anthropic takes no other documents as files.
pub(super) fn file<'a>(
    file: &'a RawValue,
    cache_control: Option<&'a RawValue>,
    place: &str,
) -> Result<Block<'a>, ProviderError> {
    let File { source, name } = media::file(file, place, ANTHROPIC)?;
    pdf(wire_source(source, place)?, name, cache_control, place)
}

fn pdf<'a>(
    source: Source<'a>,
    title: Option<Cow<'a, str>>,
    cache_control: Option<&'a RawValue>,
    place: &str,
) -> Result<Block<'a>, ProviderError> {
    match &source {
        Source::Base64 { media_type, .. } if media_type != "application/pdf" => {
            Err(unsupported(&format!("`{place}` of type {media_type:?}")))
        }
        Source::Base64 { .. } | Source::Url { .. } => Ok(Block::Document { source, title, cache_control }),
    }
}

fn wire_source<'a>(source: media::Source<'a>, place: &str) -> Result<Source<'a>, ProviderError> {
    match source {
        media::Source::Inline { media_type, data } => {
            Ok(Source::Base64 { media_type: media_type.unwrap_or("application/octet-stream".into()), data })
        }
        media::Source::Remote(url) if media::is_web_url(&url) => Ok(Source::Url { url }),
        media::Source::Remote(_) => {
            Err(unsupported(&format!("`{place}` that is neither a data URI nor an https URL")))
        }
    }
}
