//! Images and documents.

use std::borrow::Cow;

use router_core::ProviderError;
use serde_json::value::RawValue;

use super::{invalid, part, unsupported};
use crate::anthropic::wire::{Block, Source};
use crate::raw_json::{self, Fields};

/// Converts an image: `{"url": …}`, or a bare URL as some write it.
pub(super) fn image<'a>(
    image: &'a RawValue,
    cache_control: Option<&'a RawValue>,
    place: &str,
) -> Result<Block<'a>, ProviderError> {
    Ok(Block::Image { source: source(url(image, place)?, place)?, cache_control })
}

/// Converts a document as Mistral's clients write it: a bare URL, or `{"url": …}`.
pub(super) fn document<'a>(
    document: &'a RawValue,
    cache_control: Option<&'a RawValue>,
    place: &str,
) -> Result<Block<'a>, ProviderError> {
    pdf(source(url(document, place)?, place)?, None, cache_control, place)
}

fn url<'a>(value: &'a RawValue, place: &str) -> Result<Cow<'a, str>, ProviderError> {
    let url = if raw_json::is_string(value) {
        Some(value)
    } else {
        part::<Fields<'a>>(value, place, "an object with a `url`")?.get("url")
    };
    url.and_then(raw_json::text).ok_or_else(|| invalid(&format!("`{place}.url` is missing")))
}

/// Converts `{"file_data": …, "filename": …}`. Only PDFs: Anthropic takes no other documents as files.
pub(super) fn file<'a>(
    file: &'a RawValue,
    cache_control: Option<&'a RawValue>,
    place: &str,
) -> Result<Block<'a>, ProviderError> {
    let file: Fields<'a> = part(file, place, "an object")?;
    let title = file.get("filename").and_then(raw_json::text);
    let source = match file.get("file_data").and_then(raw_json::text) {
        Some(data) if is_url(&data) || starts_with_ignoring_case(&data, "data:") => source(data, place)?,
        Some(data) => base64(None, data),
        None => match file.get("file_id").and_then(raw_json::text) {
            Some(id) if is_url(&id) => Source::Url { url: id },
            Some(_) => return Err(unsupported(&format!("`{place}.file_id`, which only its owner knows,"))),
            None => return Err(invalid(&format!("`{place}.file_data` is missing"))),
        },
    };
    pdf(source, title, cache_control, place)
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

fn source<'a>(url: Cow<'a, str>, place: &str) -> Result<Source<'a>, ProviderError> {
    if is_url(&url) {
        return Ok(Source::Url { url });
    }
    if !starts_with_ignoring_case(&url, "data:") {
        return Err(unsupported(&format!("`{place}` that is neither a data URI nor an https URL")));
    }
    let (head, data) = match url {
        Cow::Borrowed(url) => {
            url.split_once(',').map(|(head, data)| (Cow::Borrowed(head), Cow::Borrowed(data)))
        }
        Cow::Owned(url) => {
            url.split_once(',').map(|(head, data)| (Cow::Owned(head.to_owned()), Cow::Owned(data.to_owned())))
        }
    }
    .ok_or_else(|| invalid(&format!("`{place}` is wrong: a data URI needs a comma before its data")))?;
    let mut parts = head.get("data:".len()..).unwrap_or_default().split(';').map(str::trim);
    let declared = parts.next().filter(|media_type| !media_type.is_empty()).map(str::to_ascii_lowercase);
    if !parts.any(|part| part.eq_ignore_ascii_case("base64")) {
        return Err(invalid(&format!("`{place}` is wrong: a data URI has to be base64")));
    }
    Ok(base64(declared, data))
}

/// Anthropic refuses data of another type than it is said to be, so the data itself is asked first: the beginnings of the
/// formats it takes are the same few characters in base64.
fn base64(declared: Option<String>, data: Cow<'_, str>) -> Source<'_> {
    let seen = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi0", "application/pdf"),
    ]
    .into_iter()
    .find(|(beginning, _)| data.starts_with(beginning))
    .map(|(_, media_type)| Cow::Borrowed(media_type));
    let media_type = seen.unwrap_or_else(|| match declared {
        Some(declared) if declared == "image/jpg" => "image/jpeg".into(),
        Some(declared) => declared.into(),
        None => "application/octet-stream".into(),
    });
    Source::Base64 { media_type, data }
}

fn is_url(text: &str) -> bool {
    starts_with_ignoring_case(text, "https://") || starts_with_ignoring_case(text, "http://")
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
