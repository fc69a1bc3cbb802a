//! From a base URL, as people write them, to the URL to call.

use reqwest::Url;

/// Joins a base with the format's version and path, each with a leading slash, the path perhaps with a query. A base that
/// already ends with the version or a part of it, or with the whole path, does not get it twice; whatever else the base's path
/// holds is kept.
pub(crate) fn join(base: &str, version: &str, path: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(base.trim()).map_err(|_| "it is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must begin with `http://` or `https://`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user name or password; credentials belong in `api_key` or a header");
    }
    if url.query().is_some() {
        return Err("it has a query (`?…`), which is not sent to this provider");
    }
    if url.fragment().is_some() {
        return Err("it has a fragment (`#…`)");
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let mut full = url.path().trim_end_matches('/').to_owned();
    if !full.ends_with(path) {
        full.push_str(missing(&full, version));
        full.push_str(path);
    }
    url.set_path(&full);
    url.set_query(query);
    Ok(url)
}

/// Returns the part of `version` that is not at the end of `base` yet.
fn missing<'v>(base: &str, version: &'v str) -> &'v str {
    let borders = version.match_indices('/').map(|(at, _)| at).chain([version.len()]);
    let known =
        borders.rev().find(|at| version.get(..*at).is_some_and(|beginning| base.ends_with(beginning)));
    version.get(known.unwrap_or(0)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_joined_without_doubling_or_losing_anything() {
        let check = |base: &str, version: &str, path: &str, expected: &str| {
            assert_eq!(join(base, version, path).unwrap().as_str(), expected, "{base}");
        };
        let chat = "/chat/completions";
        check("https://api.openai.com/v1", "", chat, "https://api.openai.com/v1/chat/completions");
        check(" https://api.openai.com/v1// ", "", chat, "https://api.openai.com/v1/chat/completions");
        check("http://localhost:8000", "", chat, "http://localhost:8000/chat/completions");
        check("https://h/a/b", "", chat, "https://h/a/b/chat/completions");
        check("https://h/v1/chat/completions", "", chat, "https://h/v1/chat/completions");
        check("https://h/v1/chat/completions/", "", chat, "https://h/v1/chat/completions");
        check("http://localhost:11434", "/v1", chat, "http://localhost:11434/v1/chat/completions");
        check("http://localhost:11434/v1/", "/v1", chat, "http://localhost:11434/v1/chat/completions");
        check("https://api.anthropic.com", "/v1", "/messages", "https://api.anthropic.com/v1/messages");
        check("https://host/v1", "/v1", "/messages", "https://host/v1/messages");
        check("https://host/proxy/", "/v1", "/messages", "https://host/proxy/v1/messages");
        check("https://host/v1/messages", "/v1", "/messages", "https://host/v1/messages");
        check("https://h/v1", "/v1", "/m:stream?alt=sse", "https://h/v1/m:stream?alt=sse");
        check("https://h/v1/m:stream", "/v1", "/m:stream?alt=sse", "https://h/v1/m:stream?alt=sse");
        check("https://h", "", "/model/a%3A0", "https://h/model/a%3A0");
        let (deployment, query) = ("/openai/deployments/d", "/chat/completions?api-version=1");
        let full = "https://h/openai/deployments/d/chat/completions?api-version=1";
        for base in [
            "https://h",
            "https://h/",
            "https://h/openai",
            "https://h/openai/deployments/d/",
            full.split('?').next().unwrap(),
        ] {
            check(base, deployment, query, full);
        }
        check("https://host/api%2Fx/v1", "/v1", "/messages", "https://host/api%2Fx/v1/messages");
        check("https://host/", "", "/chat?version=1", "https://host/chat?version=1");
        check("https://host/chat", "", "/chat?version=1", "https://host/chat?version=1");
    }

    #[test]
    fn a_base_that_cannot_be_called_is_refused_without_showing_it() {
        for base in [
            "",
            "api.openai.com/v1",
            "localhost:8000",
            "ftp://host/v1",
            "https://user:hunter2@host/v1",
            "https://host/v1?key=hunter2",
            "https://host/v1#hunter2",
            "https://",
            "file:///etc/passwd",
        ] {
            let problem = join(base, "", "/chat/completions").unwrap_err();
            assert!(!problem.contains("hunter2"), "{base}");
        }
    }
}
