use router_core::{ChatRequestBuilder, ProviderErrorKind};
use serde_json::{Value, json};

use super::*;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "us.amazon.nova-2-lite-v1:0";

fn encoded(request: ChatRequestBuilder, model: &str) -> Result<Value, ProviderError> {
    let body = encode(model, &request.build().unwrap())?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn body(request: ChatRequestBuilder) -> Value {
    encoded(request, CLAUDE).unwrap()
}

fn refusal(request: ChatRequestBuilder) -> (ProviderErrorKind, String) {
    let error = encoded(request, NOVA).unwrap_err();
    (error.kind(), error.message().to_owned())
}

fn request() -> ChatRequestBuilder {
    ChatRequest::builder("alias")
}

fn asking() -> ChatRequestBuilder {
    request().user("hi")
}

#[test]
fn each_field_is_translated_dropped_or_passed_on() {
    let full = || {
        asking()
            .set("max_tokens", 9)
            .set("max_completion_tokens", 10)
            .set("temperature", 1.5)
            .set("top_p", 0.5)
            .set("top_k", 40)
            .set("stop", json!(["END", " "]))
            .set("n", 1)
            .set("seed", 7)
            .set("user", "u")
            .set("metadata", json!({"team": "a b", "bad": "ü", "tags": ["t"]}))
            .set("service_tier", "flex")
            .set("guardrailConfig", json!({"guardrailIdentifier": "g"}))
            .set("anthropic_beta", json!(["x"]))
            .set("stream", true)
    };
    assert_eq!(
        body(full()),
        json!({
            "messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "inferenceConfig": {"maxTokens": 10, "temperature": 1, "topP": 0.5, "stopSequences": ["END"]},
            "requestMetadata": {"team": "a b"},
            "serviceTier": {"type": "flex"},
            "guardrailConfig": {"guardrailIdentifier": "g"},
            "additionalModelRequestFields": {"top_k": 40, "anthropic_beta": ["x"]},
        })
    );
    let nova = encoded(full(), NOVA).unwrap();
    assert_eq!(nova["additionalModelRequestFields"]["inferenceConfig"], json!({"topK": 40}));
    assert_eq!(body(asking()), json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}));
}

#[test]
fn what_bedrock_cannot_do_is_for_another_provider() {
    let check = |name: &str, value: Value| {
        let (kind, message) = refusal(asking().set(name, value));
        assert_eq!(kind, ProviderErrorKind::Unsupported, "{message}");
        assert!(message.contains(&format!("`{name}`")), "{message}");
    };
    check("n", json!(2));
    check("logprobs", json!(true));
    check("presence_penalty", json!(0.5));
    check("logit_bias", json!({"50256": -100}));
    check("audio", json!({"voice": "alloy"}));
    check("functions", json!([{"name": "f"}]));
    check("web_search_options", json!({}));
    check("response_format", json!({"type": "json_object"}));
    check("response_format", json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}));
    check("service_tier", json!("scale"));
    check("reasoning_effort", json!("enormous"));
    let unsupported = |request: ChatRequestBuilder| {
        assert_eq!(refusal(request).0, ProviderErrorKind::Unsupported);
    };
    unsupported(request().system("only"));
    let url =
        |url: &str| json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]});
    unsupported(request().message(url("https://host/x.png")));
    unsupported(request().message(url("data:audio/wav;base64,UklGRAAA")));
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    unsupported(asking().set("tools", tools).set("parallel_tool_calls", false));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let check = |request: ChatRequestBuilder, expected: &str| {
        assert_eq!(refusal(request), (ProviderErrorKind::InvalidRequest, expected.to_owned()));
    };
    check(request().message(json!({"role": "chef"})), "`messages[0].role` is wrong: \"chef\" is no role");
    check(asking().message(json!({"role": "tool", "content": "x"})), "`messages[1].tool_call_id` is missing");
    check(asking().set("stop", 7), "`stop` is wrong: expected a string or a list of strings");
    check(
        request()
            .message(json!({"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]})),
        "`messages[0].content[0].file` does not tell its type: write `data:<media type>;base64,…`",
    );
}

fn call(id: &str, arguments: Value) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

#[test]
fn a_tool_loop_is_put_in_the_order_bedrock_demands() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let body = body(
        request()
            .system("be brief")
            .user("go")
            .message(json!({"role": "assistant", "content": null, "tool_calls": [
                call("call_1", json!("{\"b\": 1, \"a\": [2]}")), call("functions.f:0", json!("")), call("", json!({"x": 1})),
            ]}))
            .user("by the way")
            .message(json!({"role": "tool", "tool_call_id": "call_1", "content": "one", "cache_control": {"type": "ephemeral"}}))
            .message(json!({"role": "tool", "tool_call_id": "functions.f:0", "content": ""}))
            .message(json!({"role": "tool", "is_error": true, "content": [{"type": "text", "text": "three"}]}))
            .user("and?")
            .set("tools", tools),
    );
    assert_eq!(body["system"], json!([{"text": "be brief"}]));
    let turns = body["messages"].as_array().unwrap();
    assert_eq!(turns.len(), 3);
    let (cleaned, made) =
        (&turns[1]["content"][1]["toolUse"]["toolUseId"], &turns[1]["content"][2]["toolUse"]["toolUseId"]);
    assert!(cleaned.as_str().unwrap().starts_with("functions_f_0_"), "{cleaned}");
    assert_eq!(
        turns[1],
        json!({"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "call_1", "name": "f", "input": {"b": 1, "a": [2]}}},
            {"toolUse": {"toolUseId": cleaned, "name": "f", "input": {}}},
            {"toolUse": {"toolUseId": made, "name": "f", "input": {"x": 1}}},
        ]})
    );
    assert_eq!(
        turns[2],
        json!({"role": "user", "content": [
            {"toolResult": {"toolUseId": "call_1", "content": [{"text": "one"}]}},
            {"cachePoint": {"type": "default"}},
            {"toolResult": {"toolUseId": cleaned, "content": [{"json": {}}]}},
            {"toolResult": {"toolUseId": made, "content": [{"text": "three"}], "status": "error"}},
            {"text": "by the way"},
            {"text": "and?"},
        ]})
    );
}

#[test]
fn marks_become_cache_points_after_what_they_mark() {
    let hour = json!({"type": "ephemeral", "ttl": "1h"});
    let body = body(
        request()
            .message(json!({"role": "system", "content": [{"type": "text", "text": "a", "cache_control": hour}]}))
            .message(json!({"role": "user", "content": "b", "cache_control": {"type": "ephemeral"}}))
            .set("tools", json!([{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}])),
    );
    assert_eq!(body["system"], json!([{"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]));
    assert_eq!(body["messages"][0]["content"], json!([{"text": "b"}, {"cachePoint": {"type": "default"}}]));
    assert_eq!(body["toolConfig"]["tools"][1], json!({"cachePoint": {"type": "default"}}));
}

#[test]
fn tools_and_choices_are_translated() {
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
    let tool = json!({"type": "function", "function": {"name": "f", "description": "d", "strict": true, "parameters": schema}});
    let bare = json!({"type": "function", "function": {"name": "g", "description": ""}});
    let untyped =
        json!({"type": "function", "function": {"name": "h", "parameters": {"properties": {"x": {}}}}});
    let native = json!({"systemTool": {"name": "nova_grounding"}});
    let with = |choice: Value| {
        asking().set("tools", json!([tool, bare, untyped, native])).set("tool_choice", choice)
    };
    let plain = body(with(Value::Null));
    assert_eq!(
        plain["toolConfig"],
        json!({"tools": [
            {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}, "strict": true}},
            {"toolSpec": {"name": "g", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
            {"toolSpec": {"name": "h", "inputSchema": {"json": {"type": "object", "properties": {"x": {}}}}}},
            native,
        ]})
    );
    let nova = encoded(with(Value::Null), NOVA).unwrap();
    assert_eq!(nova["toolConfig"]["tools"][0]["toolSpec"].get("strict"), None, "Nova holds to no schema");
    assert_eq!(body(with(json!("auto")))["toolConfig"]["toolChoice"], json!({"auto": {}}));
    assert_eq!(body(with(json!("required")))["toolConfig"]["toolChoice"], json!({"any": {}}));
    let named = json!({"type": "function", "function": {"name": "f"}});
    assert_eq!(body(with(named))["toolConfig"]["toolChoice"], json!({"tool": {"name": "f"}}));
    assert_eq!(body(with(json!("none"))).get("toolConfig"), None);
    let serial = body(with(Value::Null).set("parallel_tool_calls", false));
    assert_eq!(
        serial["additionalModelRequestFields"]["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
}

#[test]
fn a_conversation_with_calls_keeps_its_tools() {
    let after_calls = || {
        asking()
            .message(
                json!({"role": "assistant", "tool_calls": [call("a", json!("{}")), call("b", json!("{}"))]}),
            )
            .message(json!({"role": "tool", "tool_call_id": "a", "content": "x"}))
            .message(json!({"role": "tool", "tool_call_id": "b", "content": "y"}))
    };
    let tools = body(after_calls())["toolConfig"]["tools"].clone();
    assert_eq!(tools.as_array().unwrap().len(), 1);
    assert_eq!(tools[0]["toolSpec"]["name"], "f");
    let none = after_calls()
        .set("tools", json!([{"type": "function", "function": {"name": "f"}}]))
        .set("tool_choice", "none");
    assert_eq!(refusal(none).0, ProviderErrorKind::Unsupported);
}

#[test]
fn images_files_and_videos_become_blocks() {
    let block = |part: Value| {
        let body = body(request().message(json!({"role": "user", "content": [part]})));
        body["messages"][0]["content"][0].clone()
    };
    let image = |url: &str| block(json!({"type": "image_url", "image_url": {"url": url}}));
    let bytes = |format: &str, data: &str| json!({"image": {"format": format, "source": {"bytes": data}}});
    assert_eq!(image("data:image/png;base64,iVBORw0KGgoAAA"), bytes("png", "iVBORw0KGgoAAA"));
    assert_eq!(image("data:image/png;base64,/9j/AAAA"), bytes("jpeg", "/9j/AAAA"), "its true type");
    assert_eq!(
        image("s3://bucket/x.webp"),
        json!({"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/x.webp"}}}})
    );
    let file = |file: Value| block(json!({"type": "file", "file": file}));
    let document = |format: &str, name: &str, data: &str| json!({"document": {"format": format, "name": name, "source": {"bytes": data}}});
    assert_eq!(
        file(json!({"filename": "My_report (v2).pdf", "file_data": "data:application/pdf;base64,JVBERi0x"})),
        document("pdf", "My_report (v2)", "JVBERi0x")
    );
    assert_eq!(file(json!({"filename": "a.csv", "file_data": "AAAA"})), document("csv", "a", "AAAA"));
    assert_eq!(file(json!({"file_data": "JVBERi0x"})), document("pdf", "document", "JVBERi0x"));
    let nameless = json!({"type": "file", "file": {"file_data": "JVBERi0x"}});
    let twice = body(request().message(json!({"role": "user", "content": [nameless, nameless]})));
    let name = |at: usize| twice["messages"][0]["content"][at]["document"]["name"].clone();
    assert_eq!((name(0), name(1)), (json!("document"), json!("document 2")));
    let video = json!({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}});
    assert_eq!(block(video), json!({"video": {"format": "mp4", "source": {"bytes": "AAAA"}}}));
    let native = json!({"guardContent": {"text": {"text": "x"}}});
    assert_eq!(block(native.clone()), native);
}

#[test]
fn reasoning_goes_back_first_and_only_when_signed() {
    let signed = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let body = body(
        asking()
            .message(json!({"role": "assistant", "content": "ok", "reasoning_content": "hm", "thinking_blocks":
                [signed, {"type": "thinking", "thinking": "foreign"}, {"type": "redacted_thinking", "data": "AAAA"}]}))
            .user("more"),
    );
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "AAAA"}},
            {"text": "ok"},
        ])
    );
}

#[test]
fn effort_is_said_in_each_makers_words() {
    let extra = |model: &str, request: ChatRequestBuilder| {
        let body = encoded(request.set("reasoning_effort", "medium"), model).unwrap();
        body["additionalModelRequestFields"].clone()
    };
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    assert_eq!(extra(CLAUDE, asking()), budget(2048));
    assert_eq!(extra(CLAUDE, asking().max_tokens(3000).set("top_k", 3)), budget(1500));
    assert_eq!(extra(CLAUDE, asking().max_tokens(100)), Value::Null);
    assert_eq!(extra(CLAUDE, asking().assistant("prefill")), Value::Null);
    assert_eq!(
        extra(CLAUDE, asking().set("thinking", json!({"type": "disabled"}))),
        json!({"thinking": {"type": "disabled"}})
    );
    let adaptive = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}});
    assert_eq!(extra("global.anthropic.claude-opus-4-6-v1", asking()), adaptive);
    assert_eq!(
        extra(NOVA, asking()),
        json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}})
    );
    assert_eq!(extra("openai.gpt-oss-120b-1:0", asking()), json!({"reasoning_effort": "medium"}));
    assert_eq!(extra("qwen.qwen3-32b-v1:0", asking()), json!({"reasoning_config": "medium"}));
    let old = encoded(asking().set("reasoning_effort", "low"), "amazon.nova-micro-v1:0");
    assert_eq!(old.unwrap_err().kind(), ProviderErrorKind::Unsupported);
    assert!(encoded(asking().set("reasoning_effort", "none"), "amazon.nova-micro-v1:0").is_ok());
}

#[test]
fn a_json_schema_is_sent_as_text_and_keeps_its_order() {
    let request = ChatRequest::from_json(
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":
        {"name":"n","strict":true,"schema":{"type":"object","properties":{"zebra":{},"apple":{}}}}}}"#,
    )
    .unwrap();
    let body: Value = serde_json::from_slice(&encode(CLAUDE, &request).unwrap()).unwrap();
    assert_eq!(
        body["outputConfig"],
        json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {
            "schema": r#"{"type":"object","properties":{"zebra":{},"apple":{}}}"#, "name": "n"}}}})
    );
}
