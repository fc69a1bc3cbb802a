//! What a Gemini model can do, by its name. There is no other way to know: the service itself only tells by refusing.

/// A model's generation, `(2, 5)` in `gemini-2.5-flash`. A name without a number, such as `gemini-flash-latest`, counts as the
/// newest; so does one that is not Gemini's at all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model<'a> {
    name: &'a str,
    version: (u32, u32),
}

/// How a model is told how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Not at all: it does not think.
    None,
    /// By a number of tokens.
    Budget,
    /// By a word.
    Level,
}

impl<'a> Model<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        let version = name.split_once("gemini-").and_then(|(_, rest)| {
            let number = rest.split('-').next()?;
            let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        Self { name, version: version.unwrap_or((u32::MAX, 0)) }
    }

    pub(super) fn thinking(self) -> Thinking {
        match self.version {
            (3.., _) => Thinking::Level,
            (2, 5..) => Thinking::Budget,
            _ => Thinking::None,
        }
    }

    /// Returns whether it is one of the large models, which never stop thinking altogether.
    pub(super) fn is_pro(self) -> bool {
        self.name.contains("pro")
    }

    /// Returns whether its calls of tools have to come back signed.
    pub(super) const fn demands_signatures(self) -> bool {
        self.version.0 >= 3
    }

    /// Returns whether the results of tools may hold images and files.
    pub(super) const fn takes_media_of_tools(self) -> bool {
        self.version.0 >= 3
    }

    /// Returns whether an answer may have a JSON form while there are tools.
    pub(super) const fn mixes_json_and_tools(self) -> bool {
        self.version.0 >= 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_apart_by_their_version() {
        let check = |name: &str, thinking: Thinking, is_pro: bool, is_signed: bool| {
            let model = Model::of(name);
            assert_eq!(
                (model.thinking(), model.is_pro(), model.demands_signatures()),
                (thinking, is_pro, is_signed),
                "{name}"
            );
        };
        check("gemini-1.5-pro", Thinking::None, true, false);
        check("gemini-2.0-flash-001", Thinking::None, false, false);
        check("gemini-2.5-flash-lite", Thinking::Budget, false, false);
        check("gemini-2.5-pro", Thinking::Budget, true, false);
        check("gemini-3-flash-preview", Thinking::Level, false, true);
        check("gemini-3.1-pro-preview", Thinking::Level, true, true);
        check("gemini-flash-latest", Thinking::Level, false, true);
        check("1234567890", Thinking::Level, false, true);
    }
}
