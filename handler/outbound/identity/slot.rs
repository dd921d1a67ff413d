//! The token for one audience, with its times.

use std::{sync::Arc, time::Duration};

use azure_core::credentials::AccessToken;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Identity;
use crate::outbound::{Failure, token::Token};

/// A token is renewed at least this long before it expires.
const EARLIEST: Duration = Duration::from_secs(300);

/// Least time between two renewals of a token for one audience.
const LEAST_INTERVAL: Duration = Duration::from_secs(30);

/// How long a failure is remembered, so that a list does not repeat it.
const FAILURE_LIFE: Duration = Duration::from_secs(5);

/// Bounds on the life that an answer may claim.
const LIFE: (Duration, Duration) = (EARLIEST, Duration::from_secs(24 * 3_600));

#[derive(Default)]
pub(super) struct TokenSlot {
    token: Option<(Arc<Token>, Instant)>,
    replaced: Option<Instant>,
    refresh_at: Option<Instant>,
    failure: Option<(Failure, Instant)>,
}

impl Identity {
    /// The current token, if it is not `refused`, or if it was replaced so recently
    /// that the platform has no other one.
    pub(super) fn newer_than(&self, audience: &str, refused: &Arc<Token>) -> Option<Arc<Token>> {
        let mut slots = self.lock();
        let slot = slots.get_mut(audience)?;
        let (token, _) = slot.token.as_ref()?;
        let lately = slot
            .replaced
            .is_some_and(|replaced| replaced.elapsed() < LEAST_INTERVAL);
        if lately || !Arc::ptr_eq(token, refused) {
            return Some(Arc::clone(token));
        }
        slot.replaced = Some(Instant::now());
        // No other caller should be given it.
        slot.token = None;
        None
    }

    pub(super) fn keep(
        &self,
        audience: &str,
        result: Result<AccessToken, Failure>,
    ) -> Result<Arc<Token>, Failure> {
        let now = Instant::now();
        let mut slots = self.lock();
        let slot = slots.entry(audience.to_owned()).or_default();
        match result {
            Ok(access) => {
                let life = Duration::try_from(access.expires_on - OffsetDateTime::now_utc())
                    .unwrap_or_default();
                let life = life.clamp(LIFE.0, LIFE.1);
                let renew = (life / 2).min(life - EARLIEST).max(LEAST_INTERVAL);
                let token = Arc::new(Token::new(access.token));
                slot.token = Some((Arc::clone(&token), now + life));
                slot.refresh_at = Some(now + renew);
                slot.failure = None;
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(
                    code = "identity_unavailable",
                    audience,
                    cause = error.cause,
                    "no token from the identity"
                );
                slot.refresh_at = Some(now + LEAST_INTERVAL);
                slot.failure = Some((error.clone(), now));
                Err(error)
            }
        }
    }

    pub(super) fn state(&self, audience: &str) -> SlotState {
        let now = Instant::now();
        let slots = self.lock();
        let Some(slot) = slots.get(audience) else {
            return SlotState::Nothing;
        };
        match (&slot.token, &slot.failure) {
            (Some((token, expires)), _) if *expires > now => {
                let ageing = slot.refresh_at.is_some_and(|at| at <= now);
                if ageing {
                    SlotState::Ageing(Arc::clone(token))
                } else {
                    SlotState::Fresh(Arc::clone(token))
                }
            }
            (_, Some((error, at))) if *at + FAILURE_LIFE > now => SlotState::Failed(error.clone()),
            _ => SlotState::Nothing,
        }
    }
}

pub(super) enum SlotState {
    Fresh(Arc<Token>),
    Ageing(Arc<Token>),
    Failed(Failure),
    Nothing,
}
