//! Single plans and subscriptions, and the Defender setting of AI accounts.
//!
//! Sources: <https://learn.microsoft.com/rest/api/defenderforcloud/pricings/get>,
//! <https://learn.microsoft.com/rest/api/resources/subscriptions/get>

use std::collections::BTreeMap;

use functions::coverage::confirmation::{Answer, Question, plan_of, subscription_of};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::{MAX_IN_FLIGHT, Resource, ResourceManagerClient};
use crate::outbound::Failure;

const PRICINGS_VERSION: (&str, &str) = ("api-version", "2024-01-01");

const SUBSCRIPTIONS_VERSION: (&str, &str) = ("api-version", "2022-12-01");

impl ResourceManagerClient {
    /// Answers to questions; a question without an answer is left out.
    pub async fn answers(
        &self,
        questions: Vec<Question>,
        deadline: Instant,
    ) -> BTreeMap<Question, Answer> {
        stream::iter(questions)
            .map(|question| async move {
                let answer = self.answer(&question, deadline).await;
                answer.map(|answer| (question, answer))
            })
            .buffer_unordered(MAX_IN_FLIGHT)
            .filter_map(|answer| async { answer })
            .collect()
            .await
    }

    /// A plan of a subscription.
    ///
    /// # Errors
    /// [`Failure`], after retries.
    pub async fn plan(
        &self,
        subscription: &str,
        plan: &str,
        deadline: Instant,
    ) -> Result<Resource, Failure> {
        let path =
            format!("/subscriptions/{subscription}/providers/Microsoft.Security/pricings/{plan}");
        self.get(&path, &[PRICINGS_VERSION], deadline).await
    }

    async fn answer(&self, question: &Question, deadline: Instant) -> Option<Answer> {
        let found = match question {
            Question::Subscription(id) => {
                let path = format!("/subscriptions/{id}");
                self.get(&path, &[SUBSCRIPTIONS_VERSION], deadline).await
            }
            Question::Plan(id, plan) => self.plan(id, plan, deadline).await,
        };
        match (found, question) {
            (Ok(Resource::NotFound), _) => Some(Answer::NotFound),
            (Ok(Resource::Elsewhere), Question::Subscription(_)) => Some(Answer::Elsewhere),
            (Ok(Resource::Refused | Resource::Elsewhere), _) => Some(Answer::Refused),
            (Ok(Resource::Found(value)), Question::Subscription(_)) => {
                subscription_of(&value).map(Answer::Subscription)
            }
            (Ok(Resource::Found(value)), Question::Plan(id, _)) => {
                plan_of(id, &value).map(|plan| Answer::Plan(Box::new(plan)))
            }
            (Err(error), _) => {
                tracing::warn!(
                    code = error.code.as_str(),
                    cause = error.cause,
                    "{}",
                    error.detail
                );
                None
            }
        }
    }

    /// The Defender setting of AI accounts, by their ids: `Enabled`, `Disabled`
    /// or another word of Azure. Accounts that could not be read are left out.
    /// Source: <https://learn.microsoft.com/rest/api/aiservices/accountmanagement/defender-for-ai-settings>
    pub async fn account_settings(
        &self,
        accounts: Vec<String>,
        deadline: Instant,
    ) -> BTreeMap<String, String> {
        stream::iter(accounts)
            .map(|id| async move {
                let path = format!("{id}/defenderForAISettings");
                let query = [("api-version", "2024-10-01")];
                match self.get(&path, &query, deadline).await {
                    Ok(Resource::Found(value)) => {
                        let state = value["value"][0]["properties"]["state"].as_str()?;
                        Some((id, state.to_owned()))
                    }
                    _ => None,
                }
            })
            .buffer_unordered(MAX_IN_FLIGHT)
            .filter_map(|setting| async { setting })
            .collect()
            .await
    }
}
