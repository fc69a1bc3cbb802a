//! JSON that is moved on without being taken apart: fields of an object, strings still in their quotes, lenient numbers.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of a JSON object, in order, each value still JSON text.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Returns the value of a field that is there and not `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| *value)
            .filter(|value| !is_null(value))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// An object, and nothing else: the structs that serde derives would also take a list, by position.
#[derive(Debug)]
pub(crate) struct Strict<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Strict<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Strict<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Strict)
            }
        }

        deserializer.deserialize_map(Object(PhantomData))
    }
}

/// Parses an object, and nothing else.
pub(crate) fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> serde_json::Result<T> {
    serde_json::from_str(json).map(|Strict(object)| object)
}

/// A string, borrowed where it holds no escapes. (`Cow` by itself always copies.)
#[derive(serde::Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Returns the string that a JSON text is; `None` when it is something else.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

pub(crate) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// Returns whether this JSON text is a string.
pub(crate) fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

/// Returns whether a value holds anything: it is not `null`, an empty string, list or object.
pub(crate) fn is_filled(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "\"\"" | "[]" | "{}")
}

/// A number of things, read leniently: providers send `null`, and now and then a float or something else altogether.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) Option<u64>);

impl Count {
    pub(crate) fn or_zero(self) -> u64 {
        self.0.unwrap_or_default()
    }

    /// Returns this count, or the other when this says nothing.
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl<'de> Visitor<'de> for Number {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Count, E> {
                Ok(Count(Some(number)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(number).ok()))
            }

            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the cast saturates, and negative counts mean nothing"
            )]
            fn visit_f64<E>(self, number: f64) -> Result<Count, E> {
                Ok(Count((number >= 0.0).then_some(number as u64)))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_whatever_they_are_written_as() {
        let check = |json: &str, expected: Option<u64>| {
            assert_eq!(serde_json::from_str::<Count>(json).unwrap(), Count(expected), "{json}");
        };
        check("7", Some(7));
        check("7.0", Some(7));
        check("-7", None);
        check("-7.5", None);
        check("null", None);
        check("\"7\"", None);
        check("true", None);
        check("[1,{}]", None);
        check("{\"a\":[1]}", None);
        check("1e30", Some(u64::MAX));
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(serde::Deserialize, Debug)]
        struct Pair<'a> {
            #[serde(borrow)]
            a: Option<&'a RawValue>,
            b: Option<u8>,
        }
        let pair = |json| parse::<Pair<'_>>(json);
        assert_eq!(pair(r#" {"b":1,"a":null}"#).unwrap().b, Some(1));
        assert_eq!(pair(r#"{"a":[1]}"#).unwrap().a.unwrap().get(), "[1]");
        assert!(serde_json::from_str::<Pair<'_>>("[[],7]").is_ok());
        for json in ["[[],7]", "7", "null", "\"x\"", "{"] {
            assert!(pair(json).is_err(), "{json}");
        }
    }

    #[test]
    fn fields_keep_their_order_and_their_text() {
        let fields: Fields<'_> = serde_json::from_str(r#"{"b": 1.0, "\u0061": null, "c":"x\ny"}"#).unwrap();
        let names: Vec<_> = fields.0.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(names, [("b", "1.0"), ("a", "null"), ("c", r#""x\ny""#)]);
        assert!(fields.get("a").is_none());
        assert_eq!(text(fields.get("c").unwrap()).unwrap(), "x\ny");
        assert!(text(fields.get("b").unwrap()).is_none());
    }
}
