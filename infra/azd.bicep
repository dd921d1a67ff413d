metadata description = 'For azd: a resource group with the resources of infra/main.bicep.'

targetScope = 'subscription'

@description('Name of the azd environment; the resource group is named after it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Azure region.')
@minLength(1)
param location string

@description('Hosting plan: flex, or premium where Flex Consumption is not offered.')
@allowed([
  'flex'
  'premium'
])
param hostingPlan string = 'flex'

@description('True to reach storage and the vault only through private endpoints. This machine cannot upload the package then.')
param privateNetwork bool = false

@description('URL of the package, if this machine cannot upload it: with privateNetwork, or on the premium plan.')
param packageUri string = ''

@description('Client id of the API\'s application registration, which infra/graph creates.')
param apiClientId string = ''

@description('Scope of the coverage report: mg:NAME and sub:GUID, separated by spaces; blank for the tenant.')
param coverageScope string = ''

@description('Regular expression that matches the short names of virtual desktops; blank for no VDI report.')
param vdiHostPattern string = ''

@description('True to recover the vault of the environment, if it was deleted in the last 90 days.')
param recoverVault bool = false

@description('Email address for alerts; blank for no email.')
param alertEmail string = ''

var tags = {
  'azd-env-name': environmentName
}

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module main 'main.bicep' = {
  scope: group
  name: 'main'
  params: {
    location: location
    tags: tags
    hostingPlan: hostingPlan
    privateNetwork: privateNetwork
    packageUri: packageUri
    apiClientId: apiClientId
    coverageScope: coverageScope
    vdiHostPattern: vdiHostPattern
    recoverVault: recoverVault
    alertEmail: alertEmail
  }
}

@description('Name of the resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Public host name of the app.')
output APP_HOST_NAME string = main.outputs.APP_HOST_NAME

@description('Name of the app.')
output APP_NAME string = main.outputs.APP_NAME

@description('Principal id of the app\'s identity.')
output IDENTITY_PRINCIPAL_ID string = main.outputs.IDENTITY_PRINCIPAL_ID

@description('Name of the host\'s storage account, where the package is uploaded on the premium plan.')
output PACKAGE_ACCOUNT string = main.outputs.PACKAGE_ACCOUNT

@description('True if the hook uploads the package.')
output UPLOADS_PACKAGE bool = hostingPlan == 'flex' && !privateNetwork && empty(packageUri)
