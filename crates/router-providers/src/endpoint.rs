//! What to call, and with which credential.

use std::fmt;

use secrecy::SecretString;

/// One provider's model with the credential and address to call it.
///
/// ```
/// use router_providers::Endpoint;
///
/// let endpoint = Endpoint::new("anthropic/claude-sonnet-4-5")
///     .with_api_key("sk-ant-hunter2")
///     .with_header("anthropic-beta", "context-1m-2025-08-07");
/// assert!(!format!("{endpoint:?}").contains("hunter2"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
#[must_use]
pub struct Endpoint {
    /// The model: `provider/model`, or a bare name for OpenAI's and, with `claude-`, Anthropic's. Only the text before the first `/` names a provider.
    pub model: String,
    /// The provider, when the model string does not say it; it wins over a prefix.
    pub custom_llm_provider: Option<String>,
    /// The credential; without one, no credential is sent.
    pub api_key: Option<SecretString>,
    /// The base URL, instead of the provider's own.
    pub api_base: Option<String>,
    /// The version of the interface, at providers that want one: Azure.
    pub api_version: Option<String>,
    /// A token of Microsoft Entra ID instead of a key, at Azure.
    pub azure_ad_token: Option<SecretString>,
    /// Whether what the provider cannot do is left out of a request instead of refusing it.
    pub drop_params: bool,
    /// The organization to bill, at providers that know organizations.
    pub organization: Option<String>,
    /// What Google Cloud wants to know, for `vertex_ai/…`.
    pub google: GoogleSettings,
    /// What AWS wants to know, for `bedrock/…`.
    pub aws: AwsSettings,
    /// Further headers, which also replace those of the provider's format. Their values count as credentials.
    pub headers: Vec<(String, SecretString)>,
}

impl Endpoint {
    /// Returns an endpoint for this model string at its provider's own address, without a credential.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            custom_llm_provider: None,
            api_key: None,
            api_base: None,
            api_version: None,
            azure_ad_token: None,
            drop_params: false,
            organization: None,
            google: GoogleSettings::default(),
            aws: AwsSettings::default(),
            headers: Vec::new(),
        }
    }

    /// Names the provider, so that the whole model string is the model's name.
    pub fn with_custom_llm_provider(mut self, provider: impl Into<String>) -> Self {
        self.custom_llm_provider = Some(provider.into());
        self
    }

    /// Sets the credential.
    pub fn with_api_key(mut self, key: impl Into<SecretString>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Sets the base URL.
    pub fn with_api_base(mut self, base: impl Into<String>) -> Self {
        self.api_base = Some(base.into());
        self
    }

    /// Sets the version of the interface.
    pub fn with_api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// Sets the token of Microsoft Entra ID.
    pub fn with_azure_ad_token(mut self, token: impl Into<SecretString>) -> Self {
        self.azure_ad_token = Some(token.into());
        self
    }

    /// Lets fields that the provider cannot do be left out of a request.
    pub fn with_drop_params(mut self, drop: bool) -> Self {
        self.drop_params = drop;
        self
    }

    /// Sets the organization to bill.
    pub fn with_organization(mut self, organization: impl Into<String>) -> Self {
        self.organization = Some(organization.into());
        self
    }

    /// Sets the project at Google Cloud; the one in the credentials where it is not set.
    pub fn with_vertex_project(mut self, project: impl Into<String>) -> Self {
        self.google.vertex_project = Some(project.into());
        self
    }

    /// Sets the location at Google Cloud, such as `europe-west4` or `global`; `us-central1` where it is not set.
    pub fn with_vertex_location(mut self, location: impl Into<String>) -> Self {
        self.google.vertex_location = Some(location.into());
        self
    }

    /// Sets the credentials for Google Cloud: JSON, or the path of a file that holds it.
    pub fn with_vertex_credentials(mut self, credentials: impl Into<SecretString>) -> Self {
        self.google.vertex_credentials = Some(credentials.into());
        self
    }

    /// Sets the id of an access key of AWS.
    pub fn with_aws_access_key_id(mut self, id: impl Into<String>) -> Self {
        self.aws.access_key_id = Some(id.into());
        self
    }

    /// Sets the secret of an access key of AWS.
    pub fn with_aws_secret_access_key(mut self, secret: impl Into<SecretString>) -> Self {
        self.aws.secret_access_key = Some(secret.into());
        self
    }

    /// Sets the token that belongs to a temporary access key of AWS.
    pub fn with_aws_session_token(mut self, token: impl Into<SecretString>) -> Self {
        self.aws.session_token = Some(token.into());
        self
    }

    /// Sets the region of AWS, such as `eu-central-1`.
    pub fn with_aws_region_name(mut self, region: impl Into<String>) -> Self {
        self.aws.region_name = Some(region.into());
        self
    }

    /// Sets the address of Bedrock's runtime, instead of the region's public one.
    pub fn with_aws_bedrock_runtime_endpoint(mut self, address: impl Into<String>) -> Self {
        self.aws.bedrock_runtime_endpoint = Some(address.into());
        self
    }

    /// Adds a header to each request.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for Endpoint {
    /// Shows which headers there are, never a credential; of the base URL nothing but that it is set, for it may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Endpoint")
            .field("model", &self.model)
            .field("custom_llm_provider", &self.custom_llm_provider)
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("api_base", &self.api_base.as_ref().map(|_| "[set]"))
            .field("api_version", &self.api_version)
            .field("azure_ad_token", &self.azure_ad_token.as_ref().map(|_| "[redacted]"))
            .field("drop_params", &self.drop_params)
            .field("organization", &self.organization)
            .field("google", &self.google)
            .field("aws", &self.aws)
            .field("headers", &headers)
            .finish()
    }
}

/// What Google Cloud wants to know of its caller.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct GoogleSettings {
    /// The project.
    pub vertex_project: Option<String>,
    /// The location.
    pub vertex_location: Option<String>,
    /// The key of a service account, or what `gcloud auth application-default login` writes: JSON, or the path of its file.
    pub vertex_credentials: Option<SecretString>,
}

impl fmt::Debug for GoogleSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleSettings")
            .field("vertex_project", &self.vertex_project)
            .field("vertex_location", &self.vertex_location)
            .field("vertex_credentials", &self.vertex_credentials.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

/// What AWS wants to know of its caller.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct AwsSettings {
    /// The id of the access key.
    pub access_key_id: Option<String>,
    /// Its secret.
    pub secret_access_key: Option<SecretString>,
    /// The token of a temporary key.
    pub session_token: Option<SecretString>,
    /// The region.
    pub region_name: Option<String>,
    /// The address of Bedrock's runtime, instead of the region's public one.
    pub bedrock_runtime_endpoint: Option<String>,
}

impl fmt::Debug for AwsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSettings")
            .field("access_key_id", &self.access_key_id.as_ref().map(|_| "[redacted]"))
            .field("secret_access_key", &self.secret_access_key.as_ref().map(|_| "[redacted]"))
            .field("session_token", &self.session_token.as_ref().map(|_| "[redacted]"))
            .field("region_name", &self.region_name)
            .field("bedrock_runtime_endpoint", &self.bedrock_runtime_endpoint.as_ref().map(|_| "[set]"))
            .finish()
    }
}

/// An endpoint that cannot be called as it stands. No message shows a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The provider is not one of those in the registry.
    #[error(
        "unknown provider `{provider}`{}; known are {known}; for a service that speaks OpenAI's format write \
         `openai/<model>` and set `api_base`",
        .suggestion.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
    )]
    UnknownProvider {
        /// The name that was not found.
        provider: String,
        /// A known name that is spelled nearly the same.
        suggestion: Option<&'static str>,
        /// All known names.
        known: String,
    },
    /// The model string names a provider and no model, or nothing at all.
    #[error("`{model}` names no model: expected `<provider>/<model>`")]
    BlankModel {
        /// The model string.
        model: String,
    },
    /// The base URL cannot be used.
    #[error("`api_base` is wrong: {problem}; expected something like `https://host/v1`")]
    ApiBase {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A header cannot be sent.
    #[error("header `{name}` {problem}")]
    Header {
        /// The header's name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The key holds characters that no header can carry, such as a line break.
    #[error("the API key holds characters that cannot be sent in a header, such as a line break")]
    ApiKey,
    /// There is no credential, and the provider answers nobody without one.
    #[error("no credential: {remedy}")]
    NoCredential {
        /// What to do about it.
        remedy: &'static str,
    },
    /// The credentials for Google Cloud cannot be used.
    #[error("`vertex_credentials` is wrong: {problem}")]
    VertexCredentials {
        /// What is wrong with them.
        problem: &'static str,
    },
    /// A setting is missing without which the provider cannot be addressed.
    #[error("`{setting}` is missing: expected something like `{example}`")]
    Missing {
        /// The setting.
        setting: &'static str,
        /// What it may look like.
        example: &'static str,
    },
    /// A setting holds something that it cannot be.
    #[error("`{setting}` is wrong: expected something like `{example}`")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What it may look like.
        example: &'static str,
    },
    /// A setting means nothing to this provider.
    #[error("`{setting}` means nothing to provider `{provider}`: remove it")]
    Unsupported {
        /// The setting.
        setting: &'static str,
        /// The provider.
        provider: &'static str,
    },
}
