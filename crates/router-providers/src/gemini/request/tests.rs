use router_core::{ChatRequestBuilder, ProviderErrorKind};
use serde_json::{Value, json};

use super::*;

fn encoded(request: ChatRequestBuilder, model: &str, host: Host) -> Result<Value, ProviderError> {
    let body = encode(&Target::new(model), &request.build().unwrap(), host)?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn body(request: ChatRequestBuilder) -> Value {
    encoded(request, "gemini-2.5-flash", Host::AiStudio).unwrap()
}

fn newest(request: ChatRequestBuilder) -> Value {
    encoded(request, "gemini-3-flash-preview", Host::AiStudio).unwrap()
}

fn refusal(request: ChatRequestBuilder) -> (ProviderErrorKind, String) {
    let error = encoded(request, "gemini-2.5-flash", Host::AiStudio).unwrap_err();
    (error.kind(), error.message().to_owned())
}

fn request() -> ChatRequestBuilder {
    ChatRequest::builder("alias")
}

fn asking() -> ChatRequestBuilder {
    request().user("hi")
}

#[test]
fn the_plain_fields_are_translated() {
    let body = body(
        asking()
            .set("max_tokens", 9)
            .set("max_completion_tokens", 10)
            .set("temperature", 1.5)
            .set("top_p", 0.5)
            .set("top_k", 40)
            .set("seed", 7)
            .set("presence_penalty", 0.5)
            .set("frequency_penalty", 0)
            .set("stop", "END")
            .set("n", 2)
            .set("logprobs", true)
            .set("top_logprobs", 3)
            .set("user", "u")
            .set("metadata", json!({"team": "x"}))
            .set("store", true)
            .set("stream", true)
            .set("service_tier", "flex")
            .set("safetySettings", json!([{"category": "X"}])),
    );
    assert_eq!(
        body,
        json!({
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {
                "maxOutputTokens": 10, "temperature": 1.5, "topP": 0.5, "topK": 40, "seed": 7, "presencePenalty": 0.5,
                "stopSequences": ["END"], "candidateCount": 2, "responseLogprobs": true, "logprobs": 3,
            },
            "serviceTier": "flex",
            "safetySettings": [{"category": "X"}],
        })
    );
}

#[test]
fn what_asks_for_nothing_special_is_left_out() {
    let neutral = asking()
        .set("n", 1)
        .set("logprobs", false)
        .set("logit_bias", json!({}))
        .set("modalities", json!(["text"]))
        .set("response_format", json!({"type": "text"}))
        .set("service_tier", "auto")
        .set("tools", json!([]));
    assert_eq!(body(neutral), json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}));
}

#[test]
fn what_gemini_cannot_do_is_for_another_provider() {
    let check = |name: &str, value: Value| {
        let (kind, message) = refusal(asking().set(name, value));
        assert_eq!(kind, ProviderErrorKind::Unsupported, "{message}");
        assert!(message.contains(&format!("`{name}`")), "{message}");
    };
    check("logit_bias", json!({"50256": -100}));
    check("audio", json!({"voice": "alloy"}));
    check("modalities", json!(["text", "audio"]));
    check("functions", json!([{"name": "f"}]));
    check("service_tier", json!("scale"));
    check("reasoning_effort", json!("enormous"));
    let function = json!([{"type": "function", "function": {"name": "f"}}]);
    let serial = asking().set("tools", function.clone()).set("parallel_tool_calls", false);
    assert_eq!(refusal(serial).0, ProviderErrorKind::Unsupported);
    let json_and_tools =
        || asking().set("tools", function.clone()).set("response_format", json!({"type": "json_object"}));
    assert_eq!(refusal(json_and_tools()).0, ProviderErrorKind::Unsupported);
    assert_eq!(newest(json_and_tools())["generationConfig"]["responseMimeType"], "application/json");
    let vertex = encoded(asking().set("service_tier", "flex"), "gemini-3-pro", Host::Vertex);
    assert_eq!(vertex.unwrap_err().kind(), ProviderErrorKind::Unsupported);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let check = |request: ChatRequestBuilder, expected: &str| {
        assert_eq!(refusal(request), (ProviderErrorKind::InvalidRequest, expected.to_owned()));
    };
    check(request().message(json!({"role": "chef"})), "`messages[0].role` is wrong: \"chef\" is no role");
    check(
        asking().message(json!({"role": "tool", "tool_call_id": "x", "content": "y"})),
        "`messages[1].tool_call_id` is wrong: no call before it has this id",
    );
    check(
        request()
            .message(json!({"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]})),
        "`messages[0].content[0].file` does not tell its type: write `data:<media type>;base64,…`",
    );
    check(asking().set("tools", json!([{"type": "function"}])), "`tools[0].function` is missing");
    check(
        asking().set("thinking", json!({})),
        "`thinking.type` is wrong: expected \"enabled\", \"adaptive\" or \"disabled\"",
    );
}

#[test]
fn roles_are_joined_and_system_messages_go_to_the_top() {
    let body = body(
        request()
            .system("one")
            .user("a")
            .user("b")
            .assistant("")
            .assistant("c")
            .message(json!({"role": "developer", "content": [{"type": "text", "text": "two"}]}))
            .assistant("d"),
    );
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "one"}, {"text": "two"}]}));
    assert_eq!(
        body["contents"],
        json!([
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
        ])
    );
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

#[test]
fn results_follow_in_the_order_of_their_calls_under_their_names() {
    let loop_ = || {
        asking()
            .message(json!({"role": "assistant", "content": null, "tool_calls": [
                call("a", "f", "{\"b\": 1, \"a\": [2]}"), call("call_gemini_r_1", "g", ""), call("", "h", "{}"),
            ]}))
            .message(json!({"role": "tool", "tool_call_id": "call_gemini_r_1", "content": "text"}))
            .message(json!({"role": "tool", "tool_call_id": "a", "content": "{\"z\": 1, \"a\": 2}"}))
            .message(json!({"role": "tool", "content": "broken", "is_error": true}))
            .user("and?")
    };
    let contents = body(loop_())["contents"].clone();
    assert_eq!(
        contents[1],
        json!({"role": "model", "parts": [
            {"functionCall": {"id": "a", "name": "f", "args": {"b": 1, "a": [2]}}},
            {"functionCall": {"name": "g", "args": {}}},
            {"functionCall": {"name": "h", "args": {}}},
        ]})
    );
    assert_eq!(
        contents[2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"id": "a", "name": "f", "response": {"z": 1, "a": 2}}},
            {"functionResponse": {"name": "g", "response": {"output": "text"}}},
            {"functionResponse": {"name": "h", "response": {"error": "broken"}}},
        ]})
    );
    assert_eq!(contents[3], json!({"role": "user", "parts": [{"text": "and?"}]}));
    let unsigned = newest(loop_())["contents"][1]["parts"].clone();
    assert_eq!(unsigned[0]["thoughtSignature"], "skip_thought_signature_validator");
    assert_eq!(unsigned[1].get("thoughtSignature"), None, "only the first of parallel calls is signed");
}

#[test]
fn signatures_go_back_to_where_they_came_from() {
    let google = |signature: &str| json!({"google": {"thought_signature": signature}});
    let mut signed = call("a", "f", "{}");
    signed["extra_content"] = google("s1");
    let mut litellm = call("b", "g", "{}");
    litellm["provider_specific_fields"] = json!({"thought_signature": "s2"});
    let body = newest(
        asking()
            .message(json!({"role": "assistant", "content": "thinking of it", "extra_content": google("s0"),
                "reasoning_content": "hm", "tool_calls": [signed, litellm]}))
            .message(json!({"role": "tool", "tool_call_id": "a", "content": "1"})),
    );
    assert_eq!(
        body["contents"][1]["parts"],
        json!([
            {"text": "thinking of it", "thoughtSignature": "s0"},
            {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "s1"},
            {"functionCall": {"id": "b", "name": "g", "args": {}}, "thoughtSignature": "s2"},
        ])
    );
    let silent =
        newest(asking().message(json!({"role": "assistant", "content": "", "extra_content": google("s")})));
    assert_eq!(silent["contents"][1]["parts"], json!([{"text": "", "thoughtSignature": "s"}]));
}

#[test]
fn instructions_alone_are_enough() {
    let body = body(request().system("only"));
    assert_eq!(body["contents"], json!([{"role": "user", "parts": [{"text": ""}]}]));
    assert_eq!(refusal(request().user("")).0, ProviderErrorKind::InvalidRequest);
}

#[test]
fn images_and_files_become_parts() {
    let part = |part: Value| {
        let body = body(request().message(json!({"role": "user", "content": [part]})));
        body["contents"][0]["parts"][0].clone()
    };
    let inline = |kind: &str, data: &str| json!({"inlineData": {"mimeType": kind, "data": data}});
    let remote = |kind: &str, uri: &str| json!({"fileData": {"mimeType": kind, "fileUri": uri}});
    let image = |url: &str| part(json!({"type": "image_url", "image_url": {"url": url}}));
    assert_eq!(image("data:image/png;base64,iVBORw0KGgoAAA"), inline("image/png", "iVBORw0KGgoAAA"));
    assert_eq!(image("https://x/y.png?z"), remote("image/png", "https://x/y.png?z"));
    assert_eq!(image("gs://bucket/y.jpg"), remote("image/jpeg", "gs://bucket/y.jpg"));
    assert_eq!(image("https://x/y"), json!({"fileData": {"fileUri": "https://x/y"}}));
    let said = json!({"type": "image_url", "image_url": {"url": "https://x/y", "format": "image/webp"}});
    assert_eq!(part(said), remote("image/webp", "https://x/y"));
    let file = |file: Value| part(json!({"type": "file", "file": file}));
    assert_eq!(
        file(json!({"file_data": "JVBERi0x", "filename": "a"})),
        inline("application/pdf", "JVBERi0x")
    );
    assert_eq!(file(json!({"file_data": "AAAA", "filename": "a.csv"})), inline("text/csv", "AAAA"));
    let uploaded = "https://generativelanguage.googleapis.com/v1beta/files/x";
    assert_eq!(file(json!({"file_id": uploaded, "format": "video/mp4"})), remote("video/mp4", uploaded));
    let audio = json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}});
    assert_eq!(part(audio), inline("audio/wav", "AAAA"));
    let native = json!({"fileData": {"fileUri": "u"}, "videoMetadata": {"fps": 1}});
    assert_eq!(part(native.clone()), native);

    let foreign = json!({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]});
    assert_eq!(refusal(request().message(foreign)).0, ProviderErrorKind::Unsupported);
}

#[test]
fn what_tools_show_stands_inside_their_result_since_gemini_3_and_beside_it_before() {
    let conversation = || {
        asking().message(json!({"role": "assistant", "tool_calls": [call("a", "f", "{}")]})).message(json!({
        "role": "tool", "tool_call_id": "a", "content": [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAA"}},
        ]}))
    };
    let image = json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgoAAA"}});
    let result = json!({"id": "a", "name": "f", "response": {"output": "see"}});
    let parts = body(conversation())["contents"][2]["parts"].clone();
    assert_eq!(parts, json!([{"functionResponse": result}, image]));
    let mut inside = result;
    inside["parts"] = json!([image]);
    assert_eq!(newest(conversation())["contents"][2]["parts"], json!([{"functionResponse": inside}]));
}

#[test]
fn tools_and_choices_are_translated() {
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}, "additionalProperties": false});
    let tool = json!({"type": "function", "function": {"name": "f", "description": "d", "strict": true, "parameters": schema}});
    let bare = json!({"type": "function", "function": {"name": "g", "parameters": {}}});
    let native = json!({"googleSearch": {}});
    let with =
        |choice: Value| body(asking().set("tools", json!([native, tool, bare])).set("tool_choice", choice));
    let plain = with(Value::Null);
    assert_eq!(
        plain["tools"],
        json!([
            {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": schema}, {"name": "g"}]},
            native,
        ])
    );
    assert_eq!(plain.get("toolConfig"), None);
    let check = |choice: Value, expected: Value| {
        assert_eq!(with(choice)["toolConfig"]["functionCallingConfig"], expected);
    };
    check(json!("auto"), json!({"mode": "AUTO"}));
    check(json!("none"), json!({"mode": "NONE"}));
    check(json!("required"), json!({"mode": "ANY"}));
    let named = json!({"type": "function", "function": {"name": "f"}});
    check(named.clone(), json!({"mode": "ANY", "allowedFunctionNames": ["f"]}));
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}});
    check(allowed, json!({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}));
    let search = body(asking().set("web_search_options", json!({})));
    assert_eq!(search["tools"], json!([{"googleSearch": {}}]));
    let foreign = asking().set("tools", json!([{"type": "web_search_preview"}]));
    assert_eq!(refusal(foreign).0, ProviderErrorKind::Unsupported);
}

#[test]
fn the_order_of_a_schema_is_kept() {
    let request = ChatRequest::from_json(
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":
        {"name":"n","schema":{"type":"object","properties":{"zebra":{},"apple":{}}}}}}"#,
    )
    .unwrap();
    let body = encode(&Target::new("gemini-2.5-pro"), &request, Host::AiStudio).unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(
        text.contains(r#""responseJsonSchema":{"type":"object","properties":{"zebra":{},"apple":{}}}"#),
        "{text}"
    );
}

#[test]
fn effort_is_a_budget_or_a_level() {
    let thinking = |model: &str, name: &str, value: Value| {
        let body = encoded(asking().set(name, value), model, Host::AiStudio);
        body.map(|body| body["generationConfig"]["thinkingConfig"].clone()).map_err(|error| error.kind())
    };
    let budget = |tokens: u64| Ok(json!({"includeThoughts": true, "thinkingBudget": tokens}));
    let level = |level: &str| Ok(json!({"includeThoughts": true, "thinkingLevel": level}));
    let effort = |model: &str, effort: &str| thinking(model, "reasoning_effort", json!(effort));
    assert_eq!(effort("gemini-2.5-flash", "low"), budget(1024));
    assert_eq!(effort("gemini-2.5-flash", "medium"), budget(8192));
    assert_eq!(effort("gemini-2.5-pro", "high"), budget(24576));
    assert_eq!(effort("gemini-2.5-flash", "none"), Ok(json!({"thinkingBudget": 0})));
    assert_eq!(effort("gemini-2.5-pro", "none"), Err(ProviderErrorKind::Unsupported));
    assert_eq!(effort("gemini-3-flash-preview", "minimal"), level("minimal"));
    assert_eq!(effort("gemini-3.1-pro-preview", "minimal"), level("low"));
    assert_eq!(effort("gemini-3-flash-preview", "max"), level("high"));
    assert_eq!(effort("gemini-2.0-flash", "low"), Err(ProviderErrorKind::Unsupported));
    assert_eq!(effort("gemini-2.0-flash", "none"), Ok(Value::Null));
    let anthropics = json!({"type": "enabled", "budget_tokens": 1500});
    assert_eq!(thinking("gemini-3-flash-preview", "thinking", anthropics), budget(1500));
    assert_eq!(
        thinking("gemini-2.5-flash", "thinking", json!({"type": "disabled"})),
        Ok(json!({"thinkingBudget": 0}))
    );
    let native = asking()
        .set("reasoning_effort", "low")
        .set("generationConfig", json!({"thinkingConfig": {"thinkingBudget": 5}}));
    assert_eq!(body(native)["generationConfig"]["thinkingConfig"], json!({"thinkingBudget": 5}));
}

#[test]
fn metadata_becomes_labels_on_vertex_where_it_may() {
    let labelled =
        asking().set("metadata", json!({"team": "a-1", "Team": "b", "x": "Y", "tags": ["t"], "n": 7}));
    let body = encoded(labelled, "gemini-2.5-flash", Host::Vertex).unwrap();
    assert_eq!(body["labels"], json!({"team": "a-1"}));
}
