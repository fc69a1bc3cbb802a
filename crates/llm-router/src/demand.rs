//! Reads from a request what routing needs to know.

use std::borrow::Cow;

use router_core::{Abilities, Demand, Edit, PoolIndex, RequestError, RequestKind, TagSet};
use serde::Deserialize;

use crate::error::RouteError;
use crate::payload::Payload;
use crate::router::Router;

/// The fields of a request that are meant for the router and not sent on.
const ROUTER_FIELDS: [&str; 3] = ["fallbacks", "num_retries", "disable_fallbacks"];

/// Returns the request as providers are to see it: the same one, unless it has fields for the router.
pub(crate) fn without_router_fields<P: Payload>(request: &P) -> Result<Cow<'_, P>, RequestError> {
    if ROUTER_FIELDS.iter().all(|name| request.field(name).is_none()) {
        return Ok(Cow::Borrowed(request));
    }
    let edits = ROUTER_FIELDS.map(|name| (name, Edit::Remove));
    request.edited(&edits).map(Cow::Owned)
}

impl Router {
    /// Returns what a request asks of its deployment.
    pub(crate) fn demand(&self, request: &impl Payload, kind: RequestKind) -> Result<Demand, RouteError> {
        let base = match kind {
            RequestKind::Whole => Demand::whole(),
            RequestKind::Stream => Demand::stream(),
        };
        let prompt_tokens = request.prompt_tokens(&*self.parts.token_counter);
        let mut demand = base.with_prompt_tokens(prompt_tokens).with_tags(self.tags(request));
        let limit = ["max_completion_tokens", "max_tokens"].into_iter().find_map(|name| request.field(name));
        if let Some(tokens) = limit.and_then(|value| serde_json::from_str::<u64>(value).ok()) {
            demand = demand.with_max_tokens(tokens);
        }
        demand = demand.with_needs(self.needs(request));
        if let Some(retries) = request.read("num_retries", "a whole number that is not negative")? {
            demand = demand.with_num_retries(retries);
        }
        if request.read("disable_fallbacks", "a boolean")? == Some(true) {
            demand = demand.with_fallbacks([]);
        } else if let Some(names) = request.read::<Vec<String>>("fallbacks", "a list of model names")? {
            let pools =
                names.iter().map(|name| self.fallback(name)).collect::<Result<Vec<PoolIndex>, _>>()?;
            demand = demand.with_fallbacks(pools);
        }
        Ok(demand)
    }

    /// What the request needs beyond text, of what some deployment is known to lack: nothing else makes a difference.
    fn needs(&self, request: &impl Payload) -> Abilities {
        let lacking = self.parts.fleet.catalog().lacking();
        let has_tools = || request.field("tools").is_some_and(|tools| tools != "null" && tools != "[]");
        // A part's type stands in its JSON text as it is. Words that a user wrote have their quotes escaped and are not mistaken for it.
        let has_images = || request.field("messages").is_some_and(|text| text.contains("\"image_url\""));
        let needs = |ability: Abilities, is_needed: &dyn Fn() -> bool| {
            if lacking.overlaps(ability) && is_needed() { ability } else { Abilities::NONE }
        };
        needs(Abilities::TOOLS, &has_tools).with(needs(Abilities::VISION, &has_images))
    }

    fn fallback(&self, name: &str) -> Result<PoolIndex, RouteError> {
        let found = self.parts.fleet.catalog().pool(name);
        found.ok_or_else(|| RouteError::UnknownAlias { alias: name.to_owned(), known: self.aliases() })
    }

    /// The tags stand where LiteLLM has them, in `metadata.tags`.
    fn tags(&self, request: &impl Payload) -> TagSet {
        #[derive(Deserialize)]
        struct Metadata {
            #[serde(default)]
            tags: Vec<String>,
        }
        let catalog = self.parts.fleet.catalog();
        if !catalog.settings().enable_tag_filtering {
            return TagSet::NONE;
        }
        // `metadata` belongs to the caller; what is no list of tags in it is none of ours.
        let metadata =
            request.field("metadata").and_then(|value| serde_json::from_str::<Metadata>(value).ok());
        metadata.map_or(TagSet::NONE, |metadata| catalog.tags(metadata.tags.iter().map(String::as_str)))
    }
}
