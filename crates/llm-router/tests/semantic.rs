//! Example utterances in a configuration, over a model of two words that is made here in the format of model2vec.

use llm_router::{ChatRequest, ConfigFile, Layer};
use serde_json::json;

#[test]
fn a_configuration_can_route_by_example_utterances() {
    let folder = std::env::temp_dir().join(format!("llm-router-semantic-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "invoice": 1, "rain": 2}},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let rows: Vec<u8> =
        [0.0_f32, 0.0, 1.0, 0.0, 0.0, 1.0].iter().flat_map(|part| part.to_le_bytes()).collect();
    let header = json!({"embeddings": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, rows.len()]}});
    let header = header.to_string();
    let length = u64::try_from(header.len()).unwrap().to_le_bytes();
    std::fs::write(folder.join("model.safetensors"), [&length, header.as_bytes(), &rows].concat()).unwrap();

    let config = |routes: &str| {
        let text = format!(
            "model_list:\n  - {{model_name: default, litellm_params: {{model: gpt-4o, api_key: k}}}}\n\
             router_settings:\n  classifier:\n    labels: [default]\n    semantic: {{model: '{}', threshold: 0.7, routes: {routes}}}\n",
            folder.display()
        );
        ConfigFile::parse(&text, "config.yaml", &|_| None)
    };
    let router = config("{billing: [invoice], weather: [rain]}").unwrap().into_builder().build().unwrap();
    let layer = |text: &str| {
        let said = router.classify_locally(&ChatRequest::user("auto", text).unwrap()).unwrap();
        (said.label.to_string(), said.layer)
    };
    assert_eq!(layer("rain"), ("weather".to_owned(), Layer::Semantic));
    assert_eq!(layer("What is 15% of 80?"), ("math".to_owned(), Layer::Model));
    let error = config("{billing: [quark]}").unwrap_err().to_string();
    assert!(
        error.contains(
            "config.yaml:6:15: router_settings.classifier.semantic: the embeddings know no word of"
        ),
        "{error}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}
