//! How fast deployments are, for all together.

use std::collections::HashMap;

use router_core::{DeploymentId, LatencySketch, Peer, RequestKind};

/// The sketches of several routers, added up.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    known: HashMap<(DeploymentId, RequestKind), LatencySketch>,
}

impl Latencies {
    /// Adds what a router tells.
    pub(crate) fn collect(&mut self, peer: &dyn Peer) {
        peer.tell_latencies(&mut |deployment, kind, sketch| self.add(deployment.clone(), kind, &sketch));
    }

    pub(crate) fn add(&mut self, deployment: DeploymentId, kind: RequestKind, sketch: &LatencySketch) {
        self.known.entry((deployment, kind)).or_default().merge(sketch);
    }

    /// Tells a router all of it.
    pub(crate) fn tell(&self, peer: &dyn Peer) {
        for ((deployment, kind), sketch) in &self.known {
            peer.hear_latency(deployment, *kind, sketch);
        }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn all(&self) -> impl Iterator<Item = (&DeploymentId, RequestKind, &LatencySketch)> {
        self.known.iter().map(|((deployment, kind), sketch)| (deployment, *kind, sketch))
    }
}
