//! Where a route goes on: the next pool along the fallback graph that has somebody ready.

use smallvec::SmallVec;

use super::Route;
use crate::Timestamp;
use crate::catalog::PoolIndex;
use crate::config::FallbackKind;
use crate::fleet::{Admission, Obstacle};

/// When somebody is ready, and what keeps them until then.
#[derive(Debug, Clone, Copy)]
pub(super) enum Readiness {
    Now,
    Later(Timestamp, Obstacle),
    /// This route has excluded everybody.
    Never,
}

impl Readiness {
    fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Now, _) | (_, Self::Now) => Self::Now,
            (Self::Later(this, _), Self::Later(that, _)) => {
                if that < this {
                    other
                } else {
                    self
                }
            }
            (Self::Never, other) => other,
            (this, Self::Never) => this,
        }
    }
}

impl Route {
    /// Returns the next pool to enter, depth first: the present pool's edges in order, then those of the pool before it. A
    /// pool where nobody is ready is passed over for its own fallbacks, and may be entered later.
    ///
    /// Where there is none, returns when somebody of all these pools, the entered ones included, will be ready.
    pub(super) fn search(&self, kind: FallbackKind, now: Timestamp) -> Result<PoolIndex, Readiness> {
        let settings = self.catalog().settings();
        let may_go_on = self.entered.len() <= settings.max_fallbacks as usize;
        let mut seen: SmallVec<[PoolIndex; 16]> = self.entered.iter().copied().collect();
        let mut readiness = Readiness::Never;
        for from in self.entered.iter().rev() {
            readiness = readiness.sooner(self.readiness(*from, now));
            let mut stack: SmallVec<[(PoolIndex, usize); 16]> = SmallVec::new();
            stack.push((*from, 0));
            while let Some((pool, position)) = stack.last_mut() {
                let pool = *pool;
                let Some(target) = self.edges(pool, kind).get(*position).copied() else {
                    stack.pop();
                    continue;
                };
                *position += 1;
                if !may_go_on || seen.contains(&target) || !self.is_wide_enough(target, kind, pool) {
                    continue;
                }
                seen.push(target);
                match self.readiness(target, now) {
                    Readiness::Now => return Ok(target),
                    later => readiness = readiness.sooner(later),
                }
                stack.push((target, 0));
            }
        }
        Err(readiness)
    }

    /// The edges of this kind; where there are none, the general ones. A request's own list stands for all those of its pool.
    pub(super) fn edges(&self, pool: PoolIndex, kind: FallbackKind) -> &[PoolIndex] {
        match (&self.demand.fallbacks, self.entered.first()) {
            (Some(own), Some(first)) if *first == pool => own,
            (Some(_), _) => &[],
            (None, _) => {
                let pool = &self.catalog()[pool];
                match pool.fallbacks(kind) {
                    [] => pool.fallbacks(FallbackKind::General),
                    edges => edges,
                }
            }
        }
    }

    /// A too-long prompt follows general edges only to a window that is known to be larger.
    fn is_wide_enough(&self, target: PoolIndex, kind: FallbackKind, from: PoolIndex) -> bool {
        if kind != FallbackKind::ContextWindow || self.catalog()[from].fallbacks(kind).contains(&target) {
            return true;
        }
        let failed =
            self.trail.last().and_then(|record| self.catalog()[record.deployment].max_input_tokens());
        matches!((self.catalog()[target].window, failed), (Some(wider), Some(failed)) if wider > failed)
    }

    fn readiness(&self, pool: PoolIndex, now: Timestamp) -> Readiness {
        let mut soonest = Readiness::Never;
        for member in self.catalog()[pool].members() {
            if self.standing(*member).is_some() {
                match self.admission(*member, now) {
                    Admission::Ready => return Readiness::Now,
                    Admission::Later(moment, obstacle) => {
                        soonest = soonest.sooner(Readiness::Later(moment, obstacle));
                    }
                }
            }
        }
        soonest
    }
}
