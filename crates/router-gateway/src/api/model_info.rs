//! `GET /model/info`: what stands behind each alias, in LiteLLM's shape. Never a credential or an address.

use axum::Json;
use serde_json::{Value, json};

use super::call::Call;

pub(super) async fn list(call: Call) -> Json<Value> {
    let catalog = call.router().fleet().catalog();
    let pools = catalog.pool_indices().filter(|pool| call.may_call(catalog[*pool].alias().as_str()));
    let entries = pools.flat_map(|pool| {
        let alias = catalog[pool].alias();
        catalog.members(pool).map(move |deployment| {
            let (provider, model) = (deployment.provider(), deployment.model());
            // A price is a JSON number with all its digits.
            let price = |amount: llm_router::Usd| {
                serde_json::from_str::<Value>(&amount.to_string()).unwrap_or_default()
            };
            json!({
                "model_name": alias,
                "litellm_params": {"model": format!("{provider}/{model}")},
                "model_info": {
                    "id": deployment.id(),
                    "db_model": false,
                    "litellm_provider": provider,
                    "max_input_tokens": deployment.max_input_tokens(),
                    "input_cost_per_token": deployment.price().map(|price_of| price(price_of.input)),
                    "output_cost_per_token": deployment.price().map(|price_of| price(price_of.output)),
                },
            })
        })
    });
    Json(json!({"data": entries.collect::<Vec<Value>>()}))
}
