//! Checks of Microsoft Defender and of hunting.

use functions::{
    hashes::FileHash,
    health::{Check, CheckState},
};
use futures::FutureExt;

use super::{Look, all};
use crate::{
    config::HuntingRoute,
    outbound::{Failure, Kind},
};

/// Application id of the Defender for Endpoint API. Source:
/// <https://learn.microsoft.com/defender-endpoint/api/exposed-apis-create-app-webapp>
const WINDOWS_DEFENDER_ATP: &str = "fc780465-2017-40d4-a0c5-307022471b92";

/// Application id of Microsoft Graph.
const MICROSOFT_GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// SHA-1 of EICAR's test file, which every antivirus knows and which is harmless.
const EICAR: FileHash = FileHash::Sha1([
    0x33, 0x95, 0x85, 0x6c, 0xe8, 0x1f, 0x2b, 0x73, 0x82, 0xde, 0xe7, 0x26, 0x02, 0xf7, 0x98, 0xb6,
    0x42, 0xf1, 0x41, 0x40,
]);

/// The subject of a check.
struct ApiCheck {
    id: &'static str,
    title: &'static str,
    role: &'static str,
    application: &'static str,
    /// The message of a check that passes.
    works: &'static str,
}

impl ApiCheck {
    const fn of_defender(
        id: &'static str,
        title: &'static str,
        role: &'static str,
        works: &'static str,
    ) -> Self {
        Self {
            id,
            title,
            role,
            application: WINDOWS_DEFENDER_ATP,
            works,
        }
    }
}

const FILES: ApiCheck =
    ApiCheck::of_defender("files", "File verdicts", "File.Read.All", "look-ups work");
const ALERTS: ApiCheck = ApiCheck::of_defender(
    "alerts",
    "Alerts of a file",
    "Alert.Read.All",
    "alerts next to a verdict can be read",
);

const MACHINES: ApiCheck = ApiCheck::of_defender(
    "machines",
    "Machines",
    "Machine.Read.All",
    "devices can be read",
);

const ANTIVIRUS: ApiCheck = ApiCheck::of_defender(
    "antivirus",
    "Antivirus health",
    "Machine.Read.All",
    "antivirus health can be read",
);

const INDICATORS: ApiCheck = ApiCheck::of_defender(
    "indicators",
    "Indicators of a file",
    "Ti.ReadWrite.All",
    "the tenant's Indicators can be read",
);

impl Look<'_> {
    /// Tokens, then a call to each API.
    pub(super) async fn defender(&self) -> Vec<Check> {
        let (config, clients) = (&self.doctor.config, &self.doctor.clients);
        let at = self.deadline;
        all(vec![
            self.token(
                "token-defender",
                "Token for Defender",
                &config.defender.audience,
                "DEFENDER_API_AUDIENCE",
            )
            .boxed(),
            self.files().boxed(),
            async move {
                let asked = clients.files.alerts(EICAR, at).await;
                self.check_line(&ALERTS, asked.map(drop)).await
            }
            .boxed(),
            async move {
                let asked = clients.machines.probe_machines(at).await;
                self.check_line(&MACHINES, asked).await
            }
            .boxed(),
            async move {
                let asked = clients.machines.probe_antivirus(at).await;
                self.for_desktops(&ANTIVIRUS, asked).await
            }
            .boxed(),
            self.indicators().boxed(),
            self.token(
                "token-graph",
                "Token for Microsoft Graph",
                &config.graph.audience,
                "GRAPH_AUDIENCE",
            )
            .boxed(),
            self.hunting().boxed(),
        ])
        .await
    }

    async fn files(&self) -> Check {
        let files = &self.doctor.clients.files;
        match files.profile(EICAR, self.deadline).await {
            Ok(None) => Check::new(
                FILES.id,
                FILES.title,
                CheckState::Unreachable,
                "the Files API says that it does not know EICAR's test file, which Defender does: check `DEFENDER_API_URL`",
            ),
            asked => self.check_line(&FILES, asked.map(drop)).await,
        }
    }

    /// Indicators need a role that could write them, so not everyone grants it.
    async fn indicators(&self) -> Check {
        let indicators = &self.doctor.clients.indicators;
        match indicators.of_file(&[EICAR], self.deadline).await {
            Err(error) if error.kind == Kind::Forbidden && !self.holds(&INDICATORS).await => {
                Check::new(
                    INDICATORS.id,
                    INDICATORS.title,
                    CheckState::Off,
                    "the role Ti.ReadWrite.All is not granted, so include=indicators returns nothing; the role could also write Indicators",
                )
            }
            asked => self.check_line(&INDICATORS, asked.map(drop)).await,
        }
    }

    /// A role that only the report on virtual desktops needs.
    async fn for_desktops(&self, about: &ApiCheck, asked: Result<(), Failure>) -> Check {
        let is_refused = matches!(&asked, Err(error) if error.kind == Kind::Forbidden);
        if is_refused && self.doctor.config.vdi.hosts.is_none() && !self.holds(about).await {
            let role = about.role;
            let detail = format!(
                "the role {role} is not granted; the report on virtual desktops needs it, and VDI_HOST_PATTERN is not set"
            );
            return Check::new(about.id, about.title, CheckState::Off, detail);
        }
        self.check_line(about, asked).await
    }

    /// Returns true if the token in use already has the role.
    async fn holds(&self, about: &ApiCheck) -> bool {
        let config = &self.doctor.config;
        let audience = match about.application {
            MICROSOFT_GRAPH => &config.graph.audience,
            _ => &config.defender.audience,
        };
        let token = self
            .doctor
            .clients
            .identity
            .token(audience, self.deadline)
            .await;
        token.is_ok_and(|token| token.claims.roles.iter().any(|held| held == about.role))
    }

    async fn hunting(&self) -> Check {
        let (role, application) = match self.doctor.config.graph.hunting_route {
            HuntingRoute::Graph => ("ThreatHunting.Read.All", MICROSOFT_GRAPH),
            HuntingRoute::Defender => ("AdvancedQuery.Read.All", WINDOWS_DEFENDER_ATP),
        };
        let about = ApiCheck {
            id: "hunting",
            title: "Advanced hunting",
            role,
            application,
            works: "the report on virtual desktops sees several records of a host",
        };
        let asked = self.doctor.clients.hunting.probe(self.deadline).await;
        self.for_desktops(&about, asked).await
    }

    async fn check_line(&self, about: &ApiCheck, asked: Result<(), Failure>) -> Check {
        let line = |state, detail: String| Check::new(about.id, about.title, state, detail);
        match asked {
            Ok(()) => line(CheckState::Ok, about.works.to_owned()),
            Err(error) if error.kind == Kind::Forbidden && self.holds(about).await => {
                line(CheckState::Missing, error.detail)
                    .fix("the role is held, so nothing has to be granted: check the license of the tenant, and the audience for this cloud in docs/configuration.md")
            }
            Err(error) if error.kind == Kind::Forbidden => line(CheckState::Missing, error.detail)
                .fix(self.grantee.app_role(about.application, about.role)),
            Err(error) if error.kind == Kind::Unauthorized => {
                line(CheckState::Missing, error.detail)
                    .fix("check the setting of the audience; docs/configuration.md has the clouds")
            }
            Err(error) => line(
                CheckState::Unreachable,
                format!("{}; {}", error.detail, error.cause),
            ),
        }
    }
}
