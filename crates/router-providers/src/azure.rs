//! OpenAI's models at Azure, and Azure's other models: OpenAI's format at other addresses.
//!
//! | resource | address |
//! |---|---|
//! | Azure OpenAI | `/openai/deployments/DEPLOYMENT/chat/completions?api-version=…` |
//! | the same, version `v1`, `preview` or `latest` | `/openai/v1/chat/completions`, the deployment in the body |
//! | AI Foundry, at `*.services.ai.azure.com` | `/models/chat/completions?api-version=…`, the model in the body |
//! | any other address of provider `azure_ai` | `/chat/completions` |
//!
//! A base that ends in `/openai/v1` means that version. Replies differ from OpenAI's by notes of the content filter, which pass
//! through: a first chunk without choices, `content_filter_results` beside deltas and messages. A refusal of the filter is an
//! error of kind content policy.

use bytes::Bytes;
use http::HeaderMap;
use router_core::{ChatRequest, EmbeddingReply, EmbeddingRequest, ProviderError, Reply};

use crate::openai::OpenAi;
use crate::openai::dialect::{Dialect, OPENAI};
use crate::openai::embeddings::OpenAiEmbeddings;
use crate::protocol::{Embeddings, Mode, Protocol, StreamDecoder, Target, WireReply};

/// What Azure speaks where the address names no version (stable since autumn 2024).
pub(crate) const API_VERSION: &str = "2024-10-21";
/// The same for AI Foundry's models.
pub(crate) const FOUNDRY_API_VERSION: &str = "2024-05-01-preview";

/// Azure OpenAI.
#[derive(Debug)]
pub(crate) struct Azure;

/// Azure AI Foundry.
#[derive(Debug)]
pub(crate) struct Foundry;

const AZURE: OpenAi = OpenAi(Dialect { service: "Azure", ..OPENAI });

impl Protocol for Azure {
    fn path(&self, target: &Target, _mode: Mode) -> String {
        with_version(target, "/chat/completions", is_v1(target))
    }

    fn prefix(&self, target: &Target) -> Option<String> {
        Some(if is_v1(target) {
            "/openai/v1".to_owned()
        } else {
            format!("/openai/deployments/{}", encoded(&target.model))
        })
    }

    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
        AZURE.encode(target, request, mode)
    }

    fn decode(&self, target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        AZURE.decode(target, reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        AZURE.decode_error(reply)
    }

    fn stream_decoder(&self, target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        AZURE.stream_decoder(target, headers)
    }

    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        Some(&AzureEmbeddings)
    }
}

impl Protocol for Foundry {
    fn path(&self, target: &Target, _mode: Mode) -> String {
        with_version(target, "/chat/completions", !is_foundry(target))
    }

    fn prefix(&self, target: &Target) -> Option<String> {
        Some(if is_foundry(target) { "/models" } else { "" }.to_owned())
    }

    fn encode(&self, target: &Target, request: &ChatRequest, mode: Mode) -> Result<Bytes, ProviderError> {
        AZURE.encode(target, request, mode)
    }

    fn decode(&self, target: &Target, reply: WireReply) -> Result<Reply, ProviderError> {
        AZURE.decode(target, reply)
    }

    fn decode_error(&self, reply: &WireReply) -> ProviderError {
        AZURE.decode_error(reply)
    }

    fn stream_decoder(&self, target: &Target, headers: &HeaderMap) -> Box<dyn StreamDecoder> {
        AZURE.stream_decoder(target, headers)
    }

    fn embeddings(&self) -> Option<&'static dyn Embeddings> {
        Some(&FoundryEmbeddings)
    }
}

#[derive(Debug)]
struct AzureEmbeddings;

#[derive(Debug)]
struct FoundryEmbeddings;

impl Embeddings for AzureEmbeddings {
    fn path(&self, target: &Target) -> String {
        with_version(target, "/embeddings", is_v1(target))
    }

    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError> {
        OpenAiEmbeddings.encode(target, request)
    }

    fn decode(
        &self,
        target: &Target,
        request: &EmbeddingRequest,
        replies: &[WireReply],
    ) -> Result<EmbeddingReply, ProviderError> {
        OpenAiEmbeddings.decode(target, request, replies)
    }
}

impl Embeddings for FoundryEmbeddings {
    fn path(&self, target: &Target) -> String {
        with_version(target, "/embeddings", !is_foundry(target))
    }

    fn encode(&self, target: &Target, request: &EmbeddingRequest) -> Result<Vec<Bytes>, ProviderError> {
        OpenAiEmbeddings.encode(target, request)
    }

    fn decode(
        &self,
        target: &Target,
        request: &EmbeddingRequest,
        replies: &[WireReply],
    ) -> Result<EmbeddingReply, ProviderError> {
        OpenAiEmbeddings.decode(target, request, replies)
    }
}

/// Whether the newer interface is meant, which is OpenAI's own at another address.
fn is_v1(target: &Target) -> bool {
    matches!(target.api_version.as_deref(), Some("v1" | "preview" | "latest"))
        || target.api_base.trim_end_matches('/').ends_with("/openai/v1")
}

fn is_foundry(target: &Target) -> bool {
    target.api_base.contains(".services.ai.azure.com") && !is_v1(target)
}

/// Adds the version, except where the address has none.
fn with_version(target: &Target, path: &str, is_versionless: bool) -> String {
    match target.api_version.as_deref() {
        Some(version) if !is_versionless || version == "preview" => format!("{path}?api-version={version}"),
        _ => path.to_owned(),
    }
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
