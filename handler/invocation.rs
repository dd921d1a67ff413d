//! The invocation that work belongs to: it is on every log line of it.
//!
//! A task-local and no span, because every request has one and few of them
//! write a line.

use std::future::Future;

use crate::host::InvocationId;

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
