//! What one model charges, and what it can do.

use router_core::{Cost, Price, ServiceTier, Timestamp, Usage};
use serde_json::value::RawValue;

use super::decimal::Rate;
use super::off_peak::OffPeak;

/// What one model charges, and what it can do, as a price table has it. What the table does not say is unknown.
#[derive(Debug, Clone, Default)]
pub struct RateCard {
    entries: Vec<Entry>,
    off_peak: Option<OffPeak>,
    provider: Box<str>,
    /// The longest prompt, in tokens.
    pub max_input_tokens: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Whether it calls functions.
    pub supports_function_calling: Option<bool>,
    /// Whether it sees images.
    pub supports_vision: Option<bool>,
    /// Whether it answers by a JSON schema.
    pub supports_response_schema: Option<bool>,
    /// Whether it reasons before it answers.
    pub supports_reasoning: Option<bool>,
    /// Whether it goes on with an answer that somebody else began.
    pub supports_assistant_prefill: Option<bool>,
}

/// One price.
#[derive(Debug, Clone, Copy)]
struct Entry {
    what: What,
    /// It is for prompts of more tokens than this.
    above: u64,
    tier: ServiceTier,
    rate: Rate,
}

/// What a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Input,
    Output,
    CacheRead,
    CacheWrite,
    CacheWrite1h,
    Reasoning,
    AudioInput,
    AudioOutput,
    Request,
}

impl What {
    const NAMES: [(&str, Self); 9] = [
        ("input_cost_per_token", Self::Input),
        ("output_cost_per_token", Self::Output),
        ("cache_read_input_token_cost", Self::CacheRead),
        ("cache_creation_input_token_cost", Self::CacheWrite),
        ("cache_creation_input_token_cost_above_1hr", Self::CacheWrite1h),
        ("output_cost_per_reasoning_token", Self::Reasoning),
        ("input_cost_per_audio_token", Self::AudioInput),
        ("output_cost_per_audio_token", Self::AudioOutput),
        ("input_cost_per_request", Self::Request),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
    }

    /// Where the table is silent, the price of what this is a kind of stands.
    const fn fallback(self) -> Option<Self> {
        match self {
            Self::CacheWrite1h => Some(Self::CacheWrite),
            Self::CacheRead | Self::CacheWrite | Self::AudioInput => Some(Self::Input),
            Self::Reasoning | Self::AudioOutput => Some(Self::Output),
            Self::Input | Self::Output | Self::Request => None,
        }
    }
}

/// Takes the name of a price field apart: what for, over how many tokens, in which class of service.
fn parse_field(name: &str) -> Option<(What, u64, ServiceTier)> {
    let tiers = [
        ("_batches", ServiceTier::Batch),
        ("_flex", ServiceTier::Flex),
        ("_priority", ServiceTier::Priority),
    ];
    let (name, tier) = tiers
        .iter()
        .find_map(|(suffix, tier)| Some((name.strip_suffix(suffix)?, *tier)))
        .unwrap_or((name, ServiceTier::Standard));
    let band = name.strip_suffix("k_tokens").and_then(|rest| rest.rsplit_once("_above_"));
    let (name, above) = match band {
        Some((name, thousands)) => (name, thousands.parse::<u64>().ok()?.checked_mul(1_000)?),
        None => (name, 0),
    };
    Some((What::named(name)?, above, tier))
}

impl RateCard {
    /// Reads an entry of a price table.
    pub(super) fn parse(json: &str) -> serde_json::Result<Self> {
        let fields: Vec<(String, &RawValue)> = super::table::fields(json)?;
        let mut card = Self::default();
        for (name, value) in &fields {
            let value = value.get();
            let flag = || value.parse::<bool>().ok();
            match name.as_str() {
                "provider" | "litellm_provider" => card.provider = value.trim_matches('"').into(),
                "max_input_tokens" => card.max_input_tokens = count_of(value),
                "max_output_tokens" => card.max_output_tokens = count_of(value),
                "supports_function_calling" => card.supports_function_calling = flag(),
                "supports_vision" => card.supports_vision = flag(),
                "supports_response_schema" => card.supports_response_schema = flag(),
                "supports_reasoning" => card.supports_reasoning = flag(),
                "supports_assistant_prefill" => card.supports_assistant_prefill = flag(),
                "off_peak_pricing" => card.off_peak = OffPeak::parse(value)?,
                "tiered_pricing" => card.add_bands(value)?,
                _ => {
                    if let (Some(field), Some(rate)) = (parse_field(name), Rate::parse(value)) {
                        card.add(field, rate);
                    }
                }
            }
        }
        Ok(card)
    }

    /// Adds `tiered_pricing`: a list of prices, each for prompts of more tokens than where its range starts.
    fn add_bands(&mut self, json: &str) -> serde_json::Result<()> {
        #[derive(serde::Deserialize)]
        struct Range {
            range: (f64, f64),
        }
        let bands: Vec<&RawValue> = serde_json::from_str(json)?;
        for band in bands {
            let Range { range: (from, _) } = serde_json::from_str(band.get())?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
            let above = from as u64;
            for (name, value) in super::table::fields(band.get())? {
                if let (Some(what), Some(rate)) = (What::named(&name), Rate::parse(value.get())) {
                    self.add((what, above, ServiceTier::Standard), rate);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, (what, above, tier): (What, u64, ServiceTier), rate: Rate) {
        let known =
            self.entries.iter_mut().find(|old| old.what == what && old.above == above && old.tier == tier);
        match known {
            Some(old) => old.rate = rate,
            None => self.entries.push(Entry { what, above, tier, rate }),
        }
    }

    /// Returns whether a name is that of a price, such as `input_cost_per_token_above_200k_tokens`.
    pub fn is_price(name: &str) -> bool {
        parse_field(name).is_some()
    }

    /// Sets a price by the name it has in price tables, in dollars. Prices that were there for longer prompts or other classes of
    /// service stay.
    ///
    /// # Errors
    /// When there is no price of this name, or the amount cannot be one.
    pub fn set(&mut self, name: &str, dollars: f64) -> Result<(), String> {
        let field = parse_field(name).ok_or_else(|| format!("there is no price called `{name}`"))?;
        let rate = Rate::from_dollars(dollars).ok_or_else(|| {
            format!("`{name}` is not a price: expected dollars per token, such as 0.00000015")
        })?;
        self.add(field, rate);
        Ok(())
    }

    /// Returns the provider that the table names.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns what a token costs at the least, for choosing among deployments; `None` when the table has no price for prompts. An
    /// answer without a price, as of models that give none, costs nothing.
    pub fn list_price(&self) -> Option<Price> {
        let price = |what| self.rate(what, 0, ServiceTier::Standard, None).map(|rate| rate.times(1));
        Some(Price { input: price(What::Input)?, output: price(What::Output).unwrap_or_default() })
    }

    /// Returns what these tokens cost when they are asked for at this time; `None` when a price that it takes is not known.
    ///
    /// Prompts over a threshold cost its price for all their tokens. Cached tokens cost their own price, else that of the prompt;
    /// reasoning costs its own, else that of the answer; batches half where they have no price.
    pub fn cost(&self, usage: &Usage, at: Timestamp) -> Option<Cost> {
        let off_peak = self.off_peak.as_ref().filter(|hours| hours.are_now(at));
        let part = |what: What, tokens: u64| match tokens {
            0 => Some(router_core::Usd::default()),
            tokens => Some(self.rate(what, usage.prompt, usage.tier, off_peak)?.times(tokens)),
        };
        let mut prompt = usage.prompt;
        let mut take = |tokens: u64| {
            let tokens = tokens.min(prompt);
            prompt -= tokens;
            tokens
        };
        let (read, write, write_1h) =
            (take(usage.cached_read), take(usage.cache_write_5m), take(usage.cache_write_1h));
        let sound = take(usage.audio_prompt);
        let reasoning = usage.reasoning.min(usage.completion);
        let spoken = usage.audio_completion.min(usage.completion - reasoning);
        Some(Cost {
            input: part(What::Input, prompt)?,
            cache_read: part(What::CacheRead, read)?,
            cache_write: part(What::CacheWrite, write)?.plus(part(What::CacheWrite1h, write_1h)?),
            output: part(What::Output, usage.completion - reasoning - spoken)?,
            reasoning: part(What::Reasoning, reasoning)?,
            audio: part(What::AudioInput, sound)?.plus(part(What::AudioOutput, spoken)?),
            flat: self
                .rate(What::Request, 0, ServiceTier::Standard, None)
                .map(|rate| rate.times(1))
                .unwrap_or_default(),
        })
    }

    /// The price for a prompt of this length: of the highest threshold that it is over, and there of its class of service if that has
    /// one.
    fn rate(&self, what: What, prompt: u64, tier: ServiceTier, off_peak: Option<&OffPeak>) -> Option<Rate> {
        if let Some(rate) = off_peak.and_then(|hours| hours.rate(what)) {
            return Some(rate);
        }
        // At xAI a prompt of exactly the threshold is long, elsewhere it is not yet.
        let is_over =
            |above: u64| above == 0 || prompt > above || (prompt == above && &*self.provider == "xai");
        let own = self.entries.iter().filter(|entry| entry.what == what && is_over(entry.above));
        let threshold = own.clone().map(|entry| entry.above).max();
        let Some(threshold) = threshold else {
            return self.rate(what.fallback()?, prompt, tier, off_peak);
        };
        let of = |tier| {
            own.clone().find(|entry| entry.above == threshold && entry.tier == tier).map(|entry| entry.rate)
        };
        let standard = || of(ServiceTier::Standard);
        match tier {
            ServiceTier::Standard => standard(),
            ServiceTier::Batch => of(tier).or_else(|| standard().map(Rate::half)),
            ServiceTier::Flex | ServiceTier::Priority => of(tier).or_else(standard),
        }
    }
}

/// Limits are written as floats now and then.
fn count_of(value: &str) -> Option<u64> {
    let number: f64 = value.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    (number >= 1.0).then_some(number as u64)
}
