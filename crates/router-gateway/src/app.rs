//! What requests share.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use llm_router::{
    CacheSettings, Clock, ConfigFile, ConfigFileError, FromFileError, Observer, Problem, RouterBuilder,
    SystemClock,
};
use tokio::sync::Semaphore;

use crate::access::{Access, Ledger, SharedLedger, unknown_aliases};
use crate::cache::{Cache, ResponseCache};
use crate::serving::Limits;
use crate::watch::Watch;

/// What serves a request: one configuration. A reload makes another; a request keeps the one it began with.
#[derive(Debug, Clone)]
pub struct Serving {
    pub(crate) router: llm_router::Router,
    pub(crate) access: Access,
    /// Whose pages may call from a browser; none by default.
    pub(crate) cors_origins: Vec<String>,
    pub(crate) cache: Option<Cache>,
}

impl Serving {
    /// Serves this router to everybody.
    pub const fn new(router: llm_router::Router) -> Self {
        Self { router, access: Access::open(), cors_origins: Vec::new(), cache: None }
    }

    /// Serves what a file says, with these observers told of every event. After `previous`, the live state of deployments that are the
    /// same is kept.
    ///
    /// # Errors
    /// Every problem there is, each with its place.
    pub fn from_file(
        file: ConfigFile,
        observers: impl IntoIterator<Item = Arc<dyn Observer>>,
        previous: Option<&Self>,
    ) -> Result<Self, FromFileError> {
        let (builder, general, cache) = file.into_parts();
        let access = Access::from_settings(&general)?;
        let builder = observers.into_iter().fold(builder, RouterBuilder::observer);
        let router = match previous {
            Some(previous) => builder.build_after(&previous.router)?,
            None => builder.build()?,
        };
        let problems = unknown_aliases(&general, &router);
        if !problems.is_empty() {
            return Err(ConfigFileError::Wrong(problems).into());
        }
        let kept = previous.and_then(|previous| previous.cache.as_ref());
        let cache =
            cache.map(|settings| Cache::from_settings(settings, kept)).transpose().map_err(|message| {
                let path = "litellm_settings.cache_params.type".to_owned();
                ConfigFileError::Wrong(vec![Problem { location: None, path, message }])
            })?;
        Ok(Self { cache, ..Self::new(router).with_access(access).with_cors_origins(general.cors_origins) })
    }

    /// Returns the router.
    pub const fn router(&self) -> &llm_router::Router {
        &self.router
    }

    /// Returns whether everybody may call.
    pub const fn is_open(&self) -> bool {
        self.access.is_open()
    }

    /// Sets who may call.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Keeps answers in this cache, for identical requests to come.
    #[must_use]
    pub fn with_cache(mut self, store: Arc<dyn ResponseCache>, settings: CacheSettings) -> Self {
        self.cache = Some(Cache::over(store, settings));
        self
    }

    /// Lets pages of these origins call from a browser; `*` lets all.
    #[must_use]
    pub fn with_cors_origins(mut self, origins: impl IntoIterator<Item = String>) -> Self {
        self.cors_origins = origins.into_iter().collect();
        self
    }
}

/// What the endpoints share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    serving: RwLock<Arc<Serving>>,
    limits: Limits,
    /// Places for requests under way.
    places: Arc<Semaphore>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    watch: OnceLock<Arc<Watch>>,
    draining: AtomicBool,
}

impl App {
    /// Serves this router to everybody, within the usual limits.
    pub fn new(router: llm_router::Router) -> Self {
        Self::with_limits(Serving::new(router), Limits::default())
    }

    /// Serves this within these limits.
    pub fn with_limits(serving: Serving, limits: Limits) -> Self {
        Self::with_ledger(serving, limits, Arc::new(SharedLedger::new()))
    }

    /// The same, with what each key uses counted somewhere of one's own.
    pub fn with_ledger(serving: Serving, limits: Limits, ledger: Arc<dyn Ledger>) -> Self {
        ledger.share_through(serving.router.state_store());
        let shared = Shared {
            serving: RwLock::new(Arc::new(serving)),
            places: Arc::new(Semaphore::new(limits.max_requests.min(Semaphore::MAX_PERMITS))),
            limits,
            ledger,
            clock: Arc::new(SystemClock::new()),
            watch: OnceLock::new(),
            draining: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Shows what this watch saw, at `/metrics` and on the live page. Give it to the routers that are served, too.
    #[must_use]
    pub fn with_watch(self, watch: Arc<Watch>) -> Self {
        // The first one stays.
        let _ = self.shared.watch.set(watch);
        self
    }

    /// Serves this from now on. Requests under way end with what they began with.
    pub fn replace(&self, serving: Serving) {
        self.shared.ledger.share_through(serving.router.state_store());
        let mut present = self.shared.serving.write().unwrap_or_else(PoisonError::into_inner);
        *present = Arc::new(serving);
    }

    /// Returns what serves requests now.
    pub fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.shared.serving.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells load balancers to send no more traffic: readiness fails from now on. Requests are still answered.
    pub fn start_draining(&self) {
        self.shared.draining.store(true, Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Relaxed)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn places(&self) -> &Arc<Semaphore> {
        &self.shared.places
    }

    pub(crate) fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.shared.ledger
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Returns the watch over the traffic; one that saw nothing when there is none.
    pub(crate) fn watch(&self) -> &Watch {
        self.shared.watch.get_or_init(Arc::default)
    }
}
