//! `coverage --server`: the newest report of the deployed service.

use std::{fs, io::Write, path::Path};

use bytes::Bytes;
use functions::{
    coverage::{AiPlan, Totals},
    report::{run::Manifest, text::visible},
};

use super::CoverageArgs;
use super::print::{Format, print_file};
use crate::cli::{
    Exit, printed, say,
    server::{self},
    shown,
};
use crate::{
    clients::deployed_service::{self, ServiceClient},
    outbound::{Code, Failure, Kind},
    services::reports::sha256,
};

/// The newest report of the deployed service.
pub(super) async fn of_service(service: &ServiceClient, args: &CoverageArgs) -> Exit {
    match ask_service(service, args).await {
        Ok((sums, shown)) => {
            say(&format!("as of {}", visible(&sums.as_of)));
            for reason in &sums.reasons {
                say(&format!("NOT complete: {}", visible(reason)));
            }
            let exit = match sums.complete {
                true => Exit::Complete,
                false => Exit::Incomplete,
            };
            printed(shown, exit)
        }
        Err(Refused::Service(error)) => server::failed(&error),
        Err(Refused::Folder(error)) => {
            let folder = args.out.as_deref().map(shown).unwrap_or_default();
            say(&format!("error: {folder} cannot be written: {error}"));
            Exit::Unusable
        }
    }
}

/// The reason why a report of the service is not shown.
enum Refused {
    Service(Failure),
    Folder(std::io::Error),
}

impl From<Failure> for Refused {
    fn from(error: Failure) -> Self {
        Self::Service(error)
    }
}

/// Prints and copies the newest report; returns its totals, and the outcome of printing.
///
/// Everything comes from one run, as its manifest says.
async fn ask_service(
    service: &ServiceClient,
    args: &CoverageArgs,
) -> Result<(Totals, std::io::Result<()>), Refused> {
    let manifest: Manifest = service.json("coverage/manifest.json", None).await?;
    let copy = CopyOf {
        service,
        manifest: &manifest,
    };
    let sums: Totals = functions::json::read_object(&copy.file("summary.json").await?)
        .map_err(|_| deployed_service::other_version())?;
    let name = match args.format {
        Format::Table | Format::Csv => "coverage.csv",
        Format::Json => "summary.json",
        Format::Html => "coverage.html",
    };
    let file = copy.file(name).await?;
    let text = String::from_utf8_lossy(&file);
    let rows = match args.format {
        Format::Table => AiPlan::read(&text).map_err(|_| deployed_service::other_version())?,
        _ => Vec::new(),
    };
    if let Some(folder) = &args.out {
        copy.write(folder).await?;
    }
    let shown = print_file(args.format, &text, &rows, &sums);
    Ok((sums, shown))
}

/// The newest run of the service.
struct CopyOf<'a> {
    service: &'a ServiceClient,
    manifest: &'a Manifest,
}

impl CopyOf<'_> {
    /// A file that matches the manifest.
    async fn file(&self, name: &str) -> Result<Bytes, Failure> {
        let bytes = self.service.file(&format!("coverage/{name}")).await?;
        let noted = self.manifest.file(name).map(|file| &file.sha256);
        if noted == Some(&sha256(&bytes)) {
            return Ok(bytes);
        }
        let detail = format!(
            "{name} is not the file that the manifest describes: a new report was written at this moment, or something on the way changed it; try again"
        );
        Err(Failure::new(
            Kind::Protocol,
            Code::ServiceChanged,
            detail,
            "sha256",
        ))
    }

    /// Writes all files after all of them have arrived, and overwrites none.
    async fn write(&self, folder: &Path) -> Result<(), Refused> {
        let mut files = Vec::new();
        for file in &self.manifest.files {
            // Names are the product's own; any other could point outside the folder.
            let is_plain = file.name.starts_with(|c: char| c.is_ascii_lowercase())
                && file
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b"-.".contains(&b));
            if !is_plain {
                return Err(deployed_service::other_version().into());
            }
            files.push((&file.name, self.file(&file.name).await?));
        }
        fs::create_dir_all(folder).map_err(Refused::Folder)?;
        for (name, bytes) in files {
            fs::File::create_new(folder.join(name))
                .and_then(|mut open| open.write_all(&bytes))
                .map_err(Refused::Folder)?;
        }
        Ok(())
    }
}
