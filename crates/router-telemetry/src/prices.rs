//! What models charge.

mod decimal;
mod off_peak;
mod rate_card;
mod table;

use std::path::Path;

use router_core::{Cost, Timestamp, Usage};

pub use self::rate_card::RateCard;
use self::table::Table;

/// Price tables, the most particular first: one's own, then the built-in one.
///
/// ```
/// use router_core::{Timestamp, Usage};
/// use router_telemetry::Prices;
///
/// let usage = Usage { prompt: 1_000, completion: 200, ..Usage::default() };
/// let cost = Prices::built_in().cost("openai", "gpt-4o-mini", &usage, Timestamp::from_millis(0));
/// // 15 and 60 cents a million: 0.00015 $ and 0.00012 $.
/// assert_eq!(cost.map(|cost| cost.total().as_pico()), Some(270_000_000));
/// ```
#[derive(Debug, Clone)]
pub struct Prices {
    tables: Vec<Table>,
}

/// A price file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PricesError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is not a table of prices.
    #[error("is not a price table: {0}")]
    Json(String),
    /// It has no model.
    #[error("is not a price table: it has no model")]
    Empty,
}

static BUILT_IN: &str = include_str!("../data/model-prices.json");

impl Prices {
    /// The table that this crate brings: LiteLLM's of October 2025 and later, see `data/README.md`.
    pub fn built_in() -> Self {
        Self { tables: vec![Table::built_in(BUILT_IN)] }
    }

    /// Puts a file before the tables there are: one that [`normalized`](Self::normalized) made, or LiteLLM's own.
    ///
    /// # Errors
    /// When the file cannot be read or is no price table.
    pub fn with_file(self, path: impl AsRef<Path>) -> Result<Self, PricesError> {
        self.with_json(&std::fs::read_to_string(path)?)
    }

    /// The same for a text.
    ///
    /// # Errors
    /// When it is no price table.
    pub fn with_json(mut self, json: &str) -> Result<Self, PricesError> {
        self.tables.insert(0, Table::from_json(json)?);
        Ok(self)
    }

    /// Returns a price file as this crate keeps it: one model a line, sorted, without what it does not read; and how many models
    /// there are.
    ///
    /// # Errors
    /// When it is no price table.
    pub fn normalized(json: &str) -> Result<(String, usize), PricesError> {
        let table = Table::from_json(json)?;
        let count = table.entries().count();
        Ok((table.as_str().to_owned(), count))
    }

    /// Returns what a provider charges for its model; `None` when no table knows it.
    pub fn card(&self, provider: &str, model: &str) -> Option<RateCard> {
        spellings(provider, model).iter().find_map(|name| self.named(provider, name))
    }

    /// Returns what so many tokens cost; `None` when a price that it takes is not known.
    pub fn cost(&self, provider: &str, model: &str, usage: &Usage, at: Timestamp) -> Option<Cost> {
        self.card(provider, model)?.cost(usage, at)
    }

    /// Returns the models of all tables, by name.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().flat_map(|table| table.entries().map(|(name, _)| name))
    }

    /// An entry of exactly this name, if it is this provider's.
    fn named(&self, provider: &str, name: &str) -> Option<RateCard> {
        let own_name = name.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/'));
        self.tables.iter().find_map(|table| {
            let card = RateCard::parse(table.entry(name)?).ok()?;
            (own_name || is_family(provider, card.provider())).then_some(card)
        })
    }
}

/// Whether a table's provider is this one, perhaps by the name of one of its parts, such as `vertex_ai-anthropic_models`.
fn is_family(provider: &str, of_table: &str) -> bool {
    let of_table = of_table.strip_prefix("text-completion-").unwrap_or(of_table);
    of_table.strip_prefix(provider).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with('-') || matches!(rest, "_chat" | "_converse" | "_text")
    })
}

/// The names under which tables may have a model: with its provider in front or without, and without the day of its release.
fn spellings(provider: &str, model: &str) -> Vec<String> {
    let mut models = vec![model];
    models.extend(without_date(model));
    models.extend(model.strip_suffix("-latest"));
    models.iter().flat_map(|model| [format!("{provider}/{model}"), (*model).to_owned()]).collect()
}

/// `gpt-4o-2024-08-06` and `claude-sonnet-4-5-20250929` without their dates.
fn without_date(model: &str) -> Option<&str> {
    let is_date = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    let (rest, last) = model.rsplit_once(['-', '@'])?;
    if is_date(last) {
        return Some(rest);
    }
    let start = model.len().checked_sub(11)?;
    let (rest, date) = (model.get(..start)?, model.get(start..)?);
    is_date(&date.replace('-', "")).then_some(rest)
}

#[cfg(test)]
mod tests;
