//! Stores on a server.

use std::sync::Arc;

use router_state::{RedisAddress, RedisStore};

use crate::server::Server;

impl Server {
    pub(crate) fn address(&self) -> RedisAddress {
        RedisAddress::server("127.0.0.1", self.port)
    }

    pub(crate) fn store(&self) -> Arc<RedisStore> {
        Arc::new(RedisStore::start(self.address()).unwrap())
    }
}
