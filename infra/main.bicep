metadata name = 'Defender Functions'
metadata description = 'The function app with its identity, storage, vault, logs, alerts and workbook. Roles of Microsoft Defender and Microsoft Graph are granted by infra/graph, which an administrator runs.'

targetScope = 'resourceGroup'

@description('Azure region of all resources; by default that of the resource group.')
param location string = resourceGroup().location

@description('Start of every name: lower-case letters and digits, a letter first.')
@minLength(3)
@maxLength(11)
param name string = 'defender'

@description('Tags of every resource.')
param tags object = {}

@description('flex, or premium where Flex Consumption is not offered, such as US Government.')
@allowed([
  'flex'
  'premium'
])
param hostingPlan string = environment().name == 'AzureCloud' ? 'flex' : 'premium'

@description('Whether storage and the vault are reached through private endpoints alone.')
param privateNetwork bool = false

@description('Address range of the virtual network, /24 or larger; used with privateNetwork.')
param addressPrefix string = '10.60.0.0/24'

@description('URL of the package to deploy, which everybody can read or, on the premium plan, the app\'s identity; without a signature in it. Blank for infrastructure only.')
param packageUri string = ''

@description('Most instances of the app. They share neither limits nor memory.')
@minValue(1)
@maxValue(100)
param maximumInstances int = 2

@description('How callers prove who they are: entra by tokens, host by keys of the Functions host with a package that is built for it (AUTH_LEVEL=function).')
@allowed([
  'entra'
  'host'
])
param apiAuth string = 'entra'

@description('Client id of the API\'s application registration, which infra/graph creates; blank until then, and the app accepts no caller.')
param apiClientId string = ''

@description('More accepted audiences of callers\' tokens, beside the client id.')
param apiAudiences string[] = []

@description('Client ids of applications that App Service lets through; empty leaves it to roles alone.')
param allowedApplications string[] = []

@description('Base URL of the Defender for Endpoint API; geographic and government hosts differ.')
param defenderApiUrl string = environment().name == 'AzureUSGovernment'
  ? 'https://api-gov.securitycenter.microsoft.us'
  : 'https://api.security.microsoft.com'

@description('Audience of its tokens.')
param defenderApiAudience string = environment().name == 'AzureUSGovernment'
  ? 'https://api-gov.securitycenter.microsoft.us'
  : 'https://api.securitycenter.microsoft.com'

@description('Base URL of Microsoft Graph.')
param graphUrl string = environment().name == 'AzureUSGovernment'
  ? 'https://graph.microsoft.us'
  : 'https://graph.microsoft.com'

@description('By which API hunting queries are asked: graph, or defender for the route that is being retired.')
@allowed([
  'graph'
  'defender'
])
param huntingRoute string = 'graph'

@description('What the coverage report is about: mg:NAME and sub:GUID, separated by blanks; blank for the tenant.')
param coverageScope string = ''

@description('Whether the Defender setting of every AI account is read.')
param coverageAccountSettings bool = false

@description('When the coverage report runs: six-field cron in UTC.')
param coverageSchedule string = '0 0 6 * * *'

@description('When saved Coverage workbooks are looked at.')
param workbookSchedule string = '0 30 6 * * *'

@description('Whether saved Coverage workbooks are patched; else only told.')
param workbookRepair bool = false

@description('When the report on virtual desktops runs.')
param vdiSchedule string = '0 0 7 * * *'

@description('Regular expression over the short names of virtual desktops; blank for no such report.')
param vdiHostPattern string = ''

@description('Regular expression over the short names of golden images.')
param goldenImagePattern string = ''

@description('The tag that virtual desktops must carry.')
param vdiDeviceTag string = 'VDI-NonPersistent'

@description('How virtual desktops are onboarded.')
@allowed([
  'single'
  'multiple'
])
param vdiEntryModel string = 'single'

@description('Name of the secret in the vault with the URL of a Workflows webhook; blank notifies nobody.')
param notifyWebhook string = ''

@description('Calls to each Defender endpoint in any 60 seconds, by one instance.')
@minValue(1)
param callsPerMinute int = 50

@description('The same in any hour.')
@minValue(1)
param callsPerHour int = 750

@description('Time in seconds within which a look-up answers.')
@minValue(1)
@maxValue(200)
param lookupDeadlineSeconds int = 90

@description('Whether CSV files start with the mark that Excel needs.')
param csvBom bool = true

@description('Days for which a written coverage report cannot be changed or deleted. The policy is not locked.')
@minValue(1)
param immutableDays int = 7

@description('Days after which files of the VDI report are deleted.')
@minValue(1)
param vdiRetentionDays int = 90

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Redundancy of the reports\' storage; Standard_LRS where the region has no zones.')
@allowed([
  'Standard_ZRS'
  'Standard_GZRS'
  'Standard_GRS'
  'Standard_LRS'
])
param reportsRedundancy string = 'Standard_ZRS'

@description('Whether the vault of this name was deleted in the last 90 days and is to be taken back; it cannot be made anew meanwhile.')
param recoverVault bool = false

@description('Address that alerts are mailed to; blank for nobody.')
param alertEmail string = ''

@description('Hours without a new report after which an alert fires: two periods of the schedules. Alerts look back 48 at most; 0 for reports that run more rarely than daily, which are not watched.')
@minValue(0)
@maxValue(48)
param overdueHours int = 48

var unique = take(uniqueString(resourceGroup().id, name), 6)
var plain = '${name}${unique}'
var dashed = '${name}-${unique}'
var isFlex = hostingPlan == 'flex'
// Both end in a slash, which the app takes away.
var loginUrl = environment().authentication.loginEndpoint
var armUrl = environment().resourceManager
var packageContainer = 'package'
var audiences = union(empty(apiClientId) ? [] : [apiClientId], apiAudiences)
// The app does not start without an audience. A bare GUID is the id of an application, and none
// has this one: it starts closed.
var nobody = '00000000-0000-0000-0000-000000000000'
var acceptedAudiences = apiAuth == 'host' ? '' : empty(audiences) ? nobody : join(audiences, ' ')

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${dashed}-identity'
  location: location
  tags: tags
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    location: location
    name: dashed
    tags: tags
    retentionDays: logRetentionDays
    principalId: identity.properties.principalId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    location: location
    name: plain
    tags: tags
    privateNetwork: privateNetwork
    immutableDays: immutableDays
    vdiDays: vdiRetentionDays
    redundancy: reportsRedundancy
    principalId: identity.properties.principalId
    workspaceId: monitoring.outputs.workspaceId
    packageContainer: packageContainer
  }
}

module vault 'modules/keyVault.bicep' = {
  name: 'vault'
  params: {
    location: location
    name: dashed
    tags: tags
    privateNetwork: privateNetwork
    recover: recoverVault
    principalId: identity.properties.principalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

var blobZone = 'privatelink.blob.${environment().suffixes.storage}'
var tableZone = 'privatelink.table.${environment().suffixes.storage}'
var vaultZone = environment().name == 'AzureUSGovernment'
  ? 'privatelink.vaultcore.usgovcloudapi.net'
  : 'privatelink.vaultcore.azure.net'

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    location: location
    name: dashed
    tags: tags
    addressPrefix: addressPrefix
    isFlex: isFlex
    zones: [blobZone, tableZone, vaultZone]
    targets: [
      { name: 'host-blob', id: storage.outputs.hostId, group: 'blob', zone: 0 }
      { name: 'host-table', id: storage.outputs.hostId, group: 'table', zone: 1 }
      { name: 'reports-blob', id: storage.outputs.reportsId, group: 'blob', zone: 0 }
      { name: 'vault', id: vault.outputs.id, group: 'vault', zone: 2 }
    ]
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  params: {
    location: location
    name: dashed
    tags: tags
    hostingPlan: hostingPlan
    identityId: identity.id
    packageContainerUrl: '${storage.outputs.hostBlobEndpoint}${packageContainer}'
    packageUri: packageUri
    subnetId: network.?outputs.?appSubnetId ?? ''
    maximumInstances: maximumInstances
    apiClientId: apiAuth == 'host' ? '' : apiClientId
    apiAudiences: audiences
    allowedApplications: allowedApplications
    tenantId: tenant().tenantId
    loginUrl: loginUrl
    workspaceId: monitoring.outputs.workspaceId
    settings: {
      AzureWebJobsStorage__blobServiceUri: storage.outputs.hostBlobEndpoint
      AzureWebJobsStorage__tableServiceUri: storage.outputs.hostTableEndpoint
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.properties.clientId
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
      AZURE_CLIENT_ID: identity.properties.clientId
      AZURE_TENANT_ID: tenant().tenantId
      API_AUTH: apiAuth
      API_AUDIENCE: acceptedAudiences
      LOGIN_URL: loginUrl
      DEFENDER_API_URL: defenderApiUrl
      DEFENDER_API_AUDIENCE: defenderApiAudience
      DEFENDER_CALLS_PER_MINUTE: string(callsPerMinute)
      DEFENDER_CALLS_PER_HOUR: string(callsPerHour)
      LOOKUP_DEADLINE_SECONDS: string(lookupDeadlineSeconds)
      GRAPH_URL: graphUrl
      GRAPH_AUDIENCE: graphUrl
      HUNTING_ROUTE: huntingRoute
      ARM_URL: armUrl
      ARM_AUDIENCE: armUrl
      COVERAGE_SCOPE: coverageScope
      COVERAGE_ACCOUNT_SETTINGS: toLower(string(coverageAccountSettings))
      COVERAGE_SCHEDULE: coverageSchedule
      WORKBOOK_SCHEDULE: workbookSchedule
      WORKBOOK_REPAIR: toLower(string(workbookRepair))
      VDI_SCHEDULE: vdiSchedule
      VDI_HOST_PATTERN: vdiHostPattern
      GOLDEN_IMAGE_PATTERN: goldenImagePattern
      VDI_DEVICE_TAG: vdiDeviceTag
      VDI_ENTRY_MODEL: vdiEntryModel
      REPORTS_URL: '${storage.outputs.reportsEndpoint}history'
      REPORTS_LATEST_URL: '${storage.outputs.reportsEndpoint}latest'
      VDI_REPORTS_URL: '${storage.outputs.reportsEndpoint}vdi'
      KEY_VAULT_URL: vault.outputs.url
      NOTIFY_WEBHOOK: notifyWebhook
      CSV_BOM: toLower(string(csvBom))
    }
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    name: dashed
    tags: tags
    insightsId: monitoring.outputs.insightsId
    email: alertEmail
    overdueHours: overdueHours
    reports: overdueHours == 0 ? [] : union(['coverage'], empty(vdiHostPattern) ? [] : ['vdi'])
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, name, 'coverage')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Defender coverage'
    category: 'workbook'
    sourceId: 'azure monitor'
    version: '1.0'
    serializedData: loadTextContent('coverage.workbook.json')
  }
}

@description('Public host name of the app.')
output APP_HOST_NAME string = app.outputs.hostName

@description('Name of the app.')
output APP_NAME string = app.outputs.name

@description('Principal id of the app\'s identity: what infra/graph and Reader at the management group are granted to.')
output IDENTITY_PRINCIPAL_ID string = identity.properties.principalId

@description('Name of the host\'s storage account, which takes the package.')
output PACKAGE_ACCOUNT string = storage.outputs.hostName
