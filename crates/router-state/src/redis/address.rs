//! Where Redis is, and who we are there.

use std::fmt;

use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsMode};
use secrecy::{ExposeSecret, SecretString};

use super::RedisError;

/// Where Redis is: one server, the master that Sentinels name, or a cluster. Shown without its password.
#[derive(Clone)]
pub struct RedisAddress {
    kind: Kind,
    username: Option<String>,
    password: Option<SecretString>,
    database: Option<i64>,
    tls: bool,
}

impl PartialEq for RedisAddress {
    fn eq(&self, other: &Self) -> bool {
        let plain =
            |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        let inner = |kind: &Kind| match kind {
            Kind::Sentinel { password, .. } => plain(password),
            Kind::Server(..) | Kind::Cluster(_) => None,
        };
        // What is shown of them tells nodes, service and kind apart.
        self.to_string() == other.to_string()
            && (&self.username, self.database, self.tls) == (&other.username, other.database, other.tls)
            && plain(&self.password) == plain(&other.password)
            && inner(&self.kind) == inner(&other.kind)
    }
}

#[derive(Clone)]
enum Kind {
    Server(String, u16),
    Sentinel { nodes: Vec<(String, u16)>, service: String, password: Option<SecretString> },
    Cluster(Vec<(String, u16)>),
}

impl RedisAddress {
    /// Reads `redis://[user][:password@]host[:port][/database]`; `rediss://` for TLS.
    ///
    /// # Errors
    /// When it is no such address.
    pub fn url(url: &str) -> Result<Self, RedisError> {
        let wrong = |message: String| RedisError::Address { what: without_userinfo(url), message };
        let info = url.into_connection_info().map_err(|error| wrong(error.to_string()))?;
        let (host, port, tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port, false),
            ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port, true),
            _ => return Err(wrong("expected `redis://` or `rediss://`".to_owned())),
        };
        let settings = info.redis_settings();
        Ok(Self {
            kind: Kind::Server(host, port),
            username: settings.username().map(str::to_owned),
            password: settings.password().map(SecretString::from),
            database: Some(settings.db()),
            tls,
        })
    }

    /// Names one server.
    pub fn server(host: impl Into<String>, port: u16) -> Self {
        Self::new(Kind::Server(host.into(), port))
    }

    /// Names Sentinels, which know the present master of `service`.
    pub fn sentinel(nodes: Vec<(String, u16)>, service: impl Into<String>) -> Self {
        Self::new(Kind::Sentinel { nodes, service: service.into(), password: None })
    }

    /// Names nodes of a cluster; one that answers is enough.
    pub fn cluster(nodes: Vec<(String, u16)>) -> Self {
        Self::new(Kind::Cluster(nodes))
    }

    const fn new(kind: Kind) -> Self {
        Self { kind, username: None, password: None, database: None, tls: false }
    }

    /// Sets the user; without one it is Redis's `default`.
    #[must_use]
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the password.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<SecretString>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the password of the Sentinels themselves; for other addresses it does nothing.
    #[must_use]
    pub fn with_sentinel_password(mut self, secret: impl Into<SecretString>) -> Self {
        if let Kind::Sentinel { password, .. } = &mut self.kind {
            *password = Some(secret.into());
        }
        self
    }

    /// Sets the number of the database.
    #[must_use]
    pub const fn with_database(mut self, database: i64) -> Self {
        self.database = Some(database);
        self
    }

    /// Encrypts the connection; the server's certificate must be one that the system trusts.
    #[must_use]
    pub const fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose_secret());
        }
        if let Some(database) = self.database {
            login = login.set_db(database);
        }
        login
    }

    fn node(&self, host: &str, port: u16) -> ConnectionAddr {
        if self.tls {
            let host = host.to_owned();
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.to_owned(), port)
        }
    }

    fn info(&self, host: &str, port: u16) -> redis::RedisResult<ConnectionInfo> {
        Ok(self.node(host, port).into_connection_info()?.set_redis_settings(self.login()))
    }

    /// Returns a client of one server: the server, the master that Sentinels name now, or a node of the cluster.
    pub(super) async fn client(&self) -> redis::RedisResult<redis::Client> {
        match &self.kind {
            Kind::Server(host, port) => redis::Client::open(self.info(host, *port)?),
            Kind::Sentinel { nodes, service, password } => {
                let nodes = nodes.iter().map(|(host, port)| ConnectionAddr::Tcp(host.clone(), *port));
                let mut builder =
                    SentinelClientBuilder::new(nodes, service.clone(), SentinelServerType::Master)?;
                if let Some(username) = &self.username {
                    builder = builder.set_client_to_redis_username(username);
                }
                if let Some(password) = &self.password {
                    builder = builder.set_client_to_redis_password(password.expose_secret());
                }
                if let Some(database) = self.database {
                    builder = builder.set_client_to_redis_db(database);
                }
                if let Some(password) = password {
                    builder = builder.set_client_to_sentinel_password(password.expose_secret());
                }
                if self.tls {
                    builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
                }
                builder.build()?.async_get_client().await
            }
            Kind::Cluster(nodes) => {
                let mut last = None;
                for (host, port) in nodes {
                    let client = redis::Client::open(self.info(host, *port)?)?;
                    match client.get_multiplexed_async_connection().await {
                        Ok(_) => return Ok(client),
                        Err(error) => last = Some(error),
                    }
                }
                Err(last.unwrap_or_else(|| (redis::ErrorKind::InvalidClientConfig, "no nodes").into()))
            }
        }
    }

    /// Returns a client of the cluster, when it is one.
    pub(super) fn cluster_client(&self) -> redis::RedisResult<Option<redis::cluster::ClusterClient>> {
        let Kind::Cluster(nodes) = &self.kind else { return Ok(None) };
        let nodes = nodes.iter().map(|(host, port)| self.info(host, *port));
        let nodes = nodes.collect::<redis::RedisResult<Vec<_>>>()?;
        redis::cluster::ClusterClient::new(nodes).map(Some)
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, nodes: &[(String, u16)]| {
            for (n, (host, port)) in nodes.iter().enumerate() {
                write!(f, "{}{host}:{port}", if n == 0 { "" } else { "," })?;
            }
            Ok(())
        };
        match &self.kind {
            Kind::Server(host, port) => write!(f, "{host}:{port}"),
            Kind::Sentinel { nodes, service, .. } => {
                write!(f, "{service} by sentinels ")?;
                list(f, nodes)
            }
            Kind::Cluster(nodes) => {
                f.write_str("cluster ")?;
                list(f, nodes)
            }
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({self})")
    }
}

/// A URL as it may be shown.
fn without_userinfo(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            let (scheme, host) = (url.get(..scheme + 3), url.get(at + 1..));
            format!("{}{}", scheme.unwrap_or_default(), host.unwrap_or_default())
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_password() {
        let address = RedisAddress::url("redis://user:hunter2@redis.example:6380/3").unwrap();
        for shown in [address.to_string(), format!("{address:?}")] {
            assert!(shown.contains("redis.example:6380") && !shown.contains("hunter2"), "{shown}");
        }
        let wrong = RedisAddress::url("http://user:hunter2@redis.example").unwrap_err().to_string();
        assert!(wrong.contains("redis.example") && !wrong.contains("hunter2"), "{wrong}");
    }
}
