//! What becomes of a request, as whole bodies.

use serde_json::{Value, json};

use super::*;

fn translated(body: &Value) -> Result<Value, String> {
    let outcome = canonical(&JsonObject::read(body.to_string()).unwrap());
    outcome
        .map(|request| serde_json::from_slice(request.body()).unwrap())
        .map_err(|error| error.error.message)
}

fn check(fields: Value, expected: Value) {
    let mut asked = json!({"model": "fast", "input": "hi"});
    let mut becomes = json!({"model": "fast", "messages": [{"role": "user", "content": "hi"}]});
    asked.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    becomes.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
    assert_eq!(translated(&asked), Ok(becomes), "{asked}");
}

#[test]
fn settings_find_their_counterparts() {
    check(json!({"store": true, "include": [], "truncation": "auto", "metadata": {"a": "b"}}), json!({}));
    check(json!({"previous_response_id": null, "background": false}), json!({}));
    check(json!({"max_output_tokens": 9, "temperature": 0.5}), json!({"max_tokens": 9, "temperature": 0.5}));
    check(json!({"reasoning": {"effort": "low", "summary": "auto"}}), json!({"reasoning_effort": "low"}));
    check(json!({"stream": true}), json!({"stream": true, "stream_options": {"include_usage": true}}));
    check(json!({"text": {"format": {"type": "text"}, "verbosity": "low"}}), json!({"verbosity": "low"}));
    let format = json!({"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object"}});
    check(
        json!({"text": {"format": format}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object"}}}}),
    );
    check(
        json!({"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": true}], "tool_choice": {"type": "function", "name": "f"}}),
        json!({
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": true}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
        }),
    );
}

#[test]
fn items_become_messages() {
    check(
        json!({
            "instructions": "Be brief.",
            "input": [
                {"role": "developer", "content": "d"},
                {"role": "user", "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
                ]},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
                {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{}"},
                {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "look", "arguments": "{\"a\":1}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "seen"},
                {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "nothing"}]},
                {"type": "message", "role": "user", "content": "And?"},
            ],
        }),
        json!({"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "d"},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            ]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{\"a\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
            {"role": "tool", "tool_call_id": "call_2", "content": "nothing"},
            {"role": "user", "content": "And?"},
        ]}),
    );
}

#[test]
fn what_cannot_be_done_here_is_refused_with_its_reason() {
    let check = |fields: Value, expected: &str| {
        let mut asked = json!({"model": "fast", "input": "hi"});
        asked.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let message = translated(&asked).unwrap_err();
        assert!(message.contains(expected), "{message}");
    };
    check(
        json!({"previous_response_id": "resp_1"}),
        "`previous_response_id` is not supported: this gateway keeps no responses",
    );
    check(json!({"background": true}), "`background` is not supported");
    check(
        json!({"tools": [{"type": "web_search"}]}),
        "`tools[0]` is not supported: it is of type `web_search`",
    );
    check(
        json!({"input": [{"type": "item_reference", "id": "x"}]}),
        "`input[0]` is not supported: it is of type `item_reference`",
    );
    check(json!({"input": [{"role": "user"}]}), "`input[0].content` is missing");
    check(json!({"input": 7}), "`input` is wrong: expected a string or a list of items");
    check(json!({"input": null}), "`input` is missing");
}
