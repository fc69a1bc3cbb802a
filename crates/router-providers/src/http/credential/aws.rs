//! Signature Version 4, by which AWS knows who sent a request and that nobody changed it on the way
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>).

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use reqwest::{Request, Url};
use router_core::{ProviderError, ProviderErrorKind};
use secrecy::{ExposeSecret, SecretString};

use crate::aws;
use crate::endpoint::{Endpoint, EndpointError};

static DATE: HeaderName = HeaderName::from_static("x-amz-date");
static TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Bedrock's name in signatures; its runtime has none of its own.
const SERVICE: &str = "bedrock";

/// Signs requests with an access key.
pub(in crate::http) struct Signer {
    key_id: String,
    secret: SecretString,
    token: Option<HeaderValue>,
    region: String,
}

impl Signer {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, EndpointError> {
        let settings = &endpoint.aws;
        let (Some(key_id), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) else {
            return Err(EndpointError::NoCredential {
                remedy: "set `aws_access_key_id` and `aws_secret_access_key`, or `api_key` to an API key of Bedrock; or \
                         export them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as AWS_BEARER_TOKEN_BEDROCK",
            });
        };
        let token = match &settings.session_token {
            Some(token) => {
                let mut value = HeaderValue::from_str(token.expose_secret().trim()).map_err(|_| {
                    EndpointError::Setting { setting: "aws_session_token", example: "IQoJb3JpZ2luX2VjE…" }
                })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        if !key_id.trim().bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(EndpointError::Setting {
                setting: "aws_access_key_id",
                example: "AKIAIOSFODNN7EXAMPLE",
            });
        }
        Ok(Self {
            key_id: key_id.trim().to_owned(),
            secret: secret.expose_secret().trim().into(),
            token,
            region: aws::region(endpoint)?.to_owned(),
        })
    }

    /// Signs a request, all but those of its headers that proxies may change.
    pub(super) fn sign(
        &self,
        request: &mut Request,
        body: &Bytes,
        now: SystemTime,
    ) -> Result<(), ProviderError> {
        let unsent =
            |_| ProviderError::new(ProviderErrorKind::InvalidRequest, "the request cannot be signed");
        let moment = Moment::of(now);
        let url = request.url().clone();
        let headers = request.headers_mut();
        headers.insert(&DATE, HeaderValue::from_str(&moment.time).map_err(unsent)?);
        if let Some(token) = &self.token {
            headers.insert(&TOKEN, token.clone());
        }
        let host = host(&url);
        let mut signed: Vec<(&str, &[u8])> = vec![("host", host.as_bytes())];
        for name in [&header::CONTENT_TYPE, &DATE, &TOKEN] {
            if let Some(value) = headers.get(name) {
                signed.push((name.as_str(), value.as_bytes()));
            }
        }
        let wire = Wire {
            method: "POST",
            path: url.path(),
            query: url.query().unwrap_or_default(),
            headers: signed,
            body,
        };
        let authorization = self.authorization(wire, &moment, SERVICE);
        let mut value = HeaderValue::from_str(&authorization).map_err(unsent)?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(())
    }

    fn authorization(&self, wire: Wire<'_>, moment: &Moment, service: &str) -> String {
        let (canonical, names) = wire.canonical();
        let scope = format!("{}/{}/{service}/aws4_request", moment.day, self.region);
        let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hashed}", moment.time);
        let key = format!("AWS4{}", self.secret.expose_secret());
        let key = [moment.day.as_str(), &self.region, service, "aws4_request"]
            .iter()
            .fold(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), |key, part| {
                hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
            });
        let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
        let key_id = &self.key_id;
        format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

/// A request as it goes over the wire, as far as it is signed.
struct Wire<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: Vec<(&'a str, &'a [u8])>,
    body: &'a [u8],
}

impl Wire<'_> {
    /// Returns the canonical request, and the names of the headers in it.
    fn canonical(mut self) -> (String, String) {
        self.headers.sort_by_key(|(name, _)| *name);
        let names = self.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        // The path is escaped once more than it was sent.
        let mut canonical = format!("{}\n{}\n{}\n", self.method, escaped(self.path), sorted(self.query));
        for (name, value) in self.headers {
            let value = String::from_utf8_lossy(value);
            let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            canonical.push_str(&format!("{name}:{value}\n"));
        }
        let hash = hex(digest::digest(&digest::SHA256, self.body).as_ref());
        canonical.push_str(&format!("\n{names}\n{hash}"));
        (canonical, names)
    }
}

fn escaped(path: &str) -> String {
    path.split('/').map(crate::url_path::strict_segment).collect::<Vec<_>>().join("/")
}

fn sorted(query: &str) -> String {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
        text
    })
}

/// A moment as signatures write it.
struct Moment {
    /// `20150830`
    day: String,
    /// `20150830T123600Z`
    time: String,
}

impl Moment {
    fn of(now: SystemTime) -> Self {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        // From days to a date, by <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let day = format!("{year:04}{month:02}{day:02}");
        let time = format!("{day}T{:02}{:02}{:02}Z", rest / 3600, rest % 3600 / 60, rest % 60);
        Self { day, time }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// 2015-08-30T12:36:00Z
    const THEN: Duration = Duration::from_secs(1_440_938_160);

    fn signer() -> Signer {
        Signer {
            key_id: "AKIDEXAMPLE".into(),
            secret: SECRET.into(),
            token: None,
            region: "us-east-1".into(),
        }
    }

    /// Checks a case of AWS's own suite: aws-c-auth, tests/aws-signing-test-suite/v4 (Apache-2.0).
    fn check(method: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &str, signature: &str) {
        let mut all = vec![("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        all.extend(headers);
        let headers = all.into_iter().map(|(name, value)| (name, value.as_bytes())).collect();
        let wire = Wire { method, path, query, headers, body: body.as_bytes() };
        let authorization = signer().authorization(wire, &Moment::of(UNIX_EPOCH + THEN), "service");
        let found = authorization.rsplit_once('=').unwrap().1;
        assert_eq!(found, signature, "{method} {path} {query}");
    }

    #[test]
    fn signatures_are_those_of_awss_own_suite() {
        check("GET", "/", "", &[], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        check("POST", "/", "", &[], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
        check("GET", "/ሴ", "", &[], "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
        check(
            "GET",
            "/example space/",
            "",
            &[],
            "",
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        );
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        check(
            "POST",
            "/",
            "",
            &[("x-amz-security-token", token)],
            "",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        );
        check(
            "POST",
            "/",
            "",
            &[
                ("content-type", "application/x-www-form-urlencoded"),
                ("content-length", "13"),
                ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
            ],
            "Param1=value1",
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        );
    }

    #[test]
    fn a_request_is_signed_with_its_path_escaped_twice() {
        let url = "http://localhost:4000/model/us.claude-v1%3A0/converse";
        let mut request = Request::new(Method::POST, Url::parse(url).unwrap());
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        let mut signer = signer();
        signer.token = Some(HeaderValue::from_static("session"));
        signer.sign(&mut request, &Bytes::from_static(b"{}"), UNIX_EPOCH + THEN).unwrap();
        let headers = request.headers();
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(headers["x-amz-security-token"], "session");
        let authorization = headers["authorization"].to_str().unwrap();
        let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(authorization.starts_with(start), "{authorization}");
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(escaped("/model/us.claude-v1%3A0/converse"), "/model/us.claude-v1%253A0/converse");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let check = |seconds: u64, time: &str| {
            assert_eq!(Moment::of(UNIX_EPOCH + Duration::from_secs(seconds)).time, time);
        };
        check(0, "19700101T000000Z");
        check(951_782_400, "20000229T000000Z");
        check(951_868_800, "20000301T000000Z");
        check(1_456_703_999, "20160228T235959Z");
        check(1_798_761_599, "20261231T235959Z");
        check(4_107_542_400, "21000301T000000Z");
    }
}
