//! What a model at Bedrock can do, by its id. The service itself only tells by refusing.

/// Who made a model, as far as its requests differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    /// Amazon's Nova, since 2 with reasoning.
    Nova {
        reasons: bool,
    },
    GptOss,
    Qwen,
    Other,
}

/// Returns the id without the word by which LiteLLM's users choose this format.
pub(super) fn id(model: &str) -> &str {
    model.strip_prefix("converse/").unwrap_or(model)
}

/// Returns the family of a model. An inference profile has its region in front of the model's id; of an ARN of one's own
/// nothing can be told.
pub(super) fn family(id: &str) -> Family {
    if id.contains("anthropic.claude") {
        Family::Claude
    } else if id.contains("amazon.nova") {
        Family::Nova { reasons: id.contains("nova-2") }
    } else if id.contains("openai.gpt-oss") {
        Family::GptOss
    } else if id.contains("qwen.") {
        Family::Qwen
    } else {
        Family::Other
    }
}

/// Returns whether a model answers in a schema. Those that do not are few, and known: they are not among those in
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html>.
pub(super) fn takes_schema(id: &str) -> bool {
    let without = ["amazon.nova", "amazon.titan", "meta.llama", "cohere.command", "ai21."];
    !without.iter().any(|name| id.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_apart_by_their_ids() {
        let check = |name: &str, expected: Family, schema: bool| {
            assert_eq!((family(name), takes_schema(name)), (expected, schema), "{name}");
        };
        check("anthropic.claude-3-sonnet-20240229-v1:0", Family::Claude, true);
        check("us.anthropic.claude-haiku-4-5-20251001-v1:0", Family::Claude, true);
        check("us.amazon.nova-2-lite-v1:0", Family::Nova { reasons: true }, false);
        check("amazon.nova-micro-v1:0", Family::Nova { reasons: false }, false);
        check("openai.gpt-oss-120b-1:0", Family::GptOss, true);
        check("qwen.qwen3-32b-v1:0", Family::Qwen, true);
        check("google.gemma-3-27b-it", Family::Other, true);
        check("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", Family::Other, true);
        assert_eq!(id("converse/amazon.nova-micro-v1:0"), "amazon.nova-micro-v1:0");
    }
}
