//! Limits as `general_settings` has them.

use llm_router::GeneralSettings;

use super::Limits;

impl From<&GeneralSettings> for Limits {
    fn from(settings: &GeneralSettings) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let usual = Self::default();
        Self {
            max_body: settings
                .max_request_size_mb
                .map_or(usual.max_body, |mb| size(mb).saturating_mul(1024 * 1024)),
            max_head: usual.max_head,
            max_requests: settings.global_max_parallel_requests.map_or(usual.max_requests, size),
            max_connections: settings.max_connections.map_or(usual.max_connections, size),
            head_timeout: settings.head_timeout.unwrap_or(usual.head_timeout),
            body_timeout: settings.body_timeout.unwrap_or(usual.body_timeout),
            write_timeout: settings.write_timeout.unwrap_or(usual.write_timeout),
        }
    }
}
