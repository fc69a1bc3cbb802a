//! The control API over HTTP, for users of the command line.

use http::Method;
use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Key},
    upstream::{Upstream, Upstreams},
};

/// Answers a request below `/mock/` with a status and a JSON body; `None` when there is no such path.
pub(crate) fn control(
    upstreams: &Upstreams,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Option<(u16, Value)> {
    let path = path.strip_prefix("upstreams")?;
    if path.is_empty() && method == Method::GET {
        let all: Vec<_> = upstreams.all().iter().map(describe).collect();
        return Some((200, json!({ "upstreams": all })));
    }
    let target = path.strip_prefix('/')?;
    let (name, apply): (_, fn(&Upstream, Vec<Behaviour>)) = match (method, target.strip_suffix("/enqueue")) {
        (&Method::PUT, None) => {
            (target, |upstream, behaviours| behaviours.into_iter().for_each(|b| upstream.set(b)))
        }
        (&Method::POST, Some(name)) => {
            (name, |upstream, behaviours| behaviours.into_iter().for_each(|b| upstream.enqueue(b)))
        }
        _ => return None,
    };
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let behaviours = match (method, serde_json::from_slice(body)) {
        (&Method::POST, Ok(Value::Array(items))) => {
            items.into_iter().enumerate().map(|(at, item)| behaviour(item, &format!("[{at}]"))).collect()
        }
        (_, Ok(value)) => behaviour(value, "body").map(|behaviour| vec![behaviour]),
        (_, Err(error)) => Err(format!("the body is not JSON: {error}")),
    };
    Some(match behaviours {
        Ok(behaviours) => {
            let upstream = upstreams.get(name);
            apply(&upstream, behaviours);
            (200, describe(&upstream))
        }
        Err(message) => (400, json!({ "error": { "message": message, "type": "invalid_behaviour" } })),
    })
}

/// Reads a behaviour; an error names its place and the field at fault, which serde alone does not tell for wrong values.
fn behaviour(value: Value, place: &str) -> Result<Behaviour, String> {
    let Value::Object(fields) = &value else {
        return Err(format!("{place}: expected a behaviour, found {value}"));
    };
    for (name, field) in fields {
        if let Err(error) = serde_json::from_value::<Behaviour>(json!({ name: field })) {
            return Err(format!("{place}.{name}: {error}"));
        }
    }
    serde_json::from_value(value).map_err(|error| format!("{place}: {error}"))
}

fn describe(upstream: &Upstream) -> Value {
    let mut behaviour = upstream.behaviour();
    behaviour.require_key = behaviour.require_key.map(|_| Key::from("[redacted]"));
    json!({
        "name": upstream.name(),
        "behaviour": behaviour,
        "queued": upstream.queued(),
        "calls": upstream.calls(),
        "open": upstream.open(),
        "aborted": upstream.aborted(),
    })
}
