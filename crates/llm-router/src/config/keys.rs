//! Every key of the configuration: the one table that the reader, the schema and the documentation are held against.
//!
//! A key that is honoured stands in the table of its section; one of LiteLLM's that is not stands in its [`NOT_SUPPORTED`], with why.

/// A mapping whose keys are known.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) honoured: &'static [Key],
    /// Keys without which the mapping means nothing.
    pub(super) required: &'static [&'static str],
    /// Keys of which exactly one is there.
    pub(super) one_of: &'static [&'static str],
    /// Keys that LiteLLM knows and that do nothing here, with the reason.
    pub(super) not_supported: &'static [(&'static str, &'static str)],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) meaning: &'static str,
}

/// What stands behind a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Number,
    /// A whole number that is not negative.
    Integer,
    /// The same, up to 2^32 - 1.
    Count,
    /// A number of seconds, less than a year.
    Seconds,
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    TextList,
    /// Names that the user chose, with a text each.
    Texts,
    Section(&'static Keys),
    SectionList(&'static Keys),
    /// Names that the user chose, with a section each.
    Sections(&'static Keys),
    /// A list of `{alias: [alias, ...]}`.
    Fallbacks,
    /// A TCP port, in quotes or not.
    Port,
    /// `redis://` or `rediss://`.
    RedisUrl,
    /// A list of `[host, port]` or `{host: ..., port: ...}`.
    Nodes,
    /// `{name: alias}` or `{name: {model: alias, hidden: true}}`.
    Aliases,
    /// Numbers by exception class, whose names end like this.
    Policy(Policy),
    /// The same for each alias.
    Policies(Policy),
    /// Names that the user chose, with a list of texts each.
    TextLists,
    /// `{alias: complexity}`, or a share such as `30%` for the complexity.
    Tiers,
    /// `[label, ...]`, or `{label: alias}`, or `{label: {alias: complexity}}`.
    Labels,
}

/// What the numbers of a policy count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Retries,
    AllowedFails,
}

impl Policy {
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Retries => "Retries",
            Self::AllowedFails => "AllowedFails",
        }
    }
}

const fn key(name: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { name, kind, meaning }
}

use Kind::{
    Aliases, Boolean, Choice, Count, Fallbacks, Integer, Labels, Nodes, Number, Policies, Policy as ByKind,
    Port, RedisUrl, Seconds, Sections, Text, TextList, TextLists, Texts, Tiers,
};

pub(super) static ROOT: Keys = Keys {
    required: &["model_list"],
    one_of: &[],
    honoured: &[
        key(
            "model_list",
            Kind::SectionList(&DEPLOYMENT),
            "The deployments; those that share a model_name form its pool.",
        ),
        key("router_settings", Kind::Section(&ROUTER_SETTINGS), "How requests are routed."),
        key(
            "litellm_settings",
            Kind::Section(&LITELLM_SETTINGS),
            "Defaults for the router, the cache, and where accounts of requests go.",
        ),
        key("callback_settings", Sections(&CALLBACK), "Settings of callbacks, by name."),
        key(
            "general_settings",
            Kind::Section(&GENERAL_SETTINGS),
            "The gateway: who may call, and how much it takes on.",
        ),
        key(
            "environment_variables",
            Texts,
            "Variables that os.environ/NAME finds before the process environment.",
        ),
        key("include", TextList, "Further files, relative to this one."),
    ],
    not_supported: &[
        ("credential_list", "write the credential into `litellm_params`, or merge it in with a YAML anchor"),
        ("guardrails", "there are no guardrails"),
        ("mcp_servers", "there is no MCP gateway"),
        ("search_tools", "there are no search tools"),
        ("vector_store_registry", "there are no vector stores"),
        ("finetune_settings", "there is no fine-tuning endpoint"),
        ("files_settings", "there is no files endpoint"),
    ],
};

pub(super) static DEPLOYMENT: Keys = Keys {
    required: &["model_name", "litellm_params"],
    one_of: &[],
    honoured: &[
        key("model_name", Text, "The alias that applications call; a * in it stands for anything."),
        key(
            "litellm_params",
            Kind::Section(&LITELLM_PARAMS),
            "The provider's model, its credential, limits and price.",
        ),
        key("model_info", Kind::Section(&MODEL_INFO), "What is known about the model."),
        key("rpm", Integer, "As litellm_params.rpm, which wins."),
        key("tpm", Integer, "As litellm_params.tpm, which wins."),
    ],
    not_supported: &[],
};

pub(super) static LITELLM_PARAMS: Keys = Keys {
    required: &["model"],
    one_of: &[],
    honoured: &[
        key(
            "model",
            Text,
            "provider/model; a bare name is OpenAI's, or Anthropic's when it begins with claude-.",
        ),
        key("custom_llm_provider", Text, "The provider, apart from the model."),
        key(
            "api_key",
            Text,
            "The credential; by default the provider's usual variable, unless api_base is set.",
        ),
        key("api_base", Text, "Another address, for proxies and compatible services."),
        key("base_url", Text, "The same as api_base."),
        key("api_version", Text, "The version of Azure's interface."),
        key("azure_ad_token", Text, "A token of Microsoft Entra ID instead of a key, at Azure."),
        key("organization", Text, "The organization to bill."),
        key("vertex_project", Text, "The project at Google Cloud, for vertex_ai/..."),
        key("vertex_location", Text, "The location at Google Cloud."),
        key("vertex_credentials", Text, "A service account at Google Cloud: JSON, or the path of its file."),
        key("aws_access_key_id", Text, "The credential at AWS, for bedrock/..."),
        key("aws_secret_access_key", Text, "Its secret."),
        key("aws_session_token", Text, "Its session, for one that is temporary."),
        key("aws_region_name", Text, "The region at AWS."),
        key("aws_bedrock_runtime_endpoint", Text, "Another address than the region's own."),
        key("drop_params", Boolean, "Leave out what the provider cannot do, instead of passing it over."),
        key("extra_headers", Texts, "Headers to add to each request."),
        key("weight", Number, "Share of the pool's traffic; 0 is a stand-by."),
        key("rpm", Integer, "Requests per minute it may get; also its share where no weight is given."),
        key(
            "tpm",
            Integer,
            "Tokens per minute it may use; also its share where neither weight nor rpm is given.",
        ),
        key("max_parallel_requests", Count, "Calls in flight it may have."),
        key("strict_limits", Boolean, "rpm and tpm hold exactly across all that share a store (ours)."),
        key("order", Count, "Priority in the pool: the lowest that is ready gets the traffic."),
        key("input_cost_per_token", Number, "Dollars per token of the prompt; 0 is a price."),
        key("output_cost_per_token", Number, "Dollars per token of the answer; 0 is a price."),
        key("cache_read_input_token_cost", Number, "Dollars per token of the prompt that the cache gave."),
        key(
            "cache_creation_input_token_cost",
            Number,
            "Dollars per token of the prompt that the cache took.",
        ),
        key("output_cost_per_reasoning_token", Number, "Dollars per token of reasoning."),
        key("base_model", Text, "The model whose prices and limits it has, where its own name says nothing."),
        key("tags", TextList, "Tags by which requests choose it."),
        key("timeout", Seconds, "Seconds one attempt may take."),
        key("request_timeout", Seconds, "The same as timeout, which wins."),
        key("stream_timeout", Seconds, "Seconds to the first token of a stream, and between two chunks."),
        key("cooldown_time", Seconds, "Seconds without traffic after failing; 0 never cools."),
    ],
    not_supported: &[
        ("num_retries", "retries are set for a pool: `router_settings.pools.<alias>.num_retries`"),
        ("max_retries", "only the router retries, so there is nothing to switch off"),
        ("litellm_credential_name", "write the credential here, or merge it in with a YAML anchor"),
        ("max_budget", "budgets are set for keys: `general_settings.virtual_keys`"),
        ("budget_duration", "budgets are set for keys: `general_settings.virtual_keys`"),
        ("itpm", "prompt and answer count together: `tpm`"),
        ("otpm", "prompt and answer count together: `tpm`"),
        ("rpd", "limits are by the minute: `rpm`"),
        ("tpd", "limits are by the minute: `tpm`"),
        ("tag_regex", "only `tags` are compared"),
        ("region_name", "there is no choice by region"),
        ("mock_response", "`llm-router mock` simulates providers"),
        ("silent_model", "there is no shadow traffic"),
        ("use_in_pass_through", "there are no pass-through endpoints"),
        ("configurable_clientside_auth_params", "credentials come from the configuration only"),
    ],
};

pub(super) static MODEL_INFO: Keys = Keys {
    required: &[],
    one_of: &[],
    honoured: &[
        key("id", Text, "The stable id; by default alias:model, numbered where needed."),
        key("max_input_tokens", Integer, "The longest prompt it takes, in tokens."),
        key("supports_assistant_prefill", Boolean, "Whether it can go on with an answer that another began."),
        key("supports_function_calling", Boolean, "false: requests with tools go elsewhere."),
        key("supports_vision", Boolean, "false: requests with images go elsewhere."),
        key("order", Count, "As litellm_params.order."),
        key("cooldown_time", Seconds, "As litellm_params.cooldown_time."),
        key("allowed_fails", Count, "Failures within a minute that do not cool it yet."),
        key(
            "allowed_fails_policy",
            ByKind(Policy::AllowedFails),
            "The same by kind of error, each counted apart.",
        ),
        key("base_model", Text, "As litellm_params.base_model."),
        key("input_cost_per_token", Number, "As litellm_params.input_cost_per_token."),
        key("output_cost_per_token", Number, "As litellm_params.output_cost_per_token."),
    ],
    not_supported: &[
        ("mode", "every deployment is asked for what the request asks for"),
        ("db_model", "there is no database of models"),
        ("team_id", "access is by `general_settings.virtual_keys`"),
        ("access_groups", "access is by `general_settings.virtual_keys`"),
        ("supported_environments", "keep one file for each environment, with `include` for what they share"),
    ],
};

/// The strategies by name; LiteLLM's second version of one is the same here.
pub(super) const STRATEGIES: &[&str] = &[
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
    "peak-ewma",
];

pub(super) static ROUTER_SETTINGS: Keys = Keys {
    required: &[],
    one_of: &[],
    honoured: &[
        key("routing_strategy", Choice(STRATEGIES), "How a pool chooses."),
        key("num_retries", Count, "Further attempts in a pool after its first."),
        key("retry_after", Seconds, "Least seconds before a deployment that just failed is asked again."),
        key("retry_policy", ByKind(Policy::Retries), "Retries by kind of error."),
        key("model_group_retry_policy", Policies(Policy::Retries), "The same for single pools."),
        key("timeout", Seconds, "Seconds one attempt may take."),
        key("stream_timeout", Seconds, "Seconds to the first token of a stream, and between two chunks."),
        key("total_timeout", Seconds, "Seconds one request may take over all attempts and waits (ours)."),
        key("cooldown_time", Seconds, "Seconds without traffic after failing."),
        key("disable_cooldowns", Boolean, "Nothing cools, whatever cooldown_time says."),
        key("allowed_fails", Count, "Failures within a minute that do not cool yet."),
        key(
            "allowed_fails_policy",
            ByKind(Policy::AllowedFails),
            "The same by kind of error, each counted apart.",
        ),
        key("fallbacks", Fallbacks, "Where to go on when a pool gave up; * stands for every pool."),
        key("context_window_fallbacks", Fallbacks, "The same, when the prompt is too long."),
        key("content_policy_fallbacks", Fallbacks, "The same, when the content policy refuses."),
        key("default_fallbacks", TextList, "Aliases for pools without fallbacks of their own."),
        key("max_fallbacks", Count, "Pools a request goes on to after its first."),
        key(
            "queue_timeout",
            Seconds,
            "Seconds a request waits for room when everybody is at a limit (ours).",
        ),
        key(
            "enable_pre_call_checks",
            Boolean,
            "Keep prompts from deployments whose max_input_tokens they exceed.",
        ),
        key("enable_tag_filtering", Boolean, "Let requests choose deployments by metadata.tags."),
        key(
            "enable_mid_stream_fallback_continuation",
            Boolean,
            "Go on with a cut stream at a deployment with supports_assistant_prefill.",
        ),
        key("default_max_parallel_requests", Count, "Calls in flight, for deployments that set none."),
        key(
            "strict_limits",
            Boolean,
            "rpm and tpm hold exactly across all that share a store, at deployments that do not say otherwise (ours).",
        ),
        key("model_group_alias", Aliases, "Further names for pools."),
        key("pools", Sections(&POOL), "Overrides for single pools, by alias (ours)."),
        key(
            "classifier",
            Kind::Section(&CLASSIFIER),
            "Finds out what requests to one name are about, and routes them by that (ours).",
        ),
        key(
            "redis_host",
            Text,
            "Where processes share what they learn; unset or empty: each learns by itself.",
        ),
        key("redis_port", Port, "Its port; 6379 where it is not set."),
        key(
            "redis_url",
            RedisUrl,
            "The same as one address: redis://user:password@host:port/database, rediss:// for TLS.",
        ),
        key("redis_username", Text, "The user there."),
        key("redis_password", Text, "Its password."),
        key("redis_db", Count, "The number of the database."),
        key("redis_ssl", Boolean, "Whether the connection is encrypted (ours)."),
        key("redis_cluster_nodes", Nodes, "Nodes of a Redis cluster."),
        key("sentinel_nodes", Nodes, "Sentinels that know the master."),
        key("service_name", Text, "The master's name there; mymaster where it is not set."),
        key("sentinel_password", Text, "The password of the Sentinels."),
        key("redis_required", Boolean, "End at the start when Redis cannot be reached or refuses (ours)."),
    ],
    not_supported: &[
        ("routing_strategy_args", "the strategies have nothing to set"),
        ("routing_groups", "list the deployments under one alias"),
        ("optional_pre_call_checks", "rpm and tpm always hold; there is no affinity"),
        ("enable_weighted_failover", "retries always prefer deployments that were not tried yet"),
        ("tag_filtering_match_any", "one common tag is enough"),
        ("fallback_on_unsupported_params", "a wrong request is asked once"),
        ("provider_budget_config", "budgets are set for keys: `general_settings.virtual_keys`"),
        ("enable_health_check_routing", "health is learned from the traffic"),
        ("background_health_check_model_groups", "health is learned from the traffic"),
        ("default_litellm_params", "merge them into `litellm_params` with a YAML anchor"),
        ("default_priority", "requests that wait for room have no priorities"),
        ("polling_interval", "who waits for room is not polled"),
        ("client_ttl", "one client serves every deployment"),
        ("caching_groups", "the cache keeps the answers of each alias apart"),
        ("alerting_config", "alert on the metrics"),
        ("set_verbose", "`--log debug` says more"),
        ("debug_level", "`--log debug` says more"),
        ("assistants_config", "there are no assistants"),
    ],
};

pub(super) static POOL: Keys = Keys {
    required: &[],
    one_of: &[],
    honoured: &[
        key("routing_strategy", Choice(STRATEGIES), "How this pool chooses."),
        key("num_retries", Count, "Further attempts in this pool after its first."),
        key("retry_policy", ByKind(Policy::Retries), "Retries by kind of error."),
    ],
    not_supported: &[],
};

pub(super) static CLASSIFIER: Keys = Keys {
    required: &[],
    one_of: &[],
    honoured: &[
        key(
            "alias",
            Text,
            "The model that callers name to have their request classified; auto where it is not set.",
        ),
        key(
            "labels",
            Labels,
            "The labels, and where each goes: to the alias of the same name, to another, or by complexity.",
        ),
        key(
            "tiers",
            Tiers,
            "Where requests go whose label has no place of its own: aliases, and the complexity at which each begins.",
        ),
        key(
            "calibration_file",
            Text,
            "JSON lines of your own queries, by which shares in tiers are measured.",
        ),
        key("rules", Kind::SectionList(&RULE), "What is certain: the first that fires decides."),
        key("keywords", Boolean, "Add the keyword list of many tutorials after the rules."),
        key(
            "semantic",
            Kind::Section(&SEMANTIC),
            "Example utterances, matched by static embeddings; with the feature `semantic` only.",
        ),
        key("model", Boolean, "false: only rules decide, and the LLM."),
        key(
            "model_file",
            Text,
            "A model that `llm-router classifier train` made, instead of the shipped one.",
        ),
        key("examples", TextLists, "Ten to fifty examples of each label, to learn a model from at start."),
        key("examples_file", Text, "The same as JSON lines."),
        key("llm", Text, "The alias that is asked when the rest is unsure."),
        key("threshold", Number, "The confidence below which it is asked."),
        key("llm_timeout", Seconds, "Seconds it is waited for; then the best guess stands."),
        key("llm_max_tokens", Count, "Tokens its answer may have."),
        key("llm_cache_size", Count, "Answers that are remembered."),
    ],
    not_supported: &[],
};

pub(super) static SEMANTIC: Keys = Keys {
    required: &["model", "routes", "threshold"],
    one_of: &[],
    honoured: &[
        key("model", Text, "The folder of a model2vec model: tokenizer.json and model.safetensors."),
        key("routes", TextLists, "Utterances by label."),
        key("threshold", Number, "The similarity from 0 to 1 from which on one of them decides."),
    ],
    not_supported: &[],
};

pub(super) static RULE: Keys = Keys {
    required: &["label"],
    one_of: &[],
    honoured: &[
        key("label", Text, "The label of what it matches."),
        key(
            "signals",
            TextList,
            "Words or phrases in the last user message, whatever their case and accents.",
        ),
        key("regex", TextList, "Regular expressions for the last user message."),
        key("system", TextList, "Words or phrases in the system prompt."),
        key("metadata", Texts, "Values in the request's metadata, by key."),
    ],
    not_supported: &[],
};

pub(super) static LITELLM_SETTINGS: Keys = Keys {
    required: &[],
    one_of: &[],
    honoured: &[
        key("num_retries", Count, "As router_settings.num_retries, which wins."),
        key("request_timeout", Seconds, "As router_settings.timeout, which wins."),
        key("allowed_fails", Count, "As router_settings.allowed_fails, which wins."),
        key("fallbacks", Fallbacks, "As router_settings.fallbacks, which win."),
        key("context_window_fallbacks", Fallbacks, "As router_settings.context_window_fallbacks, which win."),
        key("content_policy_fallbacks", Fallbacks, "As router_settings.content_policy_fallbacks, which win."),
        key("default_fallbacks", TextList, "As router_settings.default_fallbacks, which win."),
        key("drop_params", Boolean, "The same for deployments that do not say."),
        key(
            "forward_traceparent_to_llm_provider",
            Boolean,
            "Whether providers hear of the trace that a request belongs to.",
        ),
        key("callbacks", TextList, "Where the account of each request goes."),
        key("success_callback", TextList, "Where the accounts of requests go that were answered."),
        key("failure_callback", TextList, "Where the accounts of requests go that were not."),
        key("model_prices", Text, "A price file that goes before the built-in table (ours)."),
        key("cache", Boolean, "Answer identical requests from a cache."),
        key("cache_params", Kind::Section(&CACHE_PARAMS), "Where the cache is, and for how long."),
    ],
    not_supported: &[
        ("set_verbose", "`--log debug` says more"),
        ("json_logs", "logs are JSON unless they go to a terminal"),
        ("telemetry", "nothing is sent home"),
        ("max_budget", "budgets are set for keys: `general_settings.virtual_keys`"),
        ("budget_duration", "budgets are set for keys: `general_settings.virtual_keys`"),
        ("modify_params", "requests are translated, never bent"),
        ("enable_json_schema_validation", "answers are passed on as they come"),
        ("ssl_verify", "certificates are always verified"),
        ("force_ipv4", "addresses are tried as the system resolves them"),
        ("turn_off_message_logging", "prompts and answers are not logged"),
        ("redact_user_api_key_info", "keys are not logged"),
        ("cache_control_injection_points", "clients set their own cache marks"),
    ],
};

pub(super) static CALLBACK: Keys = Keys {
    required: &[],
    one_of: &[],
    honoured: &[
        key("path", Text, "The file, of jsonl and sqlite."),
        key("url", Text, "The address, of webhook, clickhouse and postgres."),
        key("user", Text, "Who writes, of clickhouse."),
        key("password", Text, "With which password, of clickhouse."),
        key("table", Text, "The table, of clickhouse."),
    ],
    not_supported: &[("message_logging", "prompts and answers are not kept")],
};

pub(super) static CACHE_PARAMS: Keys = Keys {
    required: &[],
    one_of: &[],
    honoured: &[
        key("type", Choice(&["local", "redis"]), "local: the memory of this process; redis: shared."),
        key("host", Text, "Redis's host; where neither it nor `url` is set, the Redis of router_settings."),
        key("port", Port, "Its port; 6379 where it is not set."),
        key("url", RedisUrl, "The same as one address (ours)."),
        key("username", Text, "The user there."),
        key("password", Text, "Its password."),
        key("ssl", Boolean, "Whether the connection is encrypted."),
        key("ttl", Seconds, "Seconds an answer is kept."),
        key(
            "mode",
            Choice(&["default_on", "default_off"]),
            "Whether requests are cached that do not ask for it.",
        ),
        key("namespace", Text, "Keeps the entries apart from those of other users of the same cache."),
        key(
            "supported_call_types",
            TextList,
            "What is cached: acompletion, completion, aembedding, embedding, atext_completion, text_completion, ...",
        ),
        key("max_size_in_memory_mb", Count, "Megabytes it may take (ours)."),
    ],
    not_supported: &[
        ("default_in_memory_ttl", "set `ttl`"),
        ("similarity_threshold", "only identical requests share an answer"),
    ],
};

pub(super) static GENERAL_SETTINGS: Keys = Keys {
    required: &[],
    one_of: &[],
    honoured: &[
        key("master_key", Text, "The key that may do everything; the state is shown to nobody else."),
        key(
            "virtual_keys",
            Kind::SectionList(&VIRTUAL_KEY),
            "Keys for others, with what each may do (ours).",
        ),
        key("max_parallel_requests", Count, "Requests under way at a time, for keys that set none."),
        key("global_max_parallel_requests", Count, "Requests under way at a time; one more is answered 503."),
        key("max_request_size_mb", Count, "Megabytes a request body may have."),
        key("max_connections", Count, "Open connections at a time; one more is answered 503 (ours)."),
        key("head_timeout", Seconds, "Seconds a client may take to send a head, or be idle (ours)."),
        key("body_timeout", Seconds, "Seconds a client may take to send a body (ours)."),
        key("write_timeout", Seconds, "Seconds a client may read nothing of a ready answer (ours)."),
        key("cors_origins", TextList, "Origins whose pages may call from a browser; * is all (ours)."),
    ],
    not_supported: &[
        ("database_url", "there is no database: keys stand in `virtual_keys`"),
        ("store_model_in_db", "there is no database: models stand in `model_list`"),
        ("store_prompts_in_spend_logs", "prompts are not logged"),
        ("database_connection_pool_limit", "there is no database"),
        ("proxy_batch_write_at", "there is no database"),
        ("allow_requests_on_db_unavailable", "there is no database"),
        ("use_redis_transaction_buffer", "there is no database"),
        ("background_health_checks", "health is learned from the traffic"),
        ("health_check_interval", "health is learned from the traffic"),
        ("health_check_details", "health is learned from the traffic"),
        ("alerting", "alert on the metrics"),
        ("alerting_threshold", "alert on the metrics"),
        ("alert_types", "alert on the metrics"),
        ("completion_model", "the request names its model"),
        ("disable_spend_logs", "there is no database"),
        ("enforce_user_param", "requests need no user"),
        ("allowed_routes", "what there is, is listed in docs/gateway.md"),
        ("enable_jwt_auth", "keys only; put an authenticating proxy in front"),
        ("enable_oauth2_auth", "keys only; put an authenticating proxy in front"),
        ("custom_auth", "there are no Python hooks"),
        ("key_management_system", "use the environment"),
        ("key_management_settings", "use the environment"),
        ("pass_through_endpoints", "there are no pass-through endpoints"),
        ("max_response_size_mb", "answers are streamed on, not kept"),
        ("infer_model_from_keys", "models stand in `model_list`"),
        ("ui_access_mode", "there is no user administration"),
    ],
};

pub(super) static VIRTUAL_KEY: Keys = Keys {
    required: &[],
    one_of: &["key", "key_hash"],
    honoured: &[
        key("key", Text, "The key; better os.environ/NAME, or key_hash."),
        key("key_hash", Text, "The SHA-256 of the key in hexadecimal, instead of the key."),
        key("key_alias", Text, "Its name, for logs and errors."),
        key(
            "models",
            TextList,
            "Aliases it may call; all when there are none; a * in one stands for anything.",
        ),
        key("aliases", Texts, "Further names for aliases, for this key."),
        key("rpm_limit", Integer, "Requests per minute."),
        key("tpm_limit", Integer, "Tokens per minute."),
        key("max_parallel_requests", Count, "Requests under way at a time."),
        key("max_budget", Number, "Dollars it may spend in budget_duration."),
        key(
            "budget_duration",
            Text,
            "When its budget starts anew: day, month, 12h, 7d, ...; never by default.",
        ),
        key(
            "strict_limits",
            Boolean,
            "rpm_limit and tpm_limit hold exactly across all that share a store, as max_budget does (ours).",
        ),
        key("blocked", Boolean, "Refuses it."),
    ],
    not_supported: &[
        ("team_id", "there are no teams: give each its key"),
        ("user_id", "there are no users: give each their key"),
        ("soft_budget", "alert on the metrics"),
        ("guardrails", "there are no guardrails"),
        ("expires", "remove the key from the file; it is gone with the next reload"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strategies_are_those_that_there_are() {
        let strategies = router_core::strategies();
        let known: Vec<_> = strategies.iter().map(|strategy| strategy.name()).collect();
        let listed: Vec<_> =
            STRATEGIES.iter().copied().filter(|name| *name != "usage-based-routing-v2").collect();
        assert_eq!(known, listed);
    }
}
