//! Settings that only commands read.

use std::collections::BTreeMap;

use url::Url;

use super::{ConfigProblems, ImageDefaults, reader::EnvReader};

pub(super) const SETTINGS: &[&str] = &["DEFENDER_FUNCTIONS_URL"];

/// The deployed service that a command asks.
#[derive(Clone, Debug)]
pub struct Server {
    /// Base URL, without a path. Option `--server`, or setting
    /// `DEFENDER_FUNCTIONS_URL`.
    pub url: Url,
    /// Audience of the tokens that it accepts: the first value of `API_AUDIENCE`.
    pub audience: String,
}

/// The deployed service that a command should ask; `None` when none is named.
///
/// # Errors
/// All problems together; the option or the settings have to be changed.
pub fn server(
    variables: &BTreeMap<String, String>,
    option: Option<&str>,
) -> Result<Option<Server>, ConfigProblems> {
    let mut reader = EnvReader::new(variables);
    let named = option.or_else(|| reader.text("DEFENDER_FUNCTIONS_URL"));
    let server = named.map(|text| read(&mut reader, text));
    reader.finish(server)
}

fn read(reader: &mut EnvReader<'_>, url: &str) -> Server {
    let audiences = reader.text("API_AUDIENCE").unwrap_or_default();
    let audience = audiences.split_whitespace().next().unwrap_or_default();
    if audience.is_empty() {
        reader.problem(
            "`API_AUDIENCE` is not set: asking the deployed service needs the audience of its tokens, such as `api://<tenant id>/defender-functions`, \
             output API_AUDIENCE of infra/graph",
        );
    }
    Server {
        url: reader.url_of("--server", url),
        audience: audience.trim_end_matches('/').to_owned(),
    }
}

/// The settings of golden images, for commands that ask no service.
///
/// # Errors
/// All problems together; the settings have to be changed.
pub fn image_defaults(
    variables: &BTreeMap<String, String>,
) -> Result<ImageDefaults, ConfigProblems> {
    let mut reader = EnvReader::new(variables);
    let defaults = ImageDefaults::read(&mut reader);
    reader.finish(defaults)
}
