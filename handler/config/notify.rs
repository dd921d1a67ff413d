//! Settings of the vault and of the webhook that its secret names.

use url::Url;

use super::reader::EnvReader;

pub(super) const SETTINGS: &[&str] = &["KEY_VAULT_URL", "NOTIFY_WEBHOOK"];
/// Just `KEY_` would also match names of other products.
pub(super) const PREFIXES: &[&str] = &["KEY_VAULT_", "NOTIFY_"];

/// The vault, and the webhook that people are notified through.
#[derive(Clone, Debug)]
pub struct NotifySettings {
    /// Vault for what has no identity-based way. Setting `KEY_VAULT_URL`.
    pub key_vault: Option<Url>,
    /// Name of the secret with the URL of the webhook. Setting `NOTIFY_WEBHOOK`;
    /// `None` notifies no one.
    pub webhook: Option<String>,
}

impl NotifySettings {
    pub(super) fn read(reader: &mut EnvReader<'_>) -> Self {
        let has_vault = reader.text("KEY_VAULT_URL").is_some();
        Self {
            key_vault: has_vault.then(|| reader.base_url("KEY_VAULT_URL", "")),
            webhook: webhook(reader),
        }
    }
}

/// The name of a secret: letters, digits and hyphens.
fn webhook(reader: &mut EnvReader<'_>) -> Option<String> {
    let name = reader.text("NOTIFY_WEBHOOK")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.len() > 127 || !name.chars().all(plain) {
        reader.problem(
            "`NOTIFY_WEBHOOK` is not the name of a Key Vault secret; put the webhook's URL into the vault, \
             not into the setting, and name the secret here",
        );
    } else if reader.text("KEY_VAULT_URL").is_none() {
        reader
            .problem("`NOTIFY_WEBHOOK` names a secret, but `KEY_VAULT_URL` does not name a vault");
    }
    Some(name.to_owned())
}
