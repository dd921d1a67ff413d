metadata description = 'The function app: Flex Consumption, or Elastic Premium where Flex is not offered.'

@description('Azure region.')
param location string

@description('Name of the app, which is its public host name too.')
param name string

@description('Tags of every resource.')
param tags object

@description('flex or premium.')
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

@description('URL of the package to deploy; blank for infrastructure only.')
param packageUri string

@description('Resource id of the subnet that the app reaches others from; blank for none.')
param subnetId string

@description('Most instances. They share neither limits nor memory, so few are better.')
@minValue(1)
@maxValue(100)
param maximumInstances int

@description('Client id of the API\'s application registration, for App Service authentication; blank turns that off, the executable still checks every caller.')
param apiClientId string

@description('Accepted audiences of callers\' tokens.')
param apiAudiences string[]

@description('Client ids of applications that may call; empty lets the executable decide by role alone.')
param allowedApplications string[]

@description('Tenant whose callers are accepted.')
param tenantId string

@description('Authority of the cloud, with a slash at its end.')
param loginUrl string

@description('Workspace that diagnostic logs go to.')
param workspaceId string

var isFlex = hostingPlan == 'flex'
// Anybody may read these: liveness, and a page that holds no data. App Service knows no wildcards;
// the checks of /api/health?deep=true need a token, which the executable looks at.
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
      // Flex refuses them (error 51021): it has neither FTP nor this routing.
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

// Flex takes code by this extension; its properties have no type yet.
resource code 'Microsoft.Web/sites/extensions@2024-11-01' = if (isFlex && !empty(packageUri)) {
  parent: app
  // The types know one name of an extension alone, and none of its properties.
  #disable-next-line BCP036 BCP088
  name: 'onedeploy'
  #disable-next-line BCP187
  properties: {
    packageUri: packageUri
    remoteBuild: false
  }
  // The host starts with the code, and reads the settings then.
  dependsOn: [
    app::appSettings
  ]
}

// The only version of these settings that knows all log categories.
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
