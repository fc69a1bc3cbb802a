//! What AWS wants to know of its caller: where, and which address that is.

use crate::endpoint::{Endpoint, EndpointError};

/// Returns the region of an endpoint.
pub(crate) fn region(endpoint: &Endpoint) -> Result<&str, EndpointError> {
    let wrong = EndpointError::Setting { setting: "aws_region_name", example: "us-east-1" };
    let region = endpoint
        .aws
        .region_name
        .as_deref()
        .map(str::trim)
        .ok_or(EndpointError::Missing { setting: "aws_region_name", example: "us-east-1" })?;
    // It becomes part of the host.
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !region.is_empty() && region.bytes().all(is_plain) { Ok(region) } else { Err(wrong) }
}

/// Returns the base URL of Bedrock's runtime for this endpoint.
pub(crate) fn api_base(endpoint: &Endpoint) -> Result<String, EndpointError> {
    let given = endpoint.aws.bedrock_runtime_endpoint.as_ref().or(endpoint.api_base.as_ref());
    match given {
        Some(base) => Ok(base.clone()),
        None => {
            let region = region(endpoint)?;
            let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            Ok(format!("https://bedrock-runtime.{region}.{domain}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_regions_unless_another_is_given() {
        let base = |endpoint: Endpoint| api_base(&endpoint).map_err(|error| error.to_string());
        let endpoint = || Endpoint::new("bedrock/m");
        let frankfurt = endpoint().with_aws_region_name("eu-central-1");
        assert_eq!(base(frankfurt.clone()).unwrap(), "https://bedrock-runtime.eu-central-1.amazonaws.com");
        let beijing = endpoint().with_aws_region_name("cn-north-1");
        assert_eq!(base(beijing).unwrap(), "https://bedrock-runtime.cn-north-1.amazonaws.com.cn");
        let private = frankfurt.with_api_base("https://a").with_aws_bedrock_runtime_endpoint("https://vpce");
        assert_eq!(base(private).unwrap(), "https://vpce");
        assert!(base(endpoint()).unwrap_err().contains("`aws_region_name` is missing"));
        let odd = endpoint().with_aws_region_name("evil.com/");
        assert!(base(odd).unwrap_err().contains("`aws_region_name` is wrong"));
    }
}
