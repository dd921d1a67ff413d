//! Where reports are stored.

use std::{fmt, path::PathBuf};

use url::Url;

/// A directory, or a container of Blob storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportLocation {
    /// On a disk or a mounted share.
    Directory(PathBuf),
    /// In Blob storage, reached with the identity of the process.
    Blob {
        /// Endpoint of the account.
        endpoint: Url,
        /// Name of the account.
        account: String,
        /// Name of the container, which has to exist.
        container: String,
    },
}

impl ReportLocation {
    /// Reads a path, or `https://ACCOUNT.blob.core.windows.net/CONTAINER`. Where
    /// the host name does not hold the account, as with an emulator, the path
    /// does: `https://HOST/ACCOUNT/CONTAINER`.
    ///
    /// # Errors
    /// The problem, without the text itself: it could hold a key.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str =
            "is neither a directory nor https://ACCOUNT.blob.core.windows.net/CONTAINER";
        if !text.contains("://") {
            return Ok(Self::Directory(text.into()));
        }
        let url = Url::parse(text).map_err(|_| SHAPE)?;
        if url.query().is_some() || url.password().is_some() || !url.username().is_empty() {
            return Err("holds a key or a token: remove it, the identity of the process is used");
        }
        let segments: Vec<&str> = url
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let host = url.host_str().unwrap_or_default();
        let (path, account, container) = match segments[..] {
            [container] => ("", host.split('.').next().unwrap_or_default(), container),
            [account, container] => (account, account, container),
            _ => return Err(SHAPE),
        };
        if url.scheme() != "https" || url.fragment().is_some() || !is_container_name(container) {
            return Err(SHAPE);
        }
        let (account, container) = (account.to_owned(), container.to_owned());
        let mut endpoint = url.clone();
        endpoint.set_path(path);
        Ok(Self::Blob {
            endpoint,
            account,
            container,
        })
    }
}

impl fmt::Display for ReportLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Blob {
                endpoint,
                container,
                ..
            } => write!(f, "{}/{container}", endpoint.as_str().trim_end_matches('/')),
        }
    }
}

/// 3 to 63 small letters, digits and hyphens.
fn is_container_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (3..=63).contains(&name.len()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_or_a_container() {
        let read = |text: &str| ReportLocation::read(text).map(|place| place.to_string());
        for text in ["./reports", "/mnt/reports", "reports with blanks"] {
            assert_eq!(read(text), Ok(text.to_owned()));
        }
        for text in [
            "https://contoso.blob.core.windows.net/history",
            "https://127.0.0.1:10000/devstoreaccount1/history",
        ] {
            assert_eq!(read(text), Ok(text.to_owned()));
            assert_eq!(read(&format!("{text}/")), Ok(text.to_owned()));
        }
        for text in [
            "http://contoso.blob.core.windows.net/history",
            "https://contoso.blob.core.windows.net",
            "https://contoso.blob.core.windows.net/a/b/c",
            "https://contoso.blob.core.windows.net/UPPER",
            "https://contoso.blob.core.windows.net/history?sv=2024&sig=secret",
            "https://user:secret@contoso.blob.core.windows.net/history",
            "abfss://history@contoso.dfs.core.windows.net/x",
        ] {
            let problem = read(text).unwrap_err();
            assert!(!problem.contains("secret"), "{text}");
        }
    }
}
