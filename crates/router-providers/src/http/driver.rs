//! One endpoint, ready to be called.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use reqwest::{Request, Response, Url};
use router_core::{
    ChatRequest, EmbeddingReply, EmbeddingRequest, Native, Provider, ProviderError, ProviderErrorKind, Reply,
    StreamedReply, TraceContext,
};
use secrecy::{ExposeSecret, SecretString};

use super::body::{self, Read};
use super::client::Client;
use super::credential::Credential;
use super::fitting::{Fitted, fitted};
use super::redact::Redactor;
use super::stream::ReplyStream;
use super::transport::{self, Phase};
use super::whole_as_stream;
use crate::base_url;
use crate::endpoint::{Endpoint, EndpointError};
use crate::google;
use crate::headroom::headroom;
use crate::protocol::{Embeddings, Mode, Protocol, Target, WireReply};
use crate::registry::{self, Auth, Row};

/// <https://www.w3.org/TR/trace-context/>
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A reply larger than this is not an answer.
const MAX_REPLY: usize = 64 << 20;
/// Enough of an error page to see what it is.
const MAX_ERROR: usize = 64 << 10;

/// How many calls one request for embeddings makes at a time, where a provider takes few texts with each.
const EMBEDDINGS_AT_ONCE: usize = 8;

/// Speaks one wire format to one endpoint over HTTP. Everything that is the same for each call was made in advance.
pub(super) struct HttpProvider {
    client: Client,
    row: &'static Row,
    binding: Binding,
    headers: HeaderMap,
    credential: Credential,
    drop_params: bool,
    redactor: Arc<Redactor>,
}

/// A model, with the format in which and the addresses where it is asked.
#[derive(Clone)]
struct Binding {
    protocol: &'static dyn Protocol,
    target: Target,
    whole_url: Url,
    stream_url: Url,
    embeddings: Option<(&'static dyn Embeddings, Url)>,
}

impl Binding {
    fn new(row: &Row, target: Target) -> Result<Self, &'static str> {
        let protocol = row.protocol.for_model(&target.model).unwrap_or(row.protocol);
        let prefix = protocol.prefix(&target);
        let url =
            |base: &str, path: &str| base_url::join(base, prefix.as_deref().unwrap_or(row.version), path);
        let whole_path = protocol.path(&target, Mode::Whole);
        let embeddings = protocol.embeddings().map(|embeddings| {
            // People also give the whole address of the chat endpoint as a base.
            let base = target.api_base.trim().trim_end_matches('/');
            let chat = whole_path.split('?').next().unwrap_or_default();
            let base = base.strip_suffix(chat).unwrap_or(base);
            url(base, &embeddings.path(&target)).map(|url| (embeddings, url))
        });
        Ok(Self {
            whole_url: url(&target.api_base, &whole_path)?,
            stream_url: url(&target.api_base, &protocol.path(&target, Mode::Stream))?,
            embeddings: embeddings.transpose()?,
            protocol,
            target,
        })
    }
}

impl HttpProvider {
    pub(super) fn new(client: Client, endpoint: &Endpoint) -> Result<Self, EndpointError> {
        let (row, model) = registry::find(&endpoint.model, endpoint.custom_llm_provider.as_deref())?;
        let credential = Credential::new(row, endpoint, &client)?;
        let binding = Binding::new(row, target(row, model, endpoint)?)
            .map_err(|problem| EndpointError::ApiBase { problem })?;
        let mut redactor = Redactor::default();
        let keys = endpoint.api_key.iter().chain(&endpoint.azure_ad_token).chain(&endpoint.aws.session_token);
        let keys = keys.chain(&endpoint.aws.secret_access_key);
        for secret in keys.chain(endpoint.headers.iter().map(|(_, value)| value)) {
            redactor.add(secret);
        }
        Ok(Self {
            client,
            row,
            binding,
            headers: headers(row, endpoint)?,
            credential,
            drop_params: endpoint.drop_params,
            redactor: redactor.into(),
        })
    }

    /// Sends a request and returns the response once its head is there, if it is a success.
    async fn send(
        &self,
        protocol: &dyn Protocol,
        url: &Url,
        body: Bytes,
        native: Option<&Native>,
        trace: Option<TraceContext>,
    ) -> Result<Response, ProviderError> {
        let mut request = Request::new(Method::POST, url.clone());
        *request.headers_mut() = self.headers.clone(); // a handful of entries, whose values are shared
        for (name, value) in native.into_iter().flat_map(Native::headers) {
            request.headers_mut().append(name, value.clone());
        }
        if let Some(trace) = trace
            && let Ok(value) = HeaderValue::from_str(&trace.to_string())
        {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        self.credential.apply(&mut request, &body).await?;
        *request.body_mut() = Some(body.into());
        let mut response = self
            .client
            .inner
            .execute(request)
            .await
            .map_err(|error| transport::failed(error, Phase::Head, self.client.has_certificates))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        // If the connection breaks here, the status is still the better news.
        let body = match body::read(&mut response, MAX_ERROR).await {
            Ok(Read::Whole(body) | Read::Beginning(body)) => body,
            Err(_) => Bytes::new(),
        };
        if status == StatusCode::UNAUTHORIZED {
            self.credential.refused();
        }
        Err(decode_error(protocol, &WireReply { status, headers, body }))
    }

    /// Returns what keeps secrets out of errors, those of this moment among them.
    fn redactor(&self) -> Arc<Redactor> {
        match self.credential.secret() {
            Some(secret) => Arc::new(self.redactor.with(&secret)),
            None => self.redactor.clone(),
        }
    }

    /// Reads the body of a success to its end and decodes it.
    async fn read_reply(&self, binding: &Binding, response: Response) -> Result<Reply, ProviderError> {
        let reply = self.read(response).await?;
        let headroom = headroom(&reply.headers);
        Ok(Reply { headroom, ..binding.protocol.decode(&binding.target, reply)? })
    }

    /// Reads the body of a success to its end.
    async fn read(&self, mut response: Response) -> Result<WireReply, ProviderError> {
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        match body::read(&mut response, MAX_REPLY).await {
            Ok(Read::Whole(body)) => Ok(WireReply { status, headers, body }),
            Ok(Read::Beginning(_)) => {
                Err(ProviderError::new(ProviderErrorKind::MalformedReply, "the reply is larger than 64 MiB"))
            }
            Err(error) => Err(transport::failed(error, Phase::Body, self.client.has_certificates)),
        }
    }

    /// Returns the binding to the model that a request names, for an endpoint whose model is a pattern; else there is one for all.
    fn bind(&self, requested: &str) -> Result<Cow<'_, Binding>, ProviderError> {
        if !self.binding.target.model.contains('*') {
            return Ok(Cow::Borrowed(&self.binding));
        }
        Binding::new(self.row, self.binding.target.with_model(requested)).map(Cow::Owned).map_err(|problem| {
            ProviderError::new(ProviderErrorKind::InvalidRequest, format!("`api_base` is wrong: {problem}"))
        })
    }

    /// Writes a chat, without what the format cannot express where that is allowed.
    fn chat(
        &self,
        binding: &Binding,
        request: &ChatRequest,
        mode: Mode,
    ) -> Result<Fitted<Bytes>, ProviderError> {
        fitted(request, self.drop_params, |request| binding.protocol.encode(&binding.target, request, mode))
    }

    /// Writes the calls for vectors in the same way.
    fn vectors(
        &self,
        binding: &Binding,
        embeddings: &dyn Embeddings,
        request: &EmbeddingRequest,
    ) -> Result<Fitted<Vec<Bytes>>, ProviderError> {
        fitted(request, self.drop_params, |request| embeddings.encode(&binding.target, request))
    }

    async fn try_complete(&self, request: &ChatRequest) -> Result<Reply, ProviderError> {
        let binding = self.bind(request.model())?;
        let native = native(binding.protocol, request)?;
        let body = self.chat(&binding, request, Mode::Whole)?.written;
        let response = self.send(binding.protocol, &binding.whole_url, body, native, request.trace()).await?;
        self.read_reply(&binding, response).await
    }

    async fn try_stream(&self, request: &ChatRequest) -> Result<StreamedReply, ProviderError> {
        let binding = self.bind(request.model())?;
        let native = native(binding.protocol, request)?;
        let body = self.chat(&binding, request, Mode::Stream)?.written;
        let response =
            self.send(binding.protocol, &binding.stream_url, body, native, request.trace()).await?;
        match content(response.headers()) {
            Content::Events => {}
            // An error under status 200, or a host that does not stream and sends everything at once.
            Content::Json => {
                let reply = self.read_reply(&binding, response).await?;
                let chunks = whole_as_stream::chunks(&reply)?;
                let chunks = Box::pin(futures_util::stream::iter(chunks.into_iter().map(Ok)));
                return Ok(StreamedReply { chunks, headroom: reply.headroom });
            }
            Content::Page => {
                return Err(ProviderError::new(
                    ProviderErrorKind::MalformedReply,
                    "expected a stream of events, got a web page; is `api_base` right?",
                ));
            }
        }
        let headroom = headroom(response.headers());
        let decoder = binding.protocol.stream_decoder(&binding.target, response.headers());
        let chunks = Box::pin(ReplyStream::new(response, decoder, self.redactor()));
        Ok(StreamedReply { chunks, headroom })
    }

    async fn try_embed(&self, request: &EmbeddingRequest) -> Result<EmbeddingReply, ProviderError> {
        let binding = self.bind(request.model())?;
        let Some((embeddings, url)) = &binding.embeddings else {
            let message = format!("provider `{}` has no embeddings", self.row.name());
            return Err(ProviderError::new(ProviderErrorKind::Unsupported, message));
        };
        let calls = self.vectors(&binding, *embeddings, request)?;
        let binding = &*binding;
        let calls = futures_util::stream::iter(calls.written).map(|body| async move {
            self.read(self.send(binding.protocol, url, body, None, request.trace()).await?).await
        });
        // In the order of the texts. The first failure ends the others.
        let replies: Vec<WireReply> = calls.buffered(EMBEDDINGS_AT_ONCE).try_collect().await?;
        let headroom = replies.last().and_then(|reply| headroom(&reply.headers));
        Ok(EmbeddingReply { headroom, ..embeddings.decode(&binding.target, request, &replies)? })
    }
}

#[async_trait]
impl Provider for HttpProvider {
    async fn complete(&self, request: &ChatRequest) -> Result<Reply, ProviderError> {
        self.try_complete(request).await.map_err(|error| self.redactor().clean(error))
    }

    async fn stream(&self, request: &ChatRequest) -> Result<StreamedReply, ProviderError> {
        self.try_stream(request).await.map_err(|error| self.redactor().clean(error))
    }

    fn dropped_params(&self, request: &ChatRequest) -> Vec<String> {
        if !self.drop_params {
            return Vec::new();
        }
        let binding = self.bind(request.model());
        let fitted = binding.and_then(|binding| self.chat(&binding, request, Mode::Whole));
        fitted.map(|fitted| fitted.dropped).unwrap_or_default()
    }

    fn dropped_embedding_params(&self, request: &EmbeddingRequest) -> Vec<String> {
        if !self.drop_params {
            return Vec::new();
        }
        let Ok(binding) = self.bind(request.model()) else { return Vec::new() };
        let Some((embeddings, _)) = binding.embeddings else { return Vec::new() };
        self.vectors(&binding, embeddings, request).map(|fitted| fitted.dropped).unwrap_or_default()
    }

    async fn embed(&self, request: &EmbeddingRequest) -> Result<EmbeddingReply, ProviderError> {
        self.try_embed(request).await.map_err(|error| self.redactor().clean(error))
    }
}

impl fmt::Debug for HttpProvider {
    /// Shows whom it calls, and of the headers nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProvider")
            .field("provider", &self.row.name())
            .field("model", &self.binding.target.model)
            .field("url", &self.binding.whole_url.as_str())
            .finish_non_exhaustive()
    }
}

/// Returns the caller's own words where the protocol understands them; fails where only others would, and the translation does not do.
fn native<'r>(
    protocol: &dyn Protocol,
    request: &'r ChatRequest,
) -> Result<Option<&'r Native>, ProviderError> {
    let Some(native) = request.native() else { return Ok(None) };
    match native.untranslated() {
        _ if protocol.native() == Some(native.format()) => Ok(Some(native)),
        None => Ok(None),
        Some(what) => {
            let message = format!("{what} cannot be said in this provider's format");
            Err(ProviderError::new(ProviderErrorKind::Unsupported, message))
        }
    }
}

fn decode_error(protocol: &dyn Protocol, reply: &WireReply) -> ProviderError {
    let error = protocol.decode_error(reply);
    if !error.message().is_empty() {
        return error;
    }
    let message = if reply.status.is_redirection() {
        "the provider redirects elsewhere, which is not followed; set `api_base` to its final address"
    } else {
        "the provider gave no reason"
    };
    let mut explained = ProviderError::new(error.kind(), message).with_status(reply.status);
    if let Some(span) = error.retry_after() {
        explained = explained.with_retry_after(span);
    }
    explained
}

/// What the body of a success looks like, by its content type.
enum Content {
    /// Server-sent events; some hosts do not say so, or say something odd.
    Events,
    Json,
    Page,
}

fn content(headers: &HeaderMap) -> Content {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Content::Json
    } else if essence.eq_ignore_ascii_case("text/html") {
        Content::Page
    } else {
        Content::Events
    }
}

/// Where a model is asked. The address that Azure's portal shows holds the version of the interface.
fn target(row: &'static Row, model: &str, endpoint: &Endpoint) -> Result<Target, EndpointError> {
    let base = match row.auth {
        Auth::Google => Cow::Owned(google::api_base(endpoint)?),
        #[cfg(feature = "bedrock")]
        Auth::Aws => Cow::Owned(crate::aws::api_base(endpoint)?),
        Auth::Bearer | Auth::Header(_) => {
            Cow::Borrowed(endpoint.api_base.as_deref().unwrap_or(row.api_base).trim())
        }
    };
    if base.is_empty() {
        let example = "https://my-resource.openai.azure.com";
        return Err(EndpointError::Missing { setting: "api_base", example });
    }
    let (base, version) = match base.split_once("?api-version=") {
        Some((base, version)) if row.default_api_version.is_some() => (base, Some(version)),
        _ => (&*base, None),
    };
    if endpoint.api_version.is_some() && row.default_api_version.is_none() {
        return Err(EndpointError::Unsupported { setting: "api_version", provider: row.name() });
    }
    let version = endpoint.api_version.as_deref().or(version).or(row.default_api_version);
    let is_plain = |version: &str| {
        !version.is_empty() && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
    };
    if !version.is_none_or(is_plain) {
        return Err(EndpointError::Setting { setting: "api_version", example: "2025-04-01-preview` or `v1" });
    }
    Ok(Target { api_base: base.to_owned(), api_version: version.map(str::to_owned), ..Target::new(model) })
}

fn headers(row: &Row, endpoint: &Endpoint) -> Result<HeaderMap, EndpointError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in row.protocol.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(key) = &endpoint.api_key {
        let (name, value) = credential(row.auth, key)?;
        headers.insert(name, value);
    }
    if let Some(token) = &endpoint.azure_ad_token {
        if row.default_api_version.is_none() {
            return Err(EndpointError::Unsupported { setting: "azure_ad_token", provider: row.name() });
        }
        let (name, value) = credential(Auth::Bearer, token)?;
        headers.insert(name, value);
    }
    if let Some(organization) = &endpoint.organization {
        let Some(name) = row.organization_header else {
            return Err(EndpointError::Unsupported { setting: "organization", provider: row.name() });
        };
        let value = HeaderValue::from_str(organization).map_err(|_| EndpointError::Header {
            name: name.to_owned(),
            problem: "cannot carry this `organization`",
        })?;
        headers.insert(HeaderName::from_static(name), value);
    }
    for (name, value) in &endpoint.headers {
        let wrong = |problem| EndpointError::Header { name: name.clone(), problem };
        let name =
            HeaderName::try_from(name.as_str()).map_err(|_| wrong("has a name that is not allowed"))?;
        if matches!(
            name,
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION | header::CONTENT_TYPE
        ) {
            return Err(wrong("is set by the HTTP client and cannot be changed"));
        }
        let mut value = HeaderValue::from_str(value.expose_secret().trim())
            .map_err(|_| wrong("has a value that cannot be sent, such as one with a line break"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn credential(auth: Auth, key: &SecretString) -> Result<(HeaderName, HeaderValue), EndpointError> {
    let key = key.expose_secret().trim();
    let (name, value) = match auth {
        Auth::Header(name) => (HeaderName::from_static(name), HeaderValue::from_str(key)),
        // Also in the clouds, where a key is one of several credentials.
        _ => (header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))),
    };
    let mut value = value.map_err(|_| EndpointError::ApiKey)?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(endpoint: &Endpoint) -> Result<HttpProvider, EndpointError> {
        HttpProvider::new(Client::new().unwrap(), endpoint)
    }

    #[test]
    fn each_format_gets_its_credential_and_headers() {
        let openai = prepared(
            &Endpoint::new("gpt-4o")
                .with_api_key(" sk-secret\n")
                .with_organization("org-1")
                .with_header("X-Trace", "t"),
        )
        .unwrap();
        assert_eq!(openai.binding.whole_url.as_str(), "https://api.openai.com/v1/chat/completions");
        assert_eq!(openai.headers["authorization"], "Bearer sk-secret");
        assert!(openai.headers["authorization"].is_sensitive());
        assert_eq!(openai.headers["openai-organization"], "org-1");
        assert_eq!(openai.headers["x-trace"], "t");

        let claude = prepared(
            &Endpoint::new("anthropic/claude-x")
                .with_api_key("sk-ant")
                .with_header("anthropic-version", "2099-01-01"),
        )
        .unwrap();
        assert_eq!(claude.binding.whole_url.as_str(), "https://api.anthropic.com/v1/messages");
        assert_eq!(claude.headers["x-api-key"], "sk-ant");
        assert!(!claude.headers.contains_key("authorization"));
        assert_eq!(claude.headers["anthropic-version"], "2099-01-01", "a header of the endpoint wins");

        let local = prepared(&Endpoint::new("ollama/qwen3").with_api_base("http://localhost:11434")).unwrap();
        assert_eq!(local.binding.whole_url.as_str(), "http://localhost:11434/v1/chat/completions");
        assert!(!local.headers.contains_key("authorization"));
    }

    #[test]
    fn azure_is_called_where_its_resource_and_version_say() {
        let check = |endpoint: Endpoint, chat: &str, embeddings: &str| {
            let azure = prepared(&endpoint).unwrap().binding;
            assert_eq!(azure.whole_url.as_str(), chat);
            assert_eq!(azure.embeddings.unwrap().1.as_str(), embeddings);
        };
        let azure = |base: &str| Endpoint::new("azure/my gpt").with_api_base(base);
        let at = |path: &str, version: &str| {
            format!("https://r.openai.azure.com/openai/deployments/my%20gpt/{path}?api-version={version}")
        };
        for base in [
            "https://r.openai.azure.com",
            "https://r.openai.azure.com//",
            "https://r.openai.azure.com/openai",
        ] {
            check(azure(base), &at("chat/completions", "2024-10-21"), &at("embeddings", "2024-10-21"));
        }
        check(
            azure("https://r.openai.azure.com").with_api_version("2025-04-01-preview"),
            &at("chat/completions", "2025-04-01-preview"),
            &at("embeddings", "2025-04-01-preview"),
        );
        // As the portal shows it.
        check(
            azure(&at("chat/completions", "2024-02-01")),
            &at("chat/completions", "2024-02-01"),
            &at("embeddings", "2024-02-01"),
        );
        for endpoint in [
            azure("https://r.openai.azure.com").with_api_version("v1"),
            azure("https://r.openai.azure.com/openai/v1/"),
        ] {
            let v1 = "https://r.openai.azure.com/openai/v1";
            check(endpoint, &format!("{v1}/chat/completions"), &format!("{v1}/embeddings"));
        }
        check(
            Endpoint::new("azure_ai/grok-4").with_api_base("https://r.services.ai.azure.com"),
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            "https://r.services.ai.azure.com/models/embeddings?api-version=2024-05-01-preview",
        );
    }

    #[test]
    fn azure_takes_a_key_or_a_token() {
        let azure = Endpoint::new("azure/gpt").with_api_base("https://r.openai.azure.com");
        let with_key = prepared(&azure.clone().with_api_key("hunter2")).unwrap().headers;
        assert_eq!(
            (&with_key["api-key"], with_key.get("authorization")),
            (&"hunter2".parse().unwrap(), None)
        );
        let with_token = prepared(&azure.with_azure_ad_token("hunter2")).unwrap().headers;
        assert_eq!(
            (&with_token["authorization"], with_token.get("api-key")),
            (&"Bearer hunter2".parse().unwrap(), None)
        );
        assert!(with_token["authorization"].is_sensitive());
    }

    #[test]
    fn what_is_wrong_with_an_endpoint_is_said_without_showing_secrets() {
        let check = |endpoint: Endpoint, expected: &str| {
            let error = prepared(&endpoint).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(!format!("{error:?}").contains("hunter2"));
        };
        check(
            Endpoint::new("gpt").with_api_key("hunter2\nx"),
            "the API key holds characters that cannot be sent in a header, such as a line break",
        );
        check(
            Endpoint::new("gpt").with_api_base("https://me:hunter2@host/v1"),
            "`api_base` is wrong: it holds a user name or password; credentials belong in `api_key` or a header; \
             expected something like `https://host/v1`",
        );
        check(
            Endpoint::new("gpt").with_header("x-key", "hunter2\r\nx: y"),
            "header `x-key` has a value that cannot be sent, such as one with a line break",
        );
        check(Endpoint::new("gpt").with_header("a b", "x"), "header `a b` has a name that is not allowed");
        check(
            Endpoint::new("gpt").with_header("Content-Length", "7"),
            "header `Content-Length` is set by the HTTP client and cannot be changed",
        );
        check(
            Endpoint::new("anthropic/claude").with_organization("org"),
            "`organization` means nothing to provider `anthropic`: remove it",
        );
        check(
            Endpoint::new("groq/llama").with_api_version("v1"),
            "`api_version` means nothing to provider `groq`: remove it",
        );
        check(
            Endpoint::new("groq/llama").with_azure_ad_token("hunter2"),
            "`azure_ad_token` means nothing to provider `groq`: remove it",
        );
        check(
            Endpoint::new("azure/gpt"),
            "`api_base` is missing: expected something like `https://my-resource.openai.azure.com`",
        );
        check(
            Endpoint::new("azure/gpt").with_api_base("https://h").with_api_version("1&key=2"),
            "`api_version` is wrong: expected something like `2025-04-01-preview` or `v1`",
        );
    }

    #[test]
    fn debug_output_shows_no_credential() {
        let provider =
            prepared(&Endpoint::new("gpt").with_api_key("hunter2").with_header("x", "hunter2")).unwrap();
        assert!(!format!("{provider:?}").contains("hunter2"));
    }

    #[test]
    fn the_content_type_is_read_as_people_write_it() {
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static(value));
            content(&headers)
        };
        assert!(matches!(check("application/json; charset=utf-8"), Content::Json));
        assert!(matches!(check("Application/JSON"), Content::Json));
        assert!(matches!(check("text/event-stream;charset=utf-8"), Content::Events));
        assert!(matches!(check("text/html"), Content::Page));
        assert!(matches!(content(&HeaderMap::new()), Content::Events));
    }
}
