metadata description = 'The function app: Flex Consumption, or Elastic Premium where Flex is not offered.'

@description('Azure region.')
param location string

@description('Name of the app, which is also its public host name.')
param name string

@description('Tags for every resource.')
param tags object

@description('Hosting plan: flex or premium.')
@allowed([
  'flex'
  'premium'
])
param hostingPlan string

@description('Resource id of the user-assigned identity.')
param identityId string

@description('App settings, by name.')
param settings object

@description('Blob endpoint and container of the deployed package.')
param packageContainerUrl string

@description('URL of the package to deploy; blank deploys only the infrastructure.')
param packageUri string

@description('Resource id of the subnet for outgoing calls of the app; blank for none.')
param subnetId string

@description('Maximum number of instances. They share neither limits nor memory, so fewer are better.')
@minValue(1)
@maxValue(100)
param maximumInstances int

@description('Client id of the API\'s application registration, for App Service authentication. Blank turns that off; the executable still checks every caller.')
param apiClientId string

@description('Accepted audiences of callers\' tokens.')
param apiAudiences string[]

@description('Client ids of the applications that may call; if empty, the executable decides only by role.')
param allowedApplications string[]

@description('Tenant whose callers are accepted.')
param tenantId string

@description('Authority of the cloud, with a trailing slash.')
param loginUrl string

@description('Workspace for diagnostic logs.')
param workspaceId string

var isFlex = hostingPlan == 'flex'
// These paths need no token: liveness, and a page that contains no data. App Service does not support
// wildcards. The checks of /api/health?deep=true need a token, which the executable checks.
var openPaths = [
  '/api/health'
  '/api/explorer'
  '/api/explorer/page.css'
  '/api/explorer/page.js'
  '/api/explorer/openapi.json'
  '/api/explorer/swagger.json'
]

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: '${name}-plan'
  location: location
  tags: tags
  kind: isFlex ? 'functionapp' : 'elastic'
  sku: isFlex
    ? {
        name: 'FC1'
        tier: 'FlexConsumption'
      }
    : {
        name: 'EP1'
        tier: 'ElasticPremium'
      }
  properties: {
    reserved: true
    maximumElasticWorkerCount: isFlex ? null : maximumInstances
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': 'api'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      // Flex rejects these (error 51021): it has neither FTP nor this routing.
      ...(isFlex
        ? {}
        : {
            ftpsState: 'Disabled'
            functionAppScaleLimit: maximumInstances
            vnetRouteAllEnabled: !empty(subnetId)
          })
    }
    functionAppConfig: isFlex
      ? {
          deployment: {
            storage: {
              type: 'blobContainer'
              value: packageContainerUrl
              authentication: {
                type: 'UserAssignedIdentity'
                userAssignedIdentityResourceId: identityId
              }
            }
          }
          runtime: {
            name: 'custom'
            version: '1.0'
          }
          scaleAndConcurrency: {
            instanceMemoryMB: 512
            maximumInstanceCount: maximumInstances
            triggers: {
              http: {
                perInstanceConcurrency: 200
              }
            }
          }
        }
      : null
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: union(
      settings,
      isFlex
        ? {}
        : {
            FUNCTIONS_EXTENSION_VERSION: '~4'
            FUNCTIONS_WORKER_RUNTIME: 'custom'
          },
      isFlex || empty(packageUri)
        ? {}
        : {
            WEBSITE_RUN_FROM_PACKAGE: packageUri
            WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID: identityId
          }
    )
  }

  resource noBasicScm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }

  resource noBasicFtp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  // The second lock: the executable checks tenant, audience, role and signature itself.
  resource authentication 'config' = {
    name: 'authsettingsV2'
    properties: {
      platform: {
        enabled: !empty(apiClientId)
      }
      globalValidation: {
        requireAuthentication: !empty(apiClientId)
        unauthenticatedClientAction: 'Return401'
        excludedPaths: openPaths
      }
      httpSettings: {
        requireHttps: true
      }
      login: {
        tokenStore: {
          enabled: false
        }
      }
      identityProviders: {
        azureActiveDirectory: {
          enabled: !empty(apiClientId)
          registration: {
            clientId: apiClientId
            openIdIssuer: '${loginUrl}${tenantId}/v2.0'
          }
          validation: {
            allowedAudiences: apiAudiences
            defaultAuthorizationPolicy: {
              allowedApplications: allowedApplications
            }
          }
        }
      }
    }
  }
}

// Flex deploys code through this extension; its properties have no type yet.
resource code 'Microsoft.Web/sites/extensions@2024-11-01' = if (isFlex && !empty(packageUri)) {
  parent: app
  // The types have only one extension name, and no properties.
  #disable-next-line BCP036 BCP088
  name: 'onedeploy'
  #disable-next-line BCP187
  properties: {
    packageUri: packageUri
    remoteBuild: false
  }
  // The host starts when the code arrives and reads the settings then.
  dependsOn: [
    app::appSettings
  ]
}

// The only API version that supports all log categories.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
  }
}

@description('Public host name of the app.')
output hostName string = app.properties.defaultHostName

@description('Name of the app.')
output name string = app.name
