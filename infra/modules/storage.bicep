metadata description = 'Separate storage accounts for the Functions host and for the reports, without shared keys or public access to blobs.'

@description('Azure region.')
param location string

@description('Prefix of every name: lowercase letters and digits.')
param name string

@description('Tags for every resource.')
param tags object

@description('True to reach the accounts only through private endpoints.')
param privateNetwork bool

@description('Days during which a run of the coverage report cannot be changed or deleted. The policy is not locked.')
@minValue(1)
param immutableDays int

@description('Days after which files of the VDI report are deleted; device names are personal data.')
@minValue(1)
param vdiDays int

@description('Redundancy of the reports, such as Standard_ZRS.')
param redundancy string

@description('Principal id of the app\'s identity.')
param principalId string

@description('Workspace for diagnostic logs.')
param workspaceId string

@description('Name of the container for the deployed package.')
param packageContainer string

var common = {
  accessTier: 'Hot'
  allowBlobPublicAccess: false
  allowCrossTenantReplication: false
  allowSharedKeyAccess: false
  defaultToOAuthAuthentication: true
  minimumTlsVersion: 'TLS1_2'
  publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'
  supportsHttpsTrafficOnly: true
  networkAcls: {
    bypass: 'None'
    defaultAction: privateNetwork ? 'Deny' : 'Allow'
  }
}

resource host 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: take('${name}host', 24)
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: common
}

resource hostBlobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: host
  name: 'default'
}

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: hostBlobs
  name: packageContainer
  properties: {
    publicAccess: 'None'
  }
}

resource reports 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: take('${name}reports', 24)
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: common
}

resource reportBlobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: reports
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource history 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: reportBlobs
  name: 'history'
  properties: {
    publicAccess: 'None'
  }
}

resource immutable 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-06-01' = {
  parent: history
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: immutableDays
    allowProtectedAppendWrites: false
  }
}

resource latest 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: reportBlobs
  name: 'latest'
  properties: {
    publicAccess: 'None'
  }
}

resource vdi 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: reportBlobs
  name: 'vdi'
  properties: {
    publicAccess: 'None'
  }
}

resource expiry 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: reports
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'vdi-expires'
          enabled: true
          type: 'Lifecycle'
          definition: {
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: vdiDays
                }
              }
            }
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                'vdi/history/vdi/'
              ]
            }
          }
        }
      ]
    }
  }
}

// Storage Blob Data Owner, for the lease and the secrets of the Functions host; Storage Table Data
// Contributor for its diagnostic events; Storage Queue Data Contributor is not needed without queues.
var hostRoles = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
]

resource hostAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in hostRoles: {
    name: guid(host.id, principalId, role)
    scope: host
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// Storage Blob Data Contributor
var contributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource historyAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(history.id, principalId, contributor)
  scope: history
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor)
  }
}

resource latestAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(latest.id, principalId, contributor)
  scope: latest
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor)
  }
}

resource vdiAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vdi.id, principalId, contributor)
  scope: vdi
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor)
  }
}

// The only API version that supports all log categories.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: reportBlobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

// Records who deleted the package. Writes are not logged, because they would be the leases of the host.
#disable-next-line use-recent-api-versions
resource hostLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: hostBlobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

@description('Name of the host\'s account.')
output hostName string = host.name

@description('Resource id of the host\'s account.')
output hostId string = host.id

@description('Resource id of the reports\' account.')
output reportsId string = reports.id

@description('Blob endpoint of the host\'s account.')
output hostBlobEndpoint string = host.properties.primaryEndpoints.blob

@description('Table endpoint of the host\'s account.')
output hostTableEndpoint string = host.properties.primaryEndpoints.table

@description('Blob endpoint of the reports\' account.')
output reportsEndpoint string = reports.properties.primaryEndpoints.blob
