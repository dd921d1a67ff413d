//! The right of a request to be worked on; there are only so many.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ApiError;

/// The permit of a request, which gives it back while its body arrives.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    permits: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Permit {
    /// A permit, if one is left.
    ///
    /// # Errors
    /// 503 `overloaded`.
    pub(super) fn take(permits: &Arc<Semaphore>) -> Result<Self, ApiError> {
        let permit = Self {
            permits: Arc::clone(permits),
            held: Arc::default(),
        };
        permit.take_again()?;
        Ok(permit)
    }

    /// Lets another request have it.
    pub(super) fn give_back(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes one again.
    ///
    /// # Errors
    /// 503 `overloaded`.
    pub(super) fn take_again(&self) -> Result<(), ApiError> {
        let taken = Arc::clone(&self.permits).try_acquire_owned();
        let taken = taken.map_err(|_| ApiError::overloaded())?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        Ok(())
    }
}
