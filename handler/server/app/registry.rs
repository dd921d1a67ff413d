//! The functions of a service, as they are put together.

use std::{fmt, future::Future, sync::Arc};

use axum::{Router, http::Method};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::Semaphore;

use super::{App, MAX_REQUESTS, Shared};
use crate::server::{ApiError, Gate, Invocation, Reply, Role};

/// Who may call an HTTP function.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Everyone, without a token.
    Public,
    /// A caller with the role of the method.
    Role(fn(&Method) -> Role),
    /// The route asks the gate itself, for example after it has read the body.
    ByRoute,
}

/// The work of a timer function.
type TimerWork =
    Arc<dyn Fn(Invocation) -> BoxFuture<'static, Result<Reply, ApiError>> + Send + Sync>;

pub(super) enum Trigger {
    Http { path: &'static str, access: Access },
    Timer(TimerWork),
}

pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) trigger: Trigger,
}

/// A function name that cannot be served; the table has to be corrected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionNameError {
    /// The name is a path as well, so the host's envelope would not arrive.
    #[error("the function name `{0}` is also the start of the path `{1}`")]
    Collision(&'static str, &'static str),
    /// Not `^[a-z][a-z0-9_-]{0,127}$`, or `host`.
    #[error("`{0}` is not a function name")]
    Invalid(&'static str),
    /// Two functions with one name.
    #[error("the function name `{0}` is used twice")]
    Duplicate(&'static str),
}

/// Collects functions for an [`App`].
#[derive(Default)]
pub struct Functions {
    functions: Vec<Function>,
    router: Router,
}

impl Functions {
    /// No functions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An HTTP function: its routes are `path` and what is below it.
    #[must_use]
    pub fn http(
        mut self,
        name: &'static str,
        path: &'static str,
        access: Access,
        routes: Router,
    ) -> Self {
        let trigger = Trigger::Http { path, access };
        self.functions.push(Function { name, trigger });
        self.router = self.router.merge(routes);
        self
    }

    /// A timer function, which the host always wraps in an envelope.
    #[must_use]
    pub fn timer<F>(
        mut self,
        name: &'static str,
        work: impl Fn(Invocation) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, ApiError>> + Send + 'static,
    {
        let trigger = Trigger::Timer(Arc::new(move |invocation| work(invocation).boxed()));
        self.functions.push(Function { name, trigger });
        self
    }

    /// The functions behind a gate.
    ///
    /// # Errors
    /// [`FunctionNameError`].
    pub fn build(self, gate: Gate) -> Result<App, FunctionNameError> {
        self.check_names()?;
        Ok(App {
            shared: Arc::new(Shared {
                functions: self.functions,
                router: self.router,
                gate,
                permits: Arc::new(Semaphore::new(MAX_REQUESTS)),
                public_permits: Arc::new(Semaphore::new(MAX_REQUESTS)),
            }),
            is_local: false,
        })
    }

    fn check_names(&self) -> Result<(), FunctionNameError> {
        let paths = self.functions.iter().filter_map(Function::path);
        for (index, name) in self.functions.iter().map(|known| known.name).enumerate() {
            if !is_function_name(name) {
                return Err(FunctionNameError::Invalid(name));
            }
            if self.functions[..index]
                .iter()
                .any(|known| known.name == name)
            {
                return Err(FunctionNameError::Duplicate(name));
            }
            let starts_with_name = |path: &&str| path.split('/').nth(1) == Some(name);
            if let Some(path) = paths.clone().find(starts_with_name) {
                return Err(FunctionNameError::Collision(name, path));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.functions.iter().map(|function| function.name);
        f.debug_list().entries(names).finish()
    }
}

impl Function {
    fn path(&self) -> Option<&'static str> {
        match self.trigger {
            Trigger::Http { path, .. } => Some(path),
            Trigger::Timer(_) => None,
        }
    }

    /// Returns true if a request to this path is for the function.
    pub(super) fn serves(&self, path: &str) -> bool {
        let below = self.path().and_then(|own| path.strip_prefix(own));
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// `^[a-z][a-z0-9_-]{0,127}$` and not `host`, as the Functions host wants it.
fn is_function_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    name != "host" && name.len() <= 128 && starts_well && name.chars().all(plain)
}
