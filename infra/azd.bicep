metadata description = 'For azd: a resource group with what infra/main.bicep describes.'

targetScope = 'subscription'

@description('Name of the azd environment; the resource group is named after it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Azure region.')
@minLength(1)
param location string

@description('flex, or premium where Flex Consumption is not offered.')
@allowed([
  'flex'
  'premium'
])
param hostingPlan string = 'flex'

@description('Whether storage and the vault are reached through private endpoints alone; then this machine cannot upload the package.')
param privateNetwork bool = false

@description('URL of the package where this machine cannot upload it: with privateNetwork, or on the premium plan.')
param packageUri string = ''

@description('Client id of the API\'s application registration, which infra/graph creates.')
param apiClientId string = ''

@description('What the coverage report is about: mg:NAME and sub:GUID, separated by blanks; blank for the tenant.')
param coverageScope string = ''

@description('Regular expression over the short names of virtual desktops; blank for no such report.')
param vdiHostPattern string = ''

@description('Whether the vault of the environment was deleted in the last 90 days and is to be taken back.')
param recoverVault bool = false

@description('Address that alerts are mailed to; blank for nobody.')
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

@description('Name of the host\'s storage account, which takes the package on the premium plan.')
output PACKAGE_ACCOUNT string = main.outputs.PACKAGE_ACCOUNT

@description('Whether the hook uploads the package.')
output UPLOADS_PACKAGE bool = hostingPlan == 'flex' && !privateNetwork && empty(packageUri)
