//! Routes by example utterances, over a tiny model that is made here in the format of model2vec.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::path::PathBuf;
use std::sync::Arc;

use router_classify::{Embeddings, Query, Rule, SemanticRoutes, TaskClassifier};
use router_core::Layer;
use serde_json::json;

/// Words, and where they lie: money, weather, or neither.
const WORDS: [(&str, [f32; 3]); 9] = [
    ("[UNK]", [9.0, 9.0, 9.0]),
    ("invoice", [1.0, 0.0, 0.1]),
    ("bill", [0.9, 0.1, 0.0]),
    ("refund", [0.8, 0.0, 0.2]),
    ("rain", [0.0, 1.0, 0.1]),
    ("storm", [0.1, 0.9, 0.0]),
    ("the", [0.1, 0.1, 0.1]),
    ("my", [0.1, 0.0, 0.1]),
    ("philosophy", [0.0, 0.0, 1.0]),
];

/// A folder of its own for each test, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("router-classify-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn tokenizer(self) -> Self {
        let vocabulary: serde_json::Map<_, _> =
            WORDS.iter().zip(0..).map(|((word, _), id)| ((*word).to_owned(), json!(id))).collect();
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": null,
            "decoder": null,
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocabulary,
            },
        });
        std::fs::write(self.0.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        self
    }

    /// Writes tensors: a length, a JSON header, then the data.
    fn tensors(self, tensors: &[(&str, &str, Vec<usize>, Vec<u8>)]) -> Self {
        let mut header = serde_json::Map::new();
        let mut data = Vec::new();
        for (name, kind, shape, bytes) in tensors {
            let from = data.len();
            data.extend_from_slice(bytes);
            let entry = json!({"dtype": kind, "shape": shape, "data_offsets": [from, data.len()]});
            header.insert((*name).to_owned(), entry);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
        file.extend_from_slice(&header);
        file.extend_from_slice(&data);
        std::fs::write(self.0.join("model.safetensors"), file).unwrap();
        self
    }

    fn plain(name: &str) -> Self {
        let rows = WORDS.iter().flat_map(|(_, row)| row).flat_map(|part| part.to_le_bytes()).collect();
        Self::new(name).tokenizer().tensors(&[("embeddings", "F32", vec![WORDS.len(), 3], rows)])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const UTTERANCES: [(&str, &str); 3] =
    [("billing", "my invoice"), ("billing", "refund the bill"), ("weather", "the rain")];

fn routes(folder: &Folder) -> SemanticRoutes {
    let embeddings = Arc::new(Embeddings::from_folder(&folder.0).unwrap());
    SemanticRoutes::new(embeddings, UTTERANCES, 0.8).unwrap()
}

fn label(routes: &SemanticRoutes, text: &str) -> Option<String> {
    routes.decide(text).map(|(label, _)| label.to_string())
}

#[test]
fn a_query_belongs_to_the_utterance_it_is_most_like() {
    let folder = Folder::plain("like");
    let routes = routes(&folder);
    assert_eq!(label(&routes, "The BILL, my bill!").as_deref(), Some("billing"));
    assert_eq!(label(&routes, "storm").as_deref(), Some("weather"));
    assert_eq!(label(&routes, "philosophy"), None, "similar to nothing");
    assert_eq!(label(&routes, "quark gluon"), None, "without a known word");
    let (_, similarity) = routes.decide("my quark invoice").unwrap();
    assert!((similarity - 1.0).abs() < 1e-6, "unknown words change nothing: {similarity}");
}

#[test]
fn every_way_to_store_numbers_gives_the_same_answers() {
    let bytes = |number: &dyn Fn(f32) -> Vec<u8>| -> Vec<u8> {
        WORDS.iter().flat_map(|(_, row)| row).flat_map(|part| number(*part)).collect()
    };
    let shape = vec![WORDS.len(), 3];
    #[expect(clippy::cast_possible_truncation, reason = "tenths")]
    let small = bytes(&|part| ((part * 10.0).round() as i8).to_le_bytes().to_vec());
    let half = bytes(&|part| {
        // The bits of 32 that 16 have room for: sign, a smaller exponent, the first ten of the fraction.
        let bits = part.to_bits();
        let exponent = (bits >> 23) & 0xFF;
        let bits = if part == 0.0 { 0 } else { ((exponent - 112) << 10) | ((bits >> 13) & 0x3FF) };
        u16::try_from(bits).unwrap().to_le_bytes().to_vec()
    });
    for (name, kind, data) in [("i8", "I8", small), ("f16", "F16", half)] {
        let folder = Folder::new(name).tokenizer().tensors(&[("embeddings", kind, shape.clone(), data)]);
        let routes = routes(&folder);
        assert_eq!(label(&routes, "my bill").as_deref(), Some("billing"), "{name}");
        assert_eq!(label(&routes, "storm").as_deref(), Some("weather"), "{name}");
        assert_eq!(label(&routes, "philosophy"), None, "{name}");
    }
}

#[test]
fn tokens_can_share_rows_and_count_differently() {
    // Two rows: money and weather. `the` counts for nothing.
    let rows: Vec<u8> =
        [1.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0].iter().flat_map(|part| part.to_le_bytes()).collect();
    let mapping = [0_i64, 0, 0, 0, 1, 1, 0, 0, 1].iter().flat_map(|row| row.to_le_bytes()).collect();
    let weights =
        [1.0_f64, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0].iter().flat_map(|w| w.to_le_bytes()).collect();
    let folder = Folder::new("mapping").tokenizer().tensors(&[
        ("embeddings", "F32", vec![2, 3], rows),
        ("mapping", "I64", vec![9], mapping),
        ("weights", "F64", vec![9], weights),
    ]);
    let routes = routes(&folder);
    let (label, similarity) = routes.decide("the storm the the").unwrap();
    assert_eq!(&**label, "weather");
    assert!((similarity - 1.0).abs() < 1e-6, "{similarity}");
    assert!(routes.decide("the my").is_none(), "what counts for nothing means nothing");
}

#[test]
fn rules_come_first_then_routes_then_the_model() {
    let folder = Folder::plain("layers");
    let rule = Rule { signals: vec!["urgent".into()], ..Rule::new("urgent") };
    let classifier = TaskClassifier::builder()
        .labels(["default", "billing", "weather", "urgent"])
        .unwrap()
        .rule(rule)
        .semantic(routes(&folder))
        .build()
        .unwrap();
    let check = |text: &str, label: &str, layer: Layer| {
        let answer = classifier.answer(&Query::new(text));
        assert_eq!((&*answer.label, answer.layer), (label, layer), "{text}");
    };
    check("urgent invoice", "urgent", Layer::Rule);
    check("invoice", "billing", Layer::Semantic);
    check("What is 15% of 80?", "math", Layer::Model);
    assert!(classifier.labels().iter().any(|label| &**label == "weather"));
    let nowhere =
        TaskClassifier::builder().labels(["billing"]).unwrap().without_model().semantic(routes(&folder));
    assert!(nowhere.build().unwrap_err().to_string().contains("`weather` go nowhere"));
}

#[test]
fn what_is_no_model_or_no_route_says_why() {
    let check = |folder: &Folder, expected: &str| {
        let error = Embeddings::from_folder(&folder.0).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&Folder::new("empty"), "tokenizer.json: cannot be read");
    check(&Folder::new("half").tokenizer(), "model.safetensors: cannot be read");
    check(&Folder::new("none").tokenizer().tensors(&[]), "the tensor `embeddings`");
    let flat = [("embeddings", "F32", vec![3], vec![0; 12])];
    check(&Folder::new("flat").tokenizer().tensors(&flat), "expected a row for each token");
    let odd = [("embeddings", "U8", vec![1, 3], vec![0; 3])];
    check(&Folder::new("odd").tokenizer().tensors(&odd), "numbers of type U8");

    let folder = Folder::plain("routes");
    let embeddings = Arc::new(Embeddings::from_folder(&folder.0).unwrap());
    let refused = |utterances: &[(&'static str, &'static str)], threshold: f64| {
        SemanticRoutes::new(Arc::clone(&embeddings), utterances.iter().copied(), threshold)
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&[("a", "quark")], 0.5).contains("no word of the utterance `quark` of `a`"));
    assert!(refused(&UTTERANCES, 50.0).contains("from 0 to 1"));
    assert!(refused(&[], 0.5).contains("no utterances"));
}
