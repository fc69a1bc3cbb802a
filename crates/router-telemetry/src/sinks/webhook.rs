//! Records by HTTP POST.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use crate::record::CallRecord;
use crate::telemetry::{Sink, SinkError};

/// How long a service may take to accept a batch.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Posts each batch as a JSON array to an address.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    headers: Vec<(String, SecretString)>,
    /// Made on the sink's own runtime, to which its connections belong.
    client: Option<reqwest::Client>,
}

impl Webhook {
    /// Posts to this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new(), client: None }
    }

    /// Adds a header to every request, such as `authorization`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Makes a client where there is none yet.
pub(super) fn client(held: &mut Option<reqwest::Client>) -> Result<reqwest::Client, SinkError> {
    if held.is_none() {
        let made = reqwest::Client::builder().timeout(TIMEOUT).build();
        *held = Some(made.map_err(|error| SinkError::new(format!("there is no HTTP client: {error}")))?);
    }
    held.clone().ok_or_else(|| SinkError::new("there is no HTTP client"))
}

/// Sends a request, which is to end with a status of success.
pub(super) async fn send(request: reqwest::RequestBuilder) -> Result<(), SinkError> {
    // An address may hold a credential, so it is kept out of errors.
    let response = request.send().await.map_err(|error| SinkError::new(error.without_url().to_string()))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let body = response.text().await.unwrap_or_default();
    let body: String = body.chars().take(200).collect();
    Err(SinkError::new(format!("{status}: {}", body.trim())))
}

#[async_trait]
impl Sink for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn write(&mut self, batch: &[Arc<CallRecord>]) -> Result<(), SinkError> {
        let records: Vec<&CallRecord> = batch.iter().map(|record| &**record).collect();
        let body = serde_json::to_vec(&records).map_err(|error| SinkError::new(error.to_string()))?;
        let mut request =
            client(&mut self.client)?.post(&self.url).header("content-type", "application/json").body(body);
        for (name, value) in &self.headers {
            request = request.header(name, value.expose_secret());
        }
        send(request).await
    }
}
