//! What the environment tells of an account in a cloud: the same variables that LiteLLM and the vendors' own tools read.

use router_providers::Endpoint;

/// Returns the endpoint with what it does not say filled in from the environment, as far as its provider is in a cloud. No
/// credential from there goes to another address than the provider's own, nor beside one that the endpoint has.
pub(super) fn fill(
    mut endpoint: Endpoint,
    provider: &str,
    is_own_address: bool,
    environment: impl Fn(&str) -> Option<String>,
) -> Endpoint {
    let first = |names: &[&str]| {
        names.iter().find_map(|name| environment(name).filter(|value| !value.trim().is_empty()))
    };
    match provider {
        "vertex_ai" => {
            let google = &mut endpoint.google;
            let project = || first(&["VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"]);
            let location = || first(&["VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"]);
            google.vertex_project = google.vertex_project.take().or_else(project);
            google.vertex_location = google.vertex_location.take().or_else(location);
            if endpoint.api_key.is_none()
                && endpoint.api_base.is_none()
                && google.vertex_credentials.is_none()
            {
                google.vertex_credentials = first(&["GOOGLE_APPLICATION_CREDENTIALS"]).map(Into::into);
            }
        }
        "bedrock" => {
            let aws = &mut endpoint.aws;
            let region = || first(&["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"]);
            aws.region_name = aws.region_name.take().or_else(region);
            if endpoint.api_base.is_none() && aws.bedrock_runtime_endpoint.is_none() {
                aws.bedrock_runtime_endpoint = first(&["AWS_BEDROCK_RUNTIME_ENDPOINT"]);
            }
            if is_own_address && endpoint.api_key.is_none() && aws.access_key_id.is_none() {
                endpoint.api_key = first(&["AWS_BEARER_TOKEN_BEDROCK"]).map(Into::into);
                aws.access_key_id = first(&["AWS_ACCESS_KEY_ID"]);
                aws.secret_access_key = first(&["AWS_SECRET_ACCESS_KEY"]).map(Into::into);
                aws.session_token = first(&["AWS_SESSION_TOKEN"]).map(Into::into);
            }
        }
        _ => {}
    }
    endpoint
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret, SecretString};

    use super::*;

    fn filled(endpoint: Endpoint, provider: &str, variables: &[(&str, &str)]) -> Endpoint {
        let is_own_address = endpoint.api_base.is_none();
        fill(endpoint, provider, is_own_address, |name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn shown(secret: &Option<SecretString>) -> Option<&str> {
        secret.as_ref().map(ExposeSecret::expose_secret)
    }

    #[test]
    fn what_vertex_needs_is_found_under_its_usual_names() {
        let variables = [
            ("VERTEXAI_PROJECT", ""),
            ("GOOGLE_CLOUD_PROJECT", "p"),
            ("VERTEXAI_LOCATION", "l"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
        ];
        let found = filled(Endpoint::new("vertex_ai/m"), "vertex_ai", &variables).google;
        assert_eq!(
            (found.vertex_project.as_deref(), found.vertex_location.as_deref()),
            (Some("p"), Some("l"))
        );
        assert_eq!(shown(&found.vertex_credentials), Some("/key.json"));
        let own = Endpoint::new("vertex_ai/m").with_vertex_project("mine").with_api_base("http://elsewhere");
        let found = filled(own, "vertex_ai", &variables).google;
        assert_eq!(found.vertex_project.as_deref(), Some("mine"));
        assert_eq!(shown(&found.vertex_credentials), None, "not for another address");
        assert_eq!(filled(Endpoint::new("m"), "openai", &variables).google.vertex_project, None);
    }

    #[test]
    fn an_access_key_of_the_config_is_not_mixed_with_one_of_the_environment() {
        let variables = [
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "token"),
            ("AWS_BEARER_TOKEN_BEDROCK", "bearer"),
        ];
        let found = filled(Endpoint::new("bedrock/m"), "bedrock", &variables);
        assert_eq!(shown(&found.api_key), Some("bearer"));
        assert_eq!(
            (found.aws.region_name.as_deref(), found.aws.access_key_id.as_deref()),
            (Some("us-east-1"), Some("id"))
        );
        assert_eq!(shown(&found.aws.session_token), Some("token"));
        let own = Endpoint::new("bedrock/m").with_aws_access_key_id("mine").with_aws_secret_access_key("s");
        let found = filled(own, "bedrock", &variables);
        assert_eq!((shown(&found.api_key), found.aws.access_key_id.as_deref()), (None, Some("mine")));
        assert_eq!((shown(&found.aws.secret_access_key), shown(&found.aws.session_token)), (Some("s"), None));
    }
}
