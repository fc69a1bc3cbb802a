//! What Google Cloud wants to know of its caller: who it is, in which project, and where.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::endpoint::{Endpoint, EndpointError};

/// Where LiteLLM asks when nobody says where.
const DEFAULT_LOCATION: &str = "us-central1";

/// A credential file, of the kinds that `gcloud` and the console write.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Credentials {
    /// The key of a service account.
    ServiceAccount {
        client_email: String,
        #[serde(deserialize_with = "secret")]
        private_key: SecretString,
        private_key_id: Option<String>,
        token_uri: Option<String>,
        project_id: Option<String>,
    },
    /// What `gcloud auth application-default login` leaves behind.
    AuthorizedUser {
        client_id: String,
        #[serde(deserialize_with = "secret")]
        client_secret: SecretString,
        #[serde(deserialize_with = "secret")]
        refresh_token: SecretString,
        token_uri: Option<String>,
        quota_project_id: Option<String>,
    },
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(Into::into)
}

impl Credentials {
    /// Reads the credentials of an endpoint, which are JSON or the path of a file that holds it.
    pub(crate) fn of(endpoint: &Endpoint) -> Result<Option<Self>, EndpointError> {
        let Some(given) = &endpoint.google.vertex_credentials else { return Ok(None) };
        let given = given.expose_secret().trim();
        let read;
        let json = if given.starts_with('{') {
            given
        } else {
            read = SecretString::from(
                std::fs::read_to_string(given)
                    .map_err(|_| EndpointError::VertexCredentials { problem: "the file cannot be read" })?,
            );
            read.expose_secret()
        };
        serde_json::from_str(json).map(Some).map_err(|_| EndpointError::VertexCredentials {
            problem: "it is neither the key of a service account nor what `gcloud auth application-default login` writes",
        })
    }

    fn project(self) -> Option<String> {
        match self {
            Self::ServiceAccount { project_id, .. } => project_id,
            Self::AuthorizedUser { quota_project_id, .. } => quota_project_id,
        }
    }
}

/// Returns the base URL of Vertex AI for this endpoint, which names project and location.
pub(crate) fn api_base(endpoint: &Endpoint) -> Result<String, EndpointError> {
    let given = endpoint.api_base.as_deref().map(|base| base.trim().trim_end_matches('/'));
    if let Some(base) = given.filter(|base| base.contains("/projects/")) {
        return Ok(base.to_owned());
    }
    let location = endpoint.google.vertex_location.as_deref().unwrap_or(DEFAULT_LOCATION);
    let project = match &endpoint.google.vertex_project {
        Some(project) => project.clone(),
        None => Credentials::of(endpoint)?
            .and_then(Credentials::project)
            .ok_or(EndpointError::Missing { setting: "vertex_project", example: "my-project-123" })?,
    };
    for (setting, value) in [("vertex_project", project.as_str()), ("vertex_location", location)] {
        // They end up in the host and the path.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        if value.is_empty() || !value.bytes().all(is_plain) {
            return Err(EndpointError::Setting { setting, example: "us-central1 or my-project-123" });
        }
    }
    let host = match (given, location) {
        (Some(base), _) => base.to_owned(),
        (None, "global") => "https://aiplatform.googleapis.com".to_owned(),
        // Multi-regions have hosts of another form.
        (None, "us" | "eu") => format!("https://aiplatform.{location}.rep.googleapis.com"),
        (None, region) => format!("https://{region}-aiplatform.googleapis.com"),
    };
    let version = if host.ends_with("/v1") || host.ends_with("/v1beta1") { "" } else { "/v1beta1" };
    Ok(format!("{host}{version}/projects/{project}/locations/{location}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_names_project_and_location() {
        let check = |endpoint: Endpoint, expected: &str| assert_eq!(api_base(&endpoint).unwrap(), expected);
        let endpoint = || Endpoint::new("vertex_ai/gemini-2.5-flash").with_vertex_project("p-1");
        check(
            endpoint(),
            "https://us-central1-aiplatform.googleapis.com/v1beta1/projects/p-1/locations/us-central1",
        );
        check(
            endpoint().with_vertex_location("global"),
            "https://aiplatform.googleapis.com/v1beta1/projects/p-1/locations/global",
        );
        check(
            endpoint().with_api_base("http://localhost:1/"),
            "http://localhost:1/v1beta1/projects/p-1/locations/us-central1",
        );
        check(
            endpoint().with_api_base("http://localhost:1/v1"),
            "http://localhost:1/v1/projects/p-1/locations/us-central1",
        );
        let whole = "https://proxy/v1/projects/other/locations/x";
        check(endpoint().with_api_base(whole), whole);
        let key =
            r#"{"type":"service_account","client_email":"e","private_key":"k","project_id":"from-key"}"#;
        check(
            Endpoint::new("vertex_ai/x").with_vertex_credentials(key),
            "https://us-central1-aiplatform.googleapis.com/v1beta1/projects/from-key/locations/us-central1",
        );
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let error = |endpoint: Endpoint| api_base(&endpoint).unwrap_err().to_string();
        let nowhere = error(Endpoint::new("vertex_ai/x"));
        assert!(nowhere.contains("`vertex_project` is missing"), "{nowhere}");
        let odd =
            error(Endpoint::new("vertex_ai/x").with_vertex_project("p").with_vertex_location("evil.com/x?"));
        assert!(odd.contains("`vertex_location` is wrong"), "{odd}");
        let file = error(Endpoint::new("vertex_ai/x").with_vertex_credentials("/no/such/file.json"));
        assert!(file.contains("the file cannot be read") && !file.contains("/no/such"), "{file}");
        let other =
            error(Endpoint::new("vertex_ai/x").with_vertex_credentials(r#"{"type":"external_account"}"#));
        assert!(other.contains("neither the key of a service account"), "{other}");
    }
}
