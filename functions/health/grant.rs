//! The commands that grant what is missing.
//!
//! Each command is complete: it looks up everything that it needs, so it can be
//! copied into a shell with the Azure CLI.
//! Sources: <https://learn.microsoft.com/graph/api/serviceprincipal-post-approleassignments>,
//! <https://learn.microsoft.com/cli/azure/role/assignment>

/// A text as one word of a POSIX shell, whatever it contains.
///
/// Names of groups may contain parentheses, and a token or a resource id may contain
/// any text.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let shown: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", shown.replace('\'', r"'\''"))
}

/// The person or application that something is granted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grantee {
    /// The object id, a GUID (`oid` of the token); `None` if it is not known.
    pub object_id: Option<String>,
    /// True for a person, who cannot hold an application role of Microsoft.
    pub is_person: bool,
    /// The base URL of Microsoft Graph, without a trailing slash.
    pub graph_url: String,
}

impl Grantee {
    /// The command for an application role of a Microsoft service, by its value.
    pub fn app_role(&self, application_id: &str, role: &str) -> String {
        let (object, graph) = (self.object(), quoted(&self.graph_url));
        if self.is_person {
            return format!(
                "a person's sign-in cannot hold an application role: use the deployed service with --server, or sign in as an identity that holds {role} (az login --identity, az login --service-principal)"
            );
        }
        format!(
            "az rest --method post --url {graph}/v1.0/servicePrincipals/{object}/appRoleAssignments --headers Content-Type=application/json \
             --body \"{{\\\"principalId\\\":\\\"{object}\\\",\\\"resourceId\\\":\\\"$(az ad sp show --id {application_id} --query id --output tsv)\\\",\
             \\\"appRoleId\\\":\\\"$(az ad sp show --id {application_id} --query \"appRoles[?value=='{role}' && contains(allowedMemberTypes, 'Application')].id | [0]\" --output tsv)\\\"}}\""
        )
    }

    /// The object id, or a placeholder that a shell does not interpret.
    fn object(&self) -> &str {
        let known = self.object_id.as_deref();
        known.unwrap_or("OBJECT_ID_OF_THE_IDENTITY")
    }

    /// The command for an Azure role at a scope.
    ///
    /// `scope` is a part of the command, so that it can look something up.
    pub fn azure_role(&self, role: &str, scope: &str) -> String {
        let kind = if self.is_person {
            "User"
        } else {
            "ServicePrincipal"
        };
        format!(
            "az role assignment create --assignee-object-id {} --assignee-principal-type {kind} --role \"{role}\" --scope {scope}",
            self.object()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grantee(is_person: bool) -> Grantee {
        Grantee {
            object_id: Some("11111111-2222-3333-4444-555555555555".to_owned()),
            is_person,
            graph_url: "https://graph.microsoft.com".to_owned(),
        }
    }

    #[test]
    fn a_role_is_granted_by_its_value_in_one_command() {
        insta::assert_snapshot!(grantee(false).app_role("fc780465-2017-40d4-a0c5-307022471b92", "File.Read.All"), @r#"az rest --method post --url https://graph.microsoft.com/v1.0/servicePrincipals/11111111-2222-3333-4444-555555555555/appRoleAssignments --headers Content-Type=application/json --body "{\"principalId\":\"11111111-2222-3333-4444-555555555555\",\"resourceId\":\"$(az ad sp show --id fc780465-2017-40d4-a0c5-307022471b92 --query id --output tsv)\",\"appRoleId\":\"$(az ad sp show --id fc780465-2017-40d4-a0c5-307022471b92 --query "appRoles[?value=='File.Read.All' && contains(allowedMemberTypes, 'Application')].id | [0]" --output tsv)\"}""#);
        assert!(
            grantee(true)
                .app_role("x", "File.Read.All")
                .contains("--server")
        );
    }

    #[test]
    fn nothing_in_a_name_is_a_command() {
        for (text, word) in [
            (
                "/subscriptions/x/resourceGroups/rg",
                "/subscriptions/x/resourceGroups/rg",
            ),
            ("rg (old)", "'rg (old)'"),
            (
                "a'; touch x; '$(id)`id`",
                r"'a'\''; touch x; '\''$(id)`id`'",
            ),
            ("two\nlines", "'twolines'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }

    #[test]
    fn an_azure_role_names_what_kind_of_principal_gets_it() {
        let application = grantee(false).azure_role("Reader", "/subscriptions/x");
        assert!(application.ends_with(
            "--assignee-principal-type ServicePrincipal --role \"Reader\" --scope /subscriptions/x"
        ));
        assert!(
            grantee(true)
                .azure_role("Reader", "/x")
                .contains("--assignee-principal-type User ")
        );
    }
}
