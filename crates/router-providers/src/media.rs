//! Images and files in content parts.

use std::borrow::Cow;

use router_core::ProviderError;
use serde_json::value::RawValue;

use crate::canonical_request::{Addressee, invalid, part};
use crate::raw_json::{self, Fields};

/// Where an image or a file comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// It is in the request, as base64.
    Inline { media_type: Option<Cow<'a, str>>, data: Cow<'a, str> },
    /// It is at this URL, of whatever scheme.
    Remote(Cow<'a, str>),
}

/// A file, with what else is said of it.
#[derive(Debug)]
pub(crate) struct File<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) name: Option<Cow<'a, str>>,
}

/// Reads `{"url": …}`, or a bare URL as some write it.
pub(crate) fn url<'a>(value: &'a RawValue, place: &str) -> Result<Cow<'a, str>, ProviderError> {
    let url = if raw_json::is_string(value) {
        Some(value)
    } else {
        part::<Fields<'a>>(value, place, "an object with a `url`")?.get("url")
    };
    url.and_then(raw_json::text).ok_or_else(|| invalid(&format!("`{place}.url` is missing")))
}

/// Reads a URL, which may hold the data itself.
pub(crate) fn source<'a>(url: Cow<'a, str>, place: &str) -> Result<Source<'a>, ProviderError> {
    if !starts_with_ignoring_case(&url, "data:") {
        return Ok(Source::Remote(url));
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
    Ok(inline(declared, data))
}

/// Reads `{"file_data": …, "filename": …}`, or the `file_id` of a file that any caller can fetch.
pub(crate) fn file<'a>(file: &'a RawValue, place: &str, to: Addressee) -> Result<File<'a>, ProviderError> {
    let file: Fields<'a> = part(file, place, "an object")?;
    let text = |name: &str| file.get(name).and_then(raw_json::text);
    let source = match (text("file_data"), text("file_id")) {
        (Some(data), _) if data.contains("://") || starts_with_ignoring_case(&data, "data:") => {
            source(data, place)?
        }
        (Some(data), _) => inline(text("format").map(Cow::into_owned), data),
        (None, Some(id)) if id.contains("://") => Source::Remote(id),
        (None, Some(_)) => {
            return Err(to.unsupported(&format!("`{place}.file_id`, which only its owner knows,")));
        }
        (None, None) => return Err(invalid(&format!("`{place}.file_data` is missing"))),
    };
    Ok(File { source, name: text("filename") })
}

/// Returns base64 data with its media type. Providers refuse data of another type than it is said to be, so the data itself is
/// asked first: the beginnings of the usual formats are the same few characters in base64.
pub(crate) fn inline(declared: Option<String>, data: Cow<'_, str>) -> Source<'_> {
    let seen = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi0", "application/pdf"),
    ]
    .into_iter()
    .find(|(beginning, _)| data.starts_with(beginning))
    .map(|(_, media_type)| media_type)
    // RIFF is also how WAV and AVI begin.
    .filter(|seen| *seen != "image/webp" || declared.as_ref().is_none_or(|said| said.starts_with("image/")));
    let media_type =
        seen.map(Cow::Borrowed).or_else(|| {
            declared.map(|declared| {
                if declared == "image/jpg" { Cow::Borrowed("image/jpeg") } else { Cow::Owned(declared) }
            })
        });
    Source::Inline { media_type, data }
}

/// Returns the media type that the end of a URL or file name tells, of those that models read.
pub(crate) fn type_by_name(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let extension = path.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match extension.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "mov" => "video/mov",
        "webm" => "video/webm",
        _ => return None,
    })
}

pub(crate) fn is_web_url(text: &str) -> bool {
    starts_with_ignoring_case(text, "https://") || starts_with_ignoring_case(text, "http://")
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_of_the_type_it_shows() {
        let check = |url: &str, media_type: Option<&str>, data: &str| {
            let expected = Source::Inline {
                media_type: media_type.map(|kind| kind.to_owned().into()),
                data: data.into(),
            };
            assert_eq!(source(url.into(), "p").unwrap(), expected, "{url}");
        };
        check("data:image/png;base64,iVBORw0KGgoAAA", Some("image/png"), "iVBORw0KGgoAAA");
        check("DATA:Image/PNG;Charset=x;BASE64,AAAA", Some("image/png"), "AAAA");
        check("data:image/jpg;base64,AAAA", Some("image/jpeg"), "AAAA");
        check("data:image/png;base64,/9j/AAAA", Some("image/jpeg"), "/9j/AAAA");
        check("data:audio/wav;base64,UklGRAAA", Some("audio/wav"), "UklGRAAA");
        check("data:;base64,AAAA", None, "AAAA");
        assert!(source("data:image/png,AAAA".into(), "p").is_err());
        assert!(source("data:image/png;base64".into(), "p").is_err());
        assert_eq!(source("gs://b/x.pdf".into(), "p").unwrap(), Source::Remote("gs://b/x.pdf".into()));
    }

    #[test]
    fn names_tell_types() {
        assert_eq!(type_by_name("https://x/y.PNG?z=.pdf"), Some("image/png"));
        assert_eq!(type_by_name("report.v2.pdf"), Some("application/pdf"));
        assert_eq!(type_by_name("https://host.example"), None);
        assert_eq!(type_by_name("plain"), None);
    }
}
