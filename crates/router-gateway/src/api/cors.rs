//! Which web pages may call from a browser.

use http::HeaderValue;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::app::App;

/// Lets in the pages that the present configuration lists: none, unless it says otherwise. Other callers are not concerned.
pub(super) fn layer(app: App) -> CorsLayer {
    let is_allowed = move |origin: &HeaderValue, _: &http::request::Parts| {
        let serving = app.serving();
        serving.cors_origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::any())
}
