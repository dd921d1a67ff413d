//! The patterns of actions that an Azure role has.
//!
//! Source: <https://learn.microsoft.com/azure/role-based-access-control/role-definitions>

/// Returns true if an action matches a pattern of a role, in which `*` stands for any text.
pub fn allows(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        last = Some(part);
        rest = &rest[at + part.len()..];
    }
    match last {
        None => rest.is_empty(),
        Some(part) => part.is_empty() || rest.is_empty() || action.ends_with(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_a_role_stands_for_what_it_names() {
        let write = "microsoft.insights/workbooks/write";
        for pattern in [
            "*",
            "*/write",
            "Microsoft.Insights/workbooks/*",
            "microsoft.insights/*/write",
            "Microsoft.Insights/Workbooks/Write",
        ] {
            assert!(allows(pattern, write), "{pattern}");
        }
        for pattern in [
            "",
            "*/read",
            "Microsoft.Insights/*/read",
            "microsoft.insights/workbooks",
            "write",
        ] {
            assert!(!allows(pattern, write), "{pattern}");
        }
    }
}
