//! Images, documents and videos. Bedrock fetches nothing but what lies in S3.

use std::borrow::Cow;

use router_core::ProviderError;

use super::BEDROCK;
use crate::canonical_request::invalid;
use crate::json_tree::{Node, Object};
use crate::media::{self, File, Source};

/// Converts an image or a video.
pub(super) fn image<'a>(url: Cow<'a, str>, place: &str) -> Result<Node<'a>, ProviderError> {
    block(File { source: media::source(url, place)?, name: None }, place, &mut Names::default())
}

/// The names of a conversation's documents, no two of which may be the same.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    fn add(&mut self, name: Option<&str>) -> String {
        let plain = name.map(plain_name).filter(|name| !name.is_empty());
        let mut name = plain.unwrap_or_else(|| "document".to_owned());
        if self.0.contains(&name) {
            name = format!("{name} {}", self.0.len() + 1);
        }
        self.0.push(name.clone());
        name
    }
}

/// Converts a file, as what it is.
pub(super) fn block<'a>(file: File<'a>, place: &str, names: &mut Names) -> Result<Node<'a>, ProviderError> {
    let File { source, name } = file;
    let by_name = |name: &str| media::type_by_name(name).map(Cow::Borrowed);
    let (media_type, source) = match source {
        Source::Inline { media_type, data } => {
            let media_type = media_type.or_else(|| by_name(name.as_deref()?));
            (media_type, Object::of("bytes", data))
        }
        Source::Remote(url) if url.starts_with("s3://") => {
            let media_type = by_name(&url).or_else(|| by_name(name.as_deref()?));
            (media_type, Object::of("s3Location", Object::of("uri", url)))
        }
        Source::Remote(_) => {
            return Err(BEDROCK.unsupported(&format!("`{place}` that is neither a data URI nor in S3")));
        }
    };
    let media_type = media_type.ok_or_else(|| {
        invalid(&format!("`{place}` does not tell its type: write `data:<media type>;base64,…`"))
    })?;
    let (kind, format) = format(&media_type)
        .ok_or_else(|| BEDROCK.unsupported(&format!("`{place}` of type {media_type:?}")))?;
    let mut block = Object::of("format", format);
    if kind == "document" {
        block.set("name", Node::Text(names.add(name.as_deref()).into()));
    }
    block.set("source", source);
    Ok(Object::of(kind, block).into())
}

/// Returns what a media type is to Converse, and how it is called there.
fn format(media_type: &str) -> Option<(&'static str, &'static str)> {
    Some(match media_type {
        "image/png" => ("image", "png"),
        "image/jpeg" => ("image", "jpeg"),
        "image/gif" => ("image", "gif"),
        "image/webp" => ("image", "webp"),
        "application/pdf" => ("document", "pdf"),
        "text/plain" => ("document", "txt"),
        "text/markdown" => ("document", "md"),
        "text/html" => ("document", "html"),
        "text/csv" => ("document", "csv"),
        "application/msword" => ("document", "doc"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => ("document", "docx"),
        "application/vnd.ms-excel" => ("document", "xls"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => ("document", "xlsx"),
        "video/mp4" => ("video", "mp4"),
        "video/mov" | "video/quicktime" => ("video", "mov"),
        "video/webm" => ("video", "webm"),
        _ => return None,
    })
}

/// Returns a name of letters, digits, hyphens, underscores, brackets and single spaces, which is all that is taken, without its
/// ending.
fn plain_name(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_()[]".contains(c) { c } else { ' ' })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}
