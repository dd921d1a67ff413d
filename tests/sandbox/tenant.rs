//! The in-memory tenant.

use serde_json::{Value, json};

use crate::estate::Estate;

/// The identity's roles unless a test sets others.
const ROLES: [&str; 4] = [
    "File.Read.All",
    "Alert.Read.All",
    "Machine.Read.All",
    "ThreatHunting.Read.All",
];

/// The tenant's data that the servers return.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Files that Microsoft has seen.
    pub files: Vec<FileRecord>,
    /// Indicators of the tenant, as the API returns them.
    pub indicators: Vec<Value>,
    /// Subscriptions, plans and AI accounts.
    pub estate: Estate,
    /// Application roles of the managed identity.
    pub roles: Vec<String>,
    /// Client id of a user-assigned identity; `None` for the system-assigned.
    pub client_id: Option<String>,
}

/// A file as the Files API returns it.
#[derive(Clone, Debug)]
pub struct FileRecord {
    /// SHA-1, 40 digits.
    pub sha1: String,
    /// SHA-256, 64 digits.
    pub sha256: String,
    /// Raw determination.
    pub determination_type: String,
    /// Threat name; null for none.
    pub determination_value: Option<String>,
    /// Devices worldwide.
    pub global_prevalence: u64,
    /// Name in the certificate; null for an unsigned file.
    pub signer: Option<String>,
    /// Alerts of the tenant that involve it, as the API returns them.
    pub alerts: Vec<Value>,
    /// Devices of the tenant that saw it, as the API returns them.
    pub devices: Vec<Value>,
}

/// An Indicator that another application made, as the API returns it.
pub fn indicator(hash: &str, action: &str) -> Value {
    json!({
        "id": "995", "indicatorValue": hash, "indicatorType": if hash.len() == 40 { "FileSha1" } else { "FileSha256" },
        "action": action, "application": "SOC", "source": "SOC", "sourceType": "AadApp", "title": "From an advisory",
        "creationTimeDateTimeUtc": "2026-10-24T11:15:35.3688259Z", "createdBy": "45097602-1234-5678-1234-9f453233e62c",
        "expirationTime": "2027-01-24T00:00:00Z", "severity": "High", "description": "From an advisory",
        "recommendedActions": "", "rbacGroupNames": [], "generateAlert": true,
    })
}

impl FileRecord {
    /// A file whose other hash is derived from the one given.
    pub fn new(hash: &str, determination_type: &str, determination_value: Option<&str>) -> Self {
        let (sha1, sha256) = if hash.len() == 40 {
            (hash.to_owned(), format!("{hash}{}", &hash[..24]))
        } else {
            (hash[..40].to_owned(), hash.to_owned())
        };
        Self {
            sha1,
            sha256,
            determination_type: determination_type.to_owned(),
            determination_value: determination_value.map(str::to_owned),
            global_prevalence: 12,
            signer: None,
            alerts: Vec::new(),
            devices: Vec::new(),
        }
    }

    /// EICAR's test file, which every antivirus knows.
    pub fn eicar() -> Self {
        let sha256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";
        let name = Some("Virus:DOS/EICAR_Test_File");
        Self::new(sha256, "Malware", name).sha1("3395856ce81f2b7382dee72602f798b642f14140")
    }

    /// With the SHA-1 that really belongs to it.
    #[must_use]
    pub fn sha1(self, sha1: &str) -> Self {
        Self {
            sha1: sha1.to_owned(),
            ..self
        }
    }

    /// With a valid signature and so many devices.
    #[must_use]
    pub fn signed(self, signer: &str, global_prevalence: u64) -> Self {
        Self {
            signer: Some(signer.to_owned()),
            global_prevalence,
            ..self
        }
    }

    /// Seen on this device of the tenant, where an alert was raised.
    #[must_use]
    pub fn seen_on(mut self, device: &str) -> Self {
        let number = self.devices.len() + 1;
        self.devices.push(json!({
            "id": format!("{number:040x}"), "computerDnsName": device, "osPlatform": "Windows11", "healthStatus": "Active",
            "riskScore": "High", "rbacGroupId": 140, "machineTags": [], "lastSeen": "2026-11-22T14:55:03.7791856Z",
        }));
        self.alerts.push(json!({
            "id": format!("da63747290038283886{number}_1364969609"), "incidentId": 1_126_000 + number, "severity": "High",
            "status": "New", "category": "Malware", "title": "Malware was prevented", "threatFamilyName": null,
            "alertCreationTime": "2026-11-22T14:56:03.7220239Z", "computerDnsName": device,
        }));
        self
    }

    pub(crate) fn stats(&self) -> Value {
        json!({
            "sha1": self.sha1,
            "orgPrevalence": self.devices.len().to_string(),
            "organizationPrevalence": self.devices.len(),
            "orgFirstSeen": "2026-11-01T13:44:16Z",
            "orgLastSeen": "2026-11-22T13:39:36Z",
            "globallyPrevalence": self.global_prevalence,
            "topFileNames": ["sample.exe"],
        })
    }

    /// The response of the Files API.
    pub fn to_json(&self) -> Value {
        json!({
            "@odata.context": "https://api.security.microsoft.com/api/$metadata#Files/$entity",
            "sha1": self.sha1,
            "sha256": self.sha256,
            "globalPrevalence": self.global_prevalence,
            "globalFirstObserved": "2018-12-03T15:44:44.6785431Z",
            "globalLastObserved": "2026-11-20T03:59:21.3229314Z",
            "size": 278_032,
            "fileType": "PortableExecutable",
            "isPeFile": true,
            "filePublisher": self.signer,
            "fileProductName": null,
            "signer": self.signer,
            "issuer": self.signer.as_ref().map(|_| "Microsoft Code Signing PCA 2011"),
            "signerHash": null,
            "isValidCertificate": self.signer.as_ref().map(|_| true),
            "determinationType": self.determination_type,
            "determinationValue": self.determination_value,
        })
    }
}

impl Default for Tenant {
    /// The files of two public texts and a few everyday ones.
    ///
    /// These are the hash of the article that the product comes from, and those of the
    /// CISA analysis report AR18-337B, `SamSam2`. Defender's answers about them are
    /// made up.
    fn default() -> Self {
        let file = FileRecord::new;
        Self {
            files: vec![
                file(
                    "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe",
                    "Malware",
                    Some("Trojan:Win32/Wacatac.B!ml"),
                )
                .seen_on("pool-017.contoso.com")
                .seen_on("fin-nb-0042.contoso.com"),
                FileRecord::eicar(),
                file(
                    "2b06d2abc87f51aa7b8451da16270003ceba57184b0dd5f244670873409c75b9",
                    "Malware",
                    Some("Ransom:MSIL/Samas.A"),
                ),
                file(
                    "427091e1888c2bf1f2e11a1010b3ab6c8634eda4ddc34d37202d401fbaa8989d",
                    "Malware",
                    Some("Trojan:Win32/Samas"),
                ),
                file(
                    "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c",
                    "Unknown",
                    Some("Ransom:MSIL/Samas.A"),
                )
                .sha1("ff2f511009b2813af9d12c6103206828560869db"),
                file(
                    "da9c2ecc88e092e3b8c13c6d1a71b968aa6f705eb5966370f21e306c26cd4fb5",
                    "Suspicious",
                    None,
                ),
                file(
                    "413c58c8267d2c8648d8f6384bacc2ae9c929b2b96578b6860b5087cd1bd6462",
                    "Pua",
                    Some("PUA:Win32/FusionCore"),
                )
                .sha1("4388963aaa83afe2042a46a3c017ad50bdcdafb3"),
                file(
                    "a660cc6155b307c0957c4c6ea119a295a852d28097196d85f00f5517944a3dcb",
                    "Clean",
                    None,
                ),
                file(
                    "0b8f5ad6ecf3d1f9c3a1f0b0c7a4d9e2f1b6a5c4d3e2f1a0b9c8d7e6f5a4b3c2",
                    "Unknown",
                    None,
                )
                .signed("Microsoft Corporation", 705_012),
            ],
            indicators: vec![indicator(
                "427091e1888c2bf1f2e11a1010b3ab6c8634eda4ddc34d37202d401fbaa8989d",
                "Block",
            )],
            estate: Estate::contoso(),
            roles: ROLES.map(str::to_owned).to_vec(),
            client_id: None,
        }
    }
}
