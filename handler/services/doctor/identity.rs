//! The token of each service, and the clock.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use functions::health::{Check, CheckState, Grantee};
use tokio::time::Instant;

use super::Doctor;
use crate::{
    config::IdentitySource,
    outbound::{Failure, Kind, Token},
};

/// How far the clocks of Azure and of this machine may be apart.
const SKEW: Duration = Duration::from_secs(300);

/// A token, or why there is none.
pub(super) type Held = Result<Arc<Token>, Failure>;

/// The state that the checks of one look share.
pub(super) struct Look<'a> {
    pub(super) doctor: &'a Doctor,
    pub(super) deadline: Instant,
    pub(super) grantee: Grantee,
    /// The tenant of the identity, from a token.
    pub(super) tenant: Option<String>,
}

impl Doctor {
    pub(super) fn identity_line(&self, token: &Held) -> Check {
        let source = match &self.config.identity {
            IdentitySource::Managed {
                client_id: Some(id),
            } => format!("managed identity with the client id {id}"),
            IdentitySource::Managed { client_id: None } => {
                "the system-assigned managed identity".to_owned()
            }
            IdentitySource::DeveloperTools => {
                "the sign-in of the Azure CLI or the Azure Developer CLI".to_owned()
            }
            IdentitySource::Missing => "no identity".to_owned(),
        };
        let line = |state, detail| Check::new("identity", "Identity", state, detail);
        match token {
            Ok(token) => {
                let of = |claim: &Option<String>| claim.clone().unwrap_or("unknown".to_owned());
                let kind = match token.claims.scp {
                    Some(_) => "a person",
                    None => "an application",
                };
                let (oid, tid) = (of(&token.claims.oid), of(&token.claims.tid));
                line(
                    CheckState::Ok,
                    format!("{source}: {kind} with the object id {oid} in the tenant {tid}"),
                )
            }
            Err(error) if is_passing(error) => line(
                CheckState::Unreachable,
                format!("{source}: {}; {}", error.detail, error.cause),
            ),
            Err(error) => line(
                CheckState::Missing,
                format!("{source}: {}; {}", error.detail, error.cause),
            )
            .fix("assign the identity of infra/main.bicep to the app, or sign in with: az login"),
        }
    }
}

impl Look<'_> {
    pub(super) async fn clock(&self) -> Check {
        let line = |state, detail| Check::new("clock", "Clock", state, detail);
        let before = SystemTime::now();
        let theirs = match self.doctor.clients.manager.time(self.deadline).await {
            Ok(theirs) => theirs,
            Err(error) => return line(CheckState::Unreachable, error.detail),
        };
        let ours = before + before.elapsed().unwrap_or_default() / 2;
        let (apart, word) = match ours.duration_since(theirs) {
            Ok(ahead) => (ahead, "ahead of"),
            Err(error) => (error.duration(), "behind"),
        };
        let detail = format!(
            "the clock of this machine is {} s {word} that of Azure",
            apart.as_secs()
        );
        if apart <= SKEW {
            return line(CheckState::Ok, detail);
        }
        line(
            CheckState::Missing,
            format!("{detail}; tokens are refused from five minutes on"),
        )
        .fix("synchronize the clock of this machine")
    }

    /// A check that there is a token for an audience; shows its claims.
    pub(super) async fn token(
        &self,
        id: &str,
        title: &str,
        audience: &str,
        setting: &str,
    ) -> Check {
        let token = self
            .doctor
            .clients
            .identity
            .token(audience, self.deadline)
            .await;
        let line = |state, detail: String| Check::new(id, title, state, detail);
        match token {
            Ok(token) => {
                let claims = &token.claims;
                let roles = match (&claims.scp, claims.roles.join(", ")) {
                    (Some(scopes), _) => {
                        format!("a person's token with the scopes {scopes}, no application roles")
                    }
                    (None, roles) if roles.is_empty() => "no application roles in it".to_owned(),
                    (None, roles) => format!("roles {roles}"),
                };
                line(
                    CheckState::Ok,
                    format!(
                        "{roles}; issued {}, expires {}",
                        token.issued(),
                        token.expires()
                    ),
                )
            }
            Err(error) if is_refusal(&error) => line(
                CheckState::Missing,
                format!("{}; {}", error.detail, error.cause),
            )
            .fix(format!(
                "check {setting}: {audience} has to be known in the tenant"
            )),
            Err(error) => line(
                CheckState::Unreachable,
                format!("{}; {}", error.detail, error.cause),
            ),
        }
    }
}

/// A claim that is a GUID; nothing else goes into a command.
pub(super) fn guid(claim: Option<&str>) -> Option<String> {
    let id = uuid::Uuid::try_parse(claim?).ok()?;
    Some(id.hyphenated().to_string())
}

/// Returns true if an identity that gave no token may give one a moment later.
fn is_passing(failure: &Failure) -> bool {
    failure.kind == Kind::TimedOut || matches!(failure.status, Some(408 | 429 | 500..))
}

/// Returns true if the endpoint of the identity refused the request.
fn is_refusal(failure: &Failure) -> bool {
    matches!(failure.status, Some(400..=499)) && !is_passing(failure)
}
