metadata description = 'Log Analytics and Application Insights, which accept only Entra tokens.'

@description('Azure region.')
param location string

@description('Prefix of every name.')
param name string

@description('Tags for every resource.')
param tags object

@description('Days to keep logs.')
param retentionDays int

@description('Principal id of the app\'s identity, which writes telemetry.')
param principalId string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: '${name}-logs'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

// Monitoring Metrics Publisher
var publisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource publishes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, principalId, publisher)
  scope: insights
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', publisher)
  }
}

@description('Resource id of the workspace.')
output workspaceId string = workspace.id

@description('Connection string for telemetry; it is useless without an Entra token.')
output connectionString string = insights.properties.ConnectionString

@description('Resource id of Application Insights.')
output insightsId string = insights.id
