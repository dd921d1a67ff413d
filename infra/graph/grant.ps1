#Requires -Version 5.1
<#
.SYNOPSIS
Does what infra/graph/main.bicep does, for people without the Graph extension.
.DESCRIPTION
Grants the app's identity its roles, and with -Api makes the API's application registration. Needs
the module Microsoft.Graph.Applications, Privileged Role Administrator, and for -Api Application
Administrator; twice does nothing more.
.PARAMETER IdentityPrincipalId
Output IDENTITY_PRINCIPAL_ID of infra/main.bicep.
.PARAMETER Indicators
Also Ti.ReadWrite.All, to see everybody's Indicators. The app writes none.
.PARAMETER NoHunting
Not ThreatHunting.Read.All.
.PARAMETER Api
Also the API's application registration, with its roles and its service principal.
.EXAMPLE
infra/graph/grant.ps1 -IdentityPrincipalId 00000000-0000-0000-0000-000000000000 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)]
    [guid] $IdentityPrincipalId,
    [switch] $Indicators,
    [switch] $NoHunting,
    [switch] $Api
)

$ErrorActionPreference = 'Stop'
$defender = 'fc780465-2017-40d4-a0c5-307022471b92'
$graph = '00000003-0000-0000-c000-000000000000'
$grants = @(
    @{ Application = $defender; Role = 'File.Read.All' }
    @{ Application = $defender; Role = 'Alert.Read.All' }
    @{ Application = $defender; Role = 'Machine.Read.All' }
)
if ($Indicators) { $grants += @{ Application = $defender; Role = 'Ti.ReadWrite.All' } }
if (-not $NoHunting) { $grants += @{ Application = $graph; Role = 'ThreatHunting.Read.All' } }

$held = @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $IdentityPrincipalId -All)
foreach ($grant in $grants) {
    $resource = @(Get-MgServicePrincipal -Filter "appId eq '$($grant.Application)'")
    $role = @($resource.AppRoles | Where-Object { $_.Value -eq $grant.Role -and $_.AllowedMemberTypes -contains 'Application' })
    if ($role.Count -ne 1) { throw "$($grant.Role) was not found; is the service part of this tenant?" }
    if (@($held | Where-Object { $_.AppRoleId -eq $role[0].Id }).Count -gt 0) {
        Write-Output "$($grant.Role) is granted already"
    } elseif ($PSCmdlet.ShouldProcess($IdentityPrincipalId, "Grant $($grant.Role)")) {
        $body = @{ ServicePrincipalId = $IdentityPrincipalId; PrincipalId = $IdentityPrincipalId; ResourceId = $resource[0].Id; AppRoleId = $role[0].Id }
        $null = New-MgServicePrincipalAppRoleAssignment @body
        Write-Output "$($grant.Role) is granted"
    }
}

if ($Api) {
    $name = 'defender-functions'
    $known = @(Get-MgApplication -Filter "displayName eq '$name'")
    if ($known.Count -eq 0 -and $PSCmdlet.ShouldProcess($name, 'Register the application')) {
        $roles = @('Hashes.Read', 'Devices.Read', 'Indicators.Write', 'Reports.Read', 'Reports.Run' | ForEach-Object {
                @{ Id = [guid]::NewGuid(); Value = $_; DisplayName = $_; Description = $_; IsEnabled = $true; AllowedMemberTypes = @('Application', 'User') }
            })
        $scope = @{
            Id = [guid]::NewGuid(); Value = 'access_as_user'; Type = 'User'; IsEnabled = $true
            AdminConsentDisplayName = 'Call Defender Functions'
            AdminConsentDescription = 'Calls Defender Functions as the signed-in person, within the roles of that person.'
        }
        $access = @{ RequestedAccessTokenVersion = 2; Oauth2PermissionScopes = @($scope) }
        $known = @(New-MgApplication -DisplayName $name -SignInAudience 'AzureADMyOrg' -AppRoles $roles -Api $access)
        # The Azure CLI, so that people can call the API with their own sign-in.
        $access.PreAuthorizedApplications = @(@{ AppId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'; DelegatedPermissionIds = @([string] $scope.Id) })
        Update-MgApplication -ApplicationId $known[0].Id -IdentifierUris @("api://$($known[0].AppId)") -Api $access
        $null = New-MgServicePrincipal -AppId $known[0].AppId -AppRoleAssignmentRequired
    }
    if ($known.Count -gt 0) {
        Write-Output "API_CLIENT_ID=$($known[0].AppId)"
        Write-Output "API_AUDIENCE=api://$($known[0].AppId)"
    }
}
