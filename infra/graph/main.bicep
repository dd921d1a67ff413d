metadata name = 'Defender Functions: grants'
metadata description = 'Grants that an administrator makes once: the API\'s application registration with its roles, the callers that have them, and the Defender and Graph roles of the app\'s identity. Needs Privileged Role Administrator and Application Administrator.'

extension microsoftGraphV1

targetScope = 'resourceGroup'

@description('Principal id of the app\'s identity: output IDENTITY_PRINCIPAL_ID of infra/main.bicep.')
param identityPrincipalId string

@description('Display name and unique name of the API\'s application registration.')
param applicationName string = 'defender-functions'

@description('Callers: the object id of each service principal, user or group, and its role.')
param callers { principalId: string, role: string }[] = []

@description('True to let the identity see all Indicators. The required role could also write them; the app writes none.')
param readIndicators bool = false

@description('True to let the identity run hunting queries. Without them, the report on virtual desktops cannot detect multiple records of a host.')
param hunt bool = true

// The ids match those of the scripts in this folder, so that they can be run in any order.
var roles = [
  {
    id: 'af779359-e7fe-41d3-a3a8-59c3ef4c03f0'
    value: 'Hashes.Read'
    name: 'Look up hashes'
  }
  {
    id: 'efb32172-4df1-44f9-8683-576e69e92872'
    value: 'Devices.Read'
    name: 'See the devices next to a verdict'
  }
  {
    id: '2cc2f036-29fd-4784-a61f-a5d7bf2be387'
    value: 'Indicators.Write'
    name: 'Block or allow a file; no function uses it yet'
  }
  {
    id: '12de6d69-a39e-43d2-8245-815e67eb5973'
    value: 'Reports.Read'
    name: 'Read reports, assess golden images'
  }
  {
    id: 'bcdfdc47-defb-4776-abe2-bf05c3280ba8'
    value: 'Reports.Run'
    name: 'Run reports now'
  }
]

// The Azure CLI, so that users can call the API with their own sign-in.
var azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'
var scopeId = '12a6028e-532c-4945-a1e7-e8f94a8f2968'

resource application 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: applicationName
  displayName: applicationName
  signInAudience: 'AzureADMyOrg'
  identifierUris: [
    'api://${tenant().tenantId}/${applicationName}'
  ]
  api: {
    requestedAccessTokenVersion: 2
    oauth2PermissionScopes: [
      {
        id: scopeId
        value: 'access_as_user'
        type: 'User'
        isEnabled: true
        adminConsentDisplayName: 'Call Defender Functions'
        adminConsentDescription: 'Calls Defender Functions as the signed-in user, with the roles of that user.'
      }
    ]
    preAuthorizedApplications: [
      {
        appId: azureCli
        delegatedPermissionIds: [
          scopeId
        ]
      }
    ]
  }
  appRoles: [
    for role in roles: {
      id: role.id
      value: role.value
      displayName: role.name
      description: role.name
      isEnabled: true
      allowedMemberTypes: [
        'Application'
        'User'
      ]
    }
  ]
}

resource api 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: application.appId
  appRoleAssignmentRequired: true
}

resource access 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for caller in callers: {
    appRoleId: filter(roles, role => role.value == caller.role)[0].id
    principalId: caller.principalId
    resourceId: api.id
  }
]

resource defender 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: 'fc780465-2017-40d4-a0c5-307022471b92'
}

resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: '00000003-0000-0000-c000-000000000000'
}

var defenderRoles = union(
  [
    'File.Read.All'
    'Alert.Read.All'
    'Machine.Read.All'
  ],
  readIndicators ? ['Ti.ReadWrite.All'] : []
)
var graphRoles = hunt ? ['ThreatHunting.Read.All'] : []

resource defenderGrants 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for role in defenderRoles: {
    appRoleId: filter(defender.appRoles, known => known.value == role)[0].id
    principalId: identityPrincipalId
    resourceId: defender.id
  }
]

resource graphGrants 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for role in graphRoles: {
    appRoleId: filter(graph.appRoles, known => known.value == role)[0].id
    principalId: identityPrincipalId
    resourceId: graph.id
  }
]

@description('Client id of the API: the parameter apiClientId of infra/main.bicep.')
output API_CLIENT_ID string = application.appId

@description('Audience that callers request a token for.')
output API_AUDIENCE string = application.identifierUris[0]
