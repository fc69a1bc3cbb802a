//! Pieces of tool calls in a stream, each with the number of its call.
//!
//! Callers put a call together by the `index` of its pieces. Some services leave it out, and some write the same one for every
//! call of an answer, each with an `id` of its own: then the pieces are numbered here. All others pass through as they came.

use bytes::Bytes;
use router_core::ProviderError;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::reply::malformed;
use crate::raw_json::{self, Text};

/// Nobody calls more at once; an endless stream of calls would fill the memory.
const MAX_CALLS: usize = 4096;

/// The calls of an answer, as far as they came.
#[derive(Debug, Default)]
pub(super) struct ToolCalls(Vec<Call>);

#[derive(Debug)]
struct Call {
    choice: u64,
    /// What the service numbered it, if anything.
    said: Option<u64>,
    /// What it is numbered here.
    index: u64,
    id: String,
}

#[derive(Deserialize)]
struct Pieces<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Piece<'a>>>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
}

impl ToolCalls {
    /// Reads the calls in a chunk; returns the chunk with other numbers where it needs them.
    pub(super) fn numbered(&mut self, chunk: &str) -> Result<Option<Bytes>, ProviderError> {
        // A shape of somebody's own is for the caller to make sense of.
        let Ok(pieces) = raw_json::parse::<Pieces<'_>>(chunk) else { return Ok(None) };
        let mut numbers = Vec::new();
        let mut is_changed = false;
        for (position, choice) in pieces.choices.iter().flatten().enumerate() {
            let number = choice.index.unwrap_or(position as u64);
            let calls = choice.delta.iter().filter_map(|delta| delta.tool_calls.as_ref()).flatten();
            for (at, piece) in calls.enumerate() {
                let index = self.number(number, piece)?;
                is_changed |= piece.index != Some(index);
                numbers.push((position, at, index));
            }
        }
        Ok(if is_changed { renumbered(chunk, &numbers) } else { None })
    }

    /// Returns the number of the call that a piece belongs to.
    fn number(&mut self, choice: u64, piece: &Piece<'_>) -> Result<u64, ProviderError> {
        let id = piece.id.as_ref().map_or("", |id| &id.0);
        let is_named =
            piece.function.as_ref().and_then(|function| function.name).is_some_and(raw_json::is_filled);
        let mut known = self.0.iter_mut().rev().filter(|call| call.choice == choice);
        let found = match piece.index {
            Some(index) => known.find(|call| call.said == Some(index)),
            None if !id.is_empty() => known.find(|call| call.id == id),
            None if is_named => None,
            None => known.next(),
        };
        // Another id is another call, if it has a name: some write a new id with each piece, and the name with the first.
        let is_other = |call: &Call| is_named && !id.is_empty() && !call.id.is_empty() && call.id != id;
        if let Some(call) = found
            && !is_other(call)
        {
            if call.id.is_empty() {
                id.clone_into(&mut call.id);
            }
            return Ok(call.index);
        }
        if self.0.len() == MAX_CALLS {
            return Err(malformed("the stream has too many tool calls"));
        }
        let taken = self.0.iter().filter(|call| call.choice == choice);
        let free = taken.clone().map(|call| call.index.saturating_add(1)).max().unwrap_or(0);
        let is_free = |index: &u64| !taken.clone().any(|call| call.index == *index);
        let index = piece.index.filter(is_free).unwrap_or(free);
        self.0.push(Call { choice, said: piece.index, index, id: id.to_owned() });
        Ok(index)
    }
}

fn renumbered(chunk: &str, numbers: &[(usize, usize, u64)]) -> Option<Bytes> {
    let mut body: Value = serde_json::from_str(chunk).ok()?;
    for (choice, at, index) in numbers {
        let call = body.pointer_mut(&format!("/choices/{choice}/delta/tool_calls/{at}"))?.as_object_mut()?;
        call.insert("index".to_owned(), (*index).into());
    }
    Some(body.to_string().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The calls that a client makes of these lists of pieces, by the numbers it is given: id, name and arguments.
    fn check(chunks: &[Value], expected: &[(&str, &str, &str)], passes_through: bool) {
        let mut calls = ToolCalls::default();
        let mut put_together: Vec<(String, String, String)> = Vec::new();
        for pieces in chunks {
            let chunk = json!({"choices": [{"index": 0, "delta": {"tool_calls": pieces}}]}).to_string();
            let numbered = calls.numbered(&chunk).unwrap();
            assert_eq!(numbered.is_none(), passes_through, "{chunk}");
            let chunk: Value = numbered.map_or_else(
                || serde_json::from_str(&chunk).unwrap(),
                |chunk| serde_json::from_slice(&chunk).unwrap(),
            );
            for piece in chunk["choices"][0]["delta"]["tool_calls"].as_array().unwrap() {
                let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
                if put_together.len() <= index {
                    put_together.resize(index + 1, Default::default());
                }
                let (id, name, arguments) = &mut put_together[index];
                id.push_str(piece["id"].as_str().filter(|_| id.is_empty()).unwrap_or_default());
                name.push_str(piece["function"]["name"].as_str().unwrap_or_default());
                arguments.push_str(piece["function"]["arguments"].as_str().unwrap_or_default());
            }
        }
        let found: Vec<_> = put_together
            .iter()
            .map(|(id, name, arguments)| (id.as_str(), name.as_str(), arguments.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    fn begin(id: &str, name: &str, arguments: &str) -> Value {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    }

    fn more(arguments: &str) -> Value {
        json!({"function": {"arguments": arguments}})
    }

    fn at(index: u64, mut piece: Value) -> Value {
        piece["index"] = json!(index);
        piece
    }

    const TWO: [(&str, &str, &str); 2] = [("a", "f", "{\"x\":1}"), ("b", "g", "{}")];

    #[test]
    fn what_is_numbered_well_passes_through() {
        let chunks = [
            json!([at(0, begin("a", "f", ""))]),
            json!([at(0, more("{\"x\":")), at(1, begin("b", "g", "{}"))]),
            json!([at(0, more("1}"))]),
        ];
        check(&chunks, &TWO, true);
        // A new id with each piece, as some versions of vLLM write.
        let chunks = [
            json!([at(0, begin("a", "f", "{"))]),
            json!([at(0, json!({"id": "z", "function": {"arguments": "}"}}))]),
        ];
        check(&chunks, &[("a", "f", "{}")], true);
    }

    #[test]
    fn pieces_without_a_number_get_one() {
        check(&[json!([begin("a", "f", "{\"x\":1}"), begin("b", "g", "{}")])], &TWO, false);
        check(
            &[
                json!([begin("a", "f", "{\"x\":")]),
                json!([more("1}")]),
                json!([begin("b", "g", "")]),
                json!([more("{}")]),
            ],
            &TWO,
            false,
        );
        // Nor an id: the name begins a call.
        check(
            &[
                json!([{"function": {"name": "f", "arguments": "1"}}]),
                json!([{"function": {"name": "g", "arguments": "2"}}]),
            ],
            &[("", "f", "1"), ("", "g", "2")],
            false,
        );
    }

    #[test]
    fn calls_that_share_a_number_are_told_apart_by_their_ids() {
        let mut calls = ToolCalls::default();
        let mut indexes = Vec::new();
        for pieces in [
            json!([at(0, begin("a", "f", "{\"x\":1}"))]),
            json!([at(0, begin("b", "g", ""))]),
            json!([at(0, more("{}"))]),
        ] {
            let chunk = json!({"choices": [{"index": 0, "delta": {"tool_calls": pieces}}]}).to_string();
            let numbered = calls.numbered(&chunk).unwrap();
            let chunk: Value = serde_json::from_slice(&numbered.unwrap_or_else(|| chunk.into())).unwrap();
            indexes.push(chunk["choices"][0]["delta"]["tool_calls"][0]["index"].as_u64().unwrap());
        }
        assert_eq!(indexes, [0, 1, 1]);
    }

    #[test]
    fn endless_calls_are_refused() {
        let mut calls = ToolCalls::default();
        let result = (0..=MAX_CALLS).try_for_each(|number| {
            let chunk =
                json!({"choices": [{"delta": {"tool_calls": [begin(&number.to_string(), "f", "")]}}]});
            calls.numbered(&chunk.to_string()).map(|_| ())
        });
        assert!(result.is_err());
    }
}
