metadata name = 'Defender Functions'
metadata description = 'The function app with its identity, storage, vault, logs, alerts and workbook. An administrator runs infra/graph to grant the roles of Microsoft Defender and Microsoft Graph.'

targetScope = 'resourceGroup'

@description('Azure region of all resources; the default is the region of the resource group.')
param location string = resourceGroup().location

@description('Prefix of every name: lowercase letters and digits, starting with a letter.')
@minLength(3)
@maxLength(11)
param name string = 'defender'

@description('Tags for every resource.')
param tags object = {}

@description('Hosting plan: flex, or premium where Flex Consumption is not offered, such as in US Government.')
@allowed([
  'flex'
  'premium'
])
param hostingPlan string = environment().name == 'AzureCloud' ? 'flex' : 'premium'

@description('True to reach storage and the vault only through private endpoints.')
param privateNetwork bool = false

@description('Address range of the virtual network, /24 or larger; used with privateNetwork.')
param addressPrefix string = '10.60.0.0/24'

@description('URL of the package to deploy. It must be public or, on the premium plan, readable by the app\'s identity. Do not use a URL with a signature. Blank deploys only the infrastructure.')
param packageUri string = ''

@description('Maximum number of app instances. They share neither limits nor memory.')
@minValue(1)
@maxValue(100)
param maximumInstances int = 2

@description('How callers authenticate: entra uses tokens; host uses keys of the Functions host and needs a package built with AUTH_LEVEL=function.')
@allowed([
  'entra'
  'host'
])
param apiAuth string = 'entra'

@description('Client id of the API\'s application registration, which infra/graph creates. While it is blank, the app accepts no callers.')
param apiClientId string = ''

@description('Accepted audiences of callers\' tokens, in addition to the client id.')
param apiAudiences string[] = []

@description('Client ids of the applications that App Service accepts; if empty, only roles decide.')
param allowedApplications string[] = []

@description('Base URL of the Defender for Endpoint API; geographic and government hosts differ.')
param defenderApiUrl string = environment().name == 'AzureUSGovernment'
  ? 'https://api-gov.securitycenter.microsoft.us'
  : 'https://api.security.microsoft.com'

@description('Audience of tokens for the Defender for Endpoint API.')
param defenderApiAudience string = environment().name == 'AzureUSGovernment'
  ? 'https://api-gov.securitycenter.microsoft.us'
  : 'https://api.securitycenter.microsoft.com'

@description('Base URL of Microsoft Graph.')
param graphUrl string = environment().name == 'AzureUSGovernment'
  ? 'https://graph.microsoft.us'
  : 'https://graph.microsoft.com'

@description('API for hunting queries: graph, or defender for the route that is being retired.')
@allowed([
  'graph'
  'defender'
])
param huntingRoute string = 'graph'

@description('Scope of the coverage report: mg:NAME and sub:GUID, separated by spaces; blank for the tenant.')
param coverageScope string = ''

@description('True to read the Defender setting of every AI account.')
param coverageAccountSettings bool = false

@description('When the coverage report runs: six-field cron in UTC.')
param coverageSchedule string = '0 0 6 * * *'

@description('When saved Coverage workbooks are checked: six-field cron in UTC.')
param workbookSchedule string = '0 30 6 * * *'

@description('True to repair saved Coverage workbooks; otherwise they are only reported.')
param workbookRepair bool = false

@description('When the report on virtual desktops runs: six-field cron in UTC.')
param vdiSchedule string = '0 0 7 * * *'

@description('Regular expression that matches the short names of virtual desktops; blank for no VDI report.')
param vdiHostPattern string = ''

@description('Regular expression that matches the short names of golden images.')
param goldenImagePattern string = ''

@description('Device tag that virtual desktops must have.')
param vdiDeviceTag string = 'VDI-NonPersistent'

@description('How virtual desktops are onboarded: with single or multiple device entries.')
@allowed([
  'single'
  'multiple'
])
param vdiEntryModel string = 'single'

@description('Name of the vault secret that contains the URL of a Workflows webhook; blank for no notifications.')
param notifyWebhook string = ''

@description('Maximum calls to each Defender endpoint in any 60 seconds, per instance.')
@minValue(1)
param callsPerMinute int = 50

@description('Maximum calls to each Defender endpoint in any hour, per instance.')
@minValue(1)
param callsPerHour int = 750

@description('Deadline of a look-up, in seconds.')
@minValue(1)
@maxValue(200)
param lookupDeadlineSeconds int = 90

@description('True to start CSV files with the byte order mark that Excel needs.')
param csvBom bool = true

@description('Days during which a coverage report cannot be changed or deleted. The policy is not locked.')
@minValue(1)
param immutableDays int = 7

@description('Days after which files of the VDI report are deleted.')
@minValue(1)
param vdiRetentionDays int = 90

@description('Days to keep logs.')
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

@description('True to recover a vault of this name that was deleted in the last 90 days. Its name cannot be reused during that time.')
param recoverVault bool = false

@description('Email address for alerts; blank for no email.')
param alertEmail string = ''

@description('Hours without a new report after which an alert fires: two periods of the schedules, at most 48. Set 0 if reports run less than once a day; they are not monitored then.')
@minValue(0)
@maxValue(48)
param overdueHours int = 48

var unique = take(uniqueString(resourceGroup().id, name), 6)
var plain = '${name}${unique}'
var dashed = '${name}-${unique}'
var isFlex = hostingPlan == 'flex'
// Both end in a slash, which the app removes.
var loginUrl = environment().authentication.loginEndpoint
var armUrl = environment().resourceManager
var packageContainer = 'package'
var audiences = union(empty(apiClientId) ? [] : [apiClientId], apiAudiences)
// The app does not start without an audience. A bare GUID is an application id, and no application
// has this one, so the app starts closed.
var noApplication = '00000000-0000-0000-0000-000000000000'
var acceptedAudiences = apiAuth == 'host' ? '' : empty(audiences) ? noApplication : join(audiences, ' ')

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

@description('Principal id of the app\'s identity: infra/graph and Reader at the management group are granted to it.')
output IDENTITY_PRINCIPAL_ID string = identity.properties.principalId

@description('Name of the host\'s storage account, where the package is uploaded.')
output PACKAGE_ACCOUNT string = storage.outputs.hostName
