//! Numbers by LiteLLM's exception classes, such as `RateLimitErrorRetries: 3`.

use router_core::{KindPolicy, ProviderErrorKind};

use crate::config::keys::Policy;
use crate::config::yaml::Node;

/// Reads a policy; `None` when something in it is wrong.
pub(super) fn read(node: &Node<'_>, policy: Policy) -> Option<KindPolicy> {
    let suffix = policy.suffix();
    let mut numbers = Vec::new();
    let mut rest = None;
    for (name, value) in node.entries() {
        let class = name.strip_suffix(suffix);
        if class == Some("Default") && policy == Policy::Retries {
            rest = Some(value.count()?);
        } else if let Some((_, reason)) = NOT_COUNTED.iter().find(|(known, _)| class == Some(*known)) {
            value.count()?;
            value.ignore(format!("not supported, ignored: {reason}"));
        } else if let Some((_, kinds)) = CLASSES.iter().find(|(known, _)| class == Some(*known)) {
            let number = value.count()?;
            numbers.extend(kinds.iter().map(|kind| (*kind, number)));
        } else {
            let known: Vec<String> = names(policy).collect();
            value.complain(format!("there is no `{name}`: known are {}", known.join(", ")));
            return None;
        }
    }
    if let Some(number) = rest {
        // What has no number of its own.
        let named: Vec<ProviderErrorKind> = numbers.iter().map(|(kind, _)| *kind).collect();
        let others = CLASSES.iter().flat_map(|(_, kinds)| *kinds).filter(|kind| !named.contains(kind));
        numbers.extend(others.map(|kind| (*kind, number)));
    }
    Some(KindPolicy::new(numbers))
}

/// Returns the names that a policy knows.
pub(in crate::config) fn names(policy: Policy) -> impl Iterator<Item = String> {
    let suffix = policy.suffix();
    let classes = CLASSES.iter().map(|(class, _)| *class).chain(NOT_COUNTED.iter().map(|(class, _)| *class));
    let default = (policy == Policy::Retries).then_some("Default");
    classes.chain(default).map(move |class| format!("{class}{suffix}"))
}

/// LiteLLM's exception classes, and the kinds of error that they are here.
const CLASSES: [(&str, &[ProviderErrorKind]); 7] = [
    ("AuthenticationError", &[ProviderErrorKind::Authentication, ProviderErrorKind::Permission]),
    ("TimeoutError", &[ProviderErrorKind::Timeout]),
    ("RateLimitError", &[ProviderErrorKind::RateLimited, ProviderErrorKind::QuotaExhausted]),
    (
        "InternalServerError",
        &[
            ProviderErrorKind::Server,
            ProviderErrorKind::Connection,
            ProviderErrorKind::MalformedReply,
            ProviderErrorKind::StreamInterrupted,
        ],
    ),
    ("ServiceUnavailableError", &[ProviderErrorKind::Overloaded]),
    ("BadGatewayError", &[ProviderErrorKind::Connection]),
    ("NotFoundError", &[ProviderErrorKind::NotFound]),
];

/// Classes that are nobody's fault but the caller's.
const NOT_COUNTED: [(&str, &str); 2] = [
    ("BadRequestError", "a wrong request is asked once and blames nobody"),
    ("ContentPolicyViolationError", "a refusal goes to `content_policy_fallbacks` and blames nobody"),
];
