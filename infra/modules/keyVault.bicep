metadata description = 'The vault with the secrets that an identity cannot replace.'

@description('Azure region.')
param location string

@description('Prefix of every name.')
param name string

@description('Tags for every resource.')
param tags object

@description('True to reach the vault only through a private endpoint.')
param privateNetwork bool

@description('True to recover the deleted vault with its secrets.')
param recover bool

@description('Principal id of the app\'s identity.')
param principalId string

@description('Workspace for diagnostic logs.')
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: take('${name}-vault', 24)
  location: location
  tags: tags
  properties: {
    createMode: recover ? 'recover' : 'default'
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: privateNetwork ? 'Deny' : 'Allow'
    }
  }
}

// Key Vault Secrets User
var reader = '4633458b-17de-408a-b874-0445c86b69e6'

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, reader)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', reader)
  }
}

// The only API version that supports all log categories.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

@description('URL of the vault, without a trailing slash.')
output url string = 'https://${vault.name}${environment().suffixes.keyvaultDns}'

@description('Resource id of the vault.')
output id string = vault.id
