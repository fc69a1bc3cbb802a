//! What becomes of a request, as whole bodies.

use llm_router::{ChatRequest, Edit, JsonObject};
use serde_json::{Value, json};

use super::*;

fn translated(body: &Value) -> Result<ChatRequest, ApiError> {
    canonical(JsonObject::read(body.to_string()).unwrap(), HeaderMap::new(), Purpose::Answer)
}

fn body(request: &ChatRequest) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

/// What Anthropic's deployments are sent.
fn native(request: &ChatRequest) -> Value {
    let body = request.native().unwrap().body_with(&[("model", Edit::Set("\"claude\""))]);
    serde_json::from_slice(&body).unwrap()
}

fn check(fields: Value, expected: Value) {
    let mut asked = json!({"model": "fast", "max_tokens": 9, "messages": []});
    let mut becomes = json!({"model": "fast", "max_tokens": 9, "messages": []});
    asked.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    becomes.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
    let request = translated(&asked).unwrap();
    assert_eq!(body(&request), becomes, "{asked}");
    assert_eq!(request.native().unwrap().untranslated(), None, "{asked}");
    asked["model"] = "claude".into();
    assert_eq!(native(&request), asked, "Anthropic gets what was written");
}

#[test]
fn settings_find_their_counterparts() {
    check(json!({"temperature": 0.5, "top_p": 0.9}), json!({"temperature": 0.5, "top_p": 0.9}));
    check(json!({"top_k": 5, "service_tier": "auto", "context_management": {"edits": []}}), json!({}));
    check(json!({"stop_sequences": ["\n\nHuman:"]}), json!({"stop": ["\n\nHuman:"]}));
    check(json!({"stop_sequences": []}), json!({}));
    check(json!({"metadata": {"user_id": "u-1"}}), json!({"user": "u-1"}));
    check(json!({"metadata": {"user_id": "u".repeat(65)}}), json!({}));
    check(json!({"stream": true}), json!({"stream": true, "stream_options": {"include_usage": true}}));
    check(json!({"stream": false}), json!({"stream": false}));
}

#[test]
fn thinking_becomes_an_effort_when_it_is_switched_on() {
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    check(budget(1024), json!({"reasoning_effort": "low"}));
    check(budget(2048), json!({"reasoning_effort": "medium"}));
    check(budget(31_999), json!({"reasoning_effort": "high"}));
    check(json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}), json!({}));
    check(json!({"thinking": {"type": "adaptive"}}), json!({}));
    let adaptive =
        |effort: &str| json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}});
    check(adaptive("low"), json!({"reasoning_effort": "low"}));
    check(adaptive("max"), json!({"reasoning_effort": "high"}));
}

#[test]
fn a_schema_for_the_answer_is_kept() {
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
    check(
        json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}}}),
    );
}

#[test]
fn tools_become_functions() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool = json!({"name": "weather", "description": "d", "input_schema": schema, "cache_control": {"type": "ephemeral"}});
    let function = json!({"type": "function", "function": {"name": "weather", "description": "d", "parameters": schema}});
    check(json!({"tools": [tool]}), json!({"tools": [function]}));
    let choice = |choice: Value, expected: Value| {
        let mut becomes = json!({"tools": [function]});
        becomes.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        check(json!({"tools": [tool], "tool_choice": choice}), becomes);
    };
    choice(json!({"type": "auto"}), json!({"tool_choice": "auto"}));
    choice(json!({"type": "any"}), json!({"tool_choice": "required"}));
    choice(json!({"type": "none"}), json!({"tool_choice": "none"}));
    choice(
        json!({"type": "tool", "name": "weather", "disable_parallel_tool_use": true}),
        json!({"tool_choice": {"type": "function", "function": {"name": "weather"}}, "parallel_tool_calls": false}),
    );
}

#[test]
fn the_order_of_a_schema_stays() {
    let text = r#"{"model":"m","max_tokens":1,"messages":[],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"z":{},"a":{}}}}]}"#;
    let request = canonical(JsonObject::read(text).unwrap(), HeaderMap::new(), Purpose::Answer).unwrap();
    let body = std::str::from_utf8(request.body()).unwrap();
    assert!(body.contains(r#"{"type":"object","properties":{"z":{},"a":{}}}"#), "{body}");
}

#[test]
fn a_conversation_with_every_kind_of_block_is_told_in_messages() {
    let mark = json!({"type": "ephemeral"});
    check(
        json!({
            "system": [{"type": "text", "text": "Be brief.", "cache_control": mark}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}, "cache_control": mark},
                    {"type": "document", "title": "T", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "redacted_thinking", "data": "d"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}},
                    {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                        {"type": "text", "text": "seen"},
                        {"type": "image", "source": {"type": "url", "url": "https://x.test/b.png"}},
                    ]},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "nothing", "is_error": true},
                    {"type": "tool_result", "tool_use_id": "toolu_3"},
                    {"type": "text", "text": "And?"},
                ]},
                {"role": "assistant", "content": "It is"},
            ],
        }),
        json!({"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
                {"type": "file", "file": {"filename": "T", "file_data": "data:application/pdf;base64,JVBE"}},
                {"type": "text", "text": "plain"},
            ]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                {"id": "toolu_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "seen"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "nothing"},
            {"role": "tool", "tool_call_id": "toolu_3", "content": ""},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://x.test/b.png"}},
                {"type": "text", "text": "And?"},
            ]},
            {"role": "assistant", "content": "It is"},
        ]}),
    );
}

#[test]
fn what_only_anthropic_can_do_is_noted() {
    let check = |fields: Value, expected: &str| {
        let mut asked = json!({"model": "fast", "max_tokens": 9, "messages": []});
        asked.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let request = translated(&asked).unwrap();
        assert_eq!(request.native().unwrap().untranslated(), Some(expected), "{asked}");
    };
    check(
        json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        "`tools[0]` of type \"web_search_20250305\"",
    );
    check(json!({"mcp_servers": [{"url": "https://x.test"}]}), "`mcp_servers`");
    check(
        json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]}),
        "`messages[0].content[0].source` of type \"file\"",
    );
    check(
        json!({"messages": [{"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "n", "input": {}}]}]}),
        "`messages[0].content[0]` of type \"server_tool_use\"",
    );
}

#[test]
fn thinking_that_others_did_is_not_shown_to_anthropic() {
    let request = translated(&json!({"model": "fast", "max_tokens": 9, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "mine", "signature": ""}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "mine", "signature": ""},
            {"type": "thinking", "thinking": "its own", "signature": "s"},
            {"type": "text", "text": "b"},
        ]},
    ]}))
    .unwrap();
    assert_eq!(
        native(&request)["messages"],
        json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "its own", "signature": "s"},
                {"type": "text", "text": "b"},
            ]},
        ])
    );
}

#[test]
fn fields_for_the_router_stay_with_it() {
    let asked =
        json!({"model": "fast", "max_tokens": 9, "messages": [], "fallbacks": ["b"], "num_retries": 1});
    let request = translated(&asked).unwrap();
    assert_eq!(body(&request)["fallbacks"], json!(["b"]));
    assert_eq!(native(&request), json!({"model": "claude", "max_tokens": 9, "messages": []}));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let check = |asked: Value, expected: &str| {
        assert_eq!(translated(&asked).unwrap_err().error.message, expected, "{asked}");
    };
    let with = |message: Value| json!({"model": "m", "max_tokens": 1, "messages": [message]});
    check(json!({"model": "m", "messages": []}), "`max_tokens` is missing");
    check(json!({"model": "m", "max_tokens": 1}), "`messages` is missing");
    check(json!({"max_tokens": 1, "messages": []}), "`model` is missing: expected a string");
    check(with(json!("hi")), "`messages[0]` is wrong: expected an object with `role` and `content`");
    check(
        with(json!({"role": "tool", "content": ""})),
        "`messages[0].role` is wrong: expected user or assistant",
    );
    check(
        with(json!({"role": "user", "content": 7})),
        "`messages[0].content` is wrong: expected a string or a list of blocks",
    );
    check(
        with(json!({"role": "user", "content": [{"type": "text"}]})),
        "`messages[0].content[0].text` is missing",
    );
    check(
        with(
            json!({"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "A"}}]}),
        ),
        "`messages[0].content[0].source.media_type` is missing",
    );
    check(
        json!({"model": "m", "max_tokens": 1, "messages": [], "tools": [{"name": "f"}]}),
        "`tools[0].input_schema` is missing",
    );
}

#[test]
fn a_request_to_be_counted_needs_no_limit() {
    let body = JsonObject::read(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#).unwrap();
    assert!(canonical(body, HeaderMap::new(), Purpose::Count).is_ok());
}
