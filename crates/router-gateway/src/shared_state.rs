//! How sharing is going, for Prometheus.

#[cfg(feature = "redis")]
use std::fmt::Write;

use llm_router::Router;

/// Returns how the connection to Redis is, in Prometheus' text format; nothing where state is not shared through it.
#[cfg(feature = "redis")]
pub(crate) fn render(router: &Router) -> String {
    let Some(status) = router.redis_status() else { return String::new() };
    let mut text = String::new();
    for (name, kind, help, value) in [
        (
            "llm_router_redis_connected",
            "gauge",
            "Whether shared state is connected; 0: each process goes by what it knows.",
            u64::from(status.is_connected),
        ),
        ("llm_router_redis_commands_total", "counter", "Commands sent to Redis.", status.commands),
        (
            "llm_router_redis_failures_total",
            "counter",
            "Times the connection to Redis was lost or could not be made.",
            status.failures,
        ),
        (
            "llm_router_redis_late_changes_total",
            "counter",
            "Changes of health that found the queue full and were told later.",
            status.dropped,
        ),
    ] {
        // Writing to a String never fails.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}

/// There is no Redis in this build.
#[cfg(not(feature = "redis"))]
pub(crate) const fn render(_router: &Router) -> String {
    String::new()
}
