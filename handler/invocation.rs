//! The invocation that work belongs to: its id is on every log line of the work.
//!
//! It is a task-local and not a span, because every request has one and few requests
//! write a line.

use std::{future::Future, sync::Arc};

/// The id of one call from the host, for logs and problem bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationId(pub Arc<str>);

impl InvocationId {
    /// An id for a request that came without one. It distinguishes log lines and
    /// protects nothing, so the fast generator is good enough.
    pub fn generate() -> Self {
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes());
        Self(id.into_uuid().to_string().into())
    }
}

tokio::task_local! {
    static INVOCATION: (&'static str, InvocationId);
}

/// Runs work as part of an invocation of `function`.
pub async fn in_invocation<F: Future>(
    function: &'static str,
    id: InvocationId,
    work: F,
) -> F::Output {
    INVOCATION.scope((function, id), work).await
}

/// Work for a task of its own that belongs to the invocation of this one.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let invocation = current();
    async move {
        match invocation {
            Some(invocation) => INVOCATION.scope(invocation, work).await,
            None => work.await,
        }
    }
}

/// The function and the invocation that this is part of.
pub fn current() -> Option<(&'static str, InvocationId)> {
    INVOCATION.try_with(Clone::clone).ok()
}
