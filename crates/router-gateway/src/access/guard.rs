//! Asks for the key.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

use super::{Caller, Stranger};
use crate::api::ApiError;
use crate::app::App;
use crate::context::Admitted;

/// Lets callers through who show a key, when keys are asked for.
pub(crate) async fn require_caller(State(app): State<App>, request: Request, next: Next) -> Response {
    match admit(&app, request) {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Lets through whoever shows the master key. A gateway without keys is for those on its machine, and they may see everything.
pub(crate) async fn require_master(State(app): State<App>, request: Request, next: Next) -> Response {
    let admitted = admit(&app, request);
    match admitted {
        Ok(request) => match request.extensions().get::<Admitted>().map(|admitted| &admitted.caller) {
            Some(Caller::Master | Caller::Anybody) => next.run(request).await,
            Some(Caller::Key(_)) | None => ApiError::master_only().into_response(),
        },
        Err(error) => error.into_response(),
    }
}

fn admit(app: &App, mut request: Request) -> Result<Request, ApiError> {
    let serving = app.serving();
    let caller =
        serving.access.recognise(shown_key(request.headers())).map_err(|stranger| match stranger {
            Stranger::NoKey => ApiError::no_key(),
            Stranger::WrongKey => ApiError::wrong_key(),
        })?;
    if let Caller::Key(key) = &caller
        && key.is_blocked()
    {
        return Err(ApiError::blocked_key());
    }
    request.extensions_mut().insert(Admitted { serving, caller });
    Ok(request)
}

/// The key, where OpenAI's, Anthropic's and Azure's clients put it, and where LiteLLM's users do.
fn shown_key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let litellm = text("x-litellm-api-key").map(|value| bearer(value).unwrap_or(value));
    let shown = litellm
        .or_else(|| text("authorization").and_then(bearer))
        .or_else(|| text("x-api-key"))
        .or_else(|| text("api-key"));
    shown.filter(|key| !key.is_empty())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_clients_put_them() {
        let check = |name: &'static str, value: &str, expected: Option<&str>| {
            let headers =
                HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
            assert_eq!(shown_key(&headers), expected, "{name}: {value}");
        };
        check("authorization", "Bearer sk-1", Some("sk-1"));
        check("authorization", "bearer   sk-1 ", Some("sk-1"));
        check("authorization", "Basic sk-1", None);
        check("authorization", "Bearer ", None);
        check("authorization", "sk-1", None);
        check("x-api-key", "sk-1", Some("sk-1"));
        check("api-key", "sk-1", Some("sk-1"));
        check("x-litellm-api-key", "sk-1", Some("sk-1"));
        check("x-litellm-api-key", "Bearer sk-1", Some("sk-1"));
        check("x-other", "sk-1", None);
    }
}
