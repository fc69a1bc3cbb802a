//! Access tokens for Google Cloud, which live for an hour (RFC 7523; <https://developers.google.com/identity/protocols/oauth2/service-account>).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use futures_util::future::Shared;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use reqwest::{Request, Url};
use router_core::{ProviderError, ProviderErrorKind};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::endpoint::{Endpoint, EndpointError};
use crate::error_body::kind_of_status;
use crate::google::Credentials;
use crate::http::body::{self, Read};
use crate::http::client::Client;
use crate::http::transport::{self, Phase};

/// A token this close to its end is renewed, by one call, while the others go on using it.
const RENEWAL: Duration = Duration::from_secs(300);
/// A token this close to its end is not used any more: it has to arrive before it.
const MARGIN: Duration = Duration::from_secs(10);
/// Fetching takes a fraction of a second. A fetch that hangs must not make those hang who wait for it.
const FETCH_TIME: Duration = Duration::from_secs(20);
const MAX_REPLY: usize = 64 << 10;

/// Fetches access tokens and keeps the current one. However many calls need a token, one of them fetches it.
pub(in crate::http) struct TokenSource {
    client: Client,
    grant: Arc<Grant>,
    slot: Mutex<Slot>,
}

/// What a token is asked for with.
enum Grant {
    ServiceAccount { email: String, key_id: Option<String>, key: RsaKeyPair, token_uri: Url },
    User { client_id: String, client_secret: SecretString, refresh_token: SecretString, token_uri: Url },
}

#[derive(Default)]
struct Slot {
    token: Option<Token>,
    fetch: Option<Fetch>,
}

type Fetch = Shared<Pin<Box<dyn Future<Output = Result<Token, Failure>> + Send>>>;

/// A token, as it is sent.
#[derive(Clone)]
pub(in crate::http) struct Token {
    pub(in crate::http) header: HeaderValue,
    secret: SecretString,
    expires: SystemTime,
}

/// Why there is no token. Several calls may wait for the same one, hence this can be cloned.
#[derive(Debug, Clone)]
struct Failure {
    kind: ProviderErrorKind,
    status: Option<StatusCode>,
    message: String,
}

impl TokenSource {
    pub(super) fn new(endpoint: &Endpoint, client: &Client) -> Result<Self, EndpointError> {
        let credentials = Credentials::of(endpoint)?.ok_or(EndpointError::NoCredential {
            remedy: "set `vertex_credentials` to the key of a service account, as JSON or the path of its file, or export \
                     GOOGLE_APPLICATION_CREDENTIALS; or set `api_key` to an access token",
        })?;
        let grant = Arc::new(Grant::new(credentials)?);
        Ok(Self { client: client.clone(), grant, slot: Mutex::default() })
    }

    /// Returns a token that is good for a while.
    pub(super) async fn token(&self) -> Result<Token, ProviderError> {
        let (fetch, old) = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            let now = SystemTime::now();
            let valid = slot.token.clone().filter(|token| now + MARGIN < token.expires);
            match valid {
                Some(token) if now + RENEWAL < token.expires || slot.fetch.is_some() => return Ok(token),
                valid => {
                    let fetch = slot.fetch.get_or_insert_with(|| self.fetch());
                    (fetch.clone(), valid)
                }
            }
        };
        let fetched = fetch.clone().await;
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.fetch.as_ref().is_some_and(|current| current.ptr_eq(&fetch)) {
            slot.fetch = None;
            if let Ok(token) = &fetched {
                slot.token = Some(token.clone());
            }
        }
        match (fetched, old) {
            (Ok(token), _) | (Err(_), Some(token)) => Ok(token),
            (Err(failure), None) => Err(failure.into()),
        }
    }

    /// Ends the current token before its time.
    pub(super) fn forget(&self) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &mut slot.token {
            token.expires = UNIX_EPOCH;
        }
    }

    /// Returns the token fetched last, whether or not it is good.
    pub(super) fn current(&self) -> Option<SecretString> {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.token.as_ref().map(|token| token.secret.clone())
    }

    fn fetch(&self) -> Fetch {
        let (client, grant) = (self.client.clone(), self.grant.clone());
        let fetch = async move {
            match tokio::time::timeout(FETCH_TIME, fetch(&client, &grant)).await {
                Ok(result) => result,
                Err(_) => Err(Failure {
                    kind: ProviderErrorKind::Timeout,
                    status: None,
                    message: "no access token came in time".to_owned(),
                }),
            }
        };
        fetch.boxed().shared()
    }
}

async fn fetch(client: &Client, grant: &Grant) -> Result<Token, Failure> {
    // What counts for the token's age is when it was asked for: nothing afterwards can make it look younger than it is.
    let asked = SystemTime::now();
    let (url, form) = grant.form(asked)?;
    let mut request = Request::new(Method::POST, url);
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, form_type);
    *request.body_mut() = Some(form.into());
    let failed = |error, phase| {
        let error = transport::failed(error, phase, client.has_certificates);
        Failure { kind: error.kind(), status: None, message: format!("no access token: {}", error.message()) }
    };
    let mut response = client.inner.execute(request).await.map_err(|error| failed(error, Phase::Head))?;
    let status = response.status();
    let body = match body::read(&mut response, MAX_REPLY).await {
        Ok(Read::Whole(body) | Read::Beginning(body)) => body,
        Err(error) => return Err(failed(error, Phase::Body)),
    };
    read_token(status, &body, asked)
}

fn read_token(status: StatusCode, body: &[u8], asked: SystemTime) -> Result<Token, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: Option<String>,
        expires_in: Option<u64>,
        error: Option<String>,
        error_description: Option<String>,
    }
    let answer = serde_json::from_slice::<Answer>(body).ok();
    let failure = |kind, message: String| Failure { kind, status: Some(status), message };
    if !status.is_success() {
        // `invalid_grant` and the like: the credential is refused, whatever the status says.
        let kind = match kind_of_status(status) {
            ProviderErrorKind::InvalidRequest | ProviderErrorKind::NotFound => {
                ProviderErrorKind::Authentication
            }
            other => other,
        };
        let said = answer.map(|answer| [answer.error, answer.error_description]).unwrap_or_default();
        let said: Vec<String> = said.into_iter().flatten().collect();
        return Err(failure(kind, format!("no access token was given: {}", said.join(": "))));
    }
    let malformed =
        || failure(ProviderErrorKind::MalformedReply, "the access token cannot be read".to_owned());
    let answer = answer.ok_or_else(malformed)?;
    let secret = SecretString::from(answer.access_token.ok_or_else(malformed)?);
    let mut header =
        HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret())).map_err(|_| malformed())?;
    header.set_sensitive(true);
    Ok(Token { header, secret, expires: asked + Duration::from_secs(answer.expires_in.unwrap_or(3600)) })
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        let error = Self::new(failure.kind, failure.message);
        match failure.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }
}

impl Grant {
    fn new(credentials: Credentials) -> Result<Self, EndpointError> {
        let wrong = |problem| EndpointError::VertexCredentials { problem };
        let uri = |uri: Option<String>| {
            let uri = uri.as_deref().unwrap_or("https://oauth2.googleapis.com/token");
            Url::parse(uri).map_err(|_| wrong("`token_uri` is not a URL"))
        };
        match credentials {
            Credentials::ServiceAccount { client_email, private_key, private_key_id, token_uri, .. } => {
                let key = private_key.expose_secret();
                let der = der(key).ok_or(wrong("`private_key` is not a private key in PEM"))?;
                let key = RsaKeyPair::from_pkcs8(&der)
                    .map_err(|_| wrong("`private_key` is not an RSA key in PKCS #8"))?;
                Ok(Self::ServiceAccount {
                    email: client_email,
                    key_id: private_key_id,
                    key,
                    token_uri: uri(token_uri)?,
                })
            }
            Credentials::AuthorizedUser { client_id, client_secret, refresh_token, token_uri, .. } => {
                Ok(Self::User { client_id, client_secret, refresh_token, token_uri: uri(token_uri)? })
            }
        }
    }

    /// Returns where to ask, and the form that asks.
    fn form(&self, now: SystemTime) -> Result<(Url, String), Failure> {
        match self {
            Self::ServiceAccount { email, key_id, key, token_uri } => {
                let assertion = assertion(email, key_id.as_deref(), key, token_uri, now)?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                let form = form(token_uri, &[("grant_type", grant), ("assertion", &assertion)]);
                Ok((token_uri.clone(), form))
            }
            Self::User { client_id, client_secret, refresh_token, token_uri } => {
                let members = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id),
                    ("client_secret", client_secret.expose_secret()),
                    ("refresh_token", refresh_token.expose_secret()),
                ];
                Ok((token_uri.clone(), form(token_uri, &members)))
            }
        }
    }
}

/// Returns the signed claim to be this service account.
fn assertion(
    email: &str,
    key_id: Option<&str>,
    key: &RsaKeyPair,
    token_uri: &Url,
    now: SystemTime,
) -> Result<String, Failure> {
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let head = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": key_id});
    let claims = serde_json::json!({
        "iss": email,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": token_uri.as_str(),
        "iat": issued,
        "exp": issued + 3600,
    });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(head.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(|_| {
        Failure {
            kind: ProviderErrorKind::Authentication,
            status: None,
            message: "the key of the service account cannot sign".to_owned(),
        }
    })?;
    Ok(format!("{signed}.{}", encode(&signature)))
}

/// Returns members as a form is written. The URL only lends its way of writing one.
fn form(url: &Url, members: &[(&str, &str)]) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.query_pairs_mut().extend_pairs(members);
    url.query().unwrap_or_default().to_owned()
}

/// Returns what a PEM file wraps.
fn der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (inner, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let inner: String = inner.split_whitespace().collect();
    STANDARD.decode(inner).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_claim_is_signed_with_the_key_of_the_account() {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(pkcs8.as_ref())
        );
        let key = RsaKeyPair::from_pkcs8(&der(&pem).unwrap()).unwrap();
        let uri = Url::parse("https://oauth2.example/token").unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let token = assertion("me@project", Some("k1"), &key, &uri, now).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        let json =
            |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        assert_eq!(json(head), serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        assert_eq!(
            json(claims),
            serde_json::json!({"iss": "me@project", "scope": "https://www.googleapis.com/auth/cloud-platform",
                "aud": "https://oauth2.example/token", "iat": 1_000_000, "exp": 1_003_600})
        );
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }

    #[test]
    fn a_refusal_says_why_and_a_broken_answer_is_one() {
        let read = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            match read_token(status, body.as_bytes(), UNIX_EPOCH) {
                Ok(token) => Ok((token.header.to_str().unwrap().to_owned(), token.expires)),
                Err(failure) => Err((failure.kind, failure.message)),
            }
        };
        let hour = UNIX_EPOCH + Duration::from_secs(3599);
        assert_eq!(read(200, r#"{"access_token":"t","expires_in":3599}"#), Ok(("Bearer t".to_owned(), hour)));
        let refused = read(400, r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#);
        let message = "no access token was given: invalid_grant: Invalid JWT Signature.".to_owned();
        assert_eq!(refused, Err((ProviderErrorKind::Authentication, message)));
        assert_eq!(read(503, "busy").unwrap_err().0, ProviderErrorKind::Overloaded);
        assert_eq!(read(200, "<html>").unwrap_err().0, ProviderErrorKind::MalformedReply);
        assert_eq!(read(200, "{}").unwrap_err().0, ProviderErrorKind::MalformedReply);
    }
}
